"""The status of meshes, as their pages over HTTP show it: the proxies of all replicas."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import chain, compress
from typing import Any, Final, TypeVar

from meshwright.graph import Graph
from meshwright.graph.findings import Finding, problems_of
from meshwright.graph.references import certificates_of
from meshwright.meshes import Meshes
from meshwright.model.resources import MeshKey, Resource
from meshwright.presence.reading import Elsewhere, OtherReplicas, ReplicaProxy, ReplicaRefusal
from meshwright.store import StoreError
from meshwright.turns import work_in_turns
from meshwright.xds.connection import Connection
from meshwright.xds.distribution import Distribution
from meshwright.xds.proxy_status import STANDS_AT
from meshwright.xds.refusals import host_of

_PATIENCE_SECONDS: Final = 5.0
_THREADS: Final = 8
"""How many questions to the store are under way at once; further ones wait for their turn."""

_NAMED: Final = 5
"""How many of those who still ask for a mesh are named."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Inspected:
    """What a mesh in itself has shown, which need not be looked for again until it changes.

    Attributes:
        graph: The mesh.
        findings: Its findings.
        naming_certificates: Its resources that name certificates.
    """

    graph: Graph
    findings: Sequence[Finding]
    naming_certificates: Sequence[Resource]


class Statuses:
    """Makes the statuses. Lives in the event loop of the distribution.

    However many resources and proxies there are, pushes get their turn in between.

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
        self._inspected: dict[MeshKey, _Inspected] = {}
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="status")

    async def render(self, mesh: MeshKey) -> Mapping[str, Any] | None:
        """The revision, findings, proxies and refusals of a mesh; None where it does not exist.

        While the store can't be read, it is what is known here, and says that it is incomplete.

        Raises:
            StoreError: The store can't be read, and nothing is known here.
        """
        others = Elsewhere([], [], [])
        failure: StoreError | None = None
        try:
            others = await self._ask(partial(self._read, mesh))
        except StoreError as error:
            failure = error
        graph = self._meshes.graph(mesh)
        if graph.mesh is None:
            self._inspected.pop(mesh, None)
            if failure is not None:
                raise failure
            return None
        own = await work_in_turns(self._describe, self._distribution.connections(mesh))
        proxies = sorted([*own, *others.proxies], key=lambda each: each.status.resource)
        refused = self._distribution.refusals(mesh)
        refusals = [*(ReplicaRefusal(self._replica, each) for each in refused), *others.refusals]
        findings = dict.fromkeys((*await self.find_problems(graph), *others.findings))
        revision, age = graph.head.revision, self._distribution.age(mesh)
        return {
            "mesh": mesh.name,
            "revision": revision,
            "committed_at": _render_time(graph.head.committed_at),
            "findings": await work_in_turns(asdict, findings),
            "replica": self._replica,
            "incomplete": None if failure is None else str(failure),
            "proxies": await work_in_turns(
                lambda proxy: _render_proxy(proxy, revision, age), proxies
            ),
            "refusals": [_render_refusal(each) for each in _find_standing(refusals, proxies)],
        }

    async def find_leftover(self, mesh: MeshKey) -> str:
        """Who still asks for a mesh that is not there, to go on after that; empty where nobody."""
        refusals = [
            ReplicaRefusal(self._replica, each) for each in self._distribution.refusals(mesh)
        ]
        # Without the others' it tells what is known here.
        with suppress(StoreError):
            refusals += (await self._ask(partial(self._others.read, mesh))).refusals
        who = sorted({f"{_path_in_mesh(r.resource)} at {host_of(r.peer)}" for _, r in refusals})
        if not who:
            return ""
        more = f" and {len(who) - _NAMED} more" if len(who) > _NAMED else ""
        return (
            f"; proxies ask for it still: {', '.join(who[:_NAMED])}{more}; stop them, or make "
            "it again"
        )

    def _describe(self, connection: Connection) -> ReplicaProxy:
        return ReplicaProxy(self._replica, self._distribution.describe(connection))

    async def find_problems(self, graph: Graph) -> list[Finding]:
        """The findings of a mesh, in itself and in what it needs from outside."""
        inspected = await self._inspect(graph)
        outside = await work_in_turns(
            self._distribution.find_certificate_problems, inspected.naming_certificates
        )
        unmet = self._distribution.find_unmet_needs(graph.head.mesh)
        return [*inspected.findings, *chain.from_iterable(outside), *unmet]

    async def _inspect(self, graph: Graph) -> _Inspected:
        inspected = self._inspected.get(graph.head.mesh)
        if inspected is None or inspected.graph is not graph:
            resources = [graph.resources[key] for key in sorted(graph.resources)]
            findings = await work_in_turns(lambda each: [*problems_of(graph, each)], resources)
            naming = await work_in_turns(lambda each: any(certificates_of(each)), resources)
            inspected = self._inspected[graph.head.mesh] = _Inspected(
                graph, [*chain.from_iterable(findings)], [*compress(resources, naming)]
            )
        return inspected

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
        "rejection": rejection
        and {STANDS_AT: rejection["revision"]} | rejection | {"at": _render_time(rejection["at"])},
    }


def _find_standing(
    refusals: Sequence[ReplicaRefusal], proxies: Iterable[ReplicaProxy]
) -> list[ReplicaRefusal]:
    """The refusals of those whom no replica has let in since, the latest first."""
    if not refusals:
        return []
    let_in: dict[tuple[str, str], float] = {}
    for _, status in proxies:
        who = _path_in_mesh(status.resource), host_of(status.peer)
        let_in[who] = max(status.connected_at, let_in.get(who, 0.0))
    standing = [
        each
        for each in refusals
        if each.refusal.at
        > let_in.get((_path_in_mesh(each.refusal.resource), host_of(each.refusal.peer)), 0.0)
    ]
    return sorted(standing, key=lambda each: each.refusal.at, reverse=True)


def _path_in_mesh(resource: str) -> str:
    """What an ARN, or the end of one, has after the mesh: `virtualNode/front`."""
    return resource.split("/", 2)[-1]


def _render_refusal(refused: ReplicaRefusal) -> dict[str, Any]:
    refusal = refused.refusal
    times = {"first_at": _render_time(refusal.first_at), "at": _render_time(refusal.at)}
    return {**asdict(refusal), **times, "replica": refused.replica}


def _render_time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
