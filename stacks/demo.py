"""The demo: a mesh in which `front` calls `color`, whose requests go to blue and to green.

    front --> color.demo.local --> color-blue   80
                               '-> color-green  20

Settings (`pulumi config set NAME VALUE`):

    blueWeight   0 to 100, the share of color-blue; color-green gets the rest   80
    meshName     the mesh's name                                                demo
    dnsSuffix    the end of all host names                                      MESHNAME.local
    port         the port of all three nodes                                    8080
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi

import pulumi_meshwright as meshwright
from meshwright_components import MeshNode, MeshNodeArgs, WeightedService, WeightedServiceArgs

ACCESS_LOG_FORMAT: Final = {
    "start_time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%6fZ)%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "response_code": "%RESPONSE_CODE%",
    "response_flags": "%RESPONSE_FLAGS%",
    "duration_ms": "%DURATION%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "upstream_cluster": "%UPSTREAM_CLUSTER%",
    "upstream_host": "%UPSTREAM_HOST%",
    "route_version": "%METADATA(ROUTE:meshwright:version)%",
    "route_arn": "%METADATA(ROUTE:meshwright:arn)%",
}
"""A line of the access logs: the request, what came of it, and the configuration it followed."""


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """The settings of the demo, see above."""

    blue_weight: int
    mesh_name: str
    dns_suffix: str
    port: int

    @property
    def weights(self) -> dict[str, int]:
        """The weights by virtual node; the provider reports those that are out of bounds."""
        return {"color-blue": self.blue_weight, "color-green": 100 - self.blue_weight}


def parse_settings(config: pulumi.Config) -> DemoSettings:
    """The settings from the stack's configuration, with their defaults."""
    blue_weight = config.get_int("blueWeight")
    mesh_name = config.get("meshName") or "demo"
    return DemoSettings(
        blue_weight=80 if blue_weight is None else blue_weight,
        mesh_name=mesh_name,
        dns_suffix=config.get("dnsSuffix") or f"{mesh_name}.local",
        port=config.get_int("port") or 8080,
    )


def demo_program() -> None:
    """Declare the demo's resources and export its names."""
    settings = parse_settings(pulumi.Config())
    mesh = meshwright.Mesh("demo", name=settings.mesh_name)

    def node(name: str, *backends: pulumi.Input[str]) -> MeshNode:
        return MeshNode(
            name,
            MeshNodeArgs(
                mesh_name=mesh.name,
                hostname=f"{name}.{settings.dns_suffix}",
                port=settings.port,
                backends=backends,
                access_log_format=ACCESS_LOG_FORMAT,
            ),
        )

    colors = [node(name) for name in settings.weights]
    color = WeightedService(
        "color",
        WeightedServiceArgs(
            mesh_name=mesh.name,
            service_name=f"color.{settings.dns_suffix}",
            port=settings.port,
            targets=settings.weights,
            depends_on=tuple(colors),
        ),
    )
    front = node("front", color.virtual_service_name)
    pulumi.export("meshName", mesh.name)
    pulumi.export("frontArn", front.arn)
    pulumi.export("serviceName", color.virtual_service_name)
    pulumi.export("routeArn", color.route_arn)
    pulumi.export("routeVersion", color.route_version)
    pulumi.export("weights", settings.weights)
