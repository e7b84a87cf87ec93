"""`WeightedService`: a virtual service, its router, and a route that shares out requests."""

from __future__ import annotations

from typing import Any

import pytest

from meshwright_components import (
    MeshNode,
    MeshNodeArgs,
    WeightedService,
    WeightedServiceArgs,
    build_weighted_targets,
)
from tests.components.graph import Graph, run

ARGS: dict[str, Any] = {
    "mesh_name": "demo",
    "service_name": "color.demo.local",
    "port": 8080,
    "targets": {"blue": 80, "green": 20},
}


def declare(**changes: Any) -> Graph:
    """A program with one service."""
    return run(lambda: WeightedService("color", WeightedServiceArgs(**(ARGS | changes))))


def test_the_service_is_provided_by_the_router() -> None:
    assert declare().inputs("VirtualService", "color") == {
        "meshName": "demo",
        "name": "color.demo.local",
        "spec": {"provider": {"virtualRouter": {"virtualRouterName": "color"}}},
    }


def test_the_router_listens_on_the_port() -> None:
    assert declare().inputs("VirtualRouter", "color")["spec"] == {
        "listeners": [{"portMapping": {"port": 8080, "protocol": "http"}}]
    }


def test_the_route_leads_from_the_prefix_to_the_targets() -> None:
    assert declare(prefix="/v1").inputs("Route", "color") == {
        "meshName": "demo",
        "name": "color",
        "virtualRouterName": "color",
        "spec": {
            "httpRoute": {
                "match": {"prefix": "/v1"},
                "action": {
                    "weightedTargets": [
                        {"virtualNode": "blue", "weight": 80},
                        {"virtualNode": "green", "weight": 20},
                    ]
                },
            }
        },
    }


def test_the_route_is_made_after_the_nodes_it_leads_to() -> None:
    def program() -> None:
        node = MeshNode("blue", MeshNodeArgs(mesh_name="demo", hostname="b.local", port=8080))
        args: Any = ARGS | {"depends_on": (node,)}
        WeightedService("color", WeightedServiceArgs(**args))

    graph = run(program)

    route = graph.declared[graph.urn("Route", "color")]
    assert graph.urn("VirtualNode", "blue") in route.dependencies


@pytest.mark.parametrize(
    ("targets", "reason"),
    [
        ({}, "give at least one a weight above 0"),
        ({"blue": 0, "green": 0}, "give at least one a weight above 0"),
        ({"blue": 80, "green": 21}, r"may add up to 100, but 80 \+ 21 = 101"),
    ],
)
def test_weights_that_share_out_nothing_are_refused(targets: dict[str, int], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        build_weighted_targets(targets)


def test_a_single_weight_out_of_bounds_is_left_to_the_provider() -> None:
    # It names the property's path at preview, together with whatever else is wrong.
    assert [target.weight for target in build_weighted_targets({"blue": 101})] == [101]
