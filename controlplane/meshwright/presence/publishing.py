"""Writes this replica's proxies to the store, for the other replicas' status.

proxies come, acknowledge, refuse, leave --> parts to be written anew --(shortly after, and at most
twice a second)--> rows, then a heartbeat; without news, a heartbeat every few seconds

A replica without proxies writes nothing, unless it has refused some.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from meshwright.graph.findings import Finding
from meshwright.model.resources import MeshKey
from meshwright.presence.entries import (
    BEAT_SECONDS,
    PROXIES_IN_PART,
    REPLICAS,
    SILENCE_SECONDS,
    Heartbeat,
    Standing,
    findings_name,
    instance_of,
    parse_heartbeats,
    part_name,
    proxies_collection,
    refusals_name,
    render_findings,
    render_heartbeat,
    render_refusals,
    render_rows,
)
from meshwright.store import Store, StoreError
from meshwright.xds.connection import Connection
from meshwright.xds.distribution import Distribution
from meshwright.xds.proxy_status import ProxyStatus
from meshwright.xds.refusals import Refusal

_GATHER_SECONDS: Final = 0.1
"""How long news waits for more: of those a change is pushed to, most have acknowledged it then."""

_PACE_SECONDS: Final = 0.5
"""How long after news was written more news may be."""

_FORGOTTEN_SECONDS: Final = 60.0
"""After which silence others may remove what a replica has written."""

_SWEEP_SECONDS: Final = 3600.0
"""How often what silent replicas have left is looked for."""

_log = structlog.get_logger("meshwright.presence")


@dataclass(slots=True)
class _Parts:
    """The connections of one mesh, by the parts that they are written in.

    A connection stays in its part for as long as it lasts, so that what becomes of it changes one
    entry of the store. A proxy that is said to be current and still is, or is again, changes none:
    the heartbeat says at which revision it is so.
    """

    parts: dict[int, dict[Connection, None]] = field(
        default_factory=dict[int, dict[Connection, None]]
    )
    part_of: dict[Connection, int] = field(default_factory=dict[Connection, int])
    roomy: set[int] = field(default_factory=set[int])
    stale: set[int] = field(default_factory=set[int])
    touched: set[Connection] = field(default_factory=set[Connection])
    current: set[Connection] = field(default_factory=set[Connection])  # as is written
    edition: int = 0  # until it is written
    # None: it is not known which are written
    findings: Sequence[Finding] | None = ()
    refusals: Sequence[Refusal] | None = ()
    refusals_written_at: float = 0.0

    def add(self, connection: Connection) -> None:
        number = min(self.roomy, default=len(self.parts))
        part = self.parts.setdefault(number, {})
        part[connection] = None
        self.part_of[connection] = number
        self.stale.add(number)
        if len(part) < PROXIES_IN_PART:
            self.roomy.add(number)
        else:
            self.roomy.discard(number)

    def remove(self, connection: Connection) -> None:
        number = self.part_of.pop(connection)
        del self.parts[number][connection]
        self.roomy.add(number)
        self.stale.add(number)
        self.touched.discard(connection)
        self.current.discard(connection)

    def touch(self, connection: Connection) -> None:
        if connection in self.part_of:
            self.touched.add(connection)

    def take_stale(self, is_current: Callable[[Connection], bool]) -> set[int]:
        """The parts that have to be written; they count as written."""
        touched, self.touched = self.touched, set()
        for connection in touched:
            if not (connection in self.current and is_current(connection)):
                self.stale.add(self.part_of[connection])
        stale, self.stale = self.stale, set()
        for connection in (each for number in stale for each in self.parts[number]):
            if is_current(connection):
                self.current.add(connection)
            else:
                self.current.discard(connection)
        return stale


@dataclass(frozen=True, slots=True)
class _News:
    """What has to be written of a mesh.

    Attributes:
        parts: Parts with rows by name; one without rows is to be removed.
        findings: All that is found wrong; None where that is the same as before.
        refusals: All who were refused of late; None where that is the same as before, or was
            written only just now.
    """

    parts: Mapping[str, Sequence[ProxyStatus]]
    findings: Sequence[Finding] | None
    refusals: Sequence[Refusal] | None

    def render(self, instance: str, now: float) -> dict[str, str | None]:
        contents = {
            name: render_rows(rows, now) if rows else None for name, rows in self.parts.items()
        }
        if self.findings is not None:
            name = findings_name(instance)
            contents[name] = render_findings(self.findings) if self.findings else None
        if self.refusals is not None:
            name = refusals_name(instance)
            contents[name] = render_refusals(self.refusals) if self.refusals else None
        return contents


class Publisher:
    """Tells the other replicas of this one's proxies. An observer of its distribution.

    Args:
        store: The store that the replicas share.
        distribution: Knows the proxies.
        replica: This replica's name.
        address: Its machine and where on it its API is.
    """

    def __init__(
        self, store: Store, distribution: Distribution, replica: str, address: str
    ) -> None:
        self._store = store
        self._distribution = distribution
        self._replica = replica
        self._address = address
        self.instance = secrets.token_hex(8)
        self._meshes: dict[MeshKey, _Parts] = {}
        self._editions = itertools.count(1)
        self._beats: frozenset[str] = frozenset()
        self._beaten_at = 0.0
        self._swept_at: float | None = None
        self._is_cut_off = False
        self._news = asyncio.Event()
        self._closing = asyncio.Event()
        distribution.observe(self)

    def retire_predecessor(self) -> None:
        """Have nobody believe that whoever had this replica's address before is still there.

        It was killed, else it would have the address, and its proxies come again. Should two have
        one address nevertheless, since machines are called alike, then the other one is believed
        again at its next heartbeat.

        Raises:
            StoreError: The store can't be used.
        """
        retired_at = self._store.now() - SILENCE_SECONDS - BEAT_SECONDS
        for instance, heartbeat in parse_heartbeats(self._store.entries(REPLICAS)).items():
            if heartbeat.address == self._address and heartbeat.at > retired_at:
                old = replace(heartbeat, at=retired_at)
                self._store.write_entries(REPLICAS, render_heartbeat(instance, old))

    # What it observes

    def arrived(self, connection: Connection) -> None:
        """A proxy has connected."""
        self._meshes.setdefault(connection.proxy.key.mesh, _Parts()).add(connection)
        self._news.set()

    def changed(self, connection: Connection) -> None:
        """It may have another status now."""
        parts = self._meshes.get(connection.proxy.key.mesh)
        if parts is not None:
            parts.touch(connection)
            self._news.set()

    def left(self, connection: Connection) -> None:
        """It has disconnected."""
        self._meshes[connection.proxy.key.mesh].remove(connection)
        self._news.set()

    def refused(self, mesh: MeshKey) -> None:
        """A proxy of a mesh was refused; further ones are told of with a heartbeat."""
        parts = self._meshes.setdefault(mesh, _Parts())
        if not parts.refusals:
            self._news.set()

    def advanced(self, mesh: MeshKey) -> None:
        """A mesh has another revision."""
        if mesh in self._meshes:
            self._news.set()

    # What it does

    async def run(self) -> None:
        """Publish until `close` is called, and then remove everything."""
        idle = BEAT_SECONDS - _PACE_SECONDS
        while not self._closing.is_set():
            await self._wait(self._news, idle if self._meshes or self._beats else None)
            await self._wait(self._closing, _GATHER_SECONDS)
            self._news.clear()
            await self._publish()
            await self._wait(self._closing, _PACE_SECONDS - _GATHER_SECONDS)
        for parts in self._meshes.values():
            for connection in list(parts.part_of):
                parts.remove(connection)
        if not self._is_cut_off:
            await self._publish()

    def close(self) -> None:
        """Have `run` end."""
        self._closing.set()
        self._news.set()

    async def _wait(self, event: asyncio.Event, seconds: float | None) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), seconds)

    async def _publish(self) -> None:
        """Write what has changed, as it is at this moment, and a heartbeat."""
        if not self._meshes and not self._beats:
            return
        if self._store.now() - self._beaten_at > 2 * SILENCE_SECONDS:
            # Others may have removed what was here, or this is the first time.
            self._forget_written()
        news = {mesh: self._take_news(mesh, parts) for mesh, parts in self._meshes.items()}
        standings = {
            mesh: Standing(self._distribution.revision(mesh), parts.edition, len(parts.part_of))
            for mesh, parts in self._meshes.items()
            if parts.part_of or parts.refusals
        }
        try:
            await asyncio.to_thread(self._write, news, standings)
        except Exception as error:
            self._forget_written()
            if not isinstance(error, StoreError):
                _log.exception("unexpected_error", doing="telling other replicas of proxies")
            elif not self._is_cut_off:
                _log.warning("proxies_not_published", error=str(error))
            self._is_cut_off = True
        else:
            self._is_cut_off = False
            for mesh in [mesh for mesh, parts in self._meshes.items() if not parts.part_of]:
                parts = self._meshes[mesh]
                if not (parts.stale or parts.refusals or self._distribution.refusals(mesh)):
                    del self._meshes[mesh]

    def _forget_written(self) -> None:
        """Have everything written anew, since it is not known what is there."""
        for parts in self._meshes.values():
            parts.stale.update(parts.parts)
            parts.findings = parts.refusals = None

    def _take_news(self, mesh: MeshKey, parts: _Parts) -> _News:
        """What has to be written of a mesh; it counts as written."""
        findings = self._distribution.find_unmet_needs(mesh) if parts.part_of else []
        is_same = parts.findings is not None and [*parts.findings] == findings
        stale = parts.take_stale(self._distribution.is_current)
        refusals = self._take_refusals(mesh, parts)
        if stale or not is_same or refusals is not None:
            parts.edition = next(self._editions)
        parts.findings = findings
        describe = self._distribution.describe
        return _News(
            {
                part_name(self.instance, number): [describe(each) for each in parts.parts[number]]
                for number in sorted(stale)
            },
            None if is_same else findings,
            refusals,
        )

    def _take_refusals(self, mesh: MeshKey, parts: _Parts) -> Sequence[Refusal] | None:
        """The refusals of a mesh where they have to be written; they count as written.

        Whoever is refused knocks again and again, which need not be told each time.
        """
        is_over = self._closing.is_set()
        refusals = [] if is_over else self._distribution.refusals(mesh)
        now = self._store.now()
        is_due = is_over or now - parts.refusals_written_at > BEAT_SECONDS - _PACE_SECONDS
        if parts.refusals is not None and ([*parts.refusals] == refusals or not is_due):
            return None
        parts.refusals, parts.refusals_written_at = refusals, now
        return refusals

    def _write(self, news: Mapping[MeshKey, _News], standings: Mapping[MeshKey, Standing]) -> None:
        """Write rows and then a heartbeat; or, without proxies, remove them. In a thread."""
        now = self._store.now()
        for mesh, of_mesh in news.items():
            contents = of_mesh.render(self.instance, now)
            if contents:
                self._store.write_entries(proxies_collection(mesh), contents)
        beats: dict[str, str] = {}
        if standings:
            if self._swept_at is None or now - self._swept_at > _SWEEP_SECONDS:
                _sweep(self._store)
                self._swept_at = now
            now = self._store.now()
            heartbeat = Heartbeat(self._replica, self._address, now, standings)
            beats = render_heartbeat(self.instance, heartbeat)
        gone = dict.fromkeys(self._beats - beats.keys())
        self._store.write_entries(REPLICAS, {**beats, **gone})
        self._beats = frozenset(beats)
        self._beaten_at = now


def _sweep(store: Store) -> None:
    """Remove what replicas that were killed have left behind."""
    heartbeats = parse_heartbeats(store.entries(REPLICAS))
    for instance, heartbeat in heartbeats.items():
        if store.now() - heartbeat.at <= _FORGOTTEN_SECONDS:
            continue
        for collection in (*map(proxies_collection, heartbeat.meshes), REPLICAS):
            names = [name for name in store.entries(collection) if instance_of(name) == instance]
            store.write_entries(collection, dict.fromkeys(names))
