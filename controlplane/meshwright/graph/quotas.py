"""Quotas: how many of what there may be. App Mesh's own, raised where they were too small.

Each is read from what the graph counts anyway, so that a check costs the same in a large mesh.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, cast

import yaml

from meshwright.graph.graph import Graph
from meshwright.graph.references import references_of
from meshwright.model.resources import Kind, Resource


class QuotaError(ValueError):
    """Quotas are configured wrongly; the message says where and how."""


@dataclass(frozen=True, slots=True)
class Quotas:
    """The bounds. In comments: App Mesh's default, where it differs.

    Source of App Mesh's: https://github.com/aws/aws-app-mesh-roadmap/issues/263
    """

    meshes_per_account: int = 1_000  # 15
    virtual_nodes_per_mesh: int = 20_000  # 200
    virtual_services_per_mesh: int = 20_000  # 200
    virtual_routers_per_mesh: int = 20_000  # 200
    virtual_gateways_per_mesh: int = 100  # 3
    routes_per_virtual_router: int = 200  # 50
    gateway_routes_per_virtual_gateway: int = 500  # 10
    backends_per_virtual_node: int = 500  # 50
    weighted_targets_per_route: int = 10  # which the model has too, so that it can't be raised


_PER_MESH: Final = {
    Kind.VIRTUAL_NODE: "virtual_nodes_per_mesh",
    Kind.VIRTUAL_SERVICE: "virtual_services_per_mesh",
    Kind.VIRTUAL_ROUTER: "virtual_routers_per_mesh",
    Kind.VIRTUAL_GATEWAY: "virtual_gateways_per_mesh",
}
_PER_PARENT: Final = {
    Kind.ROUTE: "routes_per_virtual_router",
    Kind.GATEWAY_ROUTE: "gateway_routes_per_virtual_gateway",
}
_PER_RESOURCE: Final = {
    Kind.VIRTUAL_NODE: ("backends_per_virtual_node", "backends"),
    Kind.ROUTE: ("weighted_targets_per_route", "weighted targets"),
}


def find_exceeded(
    quotas: Quotas, before: Graph, after: Graph, resource: Resource, *, meshes: int
) -> str | None:
    """Which quota a resource exceeds, in words; None where it exceeds none.

    What there is already stays usable when a quota is lowered: only growth beyond it is refused.

    Args:
        quotas: The bounds.
        before: The mesh as it is.
        after: The mesh with the resource in it.
        resource: The resource that was created or changed.
        meshes: How many meshes its owner has already.
    """
    for name, what, had, has in _measures(before, after, resource, meshes):
        bound: int = getattr(quotas, name)
        if has > max(bound, had):
            return (
                f"{name}: {what} would be {has}, and at most {bound} are allowed; raise {name} in "
                "the file that meshwright serve --quotas names"
            )
    return None


def _measures(
    before: Graph, after: Graph, resource: Resource, meshes: int
) -> Iterator[tuple[str, str, int, int]]:
    """The quotas that a resource counts towards: name, what is counted, before and after."""
    key, mesh = resource.key, resource.key.mesh.name
    if key.kind is Kind.MESH and before.mesh is None:
        yield "meshes_per_account", f"the meshes of account {key.mesh.owner}", meshes, meshes + 1
    if key.kind in _PER_MESH:
        what = f"the {key.kind.label}s of mesh {mesh!r}"
        had, has = (graph.counts.get(key.kind, 0) for graph in (before, after))
        yield _PER_MESH[key.kind], what, had, has
    if key.kind in _PER_PARENT and key.parent_key is not None:
        what = f"the {key.kind.label}s of {key.parent_key}"
        had, has = (len(graph.children.get(key.parent_key, ())) for graph in (before, after))
        yield _PER_PARENT[key.kind], what, had, has
    if key.kind in _PER_RESOURCE:
        name, words = _PER_RESOURCE[key.kind]
        old = before.resources.get(key)
        had = len(references_of(old)) if old is not None else 0
        yield name, f"the {words} of {key}", had, len(references_of(resource))


def parse_quotas(file: Path) -> Quotas:
    """The quotas that a YAML file gives, and the defaults for those that it does not name.

    Raises:
        QuotaError: It can't be read, or gives something else.
    """
    try:
        content: object = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise QuotaError(f"--quotas {file}: can't be read: {error.strerror}") from None
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise QuotaError(f"--quotas {file}: is not valid YAML: {reason}") from None
    names = [field.name for field in fields(Quotas)]
    if not isinstance(content, dict):
        raise QuotaError(f"--quotas {file}: expected NAME: NUMBER, with names of {names}")
    bounds: dict[str, int] = {}
    for name, bound in cast("dict[Any, Any]", content).items():
        if name not in names:
            raise QuotaError(f"--quotas {file}: {name!r} is no quota; there are {names}")
        if not isinstance(bound, int) or isinstance(bound, bool) or bound < 0:
            raise QuotaError(f"--quotas {file}: {name} must be a number from 0 on, got {bound!r}")
        bounds[name] = bound
    return Quotas(**bounds)
