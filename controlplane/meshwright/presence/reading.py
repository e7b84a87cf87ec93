"""Reads what the other replicas have written of their proxies, when somebody asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from meshwright.graph.findings import Finding
from meshwright.model.resources import MeshKey
from meshwright.presence.entries import (
    REPLICAS,
    Heartbeat,
    Row,
    Standing,
    describe,
    instance_of,
    is_findings,
    is_refusals,
    parse_findings,
    parse_heartbeats,
    parse_refusals,
    parse_rows,
    proxies_collection,
)
from meshwright.store import Store
from meshwright.xds.proxy_status import ProxyStatus
from meshwright.xds.refusals import Refusal


class ReplicaProxy(NamedTuple):
    """A proxy that is connected to another replica.

    Attributes:
        replica: That replica's name.
        status: What it says of the proxy; moments are by its clock.
    """

    replica: str
    status: ProxyStatus


class ReplicaRefusal(NamedTuple):
    """A proxy that another replica refused.

    Attributes:
        replica: That replica's name.
        refusal: What it says of that; moments are by its clock.
    """

    replica: str
    refusal: Refusal


class Elsewhere(NamedTuple):
    """What the other replicas say of a mesh.

    Attributes:
        proxies: The proxies that are connected to them, by their resources.
        findings: What those need from outside the mesh and can't get.
        refusals: The proxies that they refused of late.
    """

    proxies: list[ReplicaProxy]
    findings: list[Finding]
    refusals: list[ReplicaRefusal]


@dataclass(slots=True)
class _Known:
    """What one instance says of a mesh, as it was read last."""

    edition: int
    rows: list[Row] = field(default_factory=list[Row])
    findings: list[Finding] = field(default_factory=list[Finding])
    refusals: list[Refusal] = field(default_factory=list[Refusal])


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

    def read(self, mesh: MeshKey) -> Elsewhere:
        """What others say of a mesh now."""
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
            known = self._read_known(mesh, standings)
        self._remember(mesh, known, heartbeats)
        now = self._store.now()
        proxies = [
            ReplicaProxy(heartbeats[instance].replica, status)
            for instance, standing in standings.items()
            for status in describe(known[instance].rows, standing.revision, now)
        ]
        return Elsewhere(
            sorted(proxies, key=lambda each: (each.status.resource, each.replica)),
            [finding for instance in standings for finding in known[instance].findings],
            [
                ReplicaRefusal(heartbeats[instance].replica, refusal)
                for instance in standings
                for refusal in known[instance].refusals
            ],
        )

    def count(self) -> Counter[MeshKey]:
        """How many proxies of each mesh are connected to others."""
        counts: Counter[MeshKey] = Counter()
        for heartbeat in self._heartbeats().values():
            for mesh, standing in heartbeat.meshes.items():
                counts[mesh] += standing.proxies
        return counts

    def _read_known(self, mesh: MeshKey, standings: Mapping[str, Standing]) -> dict[str, _Known]:
        known = {instance: _Known(standing.edition) for instance, standing in standings.items()}
        for name, text in self._store.entries(proxies_collection(mesh)).items():
            of_instance = known.get(instance_of(name))
            if of_instance is None:
                continue
            if is_findings(name):
                of_instance.findings = parse_findings(text)
            elif is_refusals(name):
                of_instance.refusals = parse_refusals(text)
            else:
                of_instance.rows += parse_rows(text)
        return known

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
