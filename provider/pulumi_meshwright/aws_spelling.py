"""Where `pulumi_aws.appmesh` strays from the App Mesh model, and how its form becomes the model's.

The table below is the whole of it (a test holds it to AWS's SDK): the package schema, the Python
classes, the check and the documentation are all made of it. A program may write either form of a
field; behind the check there is only the model's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias

from botocore.model import ListShape, StructureShape
from pulumi.provider.experimental.property_value import PropertyValue

from pulumi_meshwright.check import Failure
from pulumi_meshwright.values import UNKNOWN, plain, wrap

if TYPE_CHECKING:
    from botocore.model import Shape

    from pulumi_meshwright.values import Plain


class Form(Enum):
    """How a value of AWS's provider stands for one of the model."""

    SAME = "the same value by another name"
    LIST_OF_ONE = "a list that holds the one object"
    MAP = "a map, for a list of objects with `key` and `value`"
    IGNORED = "taken by AWS's provider and never sent"


@dataclass(frozen=True, slots=True)
class Spelling:
    """One field that AWS's provider writes otherwise.

    Attributes:
        structure: The model's structure that has the field.
        member: The model's name for it; None where the model has nothing of the kind.
        name: AWS's provider's name for it.
        form: What is to be done with its value.
    """

    structure: str
    member: str | None
    name: str
    form: Form = Form.SAME


SPELLINGS: Final = (
    Spelling("SubjectAlternativeNameMatchers", "exact", "exacts"),
    Spelling("LoggingFormat", "json", "jsons"),
    Spelling("GrpcRouteMatch", "metadata", "metadatas"),
    Spelling("GrpcRouteMatch", None, "prefix", Form.IGNORED),
    Spelling("VirtualNodeConnectionPool", "http", "https", Form.LIST_OF_ONE),
    Spelling("VirtualNodeConnectionPool", "http2", "http2s", Form.LIST_OF_ONE),
    Spelling("VirtualNodeConnectionPool", "tcp", "tcps", Form.LIST_OF_ONE),
    Spelling("AwsCloudMapServiceDiscovery", "attributes", "attributes", Form.MAP),
)
"""All fields of the specifications that the two write differently."""

OPTIONAL: Final[dict[tuple[str, str], Plain]] = {
    ("EgressFilter", "type"): "DROP_ALL",
    ("GrpcRoute", "match"): {},
}
"""What AWS's provider sends where a program leaves out a member that the model requires."""

Members: TypeAlias = Mapping[str, PropertyValue]


def spellings_of(structure: str) -> tuple[Spelling, ...]:
    """The fields of a structure that AWS's provider writes otherwise."""
    return tuple(each for each in SPELLINGS if each.structure == structure)


def required_members(of: StructureShape) -> list[str]:
    """The members without which a program's value can't be right, in whichever spelling."""
    either = {each.member for each in spellings_of(of.name) if each.name != each.member}
    return [
        name
        for name in of.required_members
        if name not in either and (of.name, name) not in OPTIONAL
    ]


@dataclass(slots=True)
class Normalized:
    """A specification in the model's spelling.

    Attributes:
        value: The specification.
        clashes: What can't be read, for instance a field that is given in both spellings; by the
            path that the program wrote.
        ignored: The paths of fields that have no meaning, as the program wrote them.
        written: The program's path of each part whose path is another one now.
    """

    value: PropertyValue = field(default_factory=lambda: PropertyValue(None))
    clashes: list[Failure] = field(default_factory=list[Failure])
    ignored: list[str] = field(default_factory=list[str])
    written: dict[str, str] = field(default_factory=dict[str, str])

    def as_written(self, path: str) -> str:
        """A path in the model's spelling as the program wrote it."""
        for ours in sorted(self.written, key=len, reverse=True):
            if path == ours or path.startswith((f"{ours}.", f"{ours}[")):
                return self.written[ours] + path[len(ours) :]
        return path


def normalize(shape: Shape, value: PropertyValue, path: str) -> Normalized:
    """A value in the model's spelling, whichever it was written in.

    What is neither spelling's is left as it is, for the check to find; so are values that are not
    known yet. What is secret stays secret.
    """
    result = Normalized()
    result.value = _value(shape, value, path, path, result)
    return result


def _value(
    shape: Shape, value: PropertyValue, path: str, written: str, result: Normalized
) -> PropertyValue:
    raw = value.value
    if isinstance(shape, StructureShape) and isinstance(raw, Mapping):
        return value.with_value(_members(shape, raw, path, written, result))
    if isinstance(shape, ListShape) and isinstance(raw, Sequence) and not isinstance(raw, str):
        items = [
            _value(shape.member, item, f"{path}[{at}]", f"{written}[{at}]", result)
            for at, item in enumerate(raw)
        ]
        return value.with_value(items)
    return value


def _members(
    shape: StructureShape, given: Members, path: str, written: str, result: Normalized
) -> dict[str, PropertyValue]:
    members = dict(given)
    places = {name: f"{written}.{name}" for name in members}
    for each in spellings_of(shape.name):
        value = members.get(each.name)
        if value is None or value.value is None:
            continue
        place = f"{written}.{each.name}"
        if each.form is Form.IGNORED:
            del members[each.name]
            result.ignored.append(place)
        elif each.form is Form.MAP:
            members[each.name] = _list_of_pairs(value, f"{path}.{each.name}", place, result)
        else:
            del members[each.name]
            _rename(each, value, members, places, place, result)
    for name, member in shape.members.items():
        default = OPTIONAL.get((shape.name, name))
        if default is not None and plain(members.get(name)) is None:
            members[name] = wrap(default)
        if name in members:
            ours, theirs = f"{path}.{name}", places.get(name, f"{written}.{name}")
            if ours != theirs:
                result.written[ours] = theirs
            members[name] = _value(member, members[name], ours, theirs, result)
    return members


def _rename(
    spelling: Spelling,
    value: PropertyValue,
    members: dict[str, PropertyValue],
    places: dict[str, str],
    place: str,
    result: Normalized,
) -> None:
    """Put the value of a field of AWS's provider where the model has it."""
    assert spelling.member is not None
    if plain(members.get(spelling.member)) is not None:
        reason = f"is AWS's spelling of '{spelling.member}', which is given too: keep one of them"
        result.clashes.append(Failure(place, reason))
        return
    if spelling.form is Form.LIST_OF_ONE and plain(value) is not UNKNOWN:
        items = value.value
        if isinstance(items, str) or not isinstance(items, Sequence) or len(items) > 1:
            reason = f"must be a list of one item; or give the item itself as '{spelling.member}'"
            result.clashes.append(Failure(place, reason))
            return
        if not items:
            return
        value = items[0].with_secret(items[0].is_secret or value.is_secret)
        place += "[0]"
    members[spelling.member] = value
    places[spelling.member] = place


def _list_of_pairs(
    value: PropertyValue, path: str, written: str, result: Normalized
) -> PropertyValue:
    raw = value.value
    if not isinstance(raw, Mapping):
        return value
    pairs: list[PropertyValue] = []
    for at, (key, member) in enumerate(sorted(raw.items())):
        pairs.append(PropertyValue({"key": PropertyValue(key), "value": member}))
        result.written[f"{path}[{at}].value"] = f'{written}["{key}"]'
    return value.with_value(pairs)
