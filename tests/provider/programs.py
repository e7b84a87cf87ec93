"""Programs for the engine, with knobs, and readers of the engine's answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pulumi

import pulumi_meshwright as meshwright

if TYPE_CHECKING:
    from pulumi import automation

    from pytest_meshwright.control_plane import ControlPlane
    from pytest_meshwright.pulumi_stack import PulumiStack
    from tests.controlplane.presence.reconnecting import ReconnectingProxy


@dataclass
class Colors:
    """A mesh of all five types, as a program with knobs that a test turns between two runs."""

    mesh_name: str = "demo"
    weight: int = 80
    router_name: str = "color"
    prefix: str = "/"
    tags: dict[str, str] | None = None
    imported: bool = False
    extra: list[Callable[[meshwright.Mesh], Any]] = field(default_factory=list)

    def __call__(self) -> None:
        """Declare the resources."""
        mesh = meshwright.Mesh(
            "demo", name=self.mesh_name, tags=self.tags, opts=self._options("demo")
        )
        node = meshwright.VirtualNode(
            "blue",
            opts=self._options("demo/blue"),
            mesh_name=mesh.name,
            spec={
                "listeners": [{"port_mapping": {"port": 8080, "protocol": "http"}}],
                "service_discovery": {"dns": {"hostname": "blue.demo.local"}},
            },
        )
        router = meshwright.VirtualRouter(
            "router",
            opts=self._options("demo/color"),
            mesh_name=mesh.name,
            name=self.router_name,
            spec={"listeners": [{"port_mapping": {"port": 8080, "protocol": "http"}}]},
        )
        meshwright.Route(
            "route",
            opts=self._options("demo/color/route"),
            mesh_name=mesh.name,
            virtual_router_name=router.name,
            spec=meshwright.RouteSpecArgs(
                http_route=meshwright.HttpRouteArgs(
                    match=meshwright.HttpRouteMatchArgs(prefix=self.prefix),
                    action=meshwright.HttpRouteActionArgs(
                        weighted_targets=[
                            meshwright.WeightedTargetArgs(
                                virtual_node=node.name, weight=self.weight
                            )
                        ]
                    ),
                )
            ),
        )
        meshwright.VirtualService(
            "service",
            opts=self._options("demo/color.demo.local"),
            mesh_name=mesh.name,
            name="color.demo.local",
            spec={"provider": {"virtual_router": {"virtual_router_name": router.name}}},
        )
        for declare in self.extra:
            declare(mesh)

    def _options(self, resource_id: str) -> pulumi.ResourceOptions | None:
        return pulumi.ResourceOptions(import_=resource_id) if self.imported else None

    def live_route(self, control_plane: ControlPlane, router: str = "color") -> Any:
        """The route as the control plane describes it."""
        client: Any = control_plane.client()
        answer = client.describe_route(
            meshName=self.mesh_name, virtualRouterName=router, routeName="route"
        )
        return answer["route"]


def declare_gateway(mesh: meshwright.Mesh) -> None:
    """Declare the two types that `Colors` has not."""
    gateway = meshwright.VirtualGateway(
        "edge",
        mesh_name=mesh.name,
        spec={"listeners": [{"port_mapping": {"port": 9080, "protocol": "http"}}]},
    )
    service = meshwright.VirtualService("paint.demo.local", mesh_name=mesh.name, spec={})
    target: Any = {"virtual_service": {"virtual_service_name": service.name}}
    meshwright.GatewayRoute(
        "paint",
        mesh_name=mesh.name,
        virtual_gateway_name=gateway.name,
        spec={"http_route": {"match": {"prefix": "/"}, "action": {"target": target}}},
    )


def declare_backend() -> meshwright.VirtualService:
    """Declare what the virtual node `front` of the fixture `mesh_with_front` calls."""
    node = meshwright.VirtualNode(
        "back",
        mesh_name="demo",
        spec={
            "listeners": [{"port_mapping": {"port": 8080, "protocol": "http"}}],
            "service_discovery": {"dns": {"hostname": "back.internal"}},
        },
    )
    return meshwright.VirtualService(
        "back.local",
        mesh_name="demo",
        spec={"provider": {"virtual_node": {"virtual_node_name": node.name}}},
    )


def exported(result: automation.UpResult) -> dict[str, Any]:
    """What a program has exported."""
    return {name: output.value for name, output in result.outputs.items()}


def pending(stack: PulumiStack) -> list[Any]:
    """The operations of which the stack's state does not know how they ended."""
    return _deployment(stack).get("pending_operations") or []


def resources(stack: PulumiStack) -> list[Any]:
    """The resources in the stack's state, the stack and its providers among them."""
    return _deployment(stack)["resources"]


def initialization_errors(stack: PulumiStack) -> dict[str, list[str]]:
    """What is wrong with resources that were made, by name, according to the stack's state."""
    return {
        item["urn"].rpartition("::")[2]: item["initErrors"]
        for item in resources(stack)
        if item.get("initErrors")
    }


def _deployment(stack: PulumiStack) -> dict[str, Any]:
    return cast("dict[str, Any]", stack.stack.export_stack().deployment)


def changes(
    result: automation.UpResult | automation.RefreshResult | automation.DestroyResult,
) -> Any:
    """How many resources had what happen to them, without those that stayed the same."""
    summary = result.summary.resource_changes or {}
    return {what: count for what, count in summary.items() if what != "same"}


def errors(text: str) -> list[str]:
    """The lines with an error in the diagnostics that the engine printed."""
    diagnostics = text.partition("Diagnostics:")[2]
    return re.findall(r"^ +error: (.*)$", diagnostics, re.MULTILINE)


MISSING = "is missing at virtualNode/front ("
"""How an update says for whom it waits."""


class Late:
    """A proxy that acknowledges once the engine has said that it is waited for.

    Args:
        proxy: The proxy.

    Attributes:
        missed: The lines that said so.
    """

    def __init__(self, proxy: ReconnectingProxy) -> None:
        self._proxy = proxy
        proxy.mood = "hold"
        self.missed: list[str] = []

    def __call__(self, line: str) -> None:
        """Take a line of the engine's output."""
        if MISSING in line:
            self.missed.append(line)
            self._proxy.acknowledge_now()
