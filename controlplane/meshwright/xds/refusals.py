"""Proxies that were not let in, or sent away: the latest of each mesh, for its status.

A proxy that is refused asks again at most half a minute later, so that whoever has not been refused
for some minutes has gone, or was let in elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from meshwright.model.resources import MeshKey, ResourceKey

KEPT: Final = 32
"""Of how many refusals a mesh's status tells."""

_KEPT_SECONDS: Final = 300.0


@dataclass(slots=True)
class _Refusal:
    node_id: str
    peer: str
    first_at: float
    last_at: float
    count: int = 0


class Refusals:
    """The latest refusals of all meshes; equal ones of one host are counted.

    Args:
        clock: Seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._meshes: dict[MeshKey, dict[tuple[ResourceKey, str, str], _Refusal]] = {}

    def note(self, key: ResourceKey, node_id: str, peer: str, reason: str) -> None:
        """Take note that a proxy was refused the configuration of a resource."""
        now = self._clock()
        refusals = self._meshes.setdefault(key.mesh, {})
        # The latest stands last.
        refusal = refusals.pop((key, _host(peer), reason), None)
        refusal = refusal or _Refusal(node_id, peer, now, now)
        refusal.peer, refusal.last_at = peer, now
        refusal.count += 1
        refusals[key, _host(peer), reason] = refusal
        if len(refusals) > KEPT:
            del refusals[next(iter(refusals))]

    def forgive(self, key: ResourceKey, peer: str) -> None:
        """Forget why a proxy was refused, which has been let in now."""
        refusals = self._meshes.get(key.mesh, {})
        for each in [each for each in refusals if each[:2] == (key, _host(peer))]:
            del refusals[each]

    def forget(self, mesh: MeshKey) -> None:
        """Forget everything of a mesh that is gone."""
        self._meshes.pop(mesh, None)

    def latest(self, mesh: MeshKey) -> list[dict[str, Any]]:
        """The refusals of a mesh as its status shows them, the latest first; times in seconds."""
        refusals = self._meshes.get(mesh, {})
        oldest = self._clock() - _KEPT_SECONDS
        for each in [each for each, refusal in refusals.items() if refusal.last_at < oldest]:
            del refusals[each]
        return [
            {
                "resource": key.path,
                "node_id": refusal.node_id,
                "peer": refusal.peer,
                "reason": reason,
                "count": refusal.count,
                "first_at": refusal.first_at,
                "at": refusal.last_at,
            }
            for (key, _, reason), refusal in reversed(refusals.items())
        ]


def _host(peer: str) -> str:
    return peer.rpartition(":")[0]
