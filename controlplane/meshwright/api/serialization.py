"""From an operation's result to its answer's body: exactly the members that the model has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

JSON_HEADERS = {"content-type": "application/json"}


def render_output(operation: OperationModel, result: Mapping[str, Any]) -> str:
    """An operation's answer as JSON text.

    Timestamps are seconds since the epoch, as REST-JSON has them in bodies
    (https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html).

    Args:
        operation: Whose output shape says what the members are.
        result: The output shape's members; more than the shape has is left out.
    """
    shape = operation.output_shape
    if shape is None:
        return "{}"
    payload = shape.serialization.get("payload")
    if payload is not None:
        return json.dumps(_render(shape.members[payload], result[payload]))
    return json.dumps(_render(shape, result))


def _render(shape: Shape, value: Any) -> Any:
    match shape:
        case StructureShape():
            return {
                str(member.serialization.get("name", name)): _render(member, value[name])
                for name, member in shape.members.items()
                if value.get(name) is not None
            }
        case ListShape():
            return [_render(shape.member, each) for each in value]
        case MapShape():
            return {key: _render(shape.value, each) for key, each in value.items()}
        case _:
            return value
