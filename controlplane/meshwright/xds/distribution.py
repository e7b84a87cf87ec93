"""Who is connected, what each proxy should have, and what has become of it.

transition of a mesh --> proxies it may have changed --(merged, shortly after)-->
translate once per proxy --> offer to each of its streams --> stream wakes and sends
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from meshwright.discovery.outside import LiveOutside
from meshwright.graph import Graph
from meshwright.graph.findings import Finding
from meshwright.meshes import Meshes, Transition
from meshwright.model.resources import MeshKey, Resource, ResourceKey
from meshwright.translate import Proxy
from meshwright.xds.connection import Connection
from meshwright.xds.metrics import Metrics, short_type
from meshwright.xds.proxy_status import STANDS_AT, Observer, ProxyStatus
from meshwright.xds.records import Contents, ProxyRecord, ProxyRecords
from meshwright.xds.refusals import Refusal, Refusals
from meshwright.xds.resources import Snapshot
from meshwright.xds.snapshots import Snapshots
from meshwright.xds.stream import Dialect, ProxyStream, Rejection
from meshwright.xds.turn_log import TurnLog
from meshwright.xds.unknown_proxies import find_fault, get_proxied
from meshwright.xds.wire import Node, Request

_log = structlog.get_logger("meshwright.xds")


NOT_BUILT: Final = "configuration"
"""Stands in the place of a rejection's type where it is the control plane that has failed."""


class NotBuiltError(Exception):
    """A proxy's configuration can't be built, and there is no earlier one; the message says why."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How bursts of changes are merged.

    Attributes:
        quiet_seconds: A push waits until nothing has changed for so long ...
        longest_seconds: ... but never longer than this after the first change.
    """

    quiet_seconds: float = 0.005
    longest_seconds: float = 0.1


class Distribution:
    """Owns all streams' state. Lives in one event loop; only `note` may be called from elsewhere.

    Args:
        meshes: The meshes to distribute.
        outside: What proxies need from outside their mesh.
        pace: How bursts of changes are merged.
        clock: Seconds since the epoch.
        remembered_seconds: How long what a proxy's configuration was put together from outlives
            its last stream, for those who reconnect, which may be all at once.
    """

    def __init__(
        self,
        meshes: Meshes,
        outside: LiveOutside,
        pace: Pace | None = None,
        clock: Callable[[], float] = time.time,
        remembered_seconds: float = 60.0,
    ) -> None:
        self._meshes = meshes
        self._outside = outside
        self._pace = pace or Pace()
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._graphs: dict[MeshKey, Graph] = {}
        self._connections: dict[ResourceKey, list[Connection]] = {}
        self._records = ProxyRecords()
        self._refusals = Refusals(clock)
        self._builder = Snapshots(outside)
        self._snapshots: dict[ResourceKey, dict[Proxy, Snapshot]] = {}
        self._behind: set[MeshKey] = set()
        self._dirty: set[ResourceKey] = set()
        self._due_at = 0.0
        self._first_at = 0.0
        self._waiting = 0
        self.metrics = Metrics()
        self.log = TurnLog()
        self._timer: asyncio.TimerHandle | None = None
        self._remembered_seconds = remembered_seconds
        self._forgetting: asyncio.TimerHandle | None = None
        self._noted_at: dict[MeshKey, float] = {}
        self._observers: list[Observer] = []
        meshes.watch(self.note)
        outside.watch(self._mark)

    def observe(self, observer: Observer) -> None:
        """Tell an observer what becomes of proxies from now on."""
        self._observers.append(observer)

    # Changes

    def note(self, transition: Transition) -> None:
        """Take note of a mesh's transition, from any thread."""
        self._loop.call_soon_threadsafe(self._note, transition)

    def _note(self, transition: Transition) -> None:
        for key in transition.changed:
            if key not in transition.after.resources:
                self._records.forget(key)
        mesh = transition.after.head.mesh
        if transition.after.mesh is None:
            self._refusals.forget(mesh)
        self._behind.add(mesh)
        self._noted_at[mesh] = self._loop.time()
        self._mark(transition.proxies)
        if not self._dirty:
            self._distribute()

    def _mark(self, keys: frozenset[ResourceKey]) -> None:
        """Have what proxies should have made anew, soon and together with what else changes."""
        concerned = self._connections.keys() & keys
        if not concerned:
            return
        now = self._loop.time()
        for key in concerned:
            for connection in self._connections[key]:
                if connection.behind_since is None:
                    connection.behind_since = now
        self._dirty |= concerned
        self._waiting += 1
        if self._waiting == 1:
            self._first_at = now
        if self._timer is None:
            self._due_at = now + self._pace.longest_seconds
        else:
            self._timer.cancel()
        self._timer = self._loop.call_at(
            min(now + self._pace.quiet_seconds, self._due_at), self._distribute
        )

    def _distribute(self) -> None:
        """Offer every proxy that a change may have touched what it should have now."""
        self._timer = None
        if self._waiting:
            self.metrics.distributed(self._waiting, self._loop.time() - self._first_at)
            self._waiting = 0
        for mesh in self._behind:
            self._graphs[mesh] = self._meshes.graph(mesh)
        advanced, self._behind = self._behind, set()
        dirty, self._dirty = self._dirty, set()
        for key in dirty:
            self._snapshots.pop(key, None)
            fault = find_fault(self._graph(key.mesh), key)
            if fault is None:
                self._offer(self._connections.get(key, []))
            else:
                for connection in list(self._connections.get(key, [])):
                    connection.close(fault)
        for observer in self._observers:
            for mesh in advanced:
                observer.advanced(mesh)

    def _graph(self, mesh: MeshKey) -> Graph:
        """The mesh as far as it has been distributed."""
        graph = self._graphs.get(mesh)
        if graph is None:
            graph = self._meshes.graph(mesh)
            if graph.mesh is not None:  # proxies may ask for whatever they like
                self._graphs[mesh] = graph
        return graph

    def _offer(self, connections: Iterable[Connection]) -> None:
        chosen: dict[int, Snapshot | None] = {}
        for connection in connections:
            # Those that are alike share a record, and with it what is chosen for them.
            alike = id(connection.record)
            if alike not in chosen:
                proxy, record = connection.proxy, connection.record
                chosen[alike] = self._choose(proxy, record, connection.arn, connection.peer)
            snapshot = chosen[alike]
            self._tell_changed(connection)
            if snapshot is not None:
                connection.stream.offer(snapshot)
                self._settle(connection)
                connection.wake()

    def _choose(self, proxy: Proxy, record: ProxyRecord, arn: str, peer: str) -> Snapshot | None:
        """What a proxy is offered; None where that can't be built, and it keeps what it has."""
        try:
            chosen = record.choose(self._snapshot(proxy))
        except Exception as error:
            # What one mesh holds must not keep the others' changes from their proxies.
            detail = (
                f"the control plane could not build the configuration: {type(error).__name__}: "
                f"{error} (its log has more of it, as unexpected_error)"
            )
            failure = self._tell_of(NOT_BUILT, (), detail, self.revision(proxy.key.mesh))
            if record.failure is None or failure | {"at": record.failure["at"]} != record.failure:
                record.failure = failure
                self.metrics.rejected(NOT_BUILT)
                _log.exception("unexpected_error", resource=arn, peer=peer)
            return None
        record.failure = None
        return chosen

    def _snapshot(self, proxy: Proxy) -> Snapshot:
        """What a proxy should have, made once for all that are alike."""
        snapshots = self._snapshots.setdefault(proxy.key, {})
        snapshot = snapshots.get(proxy)
        if snapshot is None:
            graph = self._graph(proxy.key.mesh)
            snapshot = snapshots[proxy] = self._builder.build(graph, proxy)
        return snapshot

    # Streams

    def connect(
        self,
        proxy: Proxy,
        node: Node,
        peer: str,
        dialect: Dialect,
        *,
        wake: Callable[[], None],
        close: Callable[[str], None],
    ) -> Connection:
        """Admit a proxy's stream.

        Raises:
            UnknownProxyError: The mesh has no such resource, or no proxy can be for it.
            NotBuiltError: Its configuration can't be built, and no proxy like it has had one.
        """
        resource = get_proxied(self._graph(proxy.key.mesh), proxy.key)
        record = self._records.arrive(proxy)
        target = self._choose(proxy, record, resource.arn, peer) or record.last_good
        if target is None:
            self._records.leave(proxy, record)
            raise NotBuiltError(record.failure and record.failure["detail"])
        connection = Connection(
            proxy=proxy,
            node=node,
            peer=peer,
            arn=resource.arn,
            record=record,
            stream=ProxyStream(dialect, target),
            wake=wake,
            close=close,
            connected_at=self._clock(),
        )
        self._connections.setdefault(proxy.key, []).append(connection)
        self._refusals.forgive(proxy.key, peer)
        self.metrics.connected(proxy.key.kind.value)
        for observer in self._observers:
            observer.arrived(connection)
        self.log.note("proxy_connected", node_id=node.id, resource=resource.arn, peer=peer)
        return connection

    def refuse(self, key: ResourceKey, node_id: str, peer: str, reason: str) -> None:
        """Take note that a proxy was not let in, or sent away, for the status of its mesh."""
        # Of a mesh that is there or was: proxies may ask for whatever they like.
        if self._graph(key.mesh).head.revision:
            self._refusals.note(key, node_id, peer, reason)
            for observer in self._observers:
                observer.refused(key.mesh)

    def knows(self, key: ResourceKey) -> bool:
        """Whether there is a resource."""
        return key in self._graph(key.mesh).resources

    def recall(
        self,
        proxy: Proxy,
        rejection: dict[str, Any],
        rejected: Iterable[Contents],
        good: Snapshot,
    ) -> None:
        """Take over what proxies have rejected elsewhere, or before this process began.

        Args:
            proxy: What proxies.
            rejection: Their last rejection, as the status tells it.
            rejected: What they refused together, refusal by refusal.
            good: What they go on with.
        """
        record = self._records.recall(proxy)
        if record.last_good is None:
            record.last_good, record.rejection = good, rejection
            record.rejected.extend(rejected)
            self._offer(
                each for each in self._connections.get(proxy.key, []) if each.proxy == proxy
            )

    def disconnect(self, connection: Connection) -> None:
        """Forget a stream; what its proxy acknowledged and refused is kept for its next one."""
        key = connection.proxy.key
        connections = self._connections.get(key, [])
        connections.remove(connection)
        self.metrics.disconnected(key.kind.value)
        for observer in self._observers:
            observer.left(connection)
        self._records.leave(connection.proxy, connection.record)
        if not connection.record.streams:
            self._snapshots.get(key, {}).pop(connection.proxy, None)
            self._builder.leave(connection.proxy, self._loop.time())
            if self._forgetting is None:
                self._forget_later()
        if not connections:
            del self._connections[key]
            # Changes are followed only for those who are connected.
            self._snapshots.pop(key, None)
            self._outside.need(key, ())
        self.log.note(
            "proxy_disconnected",
            node_id=connection.node.id,
            resource=connection.arn,
            peer=connection.peer,
        )

    def _forget_later(self) -> None:
        self._forgetting = self._loop.call_later(self._remembered_seconds, self._forget_left)

    def _forget_left(self) -> None:
        self._forgetting = None
        if self._builder.forget(self._loop.time() - self._remembered_seconds):
            self._forget_later()

    def receive(self, connection: Connection, request: Request) -> None:
        """Take a request of a stream."""
        rejection = connection.stream.receive(request)
        if rejection is None:
            self._settle(connection)
        else:
            self._reject(connection, rejection)

    def _settle(self, connection: Connection) -> None:
        stream, record = connection.stream, connection.record
        if not stream.settled:
            return
        revision = stream.target.revision
        is_built = record.failure is None and connection.proxy.key not in self._dirty
        if connection.behind_since is not None and is_built:
            self.metrics.converged(self._loop.time() - connection.behind_since)
            connection.behind_since = None
        if connection.acknowledged_revision != revision:
            connection.acknowledged_revision = revision
            connection.acknowledged_at = self._clock()
        record.last_good = stream.target
        if stream.target is not record.stand_in:
            # Endpoints and secrets are mended without a later revision.
            record.rejection = connection.rejection = None
        self._tell_changed(connection)

    def _reject(self, connection: Connection, rejection: Rejection) -> None:
        self.metrics.rejected(rejection.type_url)
        record = connection.record
        names = sorted(name for name, _ in rejection.contents)
        revision = connection.stream.target.revision
        told = self._tell_of(short_type(rejection.type_url), names, rejection.detail, revision)
        connection.rejection = _find_latest(told, connection.rejection)
        self._tell_changed(connection)
        _log.error("proxy_rejected", resource=connection.arn, peer=connection.peer, **told)
        alike = [
            each
            for each in self._connections[connection.proxy.key]
            if each.proxy == connection.proxy
        ]
        if connection.acknowledged_revision is None and any(
            each.acknowledged_revision is not None for each in alike
        ):
            # It takes nothing that others like it took: no reason to keep those from what is new.
            return
        record.rejection = _find_latest(told, record.rejection)
        if not rejection.contents:
            return
        record.rejected.append(
            frozenset((rejection.type_url, *content) for content in rejection.contents)
        )
        self._offer(alike)

    def _tell_of(
        self, kind: str, resources: Sequence[str], detail: str, revision: int
    ) -> dict[str, Any]:
        """A rejection as the status tells it."""
        return {
            "type": kind,
            "resources": list(resources),
            "detail": detail,
            "revision": revision,
            "at": self._clock(),
        }

    def _tell_changed(self, connection: Connection) -> None:
        for observer in self._observers:
            observer.changed(connection)

    # Status

    def revision(self, mesh: MeshKey) -> int:
        """The revision of a mesh that has been offered to its proxies."""
        return self._graph(mesh).head.revision

    def age(self, mesh: MeshKey) -> float:
        """For how many seconds the newest revision of a mesh has been known here."""
        noted_at = self._noted_at.get(mesh)
        return 0.0 if noted_at is None else self._loop.time() - noted_at

    def find_certificate_problems(self, resource: Resource) -> list[Finding]:
        """What is wrong with the certificates that a resource names."""
        return list(self._outside.find_certificate_problems(resource))

    def find_unmet_needs(self, mesh: MeshKey) -> list[Finding]:
        """What the connected proxies of a mesh need from outside it and can't get."""
        return list(self._outside.find_unmet_needs(self._graph(mesh)))

    def count_proxies(self) -> Counter[MeshKey]:
        """How many proxies of each mesh are connected."""
        counts: Counter[MeshKey] = Counter()
        for key, connections in self._connections.items():
            counts[key.mesh] += len(connections)
        return counts

    def connections(self, mesh: MeshKey) -> list[Connection]:
        """The streams of a mesh's proxies that are open now, to be described."""
        return [
            connection
            for key, connections in self._connections.items()
            if key.mesh == mesh
            for connection in connections
        ]

    def refusals(self, mesh: MeshKey) -> list[Refusal]:
        """The proxies of a mesh that were refused of late, the latest first."""
        return self._refusals.latest(mesh)

    def is_current(self, connection: Connection) -> bool:
        """Whether a connected proxy has everything that there is for it."""
        return (
            connection.acknowledged_revision is not None
            and connection.rejection is None
            and connection.record.rejection is None
            and connection.record.failure is None
            and connection.stream.settled
        )

    def describe(self, connection: Connection) -> ProxyStatus:
        """The status of a connected proxy."""
        revision = connection.acknowledged_revision
        record = connection.record
        rejection = None
        is_current = self.is_current(connection)
        if is_current:
            # Later revisions did not concern this proxy: it has all there is for it.
            revision = self.revision(connection.proxy.key.mesh)
        else:
            rejection = _find_latest(connection.rejection, record.failure, record.rejection)
        if rejection is not None and self._is_held_back(connection):
            rejection = {**rejection, STANDS_AT: self.revision(connection.proxy.key.mesh)}
        return ProxyStatus(
            resource=connection.arn,
            node_id=connection.node.id,
            peer=connection.peer,
            envoy_version=connection.node.envoy_version,
            connected_at=connection.connected_at,
            acknowledged_at=connection.acknowledged_at,
            acknowledged_revision=revision,
            is_current=is_current,
            lag=0.0 if is_current else self._measure_lag(connection, rejection),
            rejection=rejection,
        )

    def _is_held_back(self, connection: Connection) -> bool:
        """Whether a proxy gets nothing until its mesh is changed: it rejects what there is."""
        record = connection.record
        is_refused = connection.rejection is not None or (
            record.rejection is not None and connection.stream.target is record.stand_in
        )
        return (
            connection.proxy.key not in self._dirty
            and connection.stream.idle
            and (is_refused or record.failure is not None)
        )

    def _measure_lag(self, connection: Connection, rejection: dict[str, Any] | None) -> float:
        """For how many seconds a proxy has lacked something."""
        lags = [0.0]
        if connection.behind_since is not None:
            lags.append(self._loop.time() - connection.behind_since)
        if connection.acknowledged_at is None:
            lags.append(self._clock() - connection.connected_at)
        if rejection is not None:
            lags.append(self._clock() - rejection["at"])
        return max(lags)


def _find_latest(*rejections: dict[str, Any] | None) -> dict[str, Any] | None:
    """The rejection of the latest revision; of one revision the first.

    A stand-in is of an earlier revision than what it stands in for. Who refuses it too still tells
    of what it refused first, which is what is waited for.
    """
    told = [each for each in rejections if each is not None]
    return max(told, key=lambda each: each["revision"], default=None)
