"""How callers judge a virtual node's health: active checks and the ejection of outliers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshwright.translate.durations import build_duration, build_millis


def build_health_checks(listener: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The active health check of a listener, carried out by every proxy that calls it.

    Source: App Mesh user guide, virtual_nodes.md; the path counts for http and http2 only. The
    declared interval holds for clusters without traffic too, where Envoy by itself would check
    once a minute (Envoy's API, core.v3.HealthCheck.no_traffic_interval).
    """
    check = listener.get("healthCheck")
    if check is None:
        return []
    return [
        {
            "timeout": build_millis(check["timeoutMillis"]),
            "interval": build_millis(check["intervalMillis"]),
            "no_traffic_interval": build_millis(check["intervalMillis"]),
            "healthy_threshold": {"value": check["healthyThreshold"]},
            "unhealthy_threshold": {"value": check["unhealthyThreshold"]},
            **_build_checker(check),
        }
    ]


def _build_checker(check: Mapping[str, Any]) -> dict[str, Any]:
    match check["protocol"]:
        case "tcp":
            return {"tcp_health_check": {}}
        case "grpc":
            return {"grpc_health_check": {}}
        case protocol:
            codec = "HTTP2" if protocol == "http2" else "HTTP1"
            path = check.get("path", "/")
            return {"http_health_check": {"path": path, "codec_client_type": codec}}


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
