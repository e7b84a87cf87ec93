"""Reads what the other replicas have written of their proxies, when somebody asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from meshwright.model.resources import MeshKey
from meshwright.presence.entries import (
    REPLICAS,
    Heartbeat,
    instance_of,
    parse_heartbeats,
    parse_rows,
    proxies_collection,
)
from meshwright.store import Store
from meshwright.xds.proxy_status import ProxyStatus


class ReplicaProxy(NamedTuple):
    """A proxy that is connected to another replica.

    Attributes:
        replica: That replica's name.
        status: What it says of the proxy; moments are by its clock.
    """

    replica: str
    status: ProxyStatus


@dataclass(frozen=True, slots=True)
class _Known:
    """The rows of one instance and mesh, as they were read last."""

    edition: int
    parts: Sequence[str]


class OtherReplicas:
    """What the other replicas say. Its methods wait for the store, and raise its StoreErrors.

    Rows that are the same as before are not read again.

    Args:
        store: The store that the replicas share.
        instance: This replica's own instance, which is left out.
    """

    def __init__(self, store: Store, instance: str) -> None:
        self._store = store
        self._instance = instance
        self._known: dict[MeshKey, dict[str, _Known]] = {}

    def proxies(self, mesh: MeshKey) -> list[ReplicaProxy]:
        """The proxies of a mesh that are connected to others, by their resources."""
        heartbeats = self._heartbeats()
        standings = {
            instance: heartbeat.meshes[mesh]
            for instance, heartbeat in heartbeats.items()
            if mesh in heartbeat.meshes
        }
        known = self._known.get(mesh, {})
        if any(
            instance not in known or known[instance].edition != standing.edition
            for instance, standing in standings.items()
        ):
            parts: dict[str, list[str]] = {instance: [] for instance in standings}
            for name, text in self._store.entries(proxies_collection(mesh)).items():
                if instance_of(name) in parts:
                    parts[instance_of(name)].append(text)
            known = {
                instance: _Known(standing.edition, parts[instance])
                for instance, standing in standings.items()
            }
        self._remember(mesh, known, heartbeats)
        now = self._store.now()
        found = [
            ReplicaProxy(heartbeats[instance].replica, status)
            for instance, standing in standings.items()
            for status in parse_rows(known[instance].parts, standing.revision, now)
        ]
        return sorted(found, key=lambda each: (each.status.resource, each.replica))

    def count(self) -> Counter[MeshKey]:
        """How many proxies of each mesh are connected to others."""
        counts: Counter[MeshKey] = Counter()
        for heartbeat in self._heartbeats().values():
            for mesh, standing in heartbeat.meshes.items():
                counts[mesh] += standing.proxies
        return counts

    def _remember(
        self, mesh: MeshKey, known: dict[str, _Known], heartbeats: dict[str, Heartbeat]
    ) -> None:
        """Remember the rows of meshes that others have proxies of, and of no others."""
        present = {mesh for heartbeat in heartbeats.values() for mesh in heartbeat.meshes}
        rows = {**self._known, mesh: known}
        self._known = {each: rows[each] for each in rows if each in present}

    def _heartbeats(self) -> dict[str, Heartbeat]:
        """What those say that are believed to be there."""
        found = parse_heartbeats(self._store.entries(REPLICAS))
        now = self._store.now()
        return {
            instance: heartbeat
            for instance, heartbeat in found.items()
            if instance != self._instance and heartbeat.is_fresh(now)
        }
