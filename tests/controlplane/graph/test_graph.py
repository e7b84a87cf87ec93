"""The graph: who sees a change, and what stays as it is."""

from __future__ import annotations

import pytest

from meshwright.graph import Graph
from meshwright.graph.findings import find_problems
from meshwright.model.resources import Kind, ResourceKey, mesh_resource_key
from meshwright.store import Change, MeshHead, MeshState
from tests.controlplane.meshes import (
    DEMO,
    build_resource,
    demo_resources,
    node_spec,
    route_spec,
    service_spec,
)

FRONT, BLUE, GREEN = (
    ResourceKey(DEMO, Kind.VIRTUAL_NODE, name) for name in ("front", "blue", "green")
)
ROUTER = ResourceKey(DEMO, Kind.VIRTUAL_ROUTER, "color")
ROUTE = ResourceKey(DEMO, Kind.ROUTE, "split", "color")
SERVICE = ResourceKey(DEMO, Kind.VIRTUAL_SERVICE, "color.demo.local")


@pytest.fixture
def graph() -> Graph:
    """Front calls color.demo.local, which is blue and green."""
    return Graph.from_state(MeshState(MeshHead(DEMO, 7, 1.0), demo_resources()))


@pytest.mark.parametrize(
    ("changed", "seeing"),
    [
        (ROUTE, {FRONT}),
        (ROUTER, {FRONT}),
        (SERVICE, {FRONT}),
        (BLUE, {BLUE, FRONT}),
        (FRONT, {FRONT}),
        (mesh_resource_key(DEMO), {FRONT, BLUE, GREEN}),
        (ResourceKey(DEMO, Kind.VIRTUAL_SERVICE, "nobodys.local"), set[ResourceKey]()),
    ],
    ids=lambda each: str(each) if isinstance(each, ResourceKey) else "",
)
def test_a_change_is_seen_by_those_who_use_it(
    graph: Graph, changed: ResourceKey, seeing: set[ResourceKey]
):
    assert graph.proxies_seeing([changed]) == seeing


def test_who_calls_a_caller_does_not_see_what_that_calls(graph: Graph):
    shop = build_resource(Kind.VIRTUAL_NODE, "shop", node_spec("shop", backends=("front.local",)))
    service = build_resource(Kind.VIRTUAL_SERVICE, "front.local", service_spec(node="front"))
    longer = graph.with_changes(graph.head, [Change(shop.key, shop), Change(service.key, service)])

    assert longer.proxies_seeing([ROUTE]) == {FRONT}


def test_a_reference_to_what_is_not_there_yet_is_followed_once_it_is(graph: Graph):
    later = ResourceKey(DEMO, Kind.VIRTUAL_SERVICE, "later.local")
    shop = build_resource(Kind.VIRTUAL_NODE, "shop", node_spec("shop", backends=("later.local",)))

    assert graph.with_changes(graph.head, [Change(shop.key, shop)]).proxies_seeing([later]) == {
        shop.key
    }


def test_changes_leave_the_earlier_graph_as_it_was(graph: Graph):
    def indexes() -> tuple[object, ...]:
        return dict(graph.resources), dict(graph.children), dict(graph.referrers)

    before = indexes()
    graph.with_changes(MeshHead(DEMO, 8, 2.0), [Change(ROUTE, None)])

    assert indexes() == before


def test_changes_one_by_one_lead_to_the_graph_of_the_whole(graph: Graph):
    step_by_step = Graph.empty(DEMO)
    for resource in reversed(demo_resources()):
        step_by_step = step_by_step.with_changes(graph.head, [Change(resource.key, resource)])

    assert step_by_step == graph


def test_a_replaced_reference_is_forgotten(graph: Graph):
    moved = build_resource(Kind.ROUTE, "split", route_spec({"green": 1}), parent="color")

    after = graph.with_changes(graph.head, [Change(moved.key, moved)])

    assert not after.referrers_of(BLUE)


def test_a_mesh_where_all_is_well_has_no_finding(graph: Graph):
    assert find_problems(graph) == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (Change(SERVICE, None), "BackendMissing"),
        (
            Change(SERVICE, build_resource(Kind.VIRTUAL_SERVICE, SERVICE.name, {})),
            "ProviderMissing",
        ),
        (Change(ROUTE, None), "RouteMissing"),
        (
            Change(BLUE, build_resource(Kind.VIRTUAL_NODE, "blue", {})),
            "TargetUnreachable",
        ),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_leads_nowhere_is_found(graph: Graph, change: Change, code: str):
    after = graph.with_changes(graph.head, [change])

    assert [finding.code for finding in find_problems(after)] == [code]
