"""Proxies that were not let in, or sent away: the latest of each mesh, for its status.

A proxy that is refused asks again at most half a minute later, so that whoever has not been refused
for some minutes has gone, or was let in elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from meshwright.model.resources import MeshKey, ResourceKey

KEPT: Final = 32
"""Of how many refusals a mesh's status tells."""

_KEPT_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """A proxy that was refused. Moments are in seconds since the epoch.

    Attributes:
        resource: The virtual node or gateway that it wanted to be of, as its ARN ends.
        node_id: What it calls itself.
        peer: Where it last came from.
        reason: Why it was refused.
        count: How often it was refused for that.
        first_at: When for the first time.
        at: When for the last time.
    """

    resource: str
    node_id: str
    peer: str
    reason: str
    count: int
    first_at: float
    at: float


@dataclass(slots=True)
class _Counted:
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
        self._meshes: dict[MeshKey, dict[tuple[ResourceKey, str, str], _Counted]] = {}

    def note(self, key: ResourceKey, node_id: str, peer: str, reason: str) -> None:
        """Take note that a proxy was refused the configuration of a resource."""
        now = self._clock()
        refusals = self._meshes.setdefault(key.mesh, {})
        # The latest stands last.
        counted = refusals.pop((key, host_of(peer), reason), None)
        counted = counted or _Counted(node_id, peer, now, now)
        counted.peer, counted.last_at = peer, now
        counted.count += 1
        refusals[key, host_of(peer), reason] = counted
        if len(refusals) > KEPT:
            del refusals[next(iter(refusals))]

    def forgive(self, key: ResourceKey, peer: str) -> None:
        """Forget why a proxy was refused, which has been let in now."""
        refusals = self._meshes.get(key.mesh, {})
        for each in [each for each in refusals if each[:2] == (key, host_of(peer))]:
            del refusals[each]

    def forget(self, mesh: MeshKey) -> None:
        """Forget everything of a mesh that is gone."""
        self._meshes.pop(mesh, None)

    def latest(self, mesh: MeshKey) -> list[Refusal]:
        """The refusals of a mesh, the latest first."""
        refusals = self._meshes.get(mesh, {})
        oldest = self._clock() - _KEPT_SECONDS
        for each in [each for each, counted in refusals.items() if counted.last_at < oldest]:
            del refusals[each]
        return [
            Refusal(
                *(key.path, counted.node_id, counted.peer, reason),
                *(counted.count, counted.first_at, counted.last_at),
            )
            for (key, _, reason), counted in reversed(refusals.items())
        ]


def host_of(peer: str) -> str:
    """A peer without its port, which is another one at each attempt."""
    return peer.rpartition(":")[0]
