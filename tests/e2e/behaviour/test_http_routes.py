"""HTTP routes as real Envoys follow them: every kind of match, order, ports and weights."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.behaviour.conftest import Bench, http_listener, make_node
from tests.e2e.behaviour.http_route_cases import CASES, Case

SERVICES = ("front", "matched", "other")


def to(node: str, **more: Any) -> dict[str, Any]:
    """The action of sending everything to one virtual node."""
    return {"weightedTargets": [{"virtualNode": node, "weight": 1, **more}]}


@pytest.fixture(scope="module")
def routed(bench: Bench) -> Bench:
    """A service with a route for each case to `matched`, and a last one to `other`."""
    appmesh, mesh = bench.appmesh, bench.mesh
    make_node(bench, "matched")
    make_node(bench, "other")
    make_node(bench, "front", "cases.local", "ports.local", "order.local")
    for router, ports in (("cases", [8080]), ("ports", [80, 9000]), ("order", [8080])):
        listeners = [{"portMapping": http_listener(port)["portMapping"]} for port in ports]
        appmesh.create_virtual_router(
            meshName=mesh, virtualRouterName=router, spec={"listeners": listeners}
        )
        appmesh.create_virtual_service(
            meshName=mesh,
            virtualServiceName=f"{router}.local",
            spec={"provider": {"virtualRouter": {"virtualRouterName": router}}},
        )

    def route(router: str, name: str, node: str, match: Any, priority: int | None = None) -> None:
        rule = {"match": match, "action": to(node)}
        spec = {"httpRoute": rule} | ({} if priority is None else {"priority": priority})
        appmesh.create_route(meshName=mesh, virtualRouterName=router, routeName=name, spec=spec)

    for case in CASES:
        route("cases", case.name, "matched", case.match, priority=1)
    route("cases", "rest", "other", {"prefix": "/"}, priority=1000)
    route("ports", "nine", "matched", {"prefix": "/", "port": 9000})
    route("ports", "rest", "other", {"prefix": "/", "port": 80})
    route("order", "first", "matched", {"prefix": "/first"}, priority=0)
    route("order", "shadowed", "other", {"prefix": "/first/second"}, priority=1)
    route("order", "longer", "matched", {"prefix": "/longer/prefix"})
    route("order", "shorter", "other", {"prefix": "/longer"})
    route("order", "unordered", "other", {"prefix": "/"})
    route("order", "ordered", "matched", {"prefix": "/ordered"}, priority=1000)
    bench.wait_acknowledged()
    bench.lab.wait_ready()
    return bench


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_match_takes_these_requests_and_leaves_those(routed: Bench, case: Case):
    def answerer(sent: Any) -> str:
        return routed.answerer("cases.local", sent.path, sent.method, headers=dict(sent.headers))

    assert [answerer(sent) for sent in case.taken] == ["matched"] * len(case.taken)
    assert [answerer(sent) for sent in case.left] == ["other"] * len(case.left)


@pytest.mark.parametrize(
    ("host", "answerer"),
    [("ports.local:9000", "matched"), ("ports.local:80", "other"), ("ports.local", "other")],
)
def test_a_route_may_look_at_the_port_that_was_asked(routed: Bench, host: str, answerer: str):
    assert routed.answerer(host) == answerer


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
    assert "its backends are: cases.local, order.local, ports.local" in answer.text


def test_a_name_is_taken_without_regard_to_case(routed: Bench):
    assert routed.answerer("CASES.local", "/prefix") == "matched"
