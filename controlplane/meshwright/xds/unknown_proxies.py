"""Who gets no configuration: proxies of what is not there, or of what the mesh does not admit."""

from __future__ import annotations

from meshwright.graph import Graph
from meshwright.graph.graph import PROXY_KINDS
from meshwright.model.resources import Kind, Resource, ResourceKey


class UnknownProxyError(Exception):
    """A proxy names a resource that is not there; the message says what was expected."""


def get_proxied(graph: Graph, key: ResourceKey) -> Resource:
    """The virtual node or gateway that a proxy names.

    Raises:
        UnknownProxyError: The mesh has no such resource, or no proxy can be for it.
    """
    resource = graph.resources.get(key)
    if resource is None or key.kind not in PROXY_KINDS:
        raise UnknownProxyError(_explain_unknown(graph, key))
    fault = find_fault(graph, key)
    if fault is not None:
        raise UnknownProxyError(fault)
    return resource


def find_fault(graph: Graph, key: ResourceKey) -> str | None:
    """Why a virtual node or gateway gets no configuration (any more); None where it does."""
    resource = graph.resources.get(key)
    if resource is None:
        return f"{key} was deleted from mesh {key.mesh.name!r}"
    if not graph.admits(resource.resource_owner):
        return (
            f"{key} is account {resource.resource_owner}'s, and mesh {key.mesh.name!r} is not "
            "shared with that account any more"
        )
    return None


def _explain_unknown(graph: Graph, key: ResourceKey) -> str:
    kind = key.kind if key.kind in PROXY_KINDS else Kind.VIRTUAL_NODE
    expected = f"expected mesh/{key.mesh.name}/{kind.value}/NAME or its ARN"
    if graph.mesh is None:
        return f"there is no mesh {key.mesh.name!r}; {expected} with a mesh that exists"
    names = sorted(each.name for each in graph.resources if each.kind is kind)
    shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "") if names else "none"
    return (
        f"there is no {key} in mesh {key.mesh.name!r}; {expected}, with one of its {kind.label}s: "
        f"{shown}"
    )
