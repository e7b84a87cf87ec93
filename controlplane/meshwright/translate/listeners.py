"""Listeners: where requests come in, and by which filters they go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.message import Message

from meshwright.model.resources import Resource
from meshwright.translate.access_logs import build_access_logs
from meshwright.translate.envoy_api import (
    DynamicForwardProxyFilter,
    HttpConnectionManager,
    Listener,
    OriginalDst,
    Router,
    TlsInspector,
    build_address,
    build_extension,
)
from meshwright.translate.names import listener_name, route_configuration_name
from meshwright.translate.proxies import EGRESS_PORT, INGRESS_PORT, Interception, Proxy
from meshwright.translate.tls import build_server_transport_socket, find_server_tls

_ADS: Final[dict[str, Any]] = {"ads": {}, "resource_api_version": "V3"}


def build_ingress_listeners(node: Resource, proxy: Proxy) -> tuple[Message, ...]:
    """The listeners for what comes to a virtual node.

    Transparent traffic is redirected to one listener, which tells the declared ports apart;
    explicit traffic comes to the declared ports themselves.
    """
    declared = node.spec.get("listeners", ())
    if proxy.interception is Interception.EXPLICIT:
        return _build_own_listeners(node, proxy.listener_address)
    chains = [
        chain
        for listener in declared
        for chain in _build_ingress_chains(node, listener, match_port=True)
    ]
    if not chains:
        return ()
    return (
        _build_listener(
            "ingress",
            proxy.listener_address,
            INGRESS_PORT,
            chains,
            original_destination=True,
            inspect_tls=any(map(find_server_tls, declared)),
        ),
    )


def build_gateway_listeners(gateway: Resource, address: str) -> tuple[Message, ...]:
    """The listeners of a virtual gateway, which nobody redirects to: it binds its ports itself."""
    return _build_own_listeners(gateway, address)


def _build_own_listeners(owner: Resource, address: str) -> tuple[Message, ...]:
    return tuple(
        _build_listener(
            "ingress",
            address,
            listener["portMapping"]["port"],
            _build_ingress_chains(owner, listener),
            inspect_tls=find_server_tls(listener) is not None,
        )
        for listener in owner.spec.get("listeners", ())
    )


def _build_ingress_chains(
    owner: Resource, listener: Mapping[str, Any], *, match_port: bool = False
) -> list[dict[str, Any]]:
    """A declared listener's filter chains: for plain text, for TLS, or for both.

    Source: App Mesh user guide, tls.md: STRICT takes TLS only, PERMISSIVE plain text as well.
    """
    mapping = listener["portMapping"]
    name = route_configuration_name("ingress", mapping["protocol"], mapping["port"])
    chain = _build_filter_chain(owner, "ingress", name)
    port = {"destination_port": {"value": mapping["port"]}} if match_port else {}
    tls = find_server_tls(listener)
    plain = {**chain, "filter_chain_match": port} if port else chain
    if tls is None:
        return [plain]
    encrypted = {
        **chain,
        "filter_chain_match": {**port, "transport_protocol": "tls"},
        "transport_socket": build_server_transport_socket(tls, mapping["protocol"]),
    }
    return [encrypted, plain] if tls["mode"] == "PERMISSIVE" else [encrypted]


def build_egress_listener(
    owner: Resource,
    address: str,
    *,
    original_destination: bool = False,
    dns_cache: Mapping[str, Any] | None = None,
) -> Message:
    """The listener for what leaves a proxy.

    Under explicit interception it is the application's HTTP proxy: Envoy takes absolute-form
    request targets, and the virtual host is chosen by the host that the request names.

    Args:
        owner: The virtual node or virtual gateway.
        address: Where it is bound.
        original_destination: Whether traffic is redirected to it.
        dns_cache: How hosts that are no backend are looked up; None where they are not reached
            by name.
    """
    routes = route_configuration_name("egress", "http", EGRESS_PORT)
    chain = _build_filter_chain(owner, "egress", routes, dns_cache=dns_cache)
    return _build_listener(
        "egress", address, EGRESS_PORT, [chain], original_destination=original_destination
    )


def _build_listener(
    direction: str,
    address: str,
    port: int,
    chains: list[dict[str, Any]],
    *,
    original_destination: bool = False,
    inspect_tls: bool = False,
) -> Message:
    filters: list[dict[str, Any]] = []
    if original_destination:
        filters.append(build_extension("envoy.filters.listener.original_dst", OriginalDst()))
    if inspect_tls:
        filters.append(build_extension("envoy.filters.listener.tls_inspector", TlsInspector()))
    return Listener(
        name=listener_name(direction, address, port),
        address=build_address(address, port),
        traffic_direction="INBOUND" if direction == "ingress" else "OUTBOUND",
        filter_chains=chains,
        listener_filters=filters,
    )


def _build_filter_chain(
    node: Resource, direction: str, routes: str, *, dns_cache: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """One HTTP connection manager; its settings are those that App Mesh sent."""
    manager = HttpConnectionManager(
        stat_prefix=direction,
        rds={"config_source": _ADS, "route_config_name": routes},
        http_filters=_build_http_filters(dns_cache),
        access_log=build_access_logs(node),
        upgrade_configs=[{"upgrade_type": "websocket", "enabled": {"value": True}}],
        normalize_path={"value": True},
        merge_slashes=True,
        path_with_escaped_slashes_action="KEEP_UNCHANGED",
    )
    return {"filters": [build_extension("envoy.filters.network.http_connection_manager", manager)]}


def _build_http_filters(dns_cache: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The HTTP filters in their order; the router is last, since it ends the chain."""
    router = build_extension("envoy.filters.http.router", Router())
    if dns_cache is None:
        return [router]
    # Before the router: it looks the host up that the router's cluster then connects to.
    lookup = DynamicForwardProxyFilter(dns_cache_config=dns_cache)
    return [build_extension("envoy.filters.http.dynamic_forward_proxy", lookup), router]
