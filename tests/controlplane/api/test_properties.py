"""Generated requests against the real process: never a 5xx, and nothing that disagrees.

Requests are derived from botocore's shapes and sent over HTTP as they are, so that broken ones get
past no client's own checks.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import pytest
from botocore.model import OperationModel, StructureShape
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshwright.model.service import load_service_model
from pytest_meshwright.control_plane import ControlPlane
from tests.controlplane.api.strategies import JSON, NAMES, broken, values

MODEL = load_service_model()
KINDS = (
    "VirtualNode",
    "VirtualService",
    "VirtualRouter",
    "Route",
    "VirtualGateway",
    "GatewayRoute",
)

_numbers = itertools.count()

generated = settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Answer(NamedTuple):
    """What came back: the HTTP code and the body."""

    status: int
    content: Any


class Api:
    """A client that checks nothing."""

    def __init__(self, endpoint: str) -> None:
        self._connection = http.client.HTTPConnection(endpoint, timeout=30)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def call(self, operation: str, parameters: dict[str, Any]) -> Answer:
        """Send parameters where the model says they belong, whatever they are."""
        model = MODEL.operation_model(operation)
        path, query, body = _place(model, parameters)
        url = path + (f"?{urlencode(query)}" if query else "")
        return self.send(model.http["method"], url, json.dumps(body))

    def send(self, method: str, url: str, body: str) -> Answer:
        """Send a request as it is."""
        headers = {"content-type": "application/json"} if body else {}
        self._connection.request(method, url, body.encode("utf-8", "replace"), headers)
        with self._connection.getresponse() as answer:
            return Answer(answer.status, json.loads(answer.read()))


def _place(
    model: OperationModel, parameters: dict[str, Any]
) -> tuple[str, dict[str, str], dict[str, Any]]:
    path: str = model.http["requestUri"]
    query: dict[str, str] = {}
    body: dict[str, Any] = {}
    members = input_shape(model.name).members
    for name, value in parameters.items():
        serialization = members[name].serialization if name in members else {}
        wire_name = str(serialization.get("name", name))
        match serialization.get("location"):
            case "uri":
                path = path.replace(f"{{{wire_name}}}", quote(_text(value), safe=""))
            case "querystring":
                query[wire_name] = _text(value)
            case _:
                body[name] = value
    return path, query, body


def _text(value: Any) -> str:
    return (value if isinstance(value, str) else json.dumps(value)) or "x"


def input_shape(operation: str) -> StructureShape:
    """The shape of an operation's parameters; every operation of this model has one."""
    shape = MODEL.operation_model(operation).input_shape
    assert shape is not None
    return shape


def requests(operation: str) -> st.SearchStrategy[dict[str, Any]]:
    """Valid parameters by the model, but for those that a test sets itself."""
    shape = input_shape(operation)
    left_out = ("meshOwner", "clientToken", "meshName")
    members = {name: member for name, member in shape.members.items() if name not in left_out}
    strategies = {name: values(member, name) for name, member in members.items()}
    required = {name: strategies.pop(name) for name in shape.required_members if name in members}
    return st.fixed_dictionaries(required, optional=strategies)


def carried_out(refusal: Answer, spec: dict[str, Any]) -> dict[str, Any]:
    """A specification without the members that a refusal says are not carried out yet."""
    fields, refused, _ = refusal.content["message"].partition(": not carried out by this version")
    gone = set(re.findall(r"spec\.(\w+)", fields)) if refused else set[str]()
    return {name: value for name, value in spec.items() if name not in gone}


def by_key(tags: list[dict[str, str]]) -> list[tuple[str, str]]:
    """Tags in the order of their keys."""
    return sorted((tag["key"], tag["value"]) for tag in tags)


@pytest.fixture(scope="session")
def api(control_plane: ControlPlane) -> Iterator[Api]:
    """A client of the shared control plane."""
    client = Api(str(control_plane.api))
    yield client
    client.close()


@pytest.fixture(scope="session")
def furnished(api: Api) -> str:
    """A mesh with nodes, a router and a gateway, so that generated references find something."""
    mesh = f"furnished-{os.getpid()}"
    assert api.call("CreateMesh", {"meshName": mesh}).status == 200
    for name in ("a", "b"):
        node = {
            "listeners": [{"portMapping": {"port": 80, "protocol": "http"}}],
            "serviceDiscovery": {"dns": {"hostname": "a.local"}},
        }
        made = api.call(
            "CreateVirtualNode", {"meshName": mesh, "virtualNodeName": name, "spec": node}
        )
        assert made.status == 200
        listener = {"portMapping": {"port": 80, "protocol": "http"}}
        router = {"meshName": mesh, "virtualRouterName": name, "spec": {"listeners": [listener]}}
        assert api.call("CreateVirtualRouter", router).status == 200
    return mesh


@pytest.mark.parametrize("operation", MODEL.operation_names)
@generated
@given(data=st.data())
def test_no_request_is_answered_with_a_server_error(
    api: Api, furnished: str, operation: str, data: st.DataObject
):
    whole = requests(operation).map(lambda each: {"meshName": furnished, **each})
    parameters = data.draw(whole | broken(whole).filter(lambda each: isinstance(each, dict)))

    answer = api.call(operation, parameters)

    assert answer.status < 500, (answer, parameters)
    if answer.status != 200:
        assert answer.content["message"]


@generated
@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "PATCH"]),
    path=st.sampled_from(
        [
            "/v20190125/meshes",
            "/v20190125/meshes/x",
            "/v20190125/meshes/x/virtualNodes",
            "/v20190125/tag",
            "/meshwright/v1/apply",
            "/meshwright/v1/meshes/x",
            "/nowhere",
        ]
    ),
    body=JSON.map(json.dumps) | st.text(),
)
def test_no_body_is_answered_with_a_server_error(api: Api, method: str, path: str, body: str):
    answer = api.send(method, path, body)

    assert answer.status < 500


@pytest.mark.parametrize("kind", KINDS)
@generated
@given(data=st.data())
def test_what_was_acknowledged_is_what_is_described_and_listed(
    api: Api, furnished: str, kind: str, data: st.DataObject
):
    member = kind[0].lower() + kind[1:]
    request = data.draw(requests(f"Create{kind}"))
    parent = {
        name: value
        for name, value in request.items()
        if name in ("virtualRouterName", "virtualGatewayName") and name != f"{member}Name"
    }
    names = {"meshName": furnished, f"{member}Name": f"generated-{next(_numbers)}", **parent}
    sent = request | names

    made = api.call(f"Create{kind}", sent)
    if made.status != 200:
        sent |= {"spec": carried_out(made, sent["spec"])}
        made = api.call(f"Create{kind}", sent)
    described = api.call(f"Describe{kind}", names)
    listed = api.call(f"List{kind}s", {"meshName": furnished, **parent})

    assert (made.status == 200) == (described.status == 200), made
    found = [each[f"{member}Name"] for each in listed.content.get(f"{member}s", ())]
    assert (names[f"{member}Name"] in found) == (made.status == 200)
    if made.status == 200:
        assert made.content["spec"] == sent["spec"]
        assert described.content == made.content
        tags = api.call("ListTagsForResource", {"resourceArn": made.content["metadata"]["arn"]})
        assert by_key(tags.content["tags"]) == by_key(sent.get("tags", []))
        assert api.call(f"Delete{kind}", names).status == 200
    else:
        assert made.content["message"]


SPECS = {
    "VirtualNode": lambda: values(input_shape("CreateVirtualNode").members["spec"]),
    "VirtualRouter": lambda: values(input_shape("CreateVirtualRouter").members["spec"]),
}


@pytest.mark.parametrize("kind", SPECS)
@generated
@given(data=st.data())
def test_an_update_is_stored_as_it_was_sent_or_not_at_all(
    api: Api, furnished: str, kind: str, data: st.DataObject
):
    member = kind[0].lower() + kind[1:]
    names = {"meshName": furnished, f"{member}Name": data.draw(NAMES)}
    before = api.call(f"Describe{kind}", names)
    spec = data.draw(SPECS[kind]())

    updated = api.call(f"Update{kind}", {**names, "spec": spec})
    after = api.call(f"Describe{kind}", names)

    if updated.status == 200:
        risen = after.content["metadata"]["version"] - before.content["metadata"]["version"]
        assert after.content == updated.content
        assert after.content["spec"] == spec
        assert risen == (spec != before.content["spec"])
    else:
        assert after == before
