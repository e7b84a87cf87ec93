"""Resources as they go over the wire: serialized once, versioned by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from google.protobuf.message import Message

from meshwright.translate import ProxyResources
from meshwright.translate.lookups import EndpointsLookup, Outside

_TYPE: Final = "type.googleapis.com/envoy."
CLUSTER: Final = f"{_TYPE}config.cluster.v3.Cluster"
ENDPOINT: Final = f"{_TYPE}config.endpoint.v3.ClusterLoadAssignment"
LISTENER: Final = f"{_TYPE}config.listener.v3.Listener"
ROUTE: Final = f"{_TYPE}config.route.v3.RouteConfiguration"
SECRET: Final = f"{_TYPE}extensions.transport_sockets.tls.v3.Secret"

TYPES: Final = (CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET)
"""In make-before-break order: what is referred to comes before what refers to it.

Source: xDS protocol, "Eventual consistency considerations"
(https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol).
"""

_DIGEST_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class PackedResource:
    """One resource, serialized once and shared by all streams.

    Attributes:
        name: Its name, unique within its type.
        version: A digest of its content: the same after a restart and on every replica.
        any_bytes: It inside an `Any`, serialized.
    """

    name: str
    version: str
    any_bytes: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that one proxy should have.

    Attributes:
        revision: The revision of the mesh that it was made from.
        resources: For each type, the resources by name.
        pending: Type and name of resources that will come: nobody may be told that there are none.
    """

    revision: int
    resources: Mapping[str, Mapping[str, PackedResource]]
    pending: frozenset[tuple[str, str]] = frozenset()

    def of_type(self, type_url: str) -> Mapping[str, PackedResource]:
        """The resources of a type by name."""
        return self.resources.get(type_url, {})

    def pending_of(self, type_url: str) -> frozenset[str]:
        """The names of the resources of a type that will come."""
        return frozenset(name for pending, name in self.pending if pending == type_url)

    def contents(self) -> frozenset[tuple[str, str, str]]:
        """Type, name and version of every resource."""
        return frozenset(
            (type_url, name, resource.version)
            for type_url, resources in self.resources.items()
            for name, resource in resources.items()
        )


def pack_snapshot(resources: ProxyResources, revision: int, outside: Outside) -> Snapshot:
    """Serialize a proxy's resources, with what is looked up outside the mesh for them."""
    found: dict[str, list[Message]] = {ENDPOINT: [], SECRET: []}
    pending: set[tuple[str, str]] = set()
    for lookup in resources.lookups:
        type_url = ENDPOINT if isinstance(lookup, EndpointsLookup) else SECRET
        message = lookup.build(outside)
        if message is None:
            pending.add((type_url, lookup.name))
        else:
            found[type_url].append(message)
    return Snapshot(
        revision,
        {
            CLUSTER: _pack_all(CLUSTER, resources.clusters),
            ENDPOINT: _pack_all(ENDPOINT, found[ENDPOINT]),
            LISTENER: _pack_all(LISTENER, resources.listeners),
            ROUTE: _pack_all(ROUTE, resources.routes),
            SECRET: _pack_all(SECRET, (*resources.secrets, *found[SECRET])),
        },
        frozenset(pending),
    )


def _pack_all(type_url: str, messages: Iterable[Message]) -> Mapping[str, PackedResource]:
    name_field = "cluster_name" if type_url == ENDPOINT else "name"
    packed = (_pack(type_url, getattr(message, name_field), message) for message in messages)
    return {resource.name: resource for resource in packed}


def _pack(type_url: str, name: str, message: Message) -> PackedResource:
    content = message.SerializeToString(deterministic=True)
    version = hashlib.blake2b(content, digest_size=_DIGEST_BYTES).hexdigest()
    any_bytes = encode_bytes(1, type_url.encode()) + encode_bytes(2, content)
    return PackedResource(name, version, any_bytes)


def digest_versions(resources: Iterable[PackedResource]) -> str:
    """One version for a set of resources, the same for the same set."""
    joined = "\n".join(sorted(f"{each.name} {each.version}" for each in resources))
    return hashlib.blake2b(joined.encode(), digest_size=_DIGEST_BYTES).hexdigest()


def encode_bytes(number: int, value: bytes) -> bytes:
    """A length-delimited protobuf field.

    Serialized messages can be put together field by field, which is what lets one resource's
    bytes stand in many responses (https://protobuf.dev/programming-guides/encoding/).
    """
    return bytes((number << 3 | 2,)) + _encode_varint(len(value)) + value


def _encode_varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
