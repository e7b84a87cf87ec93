"""What is remembered of proxies across their streams: what they last accepted, and what not.

Kept for each virtual node or gateway as long as it exists, and within it for each way in which its
proxies' configurations differ (see `Proxy`). Proxies that say addresses of their own may differ
without end, so of ways in which no proxy is connected only the latest few are kept.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any, Final

from meshwright.model.resources import ResourceKey
from meshwright.translate import Proxy
from meshwright.xds.resources import ENDPOINT, SECRET, PackedResource, Snapshot
from meshwright.xds.subscription import REJECTIONS_KEPT

UNCONNECTED_KEPT: Final = 16
"""Of how many ways without a connected proxy a virtual node's records are kept."""

Contents = frozenset[tuple[str, str, str]]


def _remember_rejections() -> deque[Contents]:
    return deque(maxlen=REJECTIONS_KEPT)


@dataclass(slots=True)
class ProxyRecord:
    """What is remembered of one way in which a virtual node's proxies are configured.

    Attributes:
        last_good: The last configuration that was acknowledged as a whole.
        rejected: Type, name and version of what was refused together, refusal by refusal.
        rejection: The last refusal, until a later configuration is accepted.
        failure: Why the configuration could not be built the last time, told like a refusal.
        stand_in: What was last offered in the place of what would be refused.
        streams: How many streams there are of such proxies.
    """

    last_good: Snapshot | None = None
    rejected: deque[Contents] = field(default_factory=_remember_rejections)
    rejection: dict[str, Any] | None = None
    failure: dict[str, Any] | None = None
    stand_in: Snapshot | None = None
    streams: int = 0

    def choose(self, snapshot: Snapshot) -> Snapshot:
        """What to offer of what there is now: the last good, where that would be refused again.

        Endpoints and secrets go on changing by themselves, so the last good gets those of today.
        """
        if not self.rejected or self.last_good is None:
            return snapshot
        contents = snapshot.contents()
        refused = [each for each in self.rejected if each <= contents]
        if not refused:
            return snapshot
        known_bad = frozenset[tuple[str, str, str]]().union(*refused)
        chosen = _refresh(self.last_good, snapshot, known_bad)
        if chosen != self.stand_in:
            self.stand_in = chosen
        return self.stand_in or chosen


@dataclass(slots=True)
class _NodeRecords:
    """The records of one virtual node: those in use, and those left, the latest last."""

    connected: dict[Proxy, ProxyRecord] = field(default_factory=dict[Proxy, ProxyRecord])
    left: dict[Proxy, ProxyRecord] = field(default_factory=dict[Proxy, ProxyRecord])

    def forget_too_many(self) -> None:
        if len(self.left) > UNCONNECTED_KEPT:
            del self.left[next(iter(self.left))]


class ProxyRecords:
    """The records of all proxies."""

    def __init__(self) -> None:
        self._nodes: dict[ResourceKey, _NodeRecords] = {}

    def arrive(self, proxy: Proxy) -> ProxyRecord:
        """The record of a proxy that comes; other streams of equal proxies share it."""
        node = self._nodes.setdefault(proxy.key, _NodeRecords())
        record = node.connected.get(proxy) or node.left.pop(proxy, None) or ProxyRecord()
        node.connected[proxy] = record
        record.streams += 1
        return record

    def leave(self, proxy: Proxy, record: ProxyRecord) -> None:
        """Take note that a stream of a proxy has ended, and forget what is too much."""
        record.streams -= 1
        node = self._nodes.get(proxy.key)
        if record.streams or node is None or node.connected.get(proxy) is not record:
            return
        node.left[proxy] = node.connected.pop(proxy)
        node.forget_too_many()

    def recall(self, proxy: Proxy) -> ProxyRecord:
        """The record of proxies, of which there need be none."""
        node = self._nodes.setdefault(proxy.key, _NodeRecords())
        record = node.connected.get(proxy) or node.left.get(proxy)
        if record is None:
            record = node.left[proxy] = ProxyRecord()
            node.forget_too_many()
        return record

    def forget(self, key: ResourceKey) -> None:
        """Forget everything of a virtual node or gateway that was deleted."""
        self._nodes.pop(key, None)


def _refresh(good: Snapshot, newer: Snapshot, refused: Contents) -> Snapshot:
    """A snapshot with the endpoints and secrets of a newer one, where they were not refused."""
    fresh: dict[str, dict[str, PackedResource]] = {}
    pending = set(good.pending)
    for type_url in (ENDPOINT, SECRET):
        fresh[type_url] = dict(good.of_type(type_url))
        for name in (*good.of_type(type_url), *good.pending_of(type_url)):
            resource = newer.of_type(type_url).get(name)
            if resource is not None and (type_url, name, resource.version) not in refused:
                fresh[type_url][name] = resource
                pending.discard((type_url, name))
    return replace(good, resources={**good.resources, **fresh}, pending=frozenset(pending))
