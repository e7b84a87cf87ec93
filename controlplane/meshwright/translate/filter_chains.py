"""Network filters: how the requests or the connections that come to a listener are carried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from meshwright.model.resources import Resource
from meshwright.translate.access_logs import build_access_logs
from meshwright.translate.durations import build_duration
from meshwright.translate.envoy_api import (
    DirectResponse,
    DynamicForwardProxyFilter,
    HttpConnectionManager,
    Router,
    TcpProxy,
    build_extension,
)
from meshwright.translate.secrets import ADS


def build_request_filters(
    owner: Resource, direction: str, routes: str, *, dns_cache: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A filter chain for HTTP: one connection manager, with the settings that App Mesh sent.

    Args:
        owner: The virtual node or virtual gateway.
        direction: `ingress` or `egress`, the prefix of its statistics.
        routes: The name of its route configuration.
        dns_cache: How hosts that are no backend are looked up; None where they are not reached
            by name.
    """
    manager = HttpConnectionManager(
        stat_prefix=direction,
        rds={"config_source": ADS, "route_config_name": routes},
        http_filters=_build_http_filters(dns_cache),
        access_log=build_access_logs(owner),
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


def build_connection_filters(
    owner: Resource,
    direction: str,
    clusters: Sequence[tuple[str, int]],
    timeout: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A filter chain for TCP: each connection goes to one of the clusters, by their weights.

    Args:
        owner: The virtual node.
        direction: `ingress` or `egress`, the prefix of its statistics.
        clusters: Names and weights; where none has a weight, connections are closed at once.
        timeout: The `timeout.tcp` of the listener, or the `timeout` of the route. Without one a
            connection may idle for ever, as one with 0 (botocore's model, TcpTimeout: "The
            default value is none").
    """
    # Envoy takes no weight of 0 (Envoy's API, tcp_proxy.v3.TcpProxy.WeightedCluster).
    chosen = [{"name": name, "weight": weight} for name, weight in clusters if weight]
    if not chosen:
        refusal = build_extension("envoy.filters.network.direct_response", DirectResponse())
        return {"filters": [refusal]}
    idle = (timeout or {}).get("idle", {"value": 0, "unit": "s"})
    destination: dict[str, Any] = (
        {"cluster": chosen[0]["name"]}
        if len(chosen) == 1
        else {"weighted_clusters": {"clusters": chosen}}
    )
    proxy = TcpProxy(
        stat_prefix=direction,
        idle_timeout=build_duration(idle),
        access_log=build_access_logs(owner),
        **destination,
    )
    return {"filters": [build_extension("envoy.filters.network.tcp_proxy", proxy)]}
