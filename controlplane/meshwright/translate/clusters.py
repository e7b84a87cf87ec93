"""Clusters: where requests go, and how many at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.message import Message

from meshwright.model.ports import EGRESS_PORT
from meshwright.model.resources import Resource
from meshwright.translate.addresses import ip_preference
from meshwright.translate.backends import Endpoint, cloud_map_service
from meshwright.translate.envoy_api import (
    Cluster,
    DynamicForwardProxyCluster,
    HttpProtocolOptions,
    build_address,
    build_extension,
    pack,
)
from meshwright.translate.health import (
    build_health_checks,
    build_outlier_detection,
    build_self_checks,
)
from meshwright.translate.lookups import EndpointsLookup
from meshwright.translate.names import cluster_name, self_redirect_cluster_name
from meshwright.translate.secrets import ADS
from meshwright.translate.tls import ClientTls, build_client_transport_socket

NO_LIMIT: Final = 2**31 - 1
"""Circuit breakers are open unless a connection pool is set (user guide, envoy-defaults.md)."""

_EGRESS_CONNECT_TIMEOUT: Final = {"seconds": 1}
_INGRESS_CONNECT_TIMEOUT: Final = {"nanos": 250_000_000}

_SELF_IDLE_TIMEOUT: Final = {"seconds": 5}
"""An egress listener that changes closes its connections when it has drained, which takes longer:
so none is left then that a request could be sent on."""

_LOOKUP_FAMILIES: Final[Mapping[str, str]] = {
    "IPv4_ONLY": "V4_ONLY",
    "IPv6_ONLY": "V6_ONLY",
    "IPv4_PREFERRED": "V4_PREFERRED",
    # AUTO asks for IPv6 addresses and takes IPv4 ones where there are none.
    "IPv6_PREFERRED": "AUTO",
}
_HTTP_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def build_ingress_cluster(node: Resource, listener: Mapping[str, Any], address: str) -> Message:
    """The cluster of the application behind a listener, with the listener's connection pool.

    Args:
        node: The virtual node.
        listener: One of its listeners.
        address: Where the application listens, on the listener's port.
    """
    mapping = listener["portMapping"]
    protocol, port = mapping["protocol"], mapping["port"]
    name = cluster_name("ingress", node.key.mesh.name, node.key.name, protocol, port)
    pool: Mapping[str, Any] = listener.get("connectionPool", {}).get(protocol, {})
    return Cluster(
        name=name,
        type="STATIC",
        connect_timeout=_INGRESS_CONNECT_TIMEOUT,
        circuit_breakers=_build_circuit_breakers(pool),
        load_assignment=_build_load_assignment(name, address, port),
        **_build_protocol(protocol),
    )


def build_egress_cluster(
    mesh: Resource | None, endpoint: Endpoint, tls: ClientTls | None
) -> Message:
    """The cluster that reaches a listener of another virtual node.

    Args:
        mesh: The mesh itself.
        endpoint: The listener.
        tls: How it is spoken to in TLS; None for plain text.
    """
    listener = endpoint.listener
    return Cluster(
        name=endpoint.cluster,
        connect_timeout=_EGRESS_CONNECT_TIMEOUT,
        circuit_breakers=_build_circuit_breakers({}),
        health_checks=build_health_checks(listener),
        outlier_detection=build_outlier_detection(listener),
        transport_socket=build_client_transport_socket(tls, endpoint) if tls else None,
        **_build_discovery(mesh, endpoint),
        **_build_protocol(endpoint.protocol),
    )


def find_endpoints_lookup(mesh: Resource | None, endpoint: Endpoint) -> EndpointsLookup | None:
    """Where the cluster's hosts are looked up; None where Envoy asks DNS itself."""
    discovery = endpoint.node.spec["serviceDiscovery"]
    service = cloud_map_service(discovery)
    if service is None:
        return None
    preference = ip_preference(mesh, endpoint.node)
    return EndpointsLookup(
        endpoint.cluster, service, endpoint.port, _health_check_port(endpoint), preference
    )


def _build_discovery(mesh: Resource | None, endpoint: Endpoint) -> dict[str, Any]:
    """How a cluster finds its hosts.

    Source: App Mesh user guide, virtual_nodes.md: DNS names are resolved with Envoy's logical DNS
    (one name of a load balancer) unless the response type says that each address is an endpoint.
    """
    if find_endpoints_lookup(mesh, endpoint) is not None:
        return {
            "type": "EDS",
            "eds_cluster_config": {"eds_config": ADS},
            # A host that is gone gets nothing more, even while it still answers health checks.
            "ignore_health_on_host_removal": True,
        }
    dns = endpoint.node.spec["serviceDiscovery"]["dns"]
    preference = ip_preference(mesh, endpoint.node)
    port = _health_check_port(endpoint)
    return {
        "type": "STRICT_DNS" if dns.get("responseType") == "ENDPOINTS" else "LOGICAL_DNS",
        "dns_lookup_family": _LOOKUP_FAMILIES.get(preference, "AUTO"),
        "load_assignment": _build_load_assignment(
            endpoint.cluster,
            dns["hostname"],
            endpoint.port,
            health_check_port=port if port != endpoint.port else None,
        ),
    }


def _health_check_port(endpoint: Endpoint) -> int:
    return endpoint.listener.get("healthCheck", {}).get("port", endpoint.port)


def build_self_redirect_cluster(
    gateway: Resource, protocol: str, pool: Mapping[str, Any], address: str
) -> Message:
    """The cluster by which a virtual gateway hands requests to its own egress listener.

    Args:
        gateway: The virtual gateway.
        protocol: `http`, or `http2` for gateway routes that speak it.
        pool: The connection pool of the gateway's listener, which bounds what goes out
            (user guide, virtual_gateways.md).
        address: Where the egress listener is bound.
    """
    name = self_redirect_cluster_name(gateway.key.mesh.name, gateway.key.name, protocol)
    return Cluster(
        name=name,
        type="STATIC",
        connect_timeout=_INGRESS_CONNECT_TIMEOUT,
        circuit_breakers=_build_circuit_breakers(pool),
        health_checks=build_self_checks(gateway),
        load_assignment=_build_load_assignment(name, address, EGRESS_PORT),
        **_build_http(
            "http_protocol_options" if protocol == "http" else "http2_protocol_options",
            common_http_protocol_options={"idle_timeout": _SELF_IDLE_TIMEOUT},
        ),
    )


def build_open_egress_cluster(name: str, dns_cache: Mapping[str, Any]) -> Message:
    """The cluster of whatever is no backend, where the mesh's egress filter allows all."""
    return Cluster(
        name=name,
        lb_policy="CLUSTER_PROVIDED",
        connect_timeout=_EGRESS_CONNECT_TIMEOUT,
        circuit_breakers=_build_circuit_breakers({}),
        cluster_type=build_extension(
            "envoy.clusters.dynamic_forward_proxy",
            DynamicForwardProxyCluster(dns_cache_config=dns_cache),
        ),
    )


def build_original_destination_cluster(name: str) -> Message:
    """The cluster that goes where redirected traffic wanted to go."""
    return Cluster(
        name=name,
        type="ORIGINAL_DST",
        lb_policy="CLUSTER_PROVIDED",
        connect_timeout=_EGRESS_CONNECT_TIMEOUT,
        circuit_breakers=_build_circuit_breakers({}),
    )


def _build_protocol(protocol: str) -> dict[str, Any]:
    """What tells Envoy to speak HTTP/2 upstream; without it, it speaks HTTP/1.1."""
    return build_http2() if protocol in ("http2", "grpc") else {}


def build_http2() -> dict[str, Any]:
    """The members of a cluster that is spoken to in HTTP/2."""
    return _build_http("http2_protocol_options")


def _build_http(version: str, **common: Any) -> dict[str, Any]:
    options = HttpProtocolOptions(explicit_http_config={version: {}}, **common)
    return {"typed_extension_protocol_options": {_HTTP_OPTIONS: pack(options)}}


def _build_circuit_breakers(pool: Mapping[str, Any]) -> dict[str, Any]:
    """The bounds of a connection pool, whatever its protocol; what it does not bound is open."""
    limits = {
        "max_connections": pool.get("maxConnections", NO_LIMIT),
        "max_pending_requests": pool.get("maxPendingRequests", NO_LIMIT),
        "max_requests": pool.get("maxRequests", NO_LIMIT),
        "max_retries": NO_LIMIT,
    }
    return {"thresholds": [{name: {"value": limit} for name, limit in limits.items()}]}


def _build_load_assignment(
    name: str, address: str, port: int, *, health_check_port: int | None = None
) -> dict[str, Any]:
    endpoint: dict[str, Any] = {"address": build_address(address, port)}
    if health_check_port is not None:
        endpoint["health_check_config"] = {"port_value": health_check_port}
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}]}
