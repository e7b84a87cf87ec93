"""Whether parameters fit the model: every problem at once, each with its field's path."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape

from meshwright.api.errors import ApiError, bad_request

_JSON_TYPES: Mapping[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float, str),
}
_BITS: Mapping[str, int] = {"integer": 32, "long": 64}
"""Source: Smithy's simple types, https://smithy.io/2.0/spec/simple-types.html."""

_TYPE_WORDS: Mapping[str, str] = {
    "structure": "an object",
    "map": "an object",
    "list": "a list",
    "string": "a string",
    "boolean": "true or false",
    "integer": "a whole number",
    "long": "a whole number",
}


class Problem(NamedTuple):
    """A field that does not fit the model: its path and what is wrong with it."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def validate(shape: StructureShape, parameters: Mapping[str, Any]) -> None:
    """Check parameters against their shape.

    Raises:
        ApiError: BadRequestException that names every field at fault, its bound and its value.
    """
    problems = [*find_problems(shape, parameters, "")]
    if problems:
        raise _refusal(problems)


def _refusal(problems: list[Problem]) -> ApiError:
    shown = "; ".join(str(problem) for problem in problems[:20])
    more = f"; and {len(problems) - 20} more" if len(problems) > 20 else ""
    return bad_request(shown + more)


def find_problems(shape: Shape, value: Any, field: str) -> Iterator[Problem]:
    """Every way in which a value does not fit a shape, in the order of its fields."""
    if not _has_type(shape, value):
        word = _TYPE_WORDS.get(shape.type_name, shape.type_name)
        yield Problem(field, f"must be {word}, got {render_value(value)}")
        return
    match shape:
        case StructureShape():
            yield from _structure_problems(shape, value, field)
        case ListShape():
            yield from _bound_problems(shape, len(value), field, f"{len(value)} members", "members")
            for position, member in enumerate(value):
                yield from find_problems(shape.member, member, f"{field}[{position}]")
        case MapShape():
            for key, member in value.items():
                yield from find_problems(shape.value, member, _join(field, key))
        case StringShape():
            yield from _string_problems(shape, value, field)
        case _ if isinstance(value, int) and not isinstance(value, bool):
            yield from _number_problems(shape, value, field)
        case _:
            return


def _has_type(shape: Shape, value: object) -> bool:
    expected = _JSON_TYPES.get(shape.type_name, (object,))
    return isinstance(value, expected) and (bool in expected or not isinstance(value, bool))


def _structure_problems(
    shape: StructureShape, value: Mapping[str, Any], field: str
) -> Iterator[Problem]:
    for name in shape.required_members:
        if name not in value:
            yield Problem(_join(field, name), "is required")
    for name, member in value.items():
        if name in shape.members:
            yield from find_problems(shape.members[name], member, _join(field, name))
        else:
            close = get_close_matches(name, list(shape.members), n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            yield Problem(_join(field, name), f"is not a field of {shape.name}{hint}")
    if (
        shape.is_tagged_union
        and len(given := [name for name in shape.members if name in value]) != 1
    ):
        choice = ", ".join(shape.members)
        seen = " and ".join(given) if given else "none of them"
        yield Problem(field, f"takes exactly one of {choice}, got {seen}")


def _string_problems(shape: StringShape, value: str, field: str) -> Iterator[Problem]:
    if shape.enum and value not in shape.enum:
        yield Problem(field, f"must be one of {', '.join(shape.enum)}, got {render_value(value)}")
    yield from _bound_problems(shape, len(value), field, render_value(value), "characters")
    pattern = shape.metadata.get("pattern")
    if pattern and not re.search(str(pattern), value):
        yield Problem(field, f"must match {pattern}, got {render_value(value)}")
    # A lone surrogate is valid JSON text, but no text that could be stored or sent to Envoy.
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        yield Problem(field, "holds half of a surrogate pair, which is no character")


def _number_problems(shape: Shape, value: int, field: str) -> Iterator[Problem]:
    bits = _BITS.get(shape.type_name)
    if bits is not None and not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
        yield Problem(field, f"must fit into {bits} bits, got {render_value(value)}")
    else:
        yield from _bound_problems(shape, value, field, str(value))


def _bound_problems(
    shape: Shape, size: int, field: str, shown: str, unit: str = ""
) -> Iterator[Problem]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if (low is None or size >= low) and (high is None or size <= high):
        return
    if low == high:
        bounds = f"{low}"
    elif high is None:
        bounds = f"at least {low}"
    elif low is None:
        bounds = f"at most {high}"
    else:
        bounds = f"between {low} and {high}"
    what = f"have {bounds} {unit}" if unit else f"be {bounds}"
    yield Problem(field, f"must {what}, got {shown}")


def _join(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name


def render_value(value: object) -> str:
    """A value for a message, shortened where it is long."""
    text = repr(value)
    length = len(value) if isinstance(value, str) else len(text)
    return text if len(text) <= 80 else f"{text[:60]}... ({length} characters)"
