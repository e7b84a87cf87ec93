"""The translation itself: which resources a proxy gets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import Message

from meshwright.graph import Graph
from meshwright.model.resources import Kind, Resource
from meshwright.translate.addresses import Addresses, find_addresses
from meshwright.translate.backends import TCP, Backend, Endpoint, backends_of
from meshwright.translate.clusters import (
    build_egress_cluster,
    build_ingress_cluster,
    build_open_egress_cluster,
    build_original_destination_cluster,
    build_self_redirect_cluster,
    find_endpoints_lookup,
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
from meshwright.translate.lookups import Lookup
from meshwright.translate.names import aws_egress_cluster_name, open_egress_cluster_name
from meshwright.translate.proxies import Interception, Proxy
from meshwright.translate.routes import build_egress_routes, build_ingress_routes
from meshwright.translate.secrets import FileSource, MappedSource
from meshwright.translate.tls import find_client_tls, secret_sources

_DNS_CACHE: Final[dict[str, Any]] = {"name": "egress", "dns_lookup_family": "AUTO"}
_LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class ProxyResources:
    """Everything that a proxy gets, by Envoy's kinds of resource; names are unique in each.

    Attributes:
        clusters: Its clusters.
        listeners: Its listeners.
        routes: Its route configurations.
        secrets: Its secrets.
        lookups: The endpoints and secrets that have to be looked up outside the mesh.
    """

    clusters: tuple[Message, ...] = ()
    listeners: tuple[Message, ...] = ()
    routes: tuple[Message, ...] = ()
    secrets: tuple[Message, ...] = ()
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
    owner = graph.resources[proxy.key]
    if owner.key.kind is Kind.VIRTUAL_GATEWAY:
        return _translate_gateway(graph, owner, proxy)
    if owner.key.kind is Kind.VIRTUAL_NODE:
        return _translate_node(graph, owner, proxy)
    raise KeyError(proxy.key)


def _translate_node(graph: Graph, node: Resource, proxy: Proxy) -> ProxyResources:
    backends = backends_of(graph, node)
    endpoints = _endpoints_of(backends)
    listeners = node.spec.get("listeners", ())
    addresses = find_addresses(graph, node, proxy)
    is_open = _egress_is_open(graph)
    open_cluster = open_egress_cluster_name(node.key.mesh.name) if is_open else None
    return ProxyResources(
        clusters=(
            *(build_ingress_cluster(node, each, addresses.application) for each in listeners),
            *_build_egress_clusters(graph, endpoints),
            *_build_outside_clusters(proxy, open_cluster),
        ),
        listeners=(
            *build_ingress_listeners(node, proxy, addresses),
            *_build_egress_listeners(node, proxy, addresses, backends, is_open=is_open),
        ),
        routes=(
            *(
                build_ingress_routes(node, each)
                for each in listeners
                if each["portMapping"]["protocol"] != TCP
            ),
            build_egress_routes(node, backends, open_cluster),
        ),
        **_secrets_and_lookups(graph, node, endpoints),
    )


def _build_egress_listeners(
    node: Resource,
    proxy: Proxy,
    addresses: Addresses,
    backends: tuple[Backend, ...],
    *,
    is_open: bool,
) -> Iterator[Message]:
    if proxy.interception is Interception.EXPLICIT:
        dns_cache = _DNS_CACHE if is_open else None
        yield from build_explicit_egress_listeners(node, proxy, addresses, backends, dns_cache)
    else:
        yield build_transparent_egress_listener(
            node, proxy, addresses, backends, open_egress=is_open
        )


def _translate_gateway(graph: Graph, gateway: Resource, proxy: Proxy) -> ProxyResources:
    """A virtual gateway's resources.

    Its egress listener is for itself alone, so it is bound to loopback unless the proxy has an
    address of its own.
    """
    backends = backends_of(graph, gateway)
    endpoints = _endpoints_of(backends)
    explicit = proxy.interception is Interception.EXPLICIT
    addresses = find_addresses(graph, gateway, proxy)
    egress_address = addresses.listener if explicit else _LOOPBACK
    listeners = gateway.spec["listeners"]
    protocols = {redirect_protocol(kind) for _, kind in gateway_routes_of(graph, gateway)}
    pool = next(iter(listeners[0].get("connectionPool", {"": {}}).values()))
    return ProxyResources(
        clusters=(
            *(
                build_self_redirect_cluster(gateway, protocol, pool, egress_address)
                for protocol in sorted(protocols)
            ),
            *_build_egress_clusters(graph, endpoints),
        ),
        listeners=(
            *build_gateway_listeners(gateway, addresses),
            build_gateway_egress_listener(gateway, egress_address),
        ),
        routes=(
            *(build_gateway_routes(graph, gateway, each) for each in listeners),
            build_egress_routes(gateway, backends, None),
        ),
        **_secrets_and_lookups(graph, gateway, endpoints),
    )


def _secrets_and_lookups(
    graph: Graph, owner: Resource, endpoints: list[Endpoint]
) -> dict[str, Any]:
    sources = secret_sources(owner, endpoints)
    found_later = (find_endpoints_lookup(graph, endpoint) for endpoint in endpoints)
    return {
        "secrets": tuple(each.build() for each in sources if isinstance(each, FileSource)),
        "lookups": (
            *(lookup for lookup in found_later if lookup is not None),
            *(each.build_lookup() for each in sources if isinstance(each, MappedSource)),
        ),
    }


def _build_egress_clusters(graph: Graph, endpoints: list[Endpoint]) -> Iterator[Message]:
    for endpoint in endpoints:
        yield build_egress_cluster(graph, endpoint, find_client_tls(endpoint))


def _endpoints_of(backends: tuple[Backend, ...]) -> list[Endpoint]:
    """Every endpoint that a backend leads to, once, by the name of its cluster."""
    endpoints = {
        target.endpoint.cluster: target.endpoint
        for backend in backends
        for rule in backend.all_rules
        for target in rule.targets
    }
    return [endpoints[name] for name in sorted(endpoints)]


def _egress_is_open(graph: Graph) -> bool:
    """Whether what is for no backend may leave the mesh.

    Source: App Mesh user guide, meshes.md: the default is DROP_ALL.
    """
    mesh = graph.mesh
    return mesh is not None and mesh.spec.get("egressFilter", {}).get("type") == "ALLOW_ALL"


def _build_outside_clusters(proxy: Proxy, open_cluster: str | None) -> Iterator[Message]:
    """Where goes what is for no backend.

    Redirected traffic goes where it wanted to go, to AWS's endpoints even if egress is closed;
    explicit traffic to the host that it names.
    """
    if proxy.interception is Interception.TRANSPARENT:
        name = open_cluster or aws_egress_cluster_name(proxy.key.mesh.name)
        yield build_original_destination_cluster(name)
    elif open_cluster is not None:
        yield build_open_egress_cluster(open_cluster, _DNS_CACHE)
