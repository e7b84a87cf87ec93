"""The status of meshes, as their pages over HTTP show it: the proxies of all replicas."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar

from meshwright.graph import Graph
from meshwright.graph.findings import Finding, find_problems
from meshwright.meshes import Meshes
from meshwright.model.resources import MeshKey
from meshwright.presence.reading import Elsewhere, OtherReplicas, ReplicaProxy
from meshwright.store import StoreError
from meshwright.xds.distribution import Distribution

_PATIENCE_SECONDS: Final = 5.0
_THREADS: Final = 8
"""How many questions to the store are under way at once; further ones wait for their turn."""

_T = TypeVar("_T")


class Statuses:
    """Makes the statuses. Lives in the event loop of the distribution.

    This replica's proxies are known here; what is known of the others' is read from the store.

    Args:
        meshes: The meshes.
        distribution: This replica's proxies.
        others: The other replicas' proxies.
        replica: This replica's name.
    """

    def __init__(
        self, meshes: Meshes, distribution: Distribution, others: OtherReplicas, replica: str
    ) -> None:
        self._meshes = meshes
        self._distribution = distribution
        self._others = others
        self._replica = replica
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="status")

    async def render(self, mesh: MeshKey) -> Mapping[str, Any] | None:
        """The revision, findings, proxies and refusals of a mesh; None where it does not exist.

        While the store can't be read, it is what is known here, and says that it is incomplete.

        Raises:
            StoreError: The store can't be read, and nothing is known here.
        """
        others = Elsewhere([], [])
        failure: StoreError | None = None
        try:
            others = await self._ask(partial(self._read, mesh))
        except StoreError as error:
            failure = error
        graph = self._meshes.graph(mesh)
        if graph.mesh is None:
            if failure is not None:
                raise failure
            return None
        own = [ReplicaProxy(self._replica, each) for each in self._distribution.proxies(mesh)]
        revision, age = graph.head.revision, self._distribution.age(mesh)
        findings = dict.fromkeys((*self.find_problems(graph), *others.findings))
        return {
            "mesh": mesh.name,
            "revision": revision,
            "committed_at": _render_time(graph.head.committed_at),
            "findings": [asdict(finding) for finding in findings],
            "replica": self._replica,
            "incomplete": None if failure is None else str(failure),
            "proxies": [
                _render_proxy(each, revision, age)
                for each in sorted([*own, *others.proxies], key=lambda each: each.status.resource)
            ],
            "refusals": [
                refusal | {each: _render_time(refusal[each]) for each in ("first_at", "at")}
                for refusal in self._distribution.refusals(mesh)
            ],
        }

    def find_problems(self, graph: Graph) -> list[Finding]:
        """The findings of a mesh, in itself and in what it needs from outside."""
        return [*find_problems(graph), *self._distribution.find_problems(graph)]

    async def count_proxies(self) -> Counter[MeshKey]:
        """How many proxies of each mesh are connected, to all replicas.

        Raises:
            StoreError: The store can't be read.
        """
        return await self._ask(self._others.count) + self._distribution.count_proxies()

    async def _ask(self, question: Callable[[], _T]) -> _T:
        """Ask the store, for as long as somebody who looks at a status has patience.

        Raises:
            StoreError: It can't be read, or does not answer.
        """
        asking = asyncio.get_running_loop().run_in_executor(self._threads, question)
        try:
            return await asyncio.wait_for(asking, _PATIENCE_SECONDS)
        except TimeoutError:
            url, seconds = self._meshes.store.url, f"{_PATIENCE_SECONDS:g} s"
            raise StoreError(f"store {url!r} has not answered within {seconds}") from None

    def _read(self, mesh: MeshKey) -> Elsewhere:
        """Take over the mesh as it is now, and then see how far the others' proxies have come."""
        self._meshes.catch_up(mesh)
        return self._others.read(mesh)


def _render_proxy(proxy: ReplicaProxy, revision: int, age: float) -> dict[str, Any]:
    """A proxy, as of a mesh's revision that has been known for some seconds."""
    status = proxy.status
    lag = status.lag
    if (status.acknowledged_revision or 0) < revision:
        # Its replica may not have seen the revision yet.
        lag = max(lag, age)
    rejection = status.rejection
    return {
        "resource": status.resource,
        "node_id": status.node_id,
        "peer": status.peer,
        "envoy_version": status.envoy_version,
        "replica": proxy.replica,
        "connected_at": _render_time(status.connected_at),
        "acknowledged_revision": status.acknowledged_revision,
        "acknowledged_at": _render_time(status.acknowledged_at),
        "lag_seconds": round(lag, 3),
        "rejection": rejection and rejection | {"at": _render_time(rejection["at"])},
    }


def _render_time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
