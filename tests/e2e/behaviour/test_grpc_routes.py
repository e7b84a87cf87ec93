"""gRPC routes as real Envoys follow them: service, method, metadata of every kind, and port."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from tests.e2e.behaviour.conftest import Bench, call_grpc, make_node
from tests.e2e.behaviour.http_route_cases import HEADER_CASES, Case
from tests.e2e.behaviour.servers import EchoingGrpcServer

SERVICES = ("front", "matched", "other")
PORT = 8083


def listener(port: int) -> dict[str, Any]:
    return {"portMapping": {"port": port, "protocol": "grpc"}}


@pytest.fixture(scope="module")
def routed(bench: Bench) -> Iterator[Bench]:
    """A route to `matched` for each case, and what is left to `other`."""
    appmesh, mesh = bench.appmesh, bench.mesh
    for node in ("matched", "other"):
        make_node(bench, node, listener=listener(PORT))
    make_node(bench, "front", "cases.local", "ports.local")

    def serve(router: str, *ports: int) -> None:
        spec = {"listeners": [listener(port) for port in ports]}
        appmesh.create_virtual_router(meshName=mesh, virtualRouterName=router, spec=spec)
        appmesh.create_virtual_service(
            meshName=mesh,
            virtualServiceName=f"{router}.local",
            spec={"provider": {"virtualRouter": {"virtualRouterName": router}}},
        )

    def route(router: str, name: str, node: str, match: Mapping[str, Any]) -> None:
        target = {"virtualNode": node, "weight": 1, "port": PORT}
        rule = {"match": match, "action": {"weightedTargets": [target]}}
        appmesh.create_route(
            meshName=mesh,
            virtualRouterName=router,
            routeName=name,
            spec={"grpcRoute": rule, "priority": 1000 if name == "rest" else 1},
        )

    serve("cases", PORT)
    for case in HEADER_CASES:
        match = {"serviceName": f"cases.{case.name}", "metadata": case.match["headers"]}
        route("cases", case.name, "matched", match)
    route("cases", "service", "matched", {"serviceName": "shop.Cart"})
    route("cases", "method", "matched", {"serviceName": "shop.Stock", "methodName": "Count"})
    route("cases", "rest", "other", {})
    serve("ports", PORT, 9000)
    route("ports", "nine", "matched", {"port": 9000})
    route("ports", "rest", "other", {"port": PORT})
    bench.wait_acknowledged()
    bench.lab.services["front"].wait_ready()
    with ExitStack() as servers:
        for node in ("matched", "other"):
            address = bench.lab.services[node].addresses.application
            servers.enter_context(EchoingGrpcServer(node, address, PORT))
        yield bench


def answerer(
    routed: Bench, host: str, method: str, headers: Mapping[str, str] | None = None
) -> str:
    """Who answers a call."""
    return call_grpc(routed, host, method, headers or {}).partition(" ")[0]


@pytest.mark.parametrize("case", HEADER_CASES, ids=lambda case: case.name)
def test_metadata_is_matched(routed: Bench, case: Case):
    method = f"/cases.{case.name}/Any"
    answers = [
        answerer(routed, "cases.local", method, sent.headers) for sent in (*case.taken, *case.left)
    ]

    assert answers == ["matched"] * len(case.taken) + ["other"] * len(case.left)


@pytest.mark.parametrize(
    ("method", "node"),
    [
        ("/shop.Cart/Add", "matched"),
        ("/shop.CartOfOthers/Add", "other"),
        ("/shop.Stock/Count", "matched"),
        ("/shop.Stock/CountAll", "other"),
    ],
)
def test_service_and_method_are_matched(routed: Bench, method: str, node: str):
    assert answerer(routed, "cases.local", method) == node


@pytest.mark.parametrize(("port", "node"), [(9000, "matched"), (PORT, "other")])
def test_a_route_may_look_at_the_port_that_was_asked(routed: Bench, port: int, node: str):
    assert answerer(routed, f"ports.local:{port}", "/any/Method") == node
