"""The translation itself: which resources a proxy gets.

A configuration is put together from parts, and each is kept for as long as what it is made of
stays the same:

    of a virtual service ... its backend, resolved; its virtual hosts    } once for all proxies
    of an endpoint ......... its cluster; how its hosts are looked up    } that reach it
    of a proxy alone ....... its own clusters, listeners and routes
    of both ................ its egress listeners and routes, its secrets
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from weakref import WeakValueDictionary

from meshwright.graph import Graph
from meshwright.model.resources import MeshKey, ResourceKey
from meshwright.translate.backends import (
    Endpoint,
    find_client_policy,
    part_clusters,
)
from meshwright.translate.lookups import Lookup
from meshwright.translate.owners import OwnPart, build_own_part
from meshwright.translate.packing import Resources, keep_same, pack_all
from meshwright.translate.parts import (
    EndpointPart,
    ServicePart,
    build_endpoint_part,
    find_service_part,
)
from meshwright.translate.proxies import Proxy
from meshwright.translate.secrets import FileSource, MappedSource
from meshwright.translate.tls import secret_sources
from meshwright.translate.tracking import Last, Tracked, track


def _nothing() -> Resources:
    return {}


@dataclass(frozen=True, slots=True)
class ProxyResources:
    """Everything that a proxy gets, by Envoy's kinds of resource.

    Attributes:
        clusters: Its clusters.
        listeners: Its listeners.
        routes: Its route configurations.
        secrets: Its secrets.
        lookups: The endpoints and secrets that have to be looked up outside the mesh.
    """

    clusters: Resources = field(default_factory=_nothing)
    listeners: Resources = field(default_factory=_nothing)
    routes: Resources = field(default_factory=_nothing)
    secrets: Resources = field(default_factory=_nothing)
    lookups: tuple[Lookup, ...] = ()


def translate(graph: Graph, proxy: Proxy) -> ProxyResources:
    """The Envoy resources of one proxy.

    A pure function: the same graph and proxy give equal resources, in the same order, on every
    replica. A proxy gets what its backends or gateway routes need and nothing else.

    Args:
        graph: The mesh.
        proxy: The proxy of one of its virtual nodes or virtual gateways.

    Raises:
        KeyError: The mesh has no such resource.
    """
    return Translator().translate(graph, proxy)


class Translator:
    """Translates proxies again and again, each time only what has changed.

    What it remembers spares work and decides nothing: its answers are those of `translate`. What
    is as it was before is the very same object: a resource, all resources of a kind, everything.
    It remembers the last answer for each proxy until that is forgotten, and what these are made of.
    """

    def __init__(self) -> None:
        self._meshes: dict[MeshKey, _MeshMemory] = {}
        self._numbers = count()

    def translate(self, graph: Graph, proxy: Proxy) -> ProxyResources:
        """The Envoy resources of one proxy, as `translate` has them.

        Raises:
            KeyError: The mesh has no such resource.
        """
        key = proxy.key.mesh
        memory = self._meshes.get(key)
        if memory is None or memory.graph is not graph:
            if memory is None:
                memory = self._meshes[key] = _MeshMemory(graph)
            memory.graph, memory.number = graph, next(self._numbers)
        try:
            return memory.translate(proxy)
        finally:
            self._drop_unused(key)

    def forget(self, proxy: Proxy) -> None:
        """Drop what is remembered for a proxy, and for nobody else."""
        memory = self._meshes.get(proxy.key.mesh)
        if memory is not None:
            memory.proxies.pop(proxy, None)
            self._drop_unused(proxy.key.mesh)

    def _drop_unused(self, mesh: MeshKey) -> None:
        if not self._meshes[mesh].proxies:
            del self._meshes[mesh]


@dataclass(frozen=True, slots=True)
class _Reached:
    """What a proxy gets for its endpoints.

    Attributes:
        parts: The endpoints' own parts.
        clusters: All its clusters.
        secrets: Its secrets.
        lookups: What has to be looked up.
    """

    parts: tuple[EndpointPart, ...]
    clusters: Resources
    secrets: Resources
    lookups: tuple[Lookup, ...]


class _ProxyMemory:
    """What a proxy's last configuration was put together from."""

    __slots__ = ("last", "listeners", "own", "parted", "reached", "routes", "services")

    def __init__(self, own: Tracked[OwnPart]) -> None:
        self.own = own
        self.services: Sequence[Tracked[ServicePart | None]] = ()
        self.parted: dict[str, _Parted] = {}
        self.reached = Last[_Reached]()
        self.listeners = Last[Resources]()
        self.routes = Last[Resources]()
        self.last = ProxyResources()


@dataclass(frozen=True, slots=True)
class _Parted:
    """A service under a proxy's client policy.

    Attributes:
        own: The proxy's own part.
        policy: The client policy.
        plain: The service.
        apart: The clusters that it must not share with other services.
        service: The service under the policy.
    """

    own: OwnPart
    policy: Mapping[str, Any] | None
    plain: ServicePart
    apart: frozenset[str]
    service: ServicePart


class _MeshMemory:
    """What the configurations of one mesh's proxies are made of.

    What several have in common lives as long as one of them has it.

    Attributes:
        graph: The mesh as it was last seen.
        number: Tells that graph from all others.
        proxies: What is remembered of each proxy.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.number = -1
        self.proxies: dict[Proxy, _ProxyMemory] = {}
        self._services: WeakValueDictionary[ResourceKey, Tracked[ServicePart | None]] = (
            WeakValueDictionary()
        )
        self._endpoints: WeakValueDictionary[tuple[str, str], EndpointPart] = WeakValueDictionary()

    def translate(self, proxy: Proxy) -> ProxyResources:
        """The Envoy resources of one proxy."""
        memory = self._recall(proxy)
        own = memory.own.value
        memory.services = self._find_services(own, memory.services)
        services = [each.value for each in memory.services if each.value is not None]
        if own.has_policies:
            services = _part_by_policy(own, services, memory.parted)

        before = memory.last
        reached = memory.reached.get(
            (own, *[each.endpoints for each in services]),
            lambda: self._reach(own, services, before),
        )
        listeners = memory.listeners.get(
            (own, *[each.connections for each in services]),
            lambda: keep_same(before.listeners, _build_listeners(own, services)),
        )
        routes = memory.routes.get(
            (own, *services), lambda: keep_same(before.routes, _build_routes(own, services))
        )
        memory.last = ProxyResources(
            reached.clusters, listeners, routes, reached.secrets, reached.lookups
        )
        return memory.last

    def _recall(self, proxy: Proxy) -> _ProxyMemory:
        memory = self.proxies.get(proxy)
        if memory is None or not memory.own.holds(self.graph, self.number):
            own = track(self.graph, self.number, lambda graph: build_own_part(graph, proxy))
            if memory is None:
                memory = self.proxies[proxy] = _ProxyMemory(own)
            memory.own = own
            memory.services = ()  # it may name others
        return memory

    def _find_services(
        self, own: OwnPart, before: Sequence[Tracked[ServicePart | None]]
    ) -> Sequence[Tracked[ServicePart | None]]:
        """A proxy's services, the same ones where they hold: few change at once."""
        if len(before) != len(own.services):
            return [self._find_service(key) for key in own.services]
        return [
            known if known.checked == self.number else self._find_service(key)
            for known, key in zip(before, own.services, strict=True)
        ]

    def _find_service(self, key: ResourceKey) -> Tracked[ServicePart | None]:
        found = self._services.get(key)
        if found is None or not found.holds(self.graph, self.number):
            found = track(self.graph, self.number, lambda graph: find_service_part(graph, key))
            self._services[key] = found
        return found

    def _reach(
        self, own: OwnPart, services: Sequence[ServicePart], before: ProxyResources
    ) -> _Reached:
        """What a proxy gets for the endpoints of its backends, each once, by cluster."""
        endpoints: dict[str, Endpoint] = {}
        for service in services:
            endpoints.update(service.endpoints)
        wanted = [endpoints[name] for name in sorted(endpoints)]
        parts = tuple(self._find_endpoint(own, each) for each in wanted)
        sources = secret_sources(own.owner, wanted)
        clusters = {
            **own.resources.clusters,
            **{each.cluster.name: each.cluster for each in parts},
            **own.resources.outside_clusters,
        }
        secrets = pack_all(each.build() for each in sources if isinstance(each, FileSource))
        lookups = (
            *(each.lookup for each in parts if each.lookup is not None),
            *(each.build_lookup() for each in sources if isinstance(each, MappedSource)),
        )
        return _Reached(
            parts,
            keep_same(before.clusters, clusters),
            keep_same(before.secrets, secrets),
            before.lookups if before.lookups == lookups else lookups,
        )

    def _find_endpoint(self, own: OwnPart, endpoint: Endpoint) -> EndpointPart:
        policy = endpoint.policy
        key = (endpoint.cluster, "" if policy is None else json.dumps(policy, sort_keys=True))
        found = self._endpoints.get(key)
        if found is None or found.made_of != (own.mesh, endpoint):
            found = self._endpoints[key] = build_endpoint_part(own.mesh, endpoint)
        return found


def _part_by_policy(
    own: OwnPart, services: Sequence[ServicePart], known: dict[str, _Parted]
) -> list[ServicePart]:
    """Services under the client policies of a proxy's resource.

    Args:
        own: The proxy's own part.
        services: The services, by name.
        known: How they were parted before; brought up to date.
    """
    policies: list[Mapping[str, Any] | None] = []
    for service in services:
        before = known.get(service.name)
        policies.append(
            before.policy
            if before is not None and before.own is own
            else find_client_policy(own.owner, service.name)
        )
    reached = [(policy, each.endpoints) for policy, each in zip(policies, services, strict=True)]
    parted: dict[str, _Parted] = {}
    for service, policy, apart in zip(services, policies, part_clusters(reached), strict=True):
        before = known.get(service.name)
        if (
            before is None
            or before.own is not own
            or before.plain is not service
            or before.apart != apart
        ):
            before = _Parted(own, policy, service, apart, service.under(policy, apart))
        parted[service.name] = before
    known.clear()
    known.update(parted)
    return [each.service for each in parted.values()]


def _build_listeners(own: OwnPart, services: Sequence[ServicePart]) -> Resources:
    backends = tuple(each.connections for each in services)
    return {**own.resources.listeners, **pack_all(own.build_egress_listeners(backends))}


def _build_routes(own: OwnPart, services: Sequence[ServicePart]) -> Resources:
    egress = own.pack_egress_routes(services)
    return {**own.resources.routes, egress.name: egress}
