"""Virtual gateways as real Envoys: which gateway route takes a request, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple

import grpc
import pytest

from pytest_meshwright.waiting import wait_until
from tests.e2e.behaviour.conftest import Bench, make_node
from tests.e2e.behaviour.http_route_cases import CASES as ROUTE_CASES
from tests.e2e.behaviour.http_route_cases import HEADER_CASES, Case, Sent
from tests.e2e.behaviour.servers import EchoingGrpcServer

SERVICES = ("front", "shop", "stock")
GATEWAYS = ("edge-http", "edge-http2", "rpc")

PROTOCOLS = ("http", "http2")
BOTH = pytest.mark.parametrize("protocol", PROTOCOLS)

GRPC_PORT = 9401
RPC_NODES = ("rpc", "rest")

CASES = [case for case in ROUTE_CASES if "scheme" not in case.match]
"""Gateway routes match all that routes do, but for the scheme."""


class Seen(NamedTuple):
    """What the application that answered saw of a request."""

    service: str
    path: str
    host: str


@pytest.fixture(scope="module")
def mesh(bench: Bench) -> Bench:
    """A gateway for each protocol before two services, with a route for each kind of thing."""
    appmesh, name = bench.appmesh, bench.mesh
    # Known before Envoy asks: after a name that does not exist it asks again in five seconds.
    for node in RPC_NODES:
        bench.hosts[node] = [bench.lab.addresses.reserve_service().listener]
        bench.lab.dns.set_record(f"{node}.internal", bench.hosts[node])
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
        "port": 8080,
        "intervalMillis": 5000,
        "timeoutMillis": 2000,
        "healthyThreshold": 2,
        "unhealthyThreshold": 2,
    }
    for protocol in PROTOCOLS:
        listener = {"portMapping": {"port": 8080, "protocol": protocol}, "healthCheck": check}
        appmesh.create_virtual_gateway(
            meshName=name,
            virtualGatewayName=f"edge-{protocol}",
            spec={"listeners": [listener]},
        )

    def route(
        route_name: str,
        match: dict[str, Any],
        service: str = "shop",
        priority: int | None = None,
        **rewrite: Any,
    ) -> None:
        target: dict[str, Any] = {"virtualService": {"virtualServiceName": f"{service}.local"}}
        if service == "stock":
            target["port"] = 8080
        action: dict[str, Any] = {"target": target} | ({"rewrite": rewrite} if rewrite else {})
        for protocol in PROTOCOLS:
            spec = {f"{protocol}Route": {"match": match, "action": action}}
            appmesh.create_gateway_route(
                meshName=name,
                virtualGatewayName=f"edge-{protocol}",
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
    route("method", {"prefix": "/by-method", "method": "POST"}, "stock", priority=1)
    route("method-rest", {"prefix": "/by-method"}, priority=2)
    route("by-host", {"prefix": "/", "hostname": {"exact": "www.example.com"}}, "stock", 5)
    route("by-suffix", {"prefix": "/", "hostname": {"suffix": ".shop.example.com"}}, "shop", 6)
    route("ported", {"prefix": "/ported", "port": 8080}, "stock")
    for case in CASES:
        match = {**case.match, "hostname": {"exact": "cases.example.com"}}
        route(f"case-{case.name}", match, priority=7)
    route("cases-rest", {"prefix": "/", "hostname": {"exact": "cases.example.com"}}, "stock", 900)
    make_grpc_gateway(bench)
    bench.wait_acknowledged()
    bench.lab.wait_ready()
    return bench


def make_grpc_gateway(bench: Bench) -> None:
    """The gateway `rpc` in front of two nodes without Envoys, `rpc` and `rest`."""
    appmesh, name = bench.appmesh, bench.mesh
    listener = {"portMapping": {"port": 8080, "protocol": "grpc"}}
    appmesh.create_virtual_gateway(
        meshName=name, virtualGatewayName="rpc", spec={"listeners": [listener]}
    )
    for node in RPC_NODES:
        make_node(bench, node, listener={"portMapping": {"port": GRPC_PORT, "protocol": "grpc"}})
        appmesh.create_virtual_service(
            meshName=name,
            virtualServiceName=f"{node}.local",
            spec={"provider": {"virtualNode": {"virtualNodeName": node}}},
        )

    def route(route_name: str, match: dict[str, Any], node: str, **rewrite: Any) -> None:
        service = {"virtualServiceName": f"{node}.local"}
        action: dict[str, Any] = {"target": {"virtualService": service, "port": GRPC_PORT}}
        if rewrite:
            action["rewrite"] = rewrite
        appmesh.create_gateway_route(
            meshName=name,
            virtualGatewayName="rpc",
            gatewayRouteName=route_name,
            spec={
                "grpcRoute": {"match": match, "action": action},
                "priority": 900 if node == "rest" else 1,
            },
        )

    kept = {"defaultTargetHostname": "DISABLED"}
    route("cart", {"serviceName": "shop.Cart", "port": 8080}, "rpc")
    route("host", {"hostname": {"exact": "rpc.example.com"}}, "rpc")
    route("suffix", {"hostname": {"suffix": ".rpc.example.com"}}, "rpc", hostname=kept)
    for case in HEADER_CASES:
        match = {"serviceName": f"cases.{case.name}", "metadata": case.match["headers"]}
        route(case.name, match, "rpc")
    route("rest", {}, "rest")


def ask(
    mesh: Bench,
    path: str,
    *,
    method: str = "GET",
    host: str | None = None,
    protocol: str = "http",
    sent: Mapping[str, str] | None = None,
) -> Seen | int:
    """A request from outside; the status code where no application answers."""
    edge = mesh.lab.services[f"edge-{protocol}"].ingress
    headers = {**(sent or {})} | ({} if host is None else {"host": host})
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
        ("/ported/x", Seen("stock", "/x", "stock.local:8080")),
    ],
    ids=["prefix", "whole prefix", "value", "exact", "exact kept", "regex", "port"],
)
@BOTH
def test_host_and_path_are_rewritten(mesh: Bench, path: str, seen: Seen, protocol: str):
    assert ask(mesh, path, protocol=protocol) == seen


@BOTH
def test_a_route_may_leave_host_and_prefix_as_they_are(mesh: Bench, protocol: str):
    assert ask(mesh, "/kept/a", host="kept.example.com", protocol=protocol) == Seen(
        "shop", "/kept/a", "kept.example.com"
    )


@pytest.mark.parametrize(("method", "service"), [("POST", "stock"), ("GET", "shop")])
@BOTH
def test_a_method_is_matched(mesh: Bench, method: str, service: str, protocol: str):
    answer = ask(mesh, "/by-method", method=method, protocol=protocol)

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
@BOTH
def test_a_host_name_is_matched(mesh: Bench, host: str, service: str, protocol: str):
    answer = ask(mesh, "/unlisted", host=host, protocol=protocol)

    assert isinstance(answer, Seen)
    assert answer.service == service


@pytest.mark.parametrize("path", ["/nowhere", "/exact/longer", "/v/x"])
def test_what_no_gateway_route_takes_is_not_found(mesh: Bench, path: str):
    assert ask(mesh, path, host="other.example.com") == 404


@BOTH
def test_a_gateway_gives_up_its_idle_connections_to_itself(mesh: Bench, protocol: str):
    """Before its egress listener, when that is changed, has drained and closes them."""
    admin = mesh.lab.services[f"edge-{protocol}"].envoy.admin
    ask(mesh, "/default/a", protocol=protocol)

    wait_until(
        lambda: sum(admin.read_stats(r"self_redirect.*\.upstream_cx_idle_timeout$").values()),
        what="an idle connection to be closed",
        timeout=30,
    )


def test_a_gateway_checks_that_it_hands_requests_on(mesh: Bench):
    admin = mesh.lab.services["edge-http"].envoy.admin

    def count() -> int:
        return sum(admin.read_stats(r"self_redirect.*\.health_check\.success$").values())

    wait_until(lambda: count() > 0, what="a health check that succeeds")


def test_a_path_of_the_health_check_stays_the_services(mesh: Bench):
    assert ask(mesh, "/ping", host="www.example.com") == Seen("stock", "/ping", "stock.local:8080")


@BOTH
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_match_takes_these_requests_and_leaves_those(mesh: Bench, case: Case, protocol: str):
    def answerer(request: Sent) -> str:
        answer = ask(
            mesh,
            request.path,
            method=request.method,
            host="cases.example.com",
            protocol=protocol,
            sent=request.headers,
        )
        return answer.service if isinstance(answer, Seen) else str(answer)

    assert [answerer(request) for request in case.taken] == ["shop"] * len(case.taken)
    assert [answerer(request) for request in case.left] == ["stock"] * len(case.left)


@pytest.fixture(scope="module")
def call(mesh: Bench) -> Iterator[Callable[..., str]]:
    """Calls a method through the gateway `rpc`; the answer names the node and its authority."""
    edge = str(mesh.lab.services["rpc"].ingress)

    def exchange(method: str, host: str = "any.example.com", **metadata: str) -> str:
        options = [("grpc.enable_http_proxy", 0), ("grpc.default_authority", host)]
        with grpc.insecure_channel(edge, options=options) as channel:
            unary: Any = channel.unary_unary
            answer: bytes = unary(method)(
                b"", timeout=10, wait_for_ready=True, metadata=tuple(metadata.items())
            )
            return answer.decode()

    with ExitStack() as servers:
        for node in RPC_NODES:
            servers.enter_context(EchoingGrpcServer(node, mesh.hosts[node][0], GRPC_PORT))
        yield exchange


def test_grpc_goes_through_a_gateway(call: Callable[..., str]):
    assert call("/shop.Cart/Add") == "rpc /shop.Cart/Add"


@pytest.mark.parametrize(
    ("host", "node"),
    [("rpc.example.com", "rpc"), ("a.rpc.example.com", "rpc"), ("other.example.com", "rest")],
)
def test_the_host_name_of_a_call_is_matched(call: Callable[..., str], host: str, node: str):
    assert call("/any/Method", host) == f"{node} /any/Method"


@pytest.mark.parametrize("case", HEADER_CASES, ids=lambda case: case.name)
def test_the_metadata_of_a_call_is_matched(call: Callable[..., str], case: Case):
    method = f"/cases.{case.name}/Any"
    answers = [call(method, **sent.headers).partition(" ")[0] for sent in (*case.taken, *case.left)]

    assert answers == ["rpc"] * len(case.taken) + ["rest"] * len(case.left)
