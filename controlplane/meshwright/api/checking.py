"""What is wrong with a specification by itself, told before anything is made of it.

POST /meshwright/v1/check   {"kind": "virtualNode", "spec": {...}}

Rules between resources are not among them: what a specification refers to may be about to be made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from botocore.model import StructureShape
from starlette.requests import Request

from meshwright.api.bodies import read_body
from meshwright.api.errors import bad_request
from meshwright.api.parsing import json_object, parse_object, without_nulls
from meshwright.api.validation import find_problems
from meshwright.graph.field_rules import find_field_violations
from meshwright.graph.violations import find_own_violations
from meshwright.model.resources import Kind, MeshKey, Resource, ResourceKey
from meshwright.model.service import load_service_model
from meshwright.translate.coverage import find_unsupported_fields

MAX_CHECK_BYTES: Final = 1024 * 1024
"""The largest specification that is read, as the API's own operations have it."""


async def check_spec(request: Request) -> dict[str, Any]:
    """The answer to a request: `problems`, each with the `field` and a `message`."""
    body = parse_object(await read_body(request, at_most=MAX_CHECK_BYTES))
    if unknown := body.keys() - {"kind", "spec"}:
        raise bad_request(f"{min(unknown)}: is no field of this request")
    kinds = [each.value for each in Kind]
    if body.get("kind") not in kinds:
        raise bad_request(f"kind: must be one of {', '.join(kinds)}")
    spec = json_object(without_nulls(body.get("spec")))
    if spec is None:
        raise bad_request("spec: must be an object")
    problems = find_spec_problems(Kind(body["kind"]), spec)
    return {"problems": [{"field": field, "message": text} for field, text in problems]}


def find_spec_problems(kind: Kind, spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The fields of a specification that are wrong, and what is wrong with them.

    The model's rules go first: what breaks them is held against no others.
    """
    name = kind.value[0].upper() + kind.value[1:]
    request = load_service_model().operation_model(f"Create{name}").input_shape
    shape = cast("StructureShape", request).members["spec"]
    wrong = [(each.field, each.message) for each in find_problems(shape, spec, "spec")]
    if wrong:
        return wrong
    nowhere = ResourceKey(MeshKey("", ""), kind, "")
    resource = Resource(nowhere, "", dict(spec), "", 1, 0.0, 0.0, "")
    unsupported = "is not carried out by this version of meshwright, so it is refused"
    return [
        *((field, unsupported) for field in find_unsupported_fields(resource)),
        *(
            (each.field, each.message)
            for each in (*find_field_violations(resource), *find_own_violations(resource))
        ),
    ]
