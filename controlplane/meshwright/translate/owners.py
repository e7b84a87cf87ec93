"""What a proxy gets by its own virtual node or virtual gateway.

`OwnPart` holds what depends on the proxy, its resource and the mesh itself alone, and makes what
depends on the backends too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from google.protobuf.message import Message

from meshwright.graph import Graph
from meshwright.model.ports import TCP
from meshwright.model.resources import Kind, Resource, ResourceKey
from meshwright.translate.addresses import find_addresses
from meshwright.translate.backends import Backend, has_client_policies, services_named_by
from meshwright.translate.clusters import (
    build_ingress_cluster,
    build_open_egress_cluster,
    build_original_destination_cluster,
    build_self_redirect_cluster,
)
from meshwright.translate.egress import (
    build_explicit_egress_listeners,
    build_gateway_egress_listener,
    build_transparent_egress_listener,
)
from meshwright.translate.gateways import (
    build_gateway_routes,
    gateway_routes_of,
    redirect_protocol,
)
from meshwright.translate.listeners import build_gateway_listeners, build_ingress_listeners
from meshwright.translate.names import aws_egress_cluster_name, open_egress_cluster_name
from meshwright.translate.packing import PackedResource, Resources, pack_all
from meshwright.translate.parts import ServicePart
from meshwright.translate.proxies import Interception, Proxy
from meshwright.translate.routes import (
    PackedHost,
    build_ingress_routes,
    pack_egress_routes,
    pack_named_by_header_host,
    pack_no_backend_host,
    pack_self_check_host,
)
from meshwright.translate.tracking import Last

_DNS_CACHE: Final[dict[str, Any]] = {"name": "egress", "dns_lookup_family": "AUTO"}
_LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True, eq=False)
class OwnResources:
    """What depends on a proxy, its resource and the mesh itself alone.

    Attributes:
        clusters: The clusters that stand before those of its endpoints.
        outside_clusters: The clusters that stand after them.
        listeners: The listeners that don't depend on its backends.
        routes: The route configurations that don't.
    """

    clusters: Resources
    outside_clusters: Resources
    listeners: Resources
    routes: Resources


class OwnPart(Protocol):
    """What a proxy gets by its own resource.

    Attributes:
        owner: Its virtual node or virtual gateway.
        mesh: The mesh itself.
        services: The keys of the virtual services that it names, by name.
        has_policies: Whether it says how TLS is spoken to any of them.
        resources: What it has whatever these are.
    """

    owner: Resource
    mesh: Resource | None
    services: tuple[ResourceKey, ...]
    has_policies: bool
    resources: OwnResources

    def build_egress_listeners(self, backends: tuple[Backend, ...]) -> Iterable[Message]:
        """The listeners that depend on its backends.

        Args:
            backends: What is to be known of them where a connection comes.
        """
        ...

    def pack_egress_routes(self, services: Sequence[ServicePart]) -> PackedResource:
        """The route configuration that depends on its backends."""
        ...


class NodePart:
    """What the proxy of a virtual node gets by that.

    Args:
        graph: The mesh; the node, and the mesh itself, are looked up in it.
        proxy: The proxy.
    """

    def __init__(self, graph: Graph, proxy: Proxy) -> None:
        self.owner = node = graph.resources[proxy.key]
        self.mesh = graph.mesh
        self.services = services_named_by(graph, node)
        self.has_policies = has_client_policies(node)
        self._proxy = proxy
        self._no_backend_host = Last[bytes]()
        self._addresses = addresses = find_addresses(self.mesh, node, proxy)
        is_open = _egress_is_open(self.mesh)
        self._open_cluster = open_egress_cluster_name(node.key.mesh.name) if is_open else None
        listeners = node.spec.get("listeners", ())
        self.resources = OwnResources(
            clusters=pack_all(
                build_ingress_cluster(node, each, addresses.application) for each in listeners
            ),
            outside_clusters=pack_all(self._build_outside_clusters()),
            listeners=pack_all(build_ingress_listeners(node, proxy, addresses)),
            routes=pack_all(
                build_ingress_routes(node, each)
                for each in listeners
                if each["portMapping"]["protocol"] != TCP
            ),
        )

    def _build_outside_clusters(self) -> Iterable[Message]:
        """Where goes what is for no backend.

        Redirected traffic goes where it wanted to go, to AWS's endpoints even if egress is closed;
        explicit traffic to the host that it names.
        """
        open_cluster = self._open_cluster
        if self._proxy.interception is Interception.TRANSPARENT:
            name = open_cluster or aws_egress_cluster_name(self.owner.key.mesh.name)
            yield build_original_destination_cluster(name)
        elif open_cluster is not None:
            yield build_open_egress_cluster(open_cluster, _DNS_CACHE)

    def build_egress_listeners(self, backends: tuple[Backend, ...]) -> Iterable[Message]:
        """The listeners for what leaves the proxy."""
        node, proxy, addresses = self.owner, self._proxy, self._addresses
        is_open = self._open_cluster is not None
        if proxy.interception is Interception.EXPLICIT:
            dns_cache = _DNS_CACHE if is_open else None
            return build_explicit_egress_listeners(node, proxy, addresses, backends, dns_cache)
        return [
            build_transparent_egress_listener(node, proxy, addresses, backends, open_egress=is_open)
        ]

    def pack_egress_routes(self, services: Sequence[ServicePart]) -> PackedResource:
        """The route configuration of what leaves the proxy."""
        names = tuple([service.name for service in services])
        last = self._no_backend_host.get(
            names, lambda: pack_no_backend_host(self.owner, names, self._open_cluster)
        )
        return pack_egress_routes(_hosts_of(services), last=last)


class GatewayPart:
    """What the proxy of a virtual gateway gets by that.

    Its egress listener is for itself alone, so it is bound to loopback unless the proxy has an
    address of its own.

    Args:
        graph: The mesh; the gateway, its routes and the mesh itself are looked up in it.
        proxy: The proxy.
    """

    def __init__(self, graph: Graph, proxy: Proxy) -> None:
        self.owner = gateway = graph.resources[proxy.key]
        self.mesh = graph.mesh
        self.services = services_named_by(graph, gateway)
        self.has_policies = has_client_policies(gateway)
        self._self_check_host = pack_self_check_host(gateway)
        explicit = proxy.interception is Interception.EXPLICIT
        addresses = find_addresses(self.mesh, gateway, proxy)
        egress_address = addresses.listener if explicit else _LOOPBACK
        listeners: Sequence[Mapping[str, Any]] = gateway.spec["listeners"]
        protocols = {redirect_protocol(kind) for _, kind in gateway_routes_of(graph, gateway)}
        pool = next(iter(listeners[0].get("connectionPool", {"": {}}).values()))
        self.resources = OwnResources(
            clusters=pack_all(
                build_self_redirect_cluster(gateway, protocol, pool, egress_address)
                for protocol in sorted(protocols)
            ),
            outside_clusters={},
            listeners=pack_all(
                (
                    *build_gateway_listeners(gateway, addresses),
                    build_gateway_egress_listener(gateway, egress_address),
                )
            ),
            routes=pack_all(build_gateway_routes(graph, gateway, each) for each in listeners),
        )

    def build_egress_listeners(self, backends: tuple[Backend, ...]) -> Iterable[Message]:
        """None: what its egress listener is depends on no backend."""
        del backends
        return ()

    def pack_egress_routes(self, services: Sequence[ServicePart]) -> PackedResource:
        """The route configuration behind the routes of the gateway."""
        return pack_egress_routes(
            _hosts_of(services),
            first=self._self_check_host,
            last=pack_named_by_header_host(service.named_by_header for service in services),
        )


def build_own_part(graph: Graph, proxy: Proxy) -> OwnPart:
    """What a proxy gets by its own resource.

    Raises:
        KeyError: The mesh has no such virtual node or virtual gateway.
    """
    match proxy.key.kind:
        case Kind.VIRTUAL_NODE:
            return NodePart(graph, proxy)
        case Kind.VIRTUAL_GATEWAY:
            return GatewayPart(graph, proxy)
        case _:
            raise KeyError(proxy.key)


def _hosts_of(services: Sequence[ServicePart]) -> list[PackedHost]:
    return [host for service in services for host in service.hosts]


def _egress_is_open(mesh: Resource | None) -> bool:
    """Whether what is for no backend may leave the mesh.

    Source: App Mesh user guide, meshes.md: the default is DROP_ALL.
    """
    return mesh is not None and mesh.spec.get("egressFilter", {}).get("type") == "ALLOW_ALL"
