"""How the replicas' proxies lie in the store: heartbeats, and rows in parts.

    collection            name           holds
    replicas              INSTANCE/PART  {"replica": NAME, "address": ADDRESS, "at": MOMENT,
                                          "meshes": [
                                           [OWNER, MESH, REVISION, EDITION, PROXIES], ...]}
    proxies/OWNER/MESH    INSTANCE/PART      [a row for each proxy: see `render_rows`, ...]
    proxies/OWNER/MESH    INSTANCE/findings  [[RESOURCE, CODE, FIELD, MESSAGE, REMEDY], ...]
    proxies/OWNER/MESH    INSTANCE/refusals  [[RESOURCE, NODE_ID, PEER, REASON, COUNT, ...], ...]

An instance is a replica from its start to its end, so that no two ever write to the same entry,
whatever they are called. A heartbeat says which revision an instance has offered to a mesh's
proxies and, by its edition, whether their rows are the same as before; rows are written before the
heartbeat that tells of them. So whoever reads a heartbeat and then the rows reads rows that are no
older, and what a row calls current is current at that heartbeat's revision at least.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, field, replace
from itertools import islice
from typing import Any, Final, TypeAlias

from meshwright.graph.findings import Finding
from meshwright.model.resources import MeshKey
from meshwright.xds.proxy_status import STANDS_AT, ProxyStatus
from meshwright.xds.refusals import Refusal

REPLICAS: Final = "replicas"
"""The collection of heartbeats."""

BEAT_SECONDS: Final = 5.0
"""How often a replica with proxies says that it is there."""

SILENCE_SECONDS: Final = 15.0
"""For how long a replica that says nothing more is believed to be there."""

PROXIES_IN_PART: Final = 16
"""How many rows one entry holds. With rows of at most 24 KB, it fits into an item of DynamoDB."""

Row: TypeAlias = list[Any]
"""A proxy as it is written."""

_FINDINGS: Final = "findings"
_REFUSALS: Final = "refusals"
_MAX_FINDINGS: Final = 100
_MESHES_IN_BEAT: Final = 300
_MAX_DETAIL: Final = 2_000
_MAX_VERSION: Final = 100
_MAX_NAMES: Final = 1_000
_MAX_NODE_ID: Final = 600
_MAX_REASON: Final = 1_000
"""How many characters others are told of a rejection's text, an Envoy's version, the names of
rejected resources, and a refused proxy's id and the reason; the log has all of it, and so has the
status through the proxy's own replica."""

_to_json: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a mesh's proxies have come at a replica.

    Attributes:
        revision: The mesh's revision that was offered to them.
        edition: Another number whenever rows have changed.
        proxies: How many there are.
    """

    revision: int
    edition: int
    proxies: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a replica says of itself.

    Attributes:
        replica: Its name.
        address: Its machine and where on it its API is.
        at: When, by the store's clock.
        meshes: Those of which it has proxies.
    """

    replica: str
    address: str
    at: float
    meshes: Mapping[MeshKey, Standing] = field(default_factory=dict[MeshKey, Standing])

    def is_fresh(self, now: float) -> bool:
        """Whether the replica is believed to be there."""
        return now - self.at <= SILENCE_SECONDS


def proxies_collection(mesh: MeshKey) -> str:
    """The collection with the rows of a mesh's proxies."""
    return f"proxies/{mesh.owner}/{mesh.name}"


def part_name(instance: str, number: int) -> str:
    """The name of a part of what an instance has written."""
    return f"{instance}/{number}"


def instance_of(name: str) -> str:
    """The instance that an entry is of."""
    return name.partition("/")[0]


def findings_name(instance: str) -> str:
    """The name of what an instance has found wrong."""
    return f"{instance}/{_FINDINGS}"


def is_findings(name: str) -> bool:
    """Whether an entry holds findings, and no rows."""
    return name.endswith(f"/{_FINDINGS}")


def refusals_name(instance: str) -> str:
    """The name of those whom an instance has refused."""
    return f"{instance}/{_REFUSALS}"


def is_refusals(name: str) -> bool:
    """Whether an entry holds refusals, and no rows."""
    return name.endswith(f"/{_REFUSALS}")


def render_heartbeat(instance: str, heartbeat: Heartbeat) -> dict[str, str]:
    """A heartbeat as entries; one, unless there are very many meshes."""
    meshes = [
        [*mesh, standing.revision, standing.edition, standing.proxies]
        for mesh, standing in heartbeat.meshes.items()
    ]
    return {
        part_name(instance, number): _to_json(
            {
                "replica": heartbeat.replica,
                "address": heartbeat.address,
                "at": heartbeat.at,
                "meshes": part,
            }
        )
        for number, part in enumerate(
            meshes[start : start + _MESHES_IN_BEAT]
            for start in range(0, len(meshes), _MESHES_IN_BEAT)
        )
    }


def parse_heartbeats(entries: Mapping[str, str]) -> dict[str, Heartbeat]:
    """The heartbeats of all instances."""
    found: dict[str, Heartbeat] = {}
    for name, text in entries.items():
        content: dict[str, Any] = json.loads(text)
        instance = instance_of(name)
        before = found.get(instance)
        meshes = {
            MeshKey(owner, mesh): Standing(revision, edition, proxies)
            for owner, mesh, revision, edition, proxies in content["meshes"]
        }
        found[instance] = Heartbeat(
            replica=content["replica"],
            address=content["address"],
            # Parts are written together; while that is under way, the older one counts.
            at=min(content["at"], before.at) if before else content["at"],
            meshes={**before.meshes, **meshes} if before else meshes,
        )
    return found


def render_rows(proxies: Iterable[ProxyStatus], now: float) -> str:
    """A part: proxies' statuses, with the moment since when each is behind for its lag.

    Args:
        proxies: The proxies.
        now: The time by the store's clock.
    """
    rows = [
        [
            *(each.resource, each.node_id, each.peer, each.envoy_version[:_MAX_VERSION]),
            *(each.connected_at, each.acknowledged_at, each.acknowledged_revision),
            None if each.is_current else round(now - each.lag, 3),
            _shorten(each.rejection),
        ]
        for each in proxies
    ]
    return _to_json(rows)


def parse_rows(part: str) -> list[Row]:
    """The rows of a part, for `describe`."""
    return json.loads(part)


def describe(rows: Iterable[Row], revision: int, now: float) -> Iterator[ProxyStatus]:
    """The proxies of an instance's rows.

    Args:
        rows: The rows.
        revision: What the instance has offered: what those that are current have.
        now: The time by the store's clock.
    """
    for *facts, acknowledged_revision, behind_since, rejection in rows:
        is_current = behind_since is None
        if rejection is not None and STANDS_AT in rejection:
            rejection = rejection | {STANDS_AT: revision}
        yield ProxyStatus(
            *facts,
            acknowledged_revision=revision if is_current else acknowledged_revision,
            is_current=is_current,
            lag=0.0 if is_current else max(0.0, now - behind_since),
            rejection=rejection,
        )


def render_findings(findings: Iterable[Finding]) -> str:
    """What is wrong of what proxies need from outside their mesh."""
    return _to_json([astuple(each) for each in islice(findings, _MAX_FINDINGS)])


def parse_findings(text: str) -> list[Finding]:
    """The findings of an instance."""
    return [Finding(*each) for each in json.loads(text)]


def render_refusals(refusals: Iterable[Refusal]) -> str:
    """Proxies that were refused."""
    return _to_json(
        [
            astuple(
                replace(each, node_id=each.node_id[:_MAX_NODE_ID], reason=each.reason[:_MAX_REASON])
            )
            for each in refusals
        ]
    )


def parse_refusals(text: str) -> list[Refusal]:
    """The refusals of an instance."""
    return [Refusal(*each) for each in json.loads(text)]


def _shorten(rejection: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if rejection is None:
        return None
    detail: str = rejection["detail"]
    if len(detail) > _MAX_DETAIL:
        detail = f"{detail[:_MAX_DETAIL]}..."
    names: list[str] = []
    left = _MAX_NAMES
    for name in rejection["resources"]:
        left -= len(name)
        if left < 0:
            break
        names.append(name)
    return {**rejection, "detail": detail, "resources": names}
