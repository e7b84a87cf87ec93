"""The calls that Terraform's provider `hashicorp/aws` makes for a configuration.

A configuration is read as HCL; what becomes of its blocks is derived from the model, as the
provider's resources were written after it:

    spec { listener { port_mapping { port = 8080 } } }  ->  {"listeners": [{"portMapping": ...}]}

The sequences of calls are those of the provider's `internal/service/appmesh`: a create is followed
by a read, a read is a describe and a list of tags, and what a create doesn't know yet (`meshOwner`)
is in all calls after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Any, cast

import hcl2
from botocore import xform_name
from botocore.model import ListShape, Shape, StructureShape
from hcl2.utils import SerializationOptions

from meshwright.model.resources import Kind
from meshwright.model.service import load_service_model

_AS_VALUES = SerializationOptions(
    with_comments=False, explicit_blocks=False, strip_string_quotes=True
)
_REFERENCE = re.compile(r"\$\{(aws_appmesh_\w+\.\w+)\.(?:id|name)\}")

# The provider's schema has defaults for these, and sends them whether they were written or not.
_ALWAYS_SENT: Mapping[tuple[str, str], object] = {
    ("ClientPolicyTls", "enforce"): True,
    ("HttpRouteHeader", "invert"): False,
}

Names = dict[str, str]


@dataclass(slots=True)
class Declared:
    """A resource as a configuration declares it, its references replaced by names.

    Attributes:
        kind: What it is.
        names: The members of requests that name it and its parents, such as `meshName`.
        spec: Its specification, as the provider sends it.
        tags: Its own tags and the provider's default tags.
    """

    kind: Kind
    names: Names
    spec: dict[str, Any]
    tags: dict[str, str]

    @property
    def import_id(self) -> str:
        """What `terraform import` is given."""
        own = self.names[self.kind.name_member]
        parents = [name for member, name in self.names.items() if member != self.kind.name_member]
        return "/".join([*parents, own])


@dataclass(slots=True)
class Managed:
    """A resource in Terraform's state.

    Attributes:
        declared: What it was made of.
        found: What the control plane described it as, at the last read.
        tags: Its tags, at the last read.
    """

    declared: Declared
    found: dict[str, Any] = field(default_factory=dict[str, Any])
    tags: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def owner(self) -> dict[str, str]:
        """The mesh's owner as a member of requests, once it is known."""
        return {"meshOwner": self.found["metadata"]["meshOwner"]} if self.found else {}


class AwsProvider:
    """The provider's `aws_appmesh_*` resources over a client of the API."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def create(self, declared: Declared) -> Managed:
        """Create and read back."""
        tags = [{"key": key, "value": value} for key, value in declared.tags.items()]
        self._call("Create", declared.kind, **declared.names, spec=declared.spec, tags=tags)
        managed = Managed(declared)
        self.read(managed)
        return managed

    def read(self, managed: Managed) -> None:
        """Refresh: describe by names and owner, then list the tags."""
        kind = managed.declared.kind
        answer = self._call("Describe", kind, **managed.declared.names, **managed.owner)
        managed.found = answer[kind.value]
        arn = managed.found["metadata"]["arn"]
        listed = self._client.list_tags_for_resource(resourceArn=arn)["tags"]
        managed.tags = {tag["key"]: tag["value"] for tag in listed}

    def update_spec(self, managed: Managed, spec: dict[str, Any]) -> None:
        """Update the specification and read back."""
        kind = managed.declared.kind
        owner = {} if kind is Kind.MESH else managed.owner
        self._call("Update", kind, **managed.declared.names, **owner, spec=spec)
        self.read(managed)

    def update_tags(self, managed: Managed, tags: Mapping[str, str]) -> None:
        """Take away the tags that are gone, set those that are new or changed, and read back."""
        arn = managed.found["metadata"]["arn"]
        gone = [key for key in managed.tags if key not in tags]
        if gone:
            self._client.untag_resource(resourceArn=arn, tagKeys=gone)
        changed = tags.items() - managed.tags.items()
        if changed:
            pairs = [{"key": key, "value": value} for key, value in changed]
            self._client.tag_resource(resourceArn=arn, tags=pairs)
        self.read(managed)

    def delete(self, managed: Managed) -> None:
        """Delete."""
        kind = managed.declared.kind
        owner = {} if kind is Kind.MESH else managed.owner
        self._call("Delete", kind, **managed.declared.names, **owner)

    def find_for_import(self, kind: Kind, import_id: str) -> dict[str, Any]:
        """Look up what an import names, without knowing the owner."""
        members = [*_parent_members(kind), kind.name_member]
        names = dict(zip(members, import_id.split("/"), strict=True))
        return self._call("Describe", kind, **names)[kind.value]

    def _call(self, verb: str, kind: Kind, **parameters: Any) -> dict[str, Any]:
        operation = xform_name(f"{verb}{kind.value[0].upper()}{kind.value[1:]}")
        return getattr(self._client, operation)(**parameters)


def parse_configuration(text: str) -> list[Declared]:
    """The resources of App Mesh in a configuration, what is referred to before what refers to it.

    Raises:
        ValueError: The configuration says something that App Mesh has no place for.
    """
    content = hcl2.loads(text, serialization_options=_AS_VALUES)
    blocks = {
        f"{of_type}.{label}": block
        for each in content["resource"]
        for of_type, labelled in each.items()
        for label, block in labelled.items()
    }
    references = {address: set(_find_references(block)) for address, block in blocks.items()}
    names = {address: block["name"] for address, block in blocks.items()}
    [provider] = [each["aws"] for each in content["provider"]]
    shared_tags = provider["default_tags"][0]["tags"]
    return [
        _declare(address, _resolve(blocks[address], names), shared_tags)
        for address in TopologicalSorter(references).static_order()
    ]


def _declare(address: str, block: Mapping[str, Any], shared_tags: Mapping[str, str]) -> Declared:
    kind = Kind(_camel(address.partition(".")[0].removeprefix("aws_appmesh_")))
    shape = load_service_model().shape_for(f"{kind.value[0].upper()}{kind.value[1:]}Spec")
    names = {member: block[xform_name(member)] for member in _parent_members(kind)}
    [spec] = block.get("spec", [{}])
    return Declared(
        kind,
        {**names, kind.name_member: block["name"]},
        cast("dict[str, Any]", _expand(shape, spec, "spec")),
        {**shared_tags, **block.get("tags", {})},
    )


def _parent_members(kind: Kind) -> list[str]:
    members: list[str] = []
    while kind.parent is not None:
        kind = kind.parent
        members.insert(0, kind.name_member)
    return members


def _find_references(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield from _REFERENCE.findall(value)
        case Mapping():
            for each in cast("Mapping[str, Any]", value).values():
                yield from _find_references(each)
        case list():
            for each in cast("list[Any]", value):
                yield from _find_references(each)
        case _:
            pass


def _resolve(value: Any, names: Mapping[str, str]) -> Any:
    match value:
        case str():
            return _REFERENCE.sub(lambda found: names[found[1]], value)
        case dict():
            entries = cast("dict[str, Any]", value).items()
            return {name: _resolve(each, names) for name, each in entries}
        case list():
            return [_resolve(each, names) for each in cast("list[Any]", value)]
        case _:
            return value


def _expand(shape: Shape, value: Any, path: str) -> Any:
    """A block or an attribute as a member of a request."""
    if isinstance(shape, ListShape):
        if isinstance(value, Mapping):  # a map of strings stands for a list of pairs
            pairs = cast("Mapping[str, str]", value)
            return [{"key": key, "value": text} for key, text in pairs.items()]
        return [_expand(shape.member, each, path) for each in value]
    if not isinstance(shape, StructureShape):
        return value
    if isinstance(value, list):
        [value] = cast("list[Any]", value)  # one block
    said = dict(value)
    expanded: dict[str, Any] = {}
    for name, member in shape.members.items():
        snake = xform_name(name)
        written = next((word for word in (snake, snake.removesuffix("s")) if word in said), None)
        if written is not None:
            expanded[name] = _expand(member, said.pop(written), f"{path}.{written}")
        elif (shape.name, name) in _ALWAYS_SENT:
            expanded[name] = _ALWAYS_SENT[shape.name, name]
    if said:
        raise ValueError(f"{path} has no {', '.join(said)}")
    return expanded


def _camel(words: str) -> str:
    first, *rest = words.split("_")
    return first + "".join(word.capitalize() for word in rest)
