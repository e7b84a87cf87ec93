"""The bootstrap of a proxy beside one service: who it is, and where control plane and DNS are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_meshwright.addresses import ServiceAddresses

CONTROL_PLANE_CLUSTER = "meshwright_control_plane"
SDS_CLUSTER = "static_cluster_sds_unix_socket"
ADMIN_PORT = 9901


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host and a port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Endpoint":
        """Read `HOST:PORT`.

        Raises:
            ValueError: the text has another form.
        """
        host, colon, port = text.rpartition(":")
        if not colon or not host or not port.isdigit():
            raise ValueError(f"{text!r} is not of the form HOST:PORT")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """What a bootstrap says."""

    node_id: str
    """The resource's ARN or `mesh/<mesh>/virtualNode/<name>`."""
    cluster: str
    """The resource's name; Envoy's `node.cluster`."""
    addresses: ServiceAddresses
    control_plane: Endpoint
    """Where the control plane serves ADS."""
    dns: Endpoint | None = None
    """Who resolves names; None means the machine's own resolvers."""
    delta: bool = True
    """Delta xDS, or state of the world."""
    service_addresses: Mapping[str, str] = field(default_factory=dict[str, str])
    """Where Envoy takes TCP connections for a virtual service, by that service's name."""
    sds_socket: Path | None = None
    """The socket of the SDS server beside Envoy, which specs name secrets of."""
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """More of `node.metadata`, beside what the harness says under `meshwright`."""


def build_bootstrap(settings: ProxySettings) -> dict[str, Any]:
    """The bootstrap as the JSON value that `envoy --config-path` takes."""
    interception: dict[str, Any] = {
        # No iptables on a laptop: Envoy binds the node's own address and is asked as a proxy.
        "interception": "explicit",
        "listener_address": settings.addresses.listener,
        "application_address": settings.addresses.application,
    }
    if settings.service_addresses:
        interception["service_addresses"] = dict(settings.service_addresses)
    ads: dict[str, Any] = {"ads": {}, "resource_api_version": "V3"}
    bootstrap: dict[str, Any] = {
        "node": {
            "id": settings.node_id,
            "cluster": settings.cluster,
            "metadata": {**settings.metadata, "meshwright": interception},
        },
        "admin": {"address": _build_address(Endpoint(settings.addresses.admin, ADMIN_PORT))},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC" if settings.delta else "GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [
                    {
                        "envoy_grpc": {
                            "cluster_name": CONTROL_PLANE_CLUSTER,
                            # Envoy's own backoff grows to 30 s; a test has not that long to wait
                            # for the mesh to be created or the control plane to return.
                            "retry_policy": {
                                "retry_back_off": {"base_interval": "0.1s", "max_interval": "0.5s"}
                            },
                        }
                    }
                ],
            },
            "lds_config": ads,
            "cds_config": ads,
        },
        "static_resources": {
            "clusters": [
                _build_http2_cluster(CONTROL_PLANE_CLUSTER, _build_address(settings.control_plane))
            ]
        },
    }
    if settings.sds_socket is not None:
        cluster = _build_http2_cluster(SDS_CLUSTER, {"pipe": {"path": str(settings.sds_socket)}})
        bootstrap["static_resources"]["clusters"].append(cluster)
    if settings.dns is not None:
        bootstrap["typed_dns_resolver_config"] = build_resolver(settings.dns)
    return bootstrap


def _build_address(endpoint: Endpoint) -> dict[str, Any]:
    return {"socket_address": {"address": endpoint.host, "port_value": endpoint.port}}


def _build_http2_cluster(name: str, address: dict[str, Any]) -> dict[str, Any]:
    """A cluster of one endpoint that Envoy itself asks over gRPC."""
    http2: dict[str, Any] = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def build_resolver(endpoint: Endpoint) -> dict[str, Any]:
    """The setting that lets Envoy ask one DNS server and nobody else."""
    return {
        "name": "envoy.network.dns_resolver.cares",
        "typed_config": {
            "@type": "type.googleapis.com/"
            "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
            "resolvers": [_build_address(endpoint)],
            # Nothing of the machine's own resolvers may leak into a test.
            "use_resolvers_as_fallback": False,
            "dns_resolver_options": {"no_default_search_domain": True},
        },
    }
