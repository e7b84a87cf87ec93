"""The parts of a configuration that many proxies have in common: of a service, of an endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from meshwright.graph import Graph
from meshwright.model.resources import Resource, ResourceKey
from meshwright.translate.backends import Backend, Endpoint, find_backend, reach_under
from meshwright.translate.clusters import build_egress_cluster, find_endpoints_lookup
from meshwright.translate.lookups import EndpointsLookup
from meshwright.translate.packing import PackedResource, pack_resource
from meshwright.translate.routes import (
    PackedHost,
    pack_named_by_header_routes,
    pack_virtual_hosts,
)
from meshwright.translate.tls import find_client_tls


class ServicePart:
    """A virtual service that can be reached; the same for all that have the same policy for it.

    Args:
        backend: The service, resolved.

    Attributes:
        backend: The service, resolved.
        name: Its name.
        endpoints: Every endpoint that it leads to, by the name of its cluster.
        connections: What egress listeners know of it.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.name = backend.service.key.name
        self.endpoints = backend.endpoints
        self.connections = backend.connections

    @cached_property
    def hosts(self) -> tuple[PackedHost, ...]:
        """Its virtual hosts."""
        return pack_virtual_hosts(self.backend)

    @cached_property
    def named_by_header(self) -> bytes:
        """Its routes for requests of virtual gateways that name it in a header, serialized."""
        return pack_named_by_header_routes(self.backend)

    def under(self, policy: Mapping[str, Any] | None, apart: frozenset[str]) -> ServicePart:
        """The service under a client policy (see `reach_under`)."""
        part = ServicePart(reach_under(self.backend, policy, apart))
        if not apart:
            # Virtual hosts name clusters, and the names are the same.
            part.hosts = self.hosts
        return part


def find_service_part(graph: Graph, key: ResourceKey) -> ServicePart | None:
    """A virtual service's part, or None where it can't be reached."""
    backend = find_backend(graph, key)
    return None if backend is None else ServicePart(backend)


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class EndpointPart:
    """What a proxy gets for an endpoint that it reaches.

    Attributes:
        made_of: The mesh itself and the endpoint.
        cluster: Its cluster.
        lookup: How its hosts are looked up; None where Envoy asks DNS itself.
    """

    made_of: tuple[Resource | None, Endpoint]
    cluster: PackedResource
    lookup: EndpointsLookup | None


def build_endpoint_part(mesh: Resource | None, endpoint: Endpoint) -> EndpointPart:
    """An endpoint's part."""
    cluster = build_egress_cluster(mesh, endpoint, find_client_tls(endpoint))
    lookup = find_endpoints_lookup(mesh, endpoint)
    return EndpointPart((mesh, endpoint), pack_resource(cluster), lookup)
