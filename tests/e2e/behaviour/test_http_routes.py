"""HTTP routes as real Envoys follow them: every kind of match, order, ports and weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.e2e.behaviour.conftest import Bench, make_node
from tests.e2e.behaviour.http_route_cases import CASES, Case
from tests.e2e.behaviour.servers import Http2Server

SERVICES = ("front", "matched", "other")


PORTS = {"http": 8080, "http2": 8082}
"""The ports of the listeners of `matched` and `other`."""

KINDS = pytest.mark.parametrize("protocol", PORTS)


def listener(protocol: str, port: int) -> dict[str, Any]:
    return {"portMapping": {"port": port, "protocol": protocol}}


@pytest.fixture(scope="module")
def routed(bench: Bench) -> Iterator[Bench]:
    """For each protocol, a service with a route for each case to `matched`, the rest to `other`."""
    appmesh, mesh = bench.appmesh, bench.mesh
    listeners = [listener(protocol, port) for protocol, port in PORTS.items()]
    for node in ("matched", "other"):
        appmesh.create_virtual_node(
            meshName=mesh,
            virtualNodeName=node,
            spec={
                "listeners": listeners,
                "serviceDiscovery": {"dns": {"hostname": f"{node}.internal"}},
            },
        )
    kinds = [f"{router}-{protocol}" for router in ("cases", "ports") for protocol in PORTS]
    services = (*kinds, "order", "nobodys")
    make_node(bench, "front", *(f"{service}.local" for service in services))
    appmesh.create_virtual_service(meshName=mesh, virtualServiceName="nobodys.local", spec={})

    def serve(router: str, protocol: str, *ports: int) -> None:
        appmesh.create_virtual_router(
            meshName=mesh,
            virtualRouterName=router,
            spec={"listeners": [listener(protocol, port) for port in ports]},
        )
        appmesh.create_virtual_service(
            meshName=mesh,
            virtualServiceName=f"{router}.local",
            spec={"provider": {"virtualRouter": {"virtualRouterName": router}}},
        )

    def route(router: str, name: str, node: str, match: Any, priority: int | None = None) -> None:
        protocol = router.rpartition("-")[2] if "-" in router else "http"
        target = {"virtualNode": node, "weight": 1, "port": PORTS[protocol]}
        rule = {"match": match, "action": {"weightedTargets": [target]}}
        spec = {f"{protocol}Route": rule} | ({} if priority is None else {"priority": priority})
        appmesh.create_route(meshName=mesh, virtualRouterName=router, routeName=name, spec=spec)

    for protocol in PORTS:
        serve(f"cases-{protocol}", protocol, 8080)
        for case in CASES:
            route(f"cases-{protocol}", case.name, "matched", case.match, priority=1)
        route(f"cases-{protocol}", "rest", "other", {"prefix": "/"}, priority=1000)
        serve(f"ports-{protocol}", protocol, 80, 9000)
        route(f"ports-{protocol}", "nine", "matched", {"prefix": "/", "port": 9000})
        route(f"ports-{protocol}", "rest", "other", {"prefix": "/", "port": 80})
    serve("order", "http", 8080)
    route("order", "first", "matched", {"prefix": "/first"}, priority=0)
    route("order", "shadowed", "other", {"prefix": "/first/second"}, priority=1)
    route("order", "longer", "matched", {"prefix": "/longer/prefix"})
    route("order", "shorter", "other", {"prefix": "/longer"})
    route("order", "unordered", "other", {"prefix": "/"})
    route("order", "ordered", "matched", {"prefix": "/ordered"}, priority=1000)
    bench.wait_acknowledged()
    bench.lab.wait_ready()
    with ExitStack() as servers:
        for node in ("matched", "other"):
            address = bench.lab.services[node].addresses.application
            servers.enter_context(Http2Server(node, address, PORTS["http2"]))
        yield bench


@KINDS
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_match_takes_these_requests_and_leaves_those(routed: Bench, case: Case, protocol: str):
    def answerer(sent: Any) -> str:
        host = f"cases-{protocol}.local"
        return routed.answerer(host, sent.path, sent.method, headers=dict(sent.headers))

    assert [answerer(sent) for sent in case.taken] == ["matched"] * len(case.taken)
    assert [answerer(sent) for sent in case.left] == ["other"] * len(case.left)


@KINDS
@pytest.mark.parametrize(
    ("port", "answerer"), [(":9000", "matched"), (":80", "other"), ("", "other")]
)
def test_a_route_may_look_at_the_port_that_was_asked(
    routed: Bench, protocol: str, port: str, answerer: str
):
    assert routed.answerer(f"ports-{protocol}.local{port}") == answerer


@pytest.mark.parametrize(
    ("path", "answerer"),
    [
        ("/first/second", "matched"),
        ("/longer/prefix/x", "matched"),
        ("/longer/other", "other"),
        ("/ordered", "matched"),
    ],
    ids=["lower priority first", "longer prefix first", "shorter prefix", "no priority last"],
)
def test_routes_are_tried_in_app_meshs_order(routed: Bench, path: str, answerer: str):
    assert routed.answerer("order.local", path) == answerer


def test_a_host_that_is_no_backend_is_told_which_are(routed: Bench):
    answer = routed.client.get("http://nobody.local/")

    assert answer.status_code == 404
    assert "its backends are: cases-http.local, cases-http2.local, order.local" in answer.text


def test_a_service_that_nobody_provides_is_no_backend_yet(routed: Bench):
    assert routed.answerer("nobodys.local") == "404"


def test_a_name_is_taken_without_regard_to_case(routed: Bench):
    assert routed.answerer("CASES-http.local", "/prefix") == "matched"
