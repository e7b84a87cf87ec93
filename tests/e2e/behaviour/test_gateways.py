"""Virtual gateways as real Envoys: which gateway route takes a request, and what becomes of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import grpc
import pytest

from pytest_meshwright.waiting import wait_until
from tests.e2e.behaviour.conftest import Bench, http_listener, make_node
from tests.e2e.behaviour.servers import EchoingGrpcServer

SERVICES = ("front", "shop", "stock")
GATEWAYS = ("edge", "rpc")

GRPC_PORT = 9401


class Seen(NamedTuple):
    """What the application that answered saw of a request."""

    service: str
    path: str
    host: str


@pytest.fixture(scope="module")
def mesh(bench: Bench) -> Bench:
    """The gateway `edge` in front of two services, with a gateway route for each kind of thing."""
    appmesh, name = bench.appmesh, bench.mesh
    # Known before Envoy asks: after a name that does not exist it asks again in five seconds.
    bench.hosts["rpc"] = [bench.lab.addresses.reserve_service().listener]
    bench.lab.dns.set_record("rpc.internal", bench.hosts["rpc"])
    for node in ("front", "shop", "stock"):
        make_node(bench, node)
    for service in ("shop", "stock"):
        appmesh.create_virtual_service(
            meshName=name,
            virtualServiceName=f"{service}.local",
            spec={"provider": {"virtualNode": {"virtualNodeName": service}}},
        )
    check = {
        "protocol": "http",
        "path": "/ping",
        "intervalMillis": 5000,
        "timeoutMillis": 2000,
        "healthyThreshold": 2,
        "unhealthyThreshold": 2,
    }
    appmesh.create_virtual_gateway(
        meshName=name,
        virtualGatewayName="edge",
        spec={"listeners": [http_listener(healthCheck=check)]},
    )

    def route(
        route_name: str,
        match: dict[str, Any],
        service: str = "shop",
        priority: int | None = None,
        **rewrite: Any,
    ) -> None:
        target = {"virtualService": {"virtualServiceName": f"{service}.local"}}
        action: dict[str, Any] = {"target": target} | ({"rewrite": rewrite} if rewrite else {})
        spec = {"httpRoute": {"match": match, "action": action}}
        appmesh.create_gateway_route(
            meshName=name,
            virtualGatewayName="edge",
            gatewayRouteName=route_name,
            spec=spec | ({} if priority is None else {"priority": priority}),
        )

    disabled = {"defaultTargetHostname": "DISABLED"}
    route("default", {"prefix": "/default"})
    route("kept", {"prefix": "/kept"}, prefix={"defaultPrefix": "DISABLED"}, hostname=disabled)
    route("value", {"prefix": "/old/"}, prefix={"value": "/new/"})
    route("exact", {"path": {"exact": "/exact"}}, path={"exact": "/replaced"})
    route("exact-kept", {"path": {"exact": "/exact-kept"}})
    route("regex", {"path": {"regex": "/v[0-9]+/.*"}}, path={"exact": "/latest"})
    route("method", {"prefix": "/method", "method": "POST"}, "stock", priority=1)
    route("method-rest", {"prefix": "/method"}, priority=2)
    route("by-host", {"prefix": "/", "hostname": {"exact": "www.example.com"}}, "stock", 5)
    route("by-suffix", {"prefix": "/", "hostname": {"suffix": ".shop.example.com"}}, "shop", 6)
    route("ported", {"prefix": "/ported", "port": 8080}, "stock")
    appmesh.create_virtual_gateway(
        meshName=name,
        virtualGatewayName="rpc",
        spec={"listeners": [{"portMapping": {"port": 8080, "protocol": "grpc"}}]},
    )
    appmesh.create_virtual_node(
        meshName=name,
        virtualNodeName="rpc",
        spec={
            "listeners": [{"portMapping": {"port": GRPC_PORT, "protocol": "grpc"}}],
            "serviceDiscovery": {"dns": {"hostname": "rpc.internal"}},
        },
    )
    appmesh.create_virtual_service(
        meshName=name,
        virtualServiceName="rpc.local",
        spec={"provider": {"virtualNode": {"virtualNodeName": "rpc"}}},
    )
    target = {"virtualService": {"virtualServiceName": "rpc.local"}}
    appmesh.create_gateway_route(
        meshName=name,
        virtualGatewayName="rpc",
        gatewayRouteName="cart",
        spec={"grpcRoute": {"match": {"serviceName": "shop.Cart"}, "action": {"target": target}}},
    )
    bench.wait_acknowledged()
    bench.lab.wait_ready()
    return bench


def ask(mesh: Bench, path: str, *, method: str = "GET", host: str | None = None) -> Seen | int:
    """A request from outside; the status code where no application answers."""
    edge = mesh.lab.services["edge"].ingress
    headers = {} if host is None else {"host": host}
    # Not through front's Envoy: clients of a gateway know nothing of the mesh.
    answer = mesh.outside.request(method, f"http://{edge}{path}", headers=headers)
    if answer.status_code != 200:
        return answer.status_code
    seen = answer.json()
    return Seen(seen["service"], seen["path"], seen["headers"]["host"])


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/default/a", Seen("shop", "/a", "shop.local")),
        ("/default", Seen("shop", "/", "shop.local")),
        ("/old/a", Seen("shop", "/new/a", "shop.local")),
        ("/exact", Seen("shop", "/replaced", "shop.local")),
        ("/exact-kept", Seen("shop", "/exact-kept", "shop.local")),
        ("/v12/anything", Seen("shop", "/latest", "shop.local")),
        ("/ported/x", Seen("stock", "/x", "stock.local")),
    ],
    ids=["prefix", "whole prefix", "value", "exact", "exact kept", "regex", "port"],
)
def test_host_and_path_are_rewritten(mesh: Bench, path: str, seen: Seen):
    assert ask(mesh, path) == seen


def test_a_route_may_leave_host_and_prefix_as_they_are(mesh: Bench):
    assert ask(mesh, "/kept/a", host="kept.example.com") == Seen(
        "shop", "/kept/a", "kept.example.com"
    )


@pytest.mark.parametrize(("method", "service"), [("POST", "stock"), ("GET", "shop")])
def test_a_method_is_matched(mesh: Bench, method: str, service: str):
    answer = ask(mesh, "/method", method=method)

    assert isinstance(answer, Seen)
    assert answer.service == service


@pytest.mark.parametrize(
    ("host", "service"),
    [
        ("www.example.com", "stock"),
        ("WWW.example.com:8080", "stock"),
        ("a.b.shop.example.com", "shop"),
    ],
)
def test_a_host_name_is_matched(mesh: Bench, host: str, service: str):
    answer = ask(mesh, "/unlisted", host=host)

    assert isinstance(answer, Seen)
    assert answer.service == service


@pytest.mark.parametrize("path", ["/nowhere", "/exact/longer", "/v/x"])
def test_what_no_gateway_route_takes_is_not_found(mesh: Bench, path: str):
    assert ask(mesh, path, host="other.example.com") == 404


def test_a_gateway_checks_that_it_hands_requests_on(mesh: Bench):
    admin = mesh.lab.services["edge"].envoy.admin

    def count() -> int:
        return sum(admin.read_stats(r"self_redirect.*\.health_check\.success$").values())

    wait_until(lambda: count() > 0, what="a health check that succeeds")


def test_a_path_of_the_health_check_stays_the_services(mesh: Bench):
    assert ask(mesh, "/ping", host="www.example.com") == Seen("stock", "/ping", "stock.local")


def test_grpc_goes_through_a_gateway(mesh: Bench):
    (host,) = mesh.hosts["rpc"]
    edge = str(mesh.lab.services["rpc"].ingress)
    with (
        EchoingGrpcServer("rpc", host, GRPC_PORT),
        grpc.insecure_channel(edge, options=[("grpc.enable_http_proxy", 0)]) as channel,
    ):
        exchange: Any = channel.unary_unary
        answer: bytes = exchange("/shop.Cart/Add")(b"", timeout=10, wait_for_ready=True)

    assert answer.decode() == "rpc /shop.Cart/Add"
