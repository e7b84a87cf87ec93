"""From a request's path, query and body to an operation's parameters.

Every value is read by the model's shape: a member or shape that a later botocore adds needs no
hand work here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

from botocore.model import ListShape, OperationModel, Shape, StructureShape
from starlette.datastructures import QueryParams

from meshwright.api.errors import ApiError, bad_request

MAX_NESTING = 64
"""How deep a body may nest; the deepest path of the model is well below it."""


def parse_parameters(
    operation: OperationModel, path_values: Mapping[str, str], query: QueryParams, body: bytes
) -> dict[str, Any]:
    """The parameters of an operation, by the names of its input shape's members.

    Values have the JSON types that were sent; whether they fit the model is `validation`'s to say.

    Raises:
        ApiError: BadRequestException where the body is no JSON object.
    """
    shape = operation.input_shape
    if shape is None:
        return {}
    parameters = _parse_body(shape, body)
    for name, member in shape.members.items():
        wire_name = str(member.serialization.get("name", name))
        match member.serialization.get("location"):
            case "uri":
                parameters[name] = path_values[wire_name]
            case "querystring" if wire_name in query:
                if isinstance(member, ListShape):
                    parameters[name] = query.getlist(wire_name)
                else:
                    parameters[name] = _parse_text(member, query[wire_name])
            case _:
                pass
    return parameters


def parse_object(body: bytes) -> dict[str, Any]:
    """A body as the JSON object that it holds; an empty one holds nothing.

    Raises:
        ApiError: BadRequestException where it is none, or nests too deeply.
    """
    if not body:
        return {}
    try:
        document: object = json.loads(body, parse_constant=_refuse_constant)
    except ValueError as error:
        raise bad_request(f"body: is not valid JSON: {error}") from None
    except RecursionError:
        raise _too_deep() from None
    parsed = json_object(document)
    if parsed is None:
        raise bad_request('body: is not a JSON object, such as {"meshName": "demo"}')
    if _depth_exceeds(parsed, MAX_NESTING):
        raise _too_deep()
    return parsed


def _too_deep() -> ApiError:
    return bad_request(f"body: nests deeper than {MAX_NESTING} levels")


def _parse_body(shape: StructureShape, body: bytes) -> dict[str, Any]:
    parameters: dict[str, Any] = without_nulls(parse_object(body))
    elsewhere = {
        name for name, member in shape.members.items() if "location" in member.serialization
    }
    for name in sorted(elsewhere & parameters.keys()):
        raise bad_request(f"{name}: belongs in the {_place(shape.members[name])}, not in the body")
    return parameters


def _place(member: Shape) -> str:
    return {"uri": "path", "querystring": "query"}[str(member.serialization["location"])]


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def json_object(value: object) -> dict[str, Any] | None:
    """A JSON value as an object, or None where it is none."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def json_list(value: object) -> list[Any] | None:
    """A JSON value as a list, or None where it is none."""
    return cast("list[Any]", value) if isinstance(value, list) else None


def _members(value: object) -> Iterable[object]:
    members = json_object(value)
    return members.values() if members is not None else json_list(value) or ()


def _depth_exceeds(value: object, depth: int) -> bool:
    if json_object(value) is None and json_list(value) is None:
        return False
    return depth == 0 or any(_depth_exceeds(each, depth - 1) for each in _members(value))


def without_nulls(value: Any) -> Any:
    """A JSON value without the object members that are null, which SDKs send for "not set"."""
    if (members := json_object(value)) is not None:
        return {name: without_nulls(each) for name, each in members.items() if each is not None}
    if (items := json_list(value)) is not None:
        return [without_nulls(each) for each in items]
    return value


def _parse_text(shape: Shape, text: str) -> object:
    """A query value as its shape's type; text that does not fit stays text for validation."""
    if shape.type_name in ("integer", "long"):
        try:
            return int(text)
        except ValueError:
            return text
    if shape.type_name == "boolean" and text in ("true", "false"):
        return text == "true"
    return text
