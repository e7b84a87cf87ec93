"""The AWS CLI, signed, with each kind of resource: made, shown, changed, listed, tagged, gone."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.controlplane.access.serving import TIMEOUT, Server
from tests.controlplane.clients.conftest import SECRET, client_environment
from tests.controlplane.meshes import node_spec, route_spec, router_spec, service_spec
from tools.dev.paths import SCRIPTS

GATEWAY = {"listeners": [{"portMapping": {"port": 8080, "protocol": "http"}}]}
TARGET = {"target": {"virtualService": {"virtualServiceName": "color.local"}}}


@dataclass(frozen=True)
class Case:
    """A kind of resource and the names of one, with its specification before and after."""

    kind: str
    spec: dict[str, Any]
    updated: dict[str, Any]
    names: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def member(self) -> str:
        """The output's member that holds such a resource."""
        return self.kind[0].lower() + self.kind[1:]

    @property
    def plural(self) -> str:
        """The output's member that lists them."""
        return "meshes" if self.kind == "Mesh" else f"{self.member}s"


CASES = [
    Case("Mesh", {}, {"egressFilter": {"type": "ALLOW_ALL"}}),
    Case(
        "VirtualNode", node_spec("a.local"), node_spec("b.local"), {"virtualNodeName": "made"}
    ),
    Case(
        "VirtualService",
        service_spec(node="blue"),
        service_spec(router="color"),
        {"virtualServiceName": "made.local"},
    ),
    Case("VirtualRouter", router_spec(), router_spec(9090), {"virtualRouterName": "made"}),
    Case(
        "Route",
        route_spec({"blue": 1}),
        route_spec({"blue": 9, "green": 1}, prefix="/made"),
        {"virtualRouterName": "color", "routeName": "made"},
    ),
    Case(
        "VirtualGateway",
        GATEWAY,
        GATEWAY | {"logging": {"accessLog": {"file": {"path": "/dev/stdout"}}}},
        {"virtualGatewayName": "made"},
    ),
    Case(
        "GatewayRoute",
        {"httpRoute": {"match": {"prefix": "/"}, "action": TARGET}},
        {"httpRoute": {"match": {"prefix": "/made"}, "action": TARGET}},
        {"virtualGatewayName": "edge", "gatewayRouteName": "made"},
    ),
]  # fmt: skip


Aws = Callable[[str, Mapping[str, Any]], Any]


def run(
    server: Server, operation: str, parameters: Mapping[str, Any]
) -> subprocess.CompletedProcess[str]:
    """Run `aws appmesh` for an operation whose parameters it is given as JSON."""
    command = re.sub(r"(?<!^)(?=[A-Z])", "-", operation).lower()
    return subprocess.run(
        [SCRIPTS / "aws", "appmesh", command, "--cli-input-json", json.dumps(parameters)],
        env={**client_environment(server.url()), "AWS_MAX_ATTEMPTS": "1"},
        capture_output=True,
        check=False,
        text=True,
        timeout=TIMEOUT,
    )


@pytest.fixture
def aws(server: Server) -> Aws:
    """Runs the AWS CLI and returns what it prints."""

    def call(operation: str, parameters: Mapping[str, Any]) -> Any:
        done = run(server, operation, parameters)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    return call


@pytest.fixture
def furnished(server: Server, name: str) -> str:
    """A mesh with what routes, gateway routes and services refer to; but no service."""
    client = server.client("WRITER", SECRET)
    client.create_mesh(meshName=name)
    for node in ("blue", "green"):
        client.create_virtual_node(meshName=name, virtualNodeName=node, spec=node_spec(node))
    client.create_virtual_router(meshName=name, virtualRouterName="color", spec=router_spec())
    client.create_virtual_gateway(meshName=name, virtualGatewayName="edge", spec=GATEWAY)
    client.close()
    return name


def names_of(case: Case, server: Server, name: str) -> dict[str, str]:
    """The names of the resource that a case makes; what it needs beyond the others is made."""
    if case.kind == "Mesh":
        return {"meshName": f"{name}-made"}
    if case.kind == "GatewayRoute":
        client = server.client("WRITER", SECRET)
        service = {"virtualServiceName": "color.local", "spec": service_spec(router="color")}
        client.create_virtual_service(meshName=name, **service)
        client.close()
    return {"meshName": name, **case.names}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind)
def test_a_resource_lives_by_the_cli(aws: Aws, server: Server, furnished: str, case: Case) -> None:
    names = names_of(case, server, furnished)
    made = aws(f"Create{case.kind}", {**names, "spec": case.spec})[case.member]
    described = aws(f"Describe{case.kind}", names)[case.member]
    updated = aws(f"Update{case.kind}", {**names, "spec": case.updated})[case.member]
    others = {each: names[each] for each in names if each != f"{case.member}Name"}
    listed = aws(f"List{case.plural[0].upper()}{case.plural[1:]}", others)[case.plural]
    arn = made["metadata"]["arn"]
    aws("TagResource", {"resourceArn": arn, "tags": [{"key": "team", "value": "a"}]})
    tags = aws("ListTagsForResource", {"resourceArn": arn})["tags"]
    deleted = aws(f"Delete{case.kind}", names)[case.member]

    assert (described, made["spec"]) == (made, case.spec)
    assert (updated["spec"], updated["metadata"]["version"]) == (case.updated, 2)
    assert names[f"{case.member}Name"] in [each[f"{case.member}Name"] for each in listed]
    assert tags == [{"key": "team", "value": "a"}]
    assert deleted["status"] == {"status": "DELETED"}


def test_a_refusal_is_a_line_that_names_the_field(server: Server, name: str) -> None:
    done = run(server, "DescribeMesh", {"meshName": name})

    assert done.returncode != 0
    assert (
        "An error occurred (NotFoundException) when calling the DescribeMesh operation: "
        f"meshName: there is no mesh '{name}'" in done.stderr
    )
