"""Makes proxies' snapshots: what the mesh says, with what is looked up outside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

from meshwright.discovery.outside import LiveOutside
from meshwright.graph import Graph
from meshwright.translate import Proxy, Translator
from meshwright.translate.lookups import EndpointsLookup, Lookup
from meshwright.translate.packing import PackedResource, Resources, keep_same, pack_resource
from meshwright.xds.resources import (
    CLUSTER,
    ENDPOINT,
    LISTENER,
    ROUTE,
    SECRET,
    Snapshot,
)

_NO_SNAPSHOT: Final = Snapshot(0, {})
_NO_ENDPOINTS: Final[Resources] = {}

_LEFT_KEPT: Final = 5_000
"""For how many proxies that are gone something is remembered, however short that is."""


@dataclass(frozen=True, slots=True)
class _LookedUp:
    """What a lookup last found, and the resource that became of it."""

    found: Sequence[Any]
    resource: PackedResource


class Snapshots:
    """Makes snapshots, and of each only what has changed since the proxy's last one.

    Resources that have not changed are the very same objects as before, and where nothing of a
    type has changed, so is the mapping of all of that type.

    Args:
        outside: What is known outside the meshes.
    """

    def __init__(self, outside: LiveOutside) -> None:
        self._outside = outside
        self._translator = Translator()
        self._last: dict[Proxy, Snapshot] = {}
        self._left: dict[Proxy, float] = {}
        self._looked_up: WeakKeyDictionary[Lookup, _LookedUp] = WeakKeyDictionary()

    def build(self, graph: Graph, proxy: Proxy) -> Snapshot:
        """What a proxy should have now.

        Raises:
            KeyError: The mesh has no such virtual node or virtual gateway.
        """
        self._left.pop(proxy, None)
        resources = self._translator.translate(graph, proxy)
        self._outside.need(proxy.key, resources.lookups)
        endpoints, secrets = _NO_ENDPOINTS, resources.secrets
        pending: frozenset[tuple[str, str]] = frozenset()
        if resources.lookups:
            before = self._last.get(proxy, _NO_SNAPSHOT)
            found, pending = self._look_up(resources.lookups)
            endpoints = keep_same(before.of_type(ENDPOINT), found[ENDPOINT])
            secrets = keep_same(before.of_type(SECRET), {**secrets, **found[SECRET]})
        snapshot = self._last[proxy] = Snapshot(
            graph.head.revision,
            {
                CLUSTER: resources.clusters,
                ENDPOINT: endpoints,
                LISTENER: resources.listeners,
                ROUTE: resources.routes,
                SECRET: secrets,
            },
            pending,
        )
        return snapshot

    def leave(self, proxy: Proxy, now: float) -> None:
        """Take note that a proxy is gone. What is remembered for it is kept until it is forgotten.

        Args:
            proxy: The proxy.
            now: A clock's seconds.
        """
        self._left[proxy] = now
        if len(self._left) > _LEFT_KEPT:
            self._forget(next(iter(self._left)))

    def forget(self, before: float) -> bool:
        """Drop what is remembered for those who have been gone since a time.

        Returns:
            Whether there are others who are gone.
        """
        while self._left:
            proxy, since = next(iter(self._left.items()))
            if since > before:
                return True
            self._forget(proxy)
        return False

    def _forget(self, proxy: Proxy) -> None:
        del self._left[proxy]
        self._last.pop(proxy, None)
        self._translator.forget(proxy)

    def _look_up(
        self, lookups: Sequence[Lookup]
    ) -> tuple[dict[str, dict[str, PackedResource]], frozenset[tuple[str, str]]]:
        """The resources that lookups became, by type, and types and names of those to come."""
        resources: dict[str, dict[str, PackedResource]] = {ENDPOINT: {}, SECRET: {}}
        pending: set[tuple[str, str]] = set()
        for lookup in lookups:
            type_url = ENDPOINT if isinstance(lookup, EndpointsLookup) else SECRET
            resource = self._find(lookup)
            if resource is None:
                pending.add((type_url, lookup.name))
            else:
                resources[type_url][lookup.name] = resource
        return resources, frozenset(pending)

    def _find(self, lookup: Lookup) -> PackedResource | None:
        found = lookup.find(self._outside)
        if found is None:
            return None
        known = self._looked_up.get(lookup)
        if known is None or known.found != found:
            # Pyright can't tell that what a lookup finds is what it is built from.
            resource = pack_resource(lookup.build_from(found))  # pyright: ignore[reportArgumentType]
            known = self._looked_up[lookup] = _LookedUp(found, resource)
        return known.resource
