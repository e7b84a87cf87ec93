"""HTTP/2, upgrades, open egress and access log formats, through real Envoys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pytest_meshwright.waiting import wait_until
from tests.e2e.behaviour.conftest import Bench, call_grpc
from tests.e2e.behaviour.servers import (
    EchoingGrpcServer,
    LineClient,
    ScriptedServer,
    UpgradingServer,
)

SERVICES = ("front", "api")
GATEWAYS = ("edge-text", "edge-json")

HTTP2_PORT, SOCKET_PORT = 9202, 9204
NEVER = {"maxRetries": 0, "perRetryTimeout": {"value": 1, "unit": "s"}}


def listener(port: int, protocol: str) -> dict[str, Any]:
    return {"portMapping": {"port": port, "protocol": protocol}}


@pytest.fixture(scope="module")
def mesh(bench: Bench) -> Iterator[Bench]:
    """Services for HTTP/2 and for upgrades behind front, with open egress and a declared format."""
    create, name = bench.appmesh, bench.mesh
    create.update_mesh(meshName=name, spec={"egressFilter": {"type": "ALLOW_ALL"}})
    listeners = [
        listener(HTTP2_PORT, "http2"),
        listener(SOCKET_PORT, "http"),
    ]
    members = [
        {"key": "path", "value": "%REQ(:PATH)%"},
        {"key": "code", "value": "%RESPONSE_CODE%"},
    ]
    create.create_virtual_node(
        meshName=name,
        virtualNodeName="api",
        spec={
            "listeners": listeners,
            "serviceDiscovery": {"dns": {"hostname": "api.internal"}},
            "logging": {
                "accessLog": {"file": {"path": "/dev/stdout", "format": {"json": members}}}
            },
        },
    )
    make_service(bench, "http2", listener(HTTP2_PORT, "http2"))
    make_service(bench, "socket", listener(SOCKET_PORT, "http"))
    add_route(bench, "socket", "all", "httpRoute", {"prefix": "/"}, SOCKET_PORT)
    add_route(bench, "http2", "rest", "http2Route", {"prefix": "/"}, HTTP2_PORT)
    log: dict[str, Any] = {
        "path": "/dev/stdout",
        "format": {"text": "%REQ(:PATH)% %RESPONSE_CODE%"},
    }
    create.create_virtual_node(
        meshName=name,
        virtualNodeName="front",
        spec={
            "backends": [
                {"virtualService": {"virtualServiceName": f"{each}.local"}}
                for each in ("http2", "socket")
            ],
            "logging": {"accessLog": {"file": log}},
        },
    )
    json_format = [{"key": "path", "value": "%REQ(:PATH)%"}, {"key": "by", "value": "%PROTOCOL%"}]
    formats = {"text": log["format"], "json": {"json": json_format}}
    for kind, log_format in formats.items():
        make_gateway(bench, f"edge-{kind}", {"path": "/dev/stdout", "format": log_format})
    bench.wait_acknowledged()
    for gateway in GATEWAYS:
        bench.lab.services[gateway].envoy.wait_ready()
    address = bench.lab.services["api"].addresses.application
    with (
        EchoingGrpcServer("http2", address, HTTP2_PORT),
        UpgradingServer(address, SOCKET_PORT),
    ):
        yield bench


def make_service(bench: Bench, name: str, of: dict[str, Any]) -> None:
    bench.appmesh.create_virtual_router(
        meshName=bench.mesh, virtualRouterName=name, spec={"listeners": [of]}
    )
    bench.appmesh.create_virtual_service(
        meshName=bench.mesh,
        virtualServiceName=f"{name}.local",
        spec={"provider": {"virtualRouter": {"virtualRouterName": name}}},
    )


def make_gateway(bench: Bench, name: str, log: dict[str, Any]) -> None:
    """A gateway with a log, which no route leads anywhere from."""
    bench.appmesh.create_virtual_gateway(
        meshName=bench.mesh,
        virtualGatewayName=name,
        spec={
            "listeners": [listener(8080, "http")],
            "logging": {"accessLog": {"file": log}},
        },
    )


def add_route(
    bench: Bench, router: str, name: str, kind: str, match: dict[str, Any], port: int
) -> None:
    target = {"virtualNode": "api", "weight": 1, "port": port}
    rule = {"match": match, "action": {"weightedTargets": [target]}, "retryPolicy": NEVER}
    bench.appmesh.create_route(
        meshName=bench.mesh, virtualRouterName=router, routeName=name, spec={kind: rule}
    )


def test_an_http2_application_is_spoken_to_in_http2(mesh: Bench):
    # gRPC calls are HTTP/2 requests, and this server would understand nothing else.
    assert call_grpc(mesh, "http2.local", "/any/Method", {}) == "http2 /any/Method"


def test_a_connection_is_upgraded_to_websocket(mesh: Bench):
    headers = "host: socket.local\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    with LineClient((mesh.front.egress.host, mesh.front.egress.port)) as client:
        answer = client.ask(f"GET http://socket.local/ HTTP/1.1\r\n{headers}\r")
        while client.read().strip():
            pass

        assert (answer, client.ask("hello")) == ("HTTP/1.1 101 Switching Protocols\r", "hello")


def test_with_open_egress_a_host_outside_the_mesh_is_reached(mesh: Bench):
    outside = mesh.lab.addresses.reserve_service().listener
    mesh.lab.dns.set_record("outside.example", [outside])

    with ScriptedServer("outside", outside, 9300):
        assert mesh.answerer("outside.example:9300") == "outside"


def test_the_access_log_has_the_declared_format(mesh: Bench):
    call_grpc(mesh, "http2.local", "/for.the/Log", {})

    wait_until(
        lambda: "/for.the/Log 200\n" in mesh.front.envoy.stdout.read_text(),
        what="the line in the declared format",
        seen=lambda: mesh.front.envoy.stdout.read_text(),
    )


def test_an_access_log_of_json_has_the_declared_members(mesh: Bench):
    call_grpc(mesh, "http2.local", "/for.the/Json", {})

    wait_until(
        lambda: (
            {"path": "/for.the/Json", "code": 200} in mesh.lab.services["api"].read_access_log()
        ),
        what="the line in the declared format",
    )


@pytest.mark.parametrize(
    ("kind", "line"),
    [("text", "/outside 404\n"), ("json", '{"by":"HTTP/1.1","path":"/outside"}\n')],
)
def test_a_gateway_logs_in_the_declared_format(mesh: Bench, kind: str, line: str):
    gateway = mesh.lab.services[f"edge-{kind}"]
    mesh.outside.get(f"http://{gateway.ingress}/outside")

    wait_until(
        lambda: line in gateway.envoy.stdout.read_text(),
        what="the line in the declared format",
        seen=lambda: gateway.envoy.stdout.read_text(),
    )
