"""The status of a mesh, as its page over HTTP shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from meshwright.graph.findings import find_problems
from meshwright.meshes import Meshes
from meshwright.model.resources import MeshKey
from meshwright.xds.distribution import Distribution


def render_status(
    meshes: Meshes, distribution: Distribution, mesh: MeshKey
) -> Mapping[str, Any] | None:
    """The status of a mesh: revision, findings, proxies, refusals; None where it does not exist."""
    graph = meshes.graph(mesh)
    if graph.mesh is None:
        return None
    return {
        "mesh": mesh.name,
        "revision": graph.head.revision,
        "committed_at": _render_time(graph.head.committed_at),
        "findings": [
            asdict(finding)
            for finding in (*find_problems(graph), *distribution.find_problems(mesh))
        ],
        "proxies": [_render_times(proxy) for proxy in distribution.proxies(mesh)],
        "refusals": [
            refusal | {each: _render_time(refusal[each]) for each in ("first_at", "at")}
            for refusal in distribution.refusals(mesh)
        ],
    }


def _render_times(proxy: dict[str, Any]) -> dict[str, Any]:
    rejection = proxy["rejection"]
    return proxy | {
        "connected_at": _render_time(proxy["connected_at"]),
        "acknowledged_at": _render_time(proxy["acknowledged_at"]),
        "rejection": rejection and rejection | {"at": _render_time(rejection["at"])},
    }


def _render_time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
