"""Whole meshes that the API accepts, generated from the model by Hypothesis.

What is refused, though it was drawn to fit, is left out, as it would be by the API.
"""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

from meshwright.api.decisions import find_refusal
from meshwright.api.errors import ApiError
from meshwright.api.validation import validate
from meshwright.graph import Graph
from meshwright.model.resources import Kind, MeshKey, Resource, ResourceKey, Spec, build_arn
from meshwright.store import Change, MeshHead, MeshState
from tests.controlplane.spec_strategies import NODES, ROUTERS, SERVICES, shape_of, specs

_MESH: Final = MeshKey("000000000000", "demo")


def meshes() -> st.SearchStrategy[Graph]:
    """Meshes of up to three virtual nodes, with what may belong to them."""
    return _meshes()


@st.composite
def _meshes(draw: st.DrawFn) -> Graph:
    graph = Graph.from_state(MeshState(MeshHead(_MESH, 1, 0.0), ()))

    def find(kind: Kind, name: str) -> Spec | None:
        found = graph.find(kind, name)
        return found.spec if found is not None else None

    for kind, name, parent in (
        (Kind.MESH, _MESH.name, ""),
        *((Kind.VIRTUAL_NODE, node, "") for node in NODES),
        *((Kind.VIRTUAL_ROUTER, router, "") for router in ROUTERS),
        *((Kind.ROUTE, name, router) for router in ROUTERS for name in ("first", "second")),
        *((Kind.VIRTUAL_SERVICE, service, "") for service in SERVICES),
        (Kind.VIRTUAL_GATEWAY, "edge", ""),
        *((Kind.GATEWAY_ROUTE, name, "edge") for name in ("first", "second", "third")),
    ):
        graph = _add(graph, kind, name, draw(specs(kind, find, parent)), parent)
    return graph


def _add(graph: Graph, kind: Kind, name: str, spec: dict[str, Any], parent: str = "") -> Graph:
    """The graph with a resource, or as it was where the API would refuse that."""
    key = ResourceKey(_MESH, kind, name, parent)
    if key.parent_key is not None and parent and key.parent_key not in graph.resources:
        return graph
    resource = Resource(
        key=key,
        arn=build_arn(key, region="us-east-1"),
        spec=spec,
        uid="uid",
        version=1,
        created_at=0.0,
        last_updated_at=0.0,
        resource_owner=_MESH.owner,
    )
    after = graph.with_changes(graph.head, [Change(key, resource)])
    try:
        validate(shape_of(kind), spec)
    except ApiError:
        return graph
    return graph if find_refusal(after, resource) else after
