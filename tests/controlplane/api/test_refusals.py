"""What the API refuses: App Mesh's exception, the field's name, and nothing stored."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from pytest_meshwright.control_plane import ControlPlane
from tests.controlplane.conftest import Refusal, Refused
from tests.controlplane.meshes import node_spec, route_spec, router_spec, service_spec


def send(control_plane: ControlPlane, method: str, path: str, body: bytes) -> Refusal:
    """A request as no SDK would make it."""
    request = urllib.request.Request(control_plane.url + path, method=method, data=body)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with pytest.raises(urllib.error.HTTPError) as caught, opener.open(request):
        pass
    with caught.value as answer:
        content = json.loads(answer.read())
        return Refusal(answer.code, answer.headers["x-amzn-errortype"], content["message"])


@pytest.fixture
def routed(appmesh: Any, mesh: str) -> str:
    """A mesh with a router and two nodes, but no route."""
    appmesh.create_virtual_router(meshName=mesh, virtualRouterName="color", spec=router_spec())
    for name in ("blue", "green"):
        appmesh.create_virtual_node(meshName=mesh, virtualNodeName=name, spec=node_spec(name))
    return mesh


def test_a_weight_of_101_names_field_bound_and_value(appmesh: Any, routed: str, refused: Refused):
    error = refused(
        appmesh.create_route,
        meshName=routed,
        virtualRouterName="color",
        routeName="split",
        spec=route_spec({"blue": 101}),
    )

    assert (error.code, error.message) == (
        "BadRequestException",
        "spec.httpRoute.action.weightedTargets[0].weight: must be between 0 and 100, got 101",
    )


def test_weights_that_are_all_zero(appmesh: Any, routed: str, refused: Refused):
    error = refused(
        appmesh.create_route,
        meshName=routed,
        virtualRouterName="color",
        routeName="split",
        spec=route_spec({"blue": 0}),
    )

    assert "weight above 0" in error.message


def test_a_refused_route_is_not_stored_and_moves_no_revision(
    control_plane: ControlPlane, appmesh: Any, routed: str, refused: Refused
):
    before = control_plane.status(routed).revision

    refused(
        appmesh.create_route,
        meshName=routed,
        virtualRouterName="color",
        routeName="split",
        spec=route_spec({"purple": 1}),
    )

    assert control_plane.status(routed).revision == before
    assert appmesh.list_routes(meshName=routed, virtualRouterName="color")["routes"] == []


def test_what_exists_already(appmesh: Any, mesh: str, refused: Refused):
    error = refused(appmesh.create_mesh, meshName=mesh)

    assert error.status == 409
    assert error.code == "ConflictException"


def test_a_resource_in_a_mesh_that_does_not_exist(appmesh: Any, refused: Refused):
    error = refused(
        appmesh.create_virtual_service, meshName="nowhere", virtualServiceName="a", spec={}
    )

    assert error.code == "NotFoundException"
    assert "meshName: there is no mesh 'nowhere'" in error.message


def test_deleting_what_is_referred_to_names_who_refers(appmesh: Any, routed: str, refused: Refused):
    appmesh.create_virtual_service(
        meshName=routed, virtualServiceName="a.local", spec=service_spec(node="blue")
    )

    error = refused(appmesh.delete_virtual_node, meshName=routed, virtualNodeName="blue")

    assert error.code == "ResourceInUseException"
    assert "virtual service 'a.local'" in error.message


def test_deleting_a_mesh_with_something_in_it(appmesh: Any, routed: str, refused: Refused):
    error = refused(appmesh.delete_mesh, meshName=routed)

    assert error.code == "ResourceInUseException"


def test_a_service_that_is_somebodys_backend_may_go(appmesh: Any, mesh: str):
    appmesh.create_virtual_service(meshName=mesh, virtualServiceName="a.local", spec={})
    appmesh.create_virtual_node(
        meshName=mesh, virtualNodeName="front", spec=node_spec("front", backends=("a.local",))
    )

    deleted = appmesh.delete_virtual_service(meshName=mesh, virtualServiceName="a.local")

    assert deleted["virtualService"]["status"]["status"] == "DELETED"


def test_a_dangling_backend_is_a_finding(control_plane: ControlPlane, appmesh: Any, mesh: str):
    appmesh.create_virtual_node(
        meshName=mesh, virtualNodeName="front", spec=node_spec("front", backends=("a.local",))
    )

    codes = [finding["code"] for finding in control_plane.status(mesh).findings]

    assert codes == ["BackendMissing"]


def test_a_gateway_is_checked_on_its_listeners_port(appmesh: Any, mesh: str, refused: Refused):
    check = {
        "protocol": "http",
        "port": 81,
        "intervalMillis": 5000,
        "timeoutMillis": 2000,
        "healthyThreshold": 2,
        "unhealthyThreshold": 2,
    }
    listener = {"portMapping": {"port": 80, "protocol": "http"}, "healthCheck": check}
    error = refused(
        appmesh.create_virtual_gateway,
        meshName=mesh,
        virtualGatewayName="edge",
        spec={"listeners": [listener]},
    )

    assert error.message == "spec.listeners[0].healthCheck.port: must be the listener's, 80"


@pytest.mark.parametrize("name", ["a/b", "tab\there"])
def test_a_name_that_would_break_arns(appmesh: Any, mesh: str, refused: Refused, name: str):
    error = refused(appmesh.create_virtual_service, meshName=mesh, virtualServiceName=name, spec={})

    assert error.message.startswith("virtualServiceName: may not hold")


@pytest.mark.parametrize("name", ["", "x" * 256])
def test_a_virtual_services_name_has_bounds_too(control_plane: ControlPlane, mesh: str, name: str):
    body = {"virtualServiceName": name, "spec": {}}

    answer = send(
        control_plane, "PUT", f"/v20190125/meshes/{mesh}/virtualServices", json.dumps(body).encode()
    )

    assert answer.code == "BadRequestException"
    assert answer.message.startswith("virtualServiceName: must have between 1 and 255 characters")


def test_a_long_value_is_told_with_its_length(control_plane: ControlPlane, mesh: str):
    answer = send(
        control_plane,
        "PUT",
        f"/v20190125/meshes/{mesh}/virtualNodes?meshOwner=12",
        json.dumps({"virtualNodeName": "n" * 256, "spec": {}}).encode(),
    )

    name, owner = answer.message.split("; ")
    assert name == (
        f"virtualNodeName: must have between 1 and 255 characters, got '{'n' * 59}... "
        "(256 characters)"
    )
    assert owner == "meshOwner: must have 12 characters, got '12'"


def test_several_wrong_fields_are_all_named(control_plane: ControlPlane, mesh: str):
    body = {
        "virtualNodeName": "",
        "spec": {"listeners": [{"portMapping": {"port": 0, "protocol": "smtp"}}]},
    }

    answer = send(
        control_plane,
        "PUT",
        f"/v20190125/meshes/{mesh}/virtualNodes",
        json.dumps(body).encode(),
    )

    assert answer.message.split("; ") == [
        "virtualNodeName: must have between 1 and 255 characters, got ''",
        "spec.listeners[0].portMapping.port: must be between 1 and 65535, got 0",
        "spec.listeners[0].portMapping.protocol: must be one of http, tcp, http2, grpc, got 'smtp'",
    ]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{nope", "body: is not valid JSON"),
        (b"[]", "body: is not a JSON object"),
        (b"\xff\xfe", "body: is not valid JSON"),
        (b'{"meshName": NaN}', "body: is not valid JSON"),
        (b"[" * 100_000, "body: nests deeper than 64"),
        (b'{"meshName": ' + b'{"a":' * 80 + b"1" + b"}" * 81, "body: nests deeper than 64"),
        (b'{"meshName": "a", "spek": {}}', "spek: is not a field of CreateMeshInput; did you"),
        (b'{"meshName": 1}', "meshName: must be a string, got 1"),
        (b"{}", "meshName: is required"),
        (b'{"meshName": "' + b"x" * 10_000_000 + b'"}', "body: must have at most 1048576 bytes"),
    ],
    ids=[
        "no JSON", "a list", "no text", "NaN", "deep list", "deep object", "unknown field",
        "wrong type", "missing field", "10 MB",
    ],
)  # fmt: skip
def test_a_body_that_is_no_request(control_plane: ControlPlane, body: bytes, message: str):
    answer = send(control_plane, "PUT", "/v20190125/meshes", body)

    assert (answer.status, answer.code) == (400, "BadRequestException")
    assert answer.message.startswith(message)


def test_a_member_that_is_null_is_not_set(control_plane: ControlPlane, mesh: str):
    body = {"virtualServiceName": None, "spec": {"provider": None}, "tags": None}

    answer = send(
        control_plane, "PUT", f"/v20190125/meshes/{mesh}/virtualServices", json.dumps(body).encode()
    )

    assert answer.message == "virtualServiceName: is required"


def test_a_union_takes_exactly_one_member(control_plane: ControlPlane, mesh: str):
    provider = {
        "virtualNode": {"virtualNodeName": "a"},
        "virtualRouter": {"virtualRouterName": "b"},
    }
    body = {"virtualServiceName": "a", "spec": {"provider": provider}}

    answer = send(
        control_plane,
        "PUT",
        f"/v20190125/meshes/{mesh}/virtualServices",
        json.dumps(body).encode(),
    )

    assert answer.message == (
        "spec.provider: takes exactly one of virtualNode, virtualRouter, "
        "got virtualNode and virtualRouter"
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/v20190125/mesh"),
        ("PUT", "/v20190125/mesh%0Ax"),
        ("PUT", "/nowhere%0A"),
        ("OPTIONS", "/v20190125/meshes"),
        ("PUT", "/healthz"),
        ("POST", "/metrics"),
    ],
)
def test_what_is_no_operation(control_plane: ControlPlane, method: str, path: str):
    answer = send(control_plane, method, path, b"{}")

    assert (answer.status, answer.code) == (404, "UnknownOperationException")


def test_a_name_with_a_line_break_is_not_found(appmesh: Any, refused: Refused):
    error = refused(appmesh.describe_mesh, meshName="a\nb")

    assert error == (404, "NotFoundException", "meshName: there is no mesh 'a\\nb'")


def test_a_tag_that_stands_there_twice(appmesh: Any, mesh: str, refused: Refused):
    tags = [{"key": "env", "value": "dev"}, {"key": "env", "value": "prod"}]

    error = refused(
        appmesh.create_virtual_service, meshName=mesh, virtualServiceName="a", spec={}, tags=tags
    )

    assert (error.code, error.message) == (
        "BadRequestException",
        "tags: the key 'env' stands there twice; a tag has one value",
    )
