"""What `meshwright explain` says, held to what real Envoys do by the same table of cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from meshwright.graph import Graph
from meshwright.model.resources import Kind, Resource
from meshwright.offline import load_graph
from meshwright.store import Change, MeshHead, MeshState
from meshwright.translate.explanation import Explanation, explain
from meshwright.translate.sent_requests import parse_request
from tests.controlplane.meshes import (
    DEMO,
    build_resource,
    demo_resources,
    node_spec,
    router_spec,
    service_spec,
)
from tests.e2e.behaviour.http_route_cases import CASES, Case, Sent

TESTDATA = Path(__file__).parent / "testdata"


@pytest.fixture(scope="module")
def demo() -> Graph:
    """Front calls color.demo.local, which is 80 % blue and 20 % green."""
    return Graph.from_state(MeshState(MeshHead(DEMO, 1, 1.0), demo_resources()))


def ask(graph: Graph, url: str, *headers: str, method: str = "GET") -> Explanation:
    front = graph.find(Kind.VIRTUAL_NODE, "front")
    assert front is not None
    return explain(graph, front, parse_request(method, url, headers))


def texts(explanation: Explanation) -> list[str]:
    return [step.text for step in explanation.steps]


def graph_of_cases() -> Graph:
    """The mesh of the behaviour tests: a route for each case to `matched`, the rest to `other`."""
    action = {"weightedTargets": [{"virtualNode": "matched", "weight": 1}]}
    rest = {"weightedTargets": [{"virtualNode": "other", "weight": 1}]}

    def route(name: str, match: Any, to: Any, priority: int) -> Resource:
        spec = {"priority": priority, "httpRoute": {"match": match, "action": to}}
        return build_resource(Kind.ROUTE, name, spec, parent="cases")

    return Graph.from_state(
        MeshState(
            MeshHead(DEMO, 1, 1.0),
            (
                build_resource(Kind.MESH, "demo", {}),
                build_resource(
                    Kind.VIRTUAL_NODE, "front", node_spec("front", backends=("cases.local",))
                ),
                build_resource(Kind.VIRTUAL_NODE, "matched", node_spec("matched")),
                build_resource(Kind.VIRTUAL_NODE, "other", node_spec("other")),
                build_resource(Kind.VIRTUAL_ROUTER, "cases", router_spec()),
                build_resource(Kind.VIRTUAL_SERVICE, "cases.local", service_spec(router="cases")),
                *(route(case.name, case.match, action, 1) for case in CASES),
                route("rest", {"prefix": "/"}, rest, 1000),
            ),
        )
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_explain_says_what_envoys_do(case: Case):
    graph = graph_of_cases()

    def answerer(sent: Sent) -> str:
        headers = [f"{name}: {value}" for name, value in sent.headers.items()]
        url = f"http://cases.local{sent.path}"
        told = texts(ask(graph, url, *headers, method=sent.method))
        return next(name for name in ("matched", "other") if f"virtual node '{name}'" in told[-2])

    assert [answerer(sent) for sent in case.taken] == ["matched"] * len(case.taken)
    assert [answerer(sent) for sent in case.left] == ["other"] * len(case.left)


def test_targets_come_with_their_odds(demo: Graph):
    told = texts(ask(demo, "http://color.demo.local/"))

    assert [text.partition(",")[0] for text in told if "% go to" in text] == [
        "80 % go to virtual node 'blue'",
        "20 % go to virtual node 'green'",
    ]


def test_each_value_says_where_it_comes_from(demo: Graph):
    sources = [step.source for step in ask(demo, "http://color.demo.local/").steps]

    assert "spec.backends[0] of virtual node 'front'" in sources
    assert sources.count("App Mesh's default") == 4


@pytest.mark.parametrize(
    ("url", "end"),
    [
        ("http://nobody.local/", "the egress filter DROP_ALL keeps it in: Envoy answers 404"),
        ("http://color.demo.local:9/", "the egress filter DROP_ALL keeps it in: Envoy answers 404"),
    ],
    ids=["host", "port"],
)
def test_a_request_that_is_not_routed_says_why(demo: Graph, url: str, end: str):
    explanation = ask(demo, url)

    assert (explanation.routed, texts(explanation)[-1]) == (False, end)


def test_open_egress_lets_a_foreign_host_out(demo: Graph):
    spec = {"egressFilter": {"type": "ALLOW_ALL"}}
    mesh = build_resource(Kind.MESH, "demo", spec)
    opened = demo.with_changes(demo.head, [Change(mesh.key, mesh)])

    assert ask(opened, "http://nobody.local/").routed


def test_a_port_chooses_among_routes_that_look_at_it():
    graph = load_graph((TESTDATA / "route-ports" / "mesh.yaml").read_text())

    told = texts(ask(graph, "http://api.demo.local:8080/"))

    assert "route 'admin' takes it (no priority)" in told


def test_grpc_is_told_by_its_content_type():
    graph = load_graph((TESTDATA / "grpc-route" / "mesh.yaml").read_text())
    url = "http://api.demo.local/shop.Cart/Add"

    with_it = ask(graph, url, "content-type: application/grpc", "tenant: blue")

    assert "route 'method' takes it (no priority)" in texts(with_it)
    assert not ask(graph, url).routed


def connect(case: str, url: str) -> Explanation:
    """A TCP connection of front's in the mesh of a golden case."""
    return ask(load_graph((TESTDATA / case / "mesh.yaml").read_text()), url, method="CONNECT")


def test_a_connection_is_explained_down_to_its_targets():
    told = texts(connect("tcp-route", "tcp://db.demo.local:15432"))

    assert told[1:5] == [
        "the port is that of its backend virtual service 'db.demo.local'",
        "it is provided by virtual router 'db'",
        "route 'all' takes it (no priority)",
        "it may idle 1500 ms",
    ]
    assert told[5].startswith("75 % go to virtual node 'db', db.internal:5432 in tcp")


@pytest.mark.parametrize(
    ("case", "url", "end"),
    [
        ("tcp-route", "tcp://db.demo.local:1", "DROP_ALL keeps it in: it is closed"),
        ("tcp-ports", "tcp://queue.demo.local:5673", "no route takes it: it is closed"),
        ("tcp-shared-port", "tcp://balancer.internal:9000", "is none of them: it is closed"),
    ],
    ids=["port", "no route", "shared port"],
)
def test_a_connection_that_goes_nowhere_says_why(case: str, url: str, end: str):
    explanation = connect(case, url)

    assert not explanation.routed
    assert texts(explanation)[-1].endswith(end)


@pytest.mark.parametrize(
    ("case", "url"),
    [
        ("tcp-route", "tcp://s3.us-east-1.amazonaws.com:443"),
        ("tcp-open-egress-transparent", "tcp://mail.example:25"),
        ("tcp-shared-port", "tcp://two.demo.local:9000"),
        ("tcp-route", "tcp://any.other.name:15432"),
    ],
    ids=["AWS", "open egress", "by name", "by port"],
)
def test_a_connection_that_gets_somewhere(case: str, url: str):
    assert connect(case, url).routed


@pytest.mark.parametrize(
    ("method", "url", "headers", "message"),
    [
        ("GET", "color.local", [], "url 'color.local': expected http://HOST/PATH"),
        ("GET", "http://color.local", ["no colon"], "header 'no colon': expected NAME: VALUE"),
        ("GET", "tcp://db.local:5432", [], "is asked for as CONNECT tcp://HOST:PORT"),
        ("CONNECT", "tcp://db.local", [], "is asked for as CONNECT tcp://HOST:PORT"),
    ],
)
def test_a_question_that_makes_no_sense(method: str, url: str, headers: list[str], message: str):
    with pytest.raises(ValueError, match=message):
        parse_request(method, url, headers)
