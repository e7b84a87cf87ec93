"""The bootstrap of a proxy: who it is, where its control plane is, and what it shows there.

Everything else it gets over ADS. Names and paths are of the machine that Envoy runs on.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from meshwright.translate.secrets import SDS_SOCKET
from meshwright.translate.static import build_sds_cluster, render_resource

CONTROL_PLANE_CLUSTER: Final = "meshwright_control_plane"

_TLS: Final = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
_HTTP: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


@dataclass(frozen=True, slots=True)
class ControlPlaneTls:
    """TLS to the control plane.

    Attributes:
        authorities: The file of those that sign the control plane's certificate, as PEM.
        server_name: The name or IP address in that certificate; None means the host asked for.
        certificate: The file of the proxy's own certificate with its chain, as PEM, or None.
        key: The file of that certificate's key, as PEM.
        sds_certificate: By what name the SDS server beside the proxy knows the proxy's own
            certificate, in place of the files; a renewed one is taken over.
    """

    authorities: str
    server_name: str | None = None
    certificate: str | None = None
    key: str | None = None
    sds_certificate: str | None = None


@dataclass(frozen=True, slots=True)
class ExplicitInterception:
    """How the proxy gets its traffic where iptables does not redirect it.

    Attributes:
        listener_address: Where Envoy binds the declared ports.
        application_address: Where the application listens.
        service_addresses: Where Envoy takes TCP connections for a virtual service, by its name.
    """

    listener_address: str
    application_address: str | None = None
    service_addresses: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class BootstrapSettings:
    """What a bootstrap says.

    Attributes:
        node_id: The resource's ARN or `mesh/MESH/virtualNode/NAME`.
        host: The name or IP address of ADS.
        port: Its port.
        cluster: Envoy's `node.cluster`; None means the resource's name.
        metadata: More of `node.metadata`, beside what is said under `meshwright`.
        interception: None where iptables redirects the traffic.
        tls: None without TLS.
        token: The proxy's token, which then stands in the bootstrap, or None.
        delta: Delta xDS, or state of the world.
        admin: Host and port of Envoy's admin page.
        sds_socket: The socket of the SDS server beside the proxy, which specs name secrets of.
    """

    node_id: str
    host: str
    port: int
    cluster: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    interception: ExplicitInterception | None = None
    tls: ControlPlaneTls | None = None
    token: str | None = field(default=None, repr=False)
    delta: bool = True
    admin: tuple[str, int] = ("127.0.0.1", 9901)
    sds_socket: str | None = None


def build_bootstrap(settings: BootstrapSettings) -> dict[str, Any]:
    """The bootstrap as the JSON value that `envoy --config-path` takes."""
    ads: dict[str, Any] = {"ads": {}, "resource_api_version": "V3"}
    clusters = [_build_control_plane(settings)]
    if settings.sds_socket is not None:
        clusters.append(render_resource(build_sds_cluster(settings.sds_socket)))
    return {
        "node": {
            "id": settings.node_id,
            "cluster": settings.cluster or settings.node_id.rpartition("/")[2],
            "metadata": {**settings.metadata, **_build_metadata(settings.interception)},
        },
        "admin": {"address": build_address(*settings.admin)},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC" if settings.delta else "GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [_build_service(settings.token)],
            },
            "lds_config": ads,
            "cds_config": ads,
        },
        "static_resources": {"clusters": clusters},
    }


def _build_metadata(interception: ExplicitInterception | None) -> dict[str, Any]:
    if interception is None:
        return {}
    said: dict[str, Any] = {
        "interception": "explicit",
        "listener_address": interception.listener_address,
    }
    if interception.application_address is not None:
        said["application_address"] = interception.application_address
    if interception.service_addresses:
        said["service_addresses"] = dict(interception.service_addresses)
    return {"meshwright": said}


def _build_service(token: str | None) -> dict[str, Any]:
    service: dict[str, Any] = {"envoy_grpc": {"cluster_name": CONTROL_PLANE_CLUSTER}}
    if token is not None:
        service["initial_metadata"] = [{"key": "authorization", "value": f"Bearer {token}"}]
    return service


def _build_control_plane(settings: BootstrapSettings) -> dict[str, Any]:
    address = build_address(settings.host, settings.port)
    cluster: dict[str, Any] = {
        "name": CONTROL_PLANE_CLUSTER,
        "type": "STATIC" if _is_ip_address(settings.host) else "STRICT_DNS",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            _HTTP: {
                "@type": f"type.googleapis.com/{_HTTP}",
                # A control plane that is gone without a word is noticed, and left for another.
                "explicit_http_config": {
                    "http2_protocol_options": {
                        "connection_keepalive": {"interval": "10s", "timeout": "10s"}
                    }
                },
            }
        },
        "load_assignment": {
            "cluster_name": CONTROL_PLANE_CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }
    if settings.tls is not None:
        cluster["transport_socket"] = _build_tls(settings.tls, settings.host)
    return cluster


def _build_tls(tls: ControlPlaneTls, host: str) -> dict[str, Any]:
    name = tls.server_name or host
    is_ip_address = _is_ip_address(name)
    common: dict[str, Any] = {
        "alpn_protocols": ["h2"],
        "validation_context": {
            "trusted_ca": {"filename": tls.authorities},
            "match_typed_subject_alt_names": [
                {
                    "san_type": "IP_ADDRESS" if is_ip_address else "DNS",
                    "matcher": {"exact": name},
                }
            ],
        },
    }
    if tls.certificate is not None:
        common["tls_certificates"] = [
            {
                "certificate_chain": {"filename": tls.certificate},
                "private_key": {"filename": tls.key},
            }
        ]
    if tls.sds_certificate is not None:
        secret = {"name": tls.sds_certificate, "sds_config": SDS_SOCKET}
        common["tls_certificate_sds_secret_configs"] = [secret]
    context: dict[str, Any] = {"@type": _TLS, "common_tls_context": common}
    if not is_ip_address:
        context["sni"] = name
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def build_address(host: str, port: int) -> dict[str, Any]:
    """An address as Envoy writes it in JSON."""
    return {"socket_address": {"address": host, "port_value": port}}


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
