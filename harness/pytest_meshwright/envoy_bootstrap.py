"""The bootstrap of a proxy in a lab: the product's own, with the lab's addresses and its DNS."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meshwright import bootstrap
from meshwright.bootstrap import BootstrapSettings, ControlPlaneTls, ExplicitInterception
from pytest_meshwright.addresses import ServiceAddresses

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
class ProxyCredentials:
    """What a proxy trusts and shows; nothing, where only this machine reaches the control plane."""

    tls: ControlPlaneTls | None = None
    """TLS to the control plane, and the proxy's own certificate."""
    token: str | None = None
    """A token of `meshwright token issue`."""


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
    credentials: ProxyCredentials = field(default_factory=lambda: ProxyCredentials())
    """What it trusts and shows."""


def build_bootstrap(settings: ProxySettings) -> dict[str, Any]:
    """The bootstrap as the JSON value that `envoy --config-path` takes."""
    addresses = settings.addresses
    built = bootstrap.build_bootstrap(
        BootstrapSettings(
            node_id=settings.node_id,
            host=settings.control_plane.host,
            port=settings.control_plane.port,
            cluster=settings.cluster,
            metadata=settings.metadata,
            # No iptables on a laptop: Envoy binds the node's own address and is asked as a proxy.
            interception=ExplicitInterception(
                addresses.listener, addresses.application, settings.service_addresses
            ),
            tls=settings.credentials.tls,
            token=settings.credentials.token,
            delta=settings.delta,
            admin=(addresses.admin, ADMIN_PORT),
            sds_socket=None if settings.sds_socket is None else str(settings.sds_socket),
        )
    )
    # Envoy's own backoff grows to 30 s; a test has not that long to wait for the mesh to be created
    # or the control plane to return.
    (service,) = built["dynamic_resources"]["ads_config"]["grpc_services"]
    service["envoy_grpc"]["retry_policy"] = {
        "retry_back_off": {"base_interval": "0.1s", "max_interval": "0.5s"}
    }
    if settings.dns is not None:
        built["typed_dns_resolver_config"] = build_resolver(settings.dns)
    return built


def build_resolver(endpoint: Endpoint) -> dict[str, Any]:
    """The setting that lets Envoy ask one DNS server and nobody else."""
    return {
        "name": "envoy.network.dns_resolver.cares",
        "typed_config": {
            "@type": "type.googleapis.com/"
            "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
            "resolvers": [bootstrap.build_address(endpoint.host, endpoint.port)],
            # Nothing of the machine's own resolvers may leak into a test.
            "use_resolvers_as_fallback": False,
            "dns_resolver_options": {"no_default_search_domain": True},
        },
    }
