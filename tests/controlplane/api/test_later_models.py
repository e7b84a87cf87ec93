"""A botocore of tomorrow: what its model has more is parsed, and refused until it takes effect."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.loaders import Loader

from meshwright.model.service import API_VERSION
from meshwright.operator.client import Connection, RefusedError
from tests.controlplane.access.serving import Answer, Server, serving

REASON = "not carried out by this version of meshwright"


def later_model() -> dict[str, Any]:
    """Today's model with a field, a parameter, a value and two operations more."""
    model: dict[str, Any] = Loader().load_service_model("appmesh", "service-2", API_VERSION)
    shapes = model["shapes"]
    shapes["VirtualNodeSpec"]["members"]["color"] = {"shape": "String"}
    shapes["CreateMeshInput"]["members"]["flavour"] = {"shape": "String"}
    shapes["PortProtocol"]["enum"].append("quic")
    for name, method in (("RotateMesh", "PUT"), ("DescribeWeather", "GET")):
        model["operations"][name] = {
            "name": name,
            "http": {"method": method, "requestUri": f"/v20190125/meshes/{{meshName}}/{name}"},
            "input": {"shape": "DescribeMeshInput"},
            "output": {"shape": "DescribeMeshOutput"},
        }
    return model


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A control plane whose botocore has the later model, with a mesh."""
    home = tmp_path_factory.mktemp("later")
    # Where botocore looks before it takes the models of its own (botocore/loaders.py).
    folder = home / ".aws" / "models" / "appmesh" / API_VERSION
    folder.mkdir(parents=True)
    content = gzip.compress(json.dumps(later_model()).encode())
    (folder / "service-2.json.gz").write_bytes(content)
    with serving(home, HOME=str(home)) as server:
        assert put(server, "", {"meshName": "demo"}).status == 200
        yield server


def put(server: Server, path: str, body: dict[str, Any]) -> Answer:
    """A request to the meshes of the API."""
    return send(server, "PUT", path, json.dumps(body).encode())


def send(server: Server, method: str, path: str, body: bytes = b"") -> Answer:
    """A request to the meshes of the API."""
    head = f"{method} /v20190125/meshes{path} HTTP/1.1\r\nhost: x\r\n"
    return server.send(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)


def message_of(answer: Answer) -> str:
    return str(json.loads(answer.body)["message"])


def test_a_parameter_is_refused_by_its_name(server: Server):
    answer = put(server, "", {"meshName": "other", "flavour": "sweet"})

    assert (answer.status, answer.code) == (400, "BadRequestException")
    assert message_of(answer).startswith(f"flavour: {REASON}")


def test_a_field_is_refused_by_its_path(server: Server):
    spec = {"color": "red", "listeners": [{"portMapping": {"port": 80, "protocol": "quic"}}]}

    answer = put(server, "/demo/virtualNodes", {"virtualNodeName": "a", "spec": spec})

    assert (answer.status, answer.code) == (400, "BadRequestException")
    assert message_of(answer).startswith(
        f"spec.color, spec.listeners[0].portMapping.protocol 'quic': {REASON}"
    )


@pytest.mark.parametrize(("name", "method"), [("RotateMesh", "PUT"), ("DescribeWeather", "GET")])
def test_an_operation_is_refused_by_its_name(server: Server, name: str, method: str):
    answer = send(server, method, f"/demo/{name}")

    assert (answer.status, answer.code) == (404, "UnknownOperationException")
    assert message_of(answer) == f"{name} is {REASON}"
    assert server.records("unexpected_error") == []


def test_a_document_is_refused_by_its_parameter(server: Server):
    with pytest.raises(RefusedError) as caught:
        Connection(server.url()).apply(
            [{"meshName": "demo", "flavour": "sweet"}], prune=False, dry_run=False
        )

    (problem,) = caught.value.problems
    assert problem.message.startswith(f"flavour: {REASON}")


def test_what_todays_model_has_is_carried_out(server: Server):
    node = {"virtualNodeName": "b", "spec": {"listeners": []}}

    assert put(server, "/demo/virtualNodes", node).status == 200
