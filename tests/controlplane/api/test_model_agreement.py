"""The API against botocore's own parser and serializer, for all operations of the model."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.awsrequest import prepare_request_dict
from botocore.model import ListShape, Shape, StringShape, StructureShape
from botocore.parsers import RestJSONParser
from botocore.serialize import create_serializer
from starlette.datastructures import QueryParams

from meshwright.api.parsing import parse_parameters
from meshwright.api.routing import find_operation
from meshwright.api.serialization import render_output
from meshwright.api.validation import find_problems
from tests.controlplane.api.operations import MODEL, input_shape

OPERATIONS = MODEL.operation_names


def output_shape(name: str) -> StructureShape:
    """The shape of an operation's result."""
    shape = MODEL.operation_model(name).output_shape
    assert shape is not None
    return shape


def example(shape: Shape) -> Any:
    """A value that fits a shape: every member once, of unions the first."""
    match shape:
        case StructureShape():
            members = dict(shape.members)
            if shape.is_tagged_union:
                members = dict(list(members.items())[:1])
            return {name: example(member) for name, member in members.items()}
        case ListShape():
            return [example(shape.member)] * max(1, shape.metadata.get("min", 1))
        case StringShape():
            if shape.enum:
                return shape.enum[0]
            return "x" * max(1, shape.metadata.get("min", 1))
        case _ if shape.type_name == "boolean":
            return True
        case _ if shape.type_name == "timestamp":
            return 1700000000
        case _:
            return max(1, shape.metadata.get("min", 1))


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_botocore_serializes_is_parsed_to_the_same_parameters(name: str):
    operation = MODEL.operation_model(name)
    parameters = example(input_shape(name))
    request = create_serializer("rest-json").serialize_to_request(parameters, operation)
    prepare_request_dict(request, "http://localhost")
    body = request["body"]

    match = find_operation(request["method"], request["url_path"])
    assert match is not None
    parsed = parse_parameters(
        match.operation,
        match.path_values,
        QueryParams(request["query_string"]),
        body if isinstance(body, bytes) else body.encode(),
    )

    assert (match.operation.name, parsed) == (name, parameters)


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_fits_the_model_has_no_problem(name: str):
    shape = input_shape(name)

    assert list(find_problems(shape, example(shape), "")) == []


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_is_rendered_is_parsed_by_botocore_to_the_same_result(name: str):
    operation = MODEL.operation_model(name)
    result = example(output_shape(name))
    body = render_output(operation, result).encode()

    parsed = RestJSONParser(timestamp_parser=int).parse(
        {"status_code": 200, "headers": {}, "body": body}, output_shape(name)
    )

    parsed.pop("ResponseMetadata")
    assert parsed == result
