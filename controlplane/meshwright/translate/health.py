"""How callers judge a virtual node's health: active checks and the ejection of outliers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from meshwright.model.resources import Resource
from meshwright.translate.durations import build_duration, build_millis

SELF_CHECK_HOST: Final = "self-check.meshwright"
"""The host name of a virtual gateway's requests to itself."""


def build_health_checks(listener: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The active health check of a virtual node's listener, by every proxy that calls it.

    Source: App Mesh user guide, virtual_nodes.md; the path counts for http and http2 only.
    """
    check = listener.get("healthCheck")
    return [] if check is None else [{**_build_schedule(check), **_build_checker(check)}]


def build_self_checks(gateway: Resource) -> list[dict[str, Any]]:
    """A virtual gateway's check of itself: that what its listener takes is handed on.

    The first listener with a health check says how. It shows in the statistics and on the admin
    page of the gateway's cluster and turns no request away: there is no other host to go to.
    Source: App Mesh user guide, virtual_gateways.md, which leaves open who checks.
    """
    listeners: Sequence[Mapping[str, Any]] = gateway.spec["listeners"]
    checks = [listener["healthCheck"] for listener in listeners if "healthCheck" in listener]
    if not checks:
        return []
    check = checks[0]
    checker = _build_http_checker(check["protocol"], check.get("path", "/"), SELF_CHECK_HOST)
    return [{**_build_schedule(check), **checker}]


def _build_schedule(check: Mapping[str, Any]) -> dict[str, Any]:
    """How often, and how often in a row.

    The declared interval holds for clusters without traffic too, where Envoy by itself would check
    once a minute (Envoy's API, core.v3.HealthCheck.no_traffic_interval).
    """
    return {
        "timeout": build_millis(check["timeoutMillis"]),
        "interval": build_millis(check["intervalMillis"]),
        "no_traffic_interval": build_millis(check["intervalMillis"]),
        "healthy_threshold": {"value": check["healthyThreshold"]},
        "unhealthy_threshold": {"value": check["unhealthyThreshold"]},
    }


def _build_checker(check: Mapping[str, Any]) -> dict[str, Any]:
    match check["protocol"]:
        case "tcp":
            return {"tcp_health_check": {}}
        case "grpc":
            return {"grpc_health_check": {}}
        case protocol:
            return _build_http_checker(protocol, check.get("path", "/"))


def _build_http_checker(protocol: str, path: str, host: str = "") -> dict[str, Any]:
    codec = "HTTP1" if protocol == "http" else "HTTP2"
    return {"http_health_check": {"host": host, "path": path, "codec_client_type": codec}}


def build_outlier_detection(listener: Mapping[str, Any]) -> dict[str, Any] | None:
    """When callers stop sending to a host for a while; None where the listener declares nothing.

    Only consecutive server errors eject: Envoy's other detectors, some of which are on by
    themselves, are turned off (Envoy's API, cluster.v3.OutlierDetection).
    """
    outliers = listener.get("outlierDetection")
    if outliers is None:
        return None
    return {
        "consecutive_5xx": {"value": outliers["maxServerErrors"]},
        "enforcing_consecutive_5xx": {"value": 100},
        "interval": build_duration(outliers["interval"]),
        "base_ejection_time": build_duration(outliers["baseEjectionDuration"]),
        "max_ejection_percent": {"value": outliers["maxEjectionPercent"]},
        "enforcing_success_rate": {"value": 0},
        "enforcing_failure_percentage": {"value": 0},
        "enforcing_consecutive_gateway_failure": {"value": 0},
    }
