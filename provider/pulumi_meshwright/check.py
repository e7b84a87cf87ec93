"""What a program wrote, held against the model: every wrong field at once, by its property path.

A message never repeats a value that is secret, and says what would be right.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, TypeAlias, cast

from botocore.model import ListShape, StringShape, StructureShape
from pulumi.provider.experimental.property_value import PropertyValue

from pulumi_meshwright.model import shape
from pulumi_meshwright.values import is_unknown, plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from botocore.model import Shape

    from pulumi_meshwright.functions import Field, Function
    from pulumi_meshwright.model import Kind

_INTEGERS = ("integer", "long")
_MAX_SHOWN = 60  # characters of a wrong value that a message repeats

Members: TypeAlias = Mapping[str, PropertyValue]


@dataclass(frozen=True, slots=True)
class Failure:
    """One wrong field: where it is (`spec.httpRoute.match`) and what to do about it."""

    path: str
    reason: str


@dataclass(slots=True)
class _Checker:
    """One walk over a resource's inputs, collecting what is wrong."""

    failures: list[Failure] = field(default_factory=list[Failure])

    def fail(self, path: str, reason: str) -> None:
        self.failures.append(Failure(path, reason))

    def value(self, expected: Shape, value: PropertyValue, path: str) -> None:
        """Check one value against its shape, whatever kind of shape it is."""
        if is_unknown(value):
            return  # known only after the resources that it comes from: the update checks it
        if isinstance(expected, StructureShape):
            self.structure(expected, value, path)
        elif isinstance(expected, ListShape):
            self.sequence(expected, value, path)
        elif expected.type_name in _INTEGERS:
            self.integer(expected, value, path)
        elif expected.type_name == "boolean":
            if not isinstance(value.value, bool):
                self.fail(path, f"must be true or false, not {_show(value)}")
        elif isinstance(expected, StringShape):
            self.string(expected, value, path)

    def structure(self, expected: StructureShape, value: PropertyValue, path: str) -> None:
        """Required, unknown and wrong members; exactly one member if it is a union."""
        if not isinstance(value.value, Mapping):
            self.fail(path, f"must be an object with {_list(expected.members)}, not {_show(value)}")
            return
        members = value.value
        given = {name: member for name, member in members.items() if member.value is not None}
        for name in expected.required_members:
            if name not in given:
                self.fail(f"{path}.{name}", "is required")
        for name in given.keys() - expected.members.keys():
            self.unknown(f"{path}.{name}", name, expected.members)
        if expected.is_tagged_union:
            self.union(expected, given, path)
        for name, member in expected.members.items():
            if name in given:
                self.value(member, given[name], f"{path}.{name}")

    def union(self, expected: StructureShape, given: Members, path: str) -> None:
        """Exactly one of the members that the model knows."""
        chosen = [name for name in expected.members if name in given]
        if len(chosen) == 1:
            return
        wanted = f"must have exactly one of {_list(expected.members)}"
        if len(expected.members) == 1:
            wanted = f"must have {_list(expected.members)}"
        self.fail(path, f"{wanted}, has {_list(chosen) if chosen else 'none'}")

    def sequence(self, expected: ListShape, value: PropertyValue, path: str) -> None:
        """The number of items and each of them."""
        raw = value.value
        if isinstance(raw, str) or not isinstance(raw, Sequence):
            self.fail(path, f"must be a list, not {_show(value)}")
            return
        items = raw
        self.bounds(expected, len(items), path, "must have {} {} items, has {}")
        for index, item in enumerate(items):
            self.value(expected.member, item, f"{path}[{index}]")

    def integer(self, expected: Shape, value: PropertyValue, path: str) -> None:
        """A whole number within its bounds."""
        number = plain(value)
        if not isinstance(number, int) or isinstance(number, bool):
            self.fail(path, f"must be a whole number, not {_show(value)}")
        else:
            shown: int | str = "a secret value" if value.is_secret else number
            self.bounds(expected, number, path, "must be {} {}, is {}", shown)

    def string(self, expected: StringShape, value: PropertyValue, path: str) -> None:
        """One of the values of an enum, or a text with the right length and pattern."""
        text = value.value
        if not isinstance(text, str):
            self.fail(path, f"must be a string, not {_show(value)}")
            return
        if expected.enum:
            if text not in expected.enum:
                self.fail(path, f"must be one of {_list(expected.enum)}, is {_show(value)}")
            return
        self.bounds(expected, len(text), path, "must have {} {} characters, has {}")
        pattern = expected.metadata.get("pattern")
        if pattern and not _compile(pattern).search(text):
            self.fail(path, f"must match {pattern}, is {_show(value)}")

    def bounds(
        self, expected: Shape, size: int, path: str, message: str, shown: int | str | None = None
    ) -> None:
        """The model's `min` and `max`, of a number, a length or a count."""
        shown = size if shown is None else shown
        least, most = expected.metadata.get("min"), expected.metadata.get("max")
        if least is not None and size < least:
            self.fail(path, message.format("at least", least, shown))
        if most is not None and size > most:
            self.fail(path, message.format("at most", most, shown))

    def unknown(
        self, path: str, name: str, known: Iterable[str], of: str = "a field of App Mesh"
    ) -> None:
        """A field that the model does not have, with the one that was probably meant."""
        names = list(known)
        close = difflib.get_close_matches(name, names, n=1)
        remedy = f"did you mean '{close[0]}'?" if close else f"it takes {_list(names)}"
        self.fail(path, f"is not {of}; {remedy}")

    def argument(self, expected: Field, value: PropertyValue) -> None:
        """An argument of a function."""
        if expected.shape is not None:
            self.value(expected.shape, value, expected.name)
        elif expected.type == "map":
            self.strings(value, expected.name)
        elif expected.type == "string":
            if not isinstance(value.value, str):
                self.fail(expected.name, f"must be a string, not {_show(value)}")
        else:
            number = plain(value)
            wanted = int if expected.type == "integer" else int | float
            if not isinstance(number, wanted) or isinstance(number, bool):
                whole = "whole " if expected.type == "integer" else ""
                self.fail(expected.name, f"must be a {whole}number, not {_show(value)}")
            elif number < 0:
                self.fail(expected.name, f"must be at least 0, is {_show(value)}")

    def strings(self, value: PropertyValue, path: str) -> None:
        """A map of strings."""
        members = value.value
        if not isinstance(members, Mapping):
            self.fail(path, f"must be a map of strings, not {_show(value)}")
            return
        for key, member in members.items():
            if not isinstance(member.value, str):
                self.fail(f'{path}["{key}"]', f"must be a string, not {_show(member)}")

    def region(self, value: PropertyValue, expected: str | None) -> None:
        """The provider's own region, since a control plane has but one."""
        if is_unknown(value) or expected is None or plain(value) == expected:
            return
        remedy = "set meshwright:region, or declare a Provider for each region"
        self.fail("region", f"must be the provider's, '{expected}', is {_show(value)}: {remedy}")

    def tags(self, value: PropertyValue, path: str) -> None:
        """A map of strings, within the bounds of the model's TagList, TagKey and TagValue."""
        if is_unknown(value):
            return
        if not isinstance(value.value, Mapping):
            self.fail(path, f"must be a map of strings, not {_show(value)}")
            return
        tags = value.value
        self.bounds(shape("TagList"), len(tags), path, "must have {} {} tags, has {}")
        for key, tag in tags.items():
            at = f'{path}["{key}"]'
            self.bounds(shape("TagKey"), len(key), at, "must have a key of {} {} characters")
            self.value(shape("TagValue"), tag, at)


def check_inputs(kind: Kind, inputs: Members, *, region: str | None = None) -> list[Failure]:
    """Everything that is wrong with a resource's inputs; values not known yet are let pass.

    Args:
        kind: The resource's type.
        inputs: Its inputs, in the model's spelling.
        region: The provider's region, where it is known.
    """
    checker = _Checker()
    given = {name: value for name, value in inputs.items() if value.value is not None}
    known = (*kind.identity, "spec", "region", "tags")
    for name in given.keys() - set(known):
        if name == kind.name_member:
            checker.fail(name, "is the API's word: a resource's own name is given as 'name'")
        else:
            checker.unknown(name, name, known)
    for name in (*kind.parents, *(("spec",) if kind.spec_required else ())):
        if name not in given:
            checker.fail(name, "is required")
    # A service's name is a host name, any other a ResourceName: the model's shape decides.
    request = cast("StructureShape", shape(f"Create{kind.name}Input"))
    for name in kind.identity:
        if name in given:
            member = request.members[kind.name_member if name == "name" else name]
            checker.value(member, given[name], name)
    name = plain(given.get("name"))
    if isinstance(name, str) and "/" in name:
        checker.fail("name", "may not hold a slash, since names stand in ARNs")
    if "spec" in given:
        checker.value(kind.spec, given["spec"], "spec")
    if "tags" in given:
        checker.tags(given["tags"], "tags")
    if "region" in given:
        checker.region(given["region"], region)
    return sorted(checker.failures, key=lambda failure: failure.path)


def check_arguments(
    function: Function, arguments: Members, *, region: str | None = None
) -> list[Failure]:
    """Everything that is wrong with the arguments of a function.

    Args:
        function: The function.
        arguments: What it was given.
        region: The provider's region, where it is known.
    """
    checker = _Checker()
    expected = {argument.name: argument for argument in function.arguments}
    given = {name: value for name, value in arguments.items() if value.value is not None}
    for name in given.keys() - expected.keys():
        checker.unknown(name, name, expected, of=f"an argument of {function.name}")
    for name, argument in expected.items():
        if name in given:
            checker.argument(argument, given[name])
        elif argument.required:
            checker.fail(name, "is required")
    if "region" in given:
        checker.region(given["region"], region)
    return sorted(checker.failures, key=lambda failure: failure.path)


def check_tags(tags: PropertyValue, path: str) -> list[Failure]:
    """What is wrong with a map of tags."""
    checker = _Checker()
    checker.tags(tags, path)
    return checker.failures


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)


def _show(value: PropertyValue) -> str:
    """A wrong value as a message may show it: short, and never a secret."""
    if value.contains_secret():
        return "a secret value"
    seen = plain(value)
    if isinstance(seen, dict):
        return "an object"
    if isinstance(seen, list):
        return "a list"
    if isinstance(seen, bool):
        return str(seen).lower()
    text = repr(seen)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


@cache
def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
