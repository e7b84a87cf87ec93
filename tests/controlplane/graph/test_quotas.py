"""Quotas: what counts towards which, and how they are configured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from meshwright.graph.graph import Graph
from meshwright.graph.quotas import QuotaError, Quotas, find_exceeded, parse_quotas
from meshwright.model.resources import Kind, Resource
from meshwright.store import Change
from tests.controlplane.meshes import (
    DEMO,
    build_resource,
    demo_resources,
    node_spec,
    route_spec,
)


def graph_of(*resources: Resource) -> Graph:
    graph = Graph.empty(DEMO)
    return graph.with_changes(graph.head, [Change(each.key, each) for each in resources])


DEMO_GRAPH = graph_of(*demo_resources())


def exceeded(resource: Resource, **bounds: int) -> str | None:
    """The quota that a resource beside the demo's exceeds."""
    after = DEMO_GRAPH.with_changes(DEMO_GRAPH.head, [Change(resource.key, resource)])
    return find_exceeded(replace(Quotas(), **bounds), DEMO_GRAPH, after, resource, meshes=3)


@pytest.mark.parametrize(
    ("resource", "bounds"),
    [
        (build_resource(Kind.VIRTUAL_NODE, "new", {}), {"virtual_nodes_per_mesh": 3}),
        (
            build_resource(Kind.VIRTUAL_SERVICE, "new", {}),
            {"virtual_services_per_mesh": 1},
        ),
        (
            build_resource(Kind.VIRTUAL_ROUTER, "new", {}),
            {"virtual_routers_per_mesh": 1},
        ),
        (build_resource(Kind.VIRTUAL_GATEWAY, "new", {}), {"virtual_gateways_per_mesh": 0}),
        (
            build_resource(Kind.ROUTE, "new", route_spec({"blue": 1}), parent="color"),
            {"routes_per_virtual_router": 1},
        ),
        (
            build_resource(Kind.GATEWAY_ROUTE, "new", {}, parent="edge"),
            {"gateway_routes_per_virtual_gateway": 0},
        ),
        (
            build_resource(Kind.VIRTUAL_NODE, "blue", node_spec("blue", backends=("a", "b"))),
            {"backends_per_virtual_node": 1},
        ),
        (
            build_resource(
                Kind.ROUTE, "split", route_spec({"a": 1, "b": 1, "c": 1}), parent="color"
            ),
            {"weighted_targets_per_route": 2},
        ),
    ],
    ids=lambda each: next(iter(each)) if isinstance(each, dict) else "",
)
def test_one_more_than_the_bound_is_told_with_quota_bound_and_remedy(
    resource: Resource, bounds: dict[str, Any]
):
    (name, bound), *_ = bounds.items()

    message = exceeded(resource, **bounds)

    assert message is not None
    assert message.startswith(f"{name}: ")
    assert f"at most {bound} are allowed; raise {name} in the file" in message
    assert exceeded(resource, **{name: bound + 1}) is None


def test_meshes_are_counted_by_account():
    resource = build_resource(Kind.MESH, "demo", {})
    empty, after = Graph.empty(DEMO), graph_of(resource)

    assert find_exceeded(Quotas(meshes_per_account=4), empty, after, resource, meshes=3) is None
    assert find_exceeded(Quotas(meshes_per_account=3), empty, after, resource, meshes=3)


def test_what_there_is_stays_usable_when_a_quota_is_lowered():
    blue = build_resource(Kind.VIRTUAL_NODE, "blue", node_spec("azure"))

    assert exceeded(blue, virtual_nodes_per_mesh=1) is None


def test_counts_follow_changes():
    gone = DEMO_GRAPH.with_changes(
        DEMO_GRAPH.head, [Change(build_resource(Kind.VIRTUAL_NODE, "front", {}).key, None)]
    )

    assert (DEMO_GRAPH.counts[Kind.VIRTUAL_NODE], gone.counts[Kind.VIRTUAL_NODE]) == (3, 2)


def test_a_file_gives_some_and_leaves_the_others(tmp_path: Path):
    file = tmp_path / "quotas.yaml"
    file.write_text("virtual_nodes_per_mesh: 7\n")

    assert parse_quotas(file) == replace(Quotas(), virtual_nodes_per_mesh=7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nodes: 7", "'nodes' is no quota; there are"),
        ("virtual_nodes_per_mesh: many", "virtual_nodes_per_mesh must be a number from 0 on"),
        ("virtual_nodes_per_mesh: -1", "virtual_nodes_per_mesh must be a number from 0 on"),
        ("- 7", "expected NAME: NUMBER"),
        ("a: [", "is not valid YAML: while parsing"),
        ("\x81", "is not valid YAML: unacceptable character"),
    ],
)
def test_a_file_that_makes_no_sense(tmp_path: Path, text: str, message: str):
    file = tmp_path / "quotas.yaml"
    file.write_text(text)

    with pytest.raises(QuotaError, match=message):
        parse_quotas(file)


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(QuotaError, match="can't be read: No such file or directory"):
        parse_quotas(tmp_path / "nowhere.yaml")
