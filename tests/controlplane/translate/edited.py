"""Meshes that are edited: each a step from the one before, made out of the golden cases.

All cases are of one mesh, and many of their resources have the same names, so that what one case
holds is an edit of another.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from hypothesis import strategies as st

from meshwright.api.decisions import find_refusal, require_parents, require_unused
from meshwright.api.errors import ApiError
from meshwright.graph import Graph
from meshwright.model.resources import Resource, ResourceKey
from meshwright.offline import load_graph
from meshwright.store import Change

_CASES: Final = [
    load_graph(path.read_text())
    for path in sorted((Path(__file__).parent / "testdata").glob("*/mesh.yaml"))
]


@st.composite
def histories(draw: st.DrawFn, edits: int) -> list[Graph]:
    """A mesh and what becomes of it, edit by edit, out of what one case and another hold."""
    cases = draw(st.lists(st.sampled_from(_CASES), min_size=2, max_size=3))
    known = [case.resources[key] for case in cases for key in sorted(case.resources)]
    history = [cases[0]]
    for _ in range(draw(st.integers(1, edits))):
        graph = history[-1]
        there = sorted(graph.resources)
        edits_possible = ["put", "put", "merge", *(["tag", "delete", "undo"] if there else [])]
        match draw(st.sampled_from(edits_possible)):
            case "put":
                history.append(_put(graph, draw(st.sampled_from(known))))
            case "merge":
                other = draw(st.sampled_from(cases)).resources
                changes = [Change(key, other[key]) for key in sorted(other)]
                history.append(graph.with_changes(graph.head, changes))
            case "tag":
                resource = graph.resources[draw(st.sampled_from(there))]
                tagged = replace(resource, tags=(("edit", str(len(history))),))
                history.append(graph.with_changes(graph.head, [Change(tagged.key, tagged)]))
            case "delete":
                history.append(_delete(graph, draw(st.sampled_from(there))))
            case _:
                history.append(draw(st.sampled_from(history)))
    return history


def _put(graph: Graph, resource: Resource) -> Graph:
    """The graph with a resource, or as it was where the API would refuse that."""
    after = graph.with_changes(graph.head, [Change(resource.key, resource)])
    try:
        require_parents(graph, resource.key)
    except ApiError:
        return graph
    return graph if find_refusal(after, resource) else after


def _delete(graph: Graph, key: ResourceKey) -> Graph:
    """The graph without a resource, or as it was where the API would refuse that."""
    try:
        require_unused(graph, key)
    except ApiError:
        return graph
    return graph.with_changes(graph.head, [Change(key, None)])
