"""What a specification means, apart from how it is spelled.

Two spellings mean the same when a proxy would be configured alike: lists that are sets in another
order, 60 s and 60000 ms, a default written out, an empty list and none at all.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from botocore.model import ListShape, StructureShape

if TYPE_CHECKING:
    from botocore.model import Shape

    from pulumi_meshwright.values import Plain

ORDERED: Final = frozenset(
    {
        "JsonFormat",  # the order of the keys in the log's lines
        "Listeners",
        "VirtualGatewayListeners",
        "VirtualRouterListeners",
    }
)
"""The list shapes whose order means something; all others of the specifications are sets."""

DEFAULTS: Final[dict[tuple[str, str], Plain]] = {
    # "By default, the type is DROP_ALL" (EgressFilter$type)
    ("MeshSpec", "egressFilter"): {"type": "DROP_ALL"},
    # "The default is True, if a value isn't specified" (ClientPolicyTls$enforce)
    ("ClientPolicyTls", "enforce"): True,
    ("VirtualGatewayClientPolicyTls", "enforce"): True,
    # "The default value is False" (HttpRouteHeader$invert and the others)
    ("GrpcGatewayRouteMetadata", "invert"): False,
    ("GrpcRouteMetadata", "invert"): False,
    ("HttpGatewayRouteHeader", "invert"): False,
    ("HttpRouteHeader", "invert"): False,
    # App Mesh user guide, virtual_nodes.md: a DNS name is a load balancer's unless said otherwise
    ("DnsServiceDiscovery", "responseType"): "LOADBALANCER",
}
"""Members that say nothing when they have this value, by (structure, member)."""

_SAYS_SOMETHING_WHEN_EMPTY = frozenset({"ClientPolicy", "VirtualGatewayClientPolicy"})
"""An empty client policy of one backend switches off the policy that is the default of all."""

_MILLISECONDS = {"ms": 1, "s": 1000}


def meaning(shape: Shape, value: Plain) -> Plain:
    """The canonical form of a value: equal for two values that mean the same.

    A value that is not known yet stays so, and is equal to nothing but itself.
    """
    if isinstance(shape, StructureShape):
        return _structure(shape, value)
    if isinstance(shape, ListShape) and isinstance(value, list):
        items = [meaning(shape.member, item) for item in value]
        return items if shape.name in ORDERED else sorted(items, key=_sort_key)
    return value


def _structure(shape: StructureShape, value: Plain) -> Plain:
    if value is None:
        value = {}
    if not isinstance(value, dict):
        return value
    if shape.name == "Duration":
        return _duration(value)
    result: dict[str, Plain] = {}
    for name, member in value.items():
        member_shape = shape.members.get(name)
        if member is None or member_shape is None:
            continue
        said = meaning(member_shape, member)
        optional = name not in shape.required_members
        empty = said in ({}, []) and member_shape.name not in _SAYS_SOMETHING_WHEN_EMPTY
        if optional and (empty or said == DEFAULTS.get((shape.name, name))):
            continue
        result[name] = said
    return result


def _duration(value: dict[str, Plain]) -> Plain:
    number, unit = value.get("value"), value.get("unit")
    if isinstance(number, int) and isinstance(unit, str) and unit in _MILLISECONDS:
        return number * _MILLISECONDS[unit]
    return dict(value)


def _sort_key(item: Plain) -> str:
    return json.dumps(item, sort_keys=True, default=str)


def same_meaning(shape: Shape, one: Plain, other: Plain) -> bool:
    """Whether two values mean the same."""
    return meaning(shape, one) == meaning(shape, other)
