"""App Mesh's names for Envoy resources; dashboards and alarms are built on them.

Source: App Mesh user guide, envoy-metrics.md.
"""

from __future__ import annotations


def listener_name(direction: str, address: str, port: int) -> str:
    """`lds_ingress_0.0.0.0_15000`, `lds_egress_0.0.0.0_15001`."""
    return f"lds_{direction}_{address}_{port}"


def route_configuration_name(direction: str, protocol: str, port: int) -> str:
    """`rds_ingress_http_8080`, `rds_egress_http_15001`."""
    return f"rds_{direction}_{protocol}_{port}"


def self_redirect_cluster_name(mesh: str, gateway: str, protocol: str) -> str:
    """`cds_ingress_demo_edge_self_redirect_http_15001`."""
    return f"cds_ingress_{mesh}_{gateway}_self_redirect_{protocol}_15001"


def open_egress_cluster_name(mesh: str) -> str:
    """`cds_egress_demo_passthrough`: for what is no backend, where egress is open."""
    return f"cds_egress_{mesh}_passthrough"


def aws_egress_cluster_name(mesh: str) -> str:
    """`cds_egress_demo_amazonaws`: for AWS's own endpoints, where egress is closed."""
    return f"cds_egress_{mesh}_amazonaws"


def cluster_name(direction: str, mesh: str, node: str, protocol: str, port: int) -> str:
    """`cds_egress_demo_color-blue_http_8080`."""
    return f"cds_{direction}_{mesh}_{node}_{protocol}_{port}"
