"""A service whose requests are shared out between virtual nodes by weight.

virtual service --> virtual router --> route --> node A  80
color.demo.local                            '--> node B  20
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi

import pulumi_meshwright as meshwright

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedServiceArgs:
    """What a `WeightedService` is made of.

    Attributes:
        mesh_name: The mesh that it belongs to. Pass a mesh's output, so that the mesh comes first.
        service_name: The host name that applications call, for instance `color.demo.local`.
        port: The port of the router's listener.
        targets: Weights by the name of the virtual node: whole numbers from 0 to 100, in sum at
            most 100 and not all 0. What counts is each one's share of the sum.
        prefix: The paths that it serves, by how they begin.
        depends_on: What must exist before the route; the nodes, where their names are not outputs.
    """

    mesh_name: pulumi.Input[str]
    service_name: pulumi.Input[str]
    port: pulumi.Input[int]
    targets: Mapping[str, int]
    prefix: str = "/"
    depends_on: tuple[pulumi.Resource, ...] = ()


class WeightedService(pulumi.ComponentResource):
    """A service whose requests are shared out between virtual nodes by weight.

    Args:
        name: The component's name, and the virtual router's and the route's.
        args: What it is made of.
        opts: Options for the component and, by inheritance, its children.
    """

    virtual_service_name: pulumi.Output[str]
    """The service's host name, for the backends of the nodes that call it."""
    virtual_router_name: pulumi.Output[str]
    """The name of its router."""
    route_arn: pulumi.Output[str]
    """The ARN of its route, as it stands in access logs."""
    route_version: pulumi.Output[int]
    """The version of its route: one more with each change."""

    def __init__(
        self, name: str, args: WeightedServiceArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("meshwright:components:WeightedService", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        mapping = meshwright.PortMappingArgs(port=args.port, protocol="http")
        router = meshwright.VirtualRouter(
            name,
            mesh_name=args.mesh_name,
            name=name,
            spec=meshwright.VirtualRouterSpecArgs(
                listeners=[meshwright.VirtualRouterListenerArgs(port_mapping=mapping)]
            ),
            opts=child,
        )
        route = meshwright.Route(
            name,
            mesh_name=args.mesh_name,
            virtual_router_name=router.name,
            name=name,
            spec=build_route_spec(args.targets, args.prefix),
            opts=pulumi.ResourceOptions.merge(
                child, pulumi.ResourceOptions(depends_on=list(args.depends_on))
            ),
        )
        service = meshwright.VirtualService(
            name,
            mesh_name=args.mesh_name,
            name=args.service_name,
            spec=meshwright.VirtualServiceSpecArgs(
                provider=meshwright.VirtualServiceProviderArgs(
                    virtual_router=meshwright.VirtualRouterServiceProviderArgs(
                        virtual_router_name=router.name
                    )
                )
            ),
            opts=child,
        )
        self.virtual_service_name = service.name
        self.virtual_router_name = router.name
        self.route_arn = route.arn
        self.route_version = route.version
        self.register_outputs(
            {
                "virtualServiceName": service.name,
                "virtualRouterName": router.name,
                "routeArn": route.arn,
                "routeVersion": route.version,
            }
        )


def build_route_spec(targets: Mapping[str, int], prefix: str) -> meshwright.RouteSpecArgs:
    """The specification of an HTTP route from a prefix of the path to weighted targets."""
    return meshwright.RouteSpecArgs(
        http_route=meshwright.HttpRouteArgs(
            match=meshwright.HttpRouteMatchArgs(prefix=prefix),
            action=meshwright.HttpRouteActionArgs(weighted_targets=build_weighted_targets(targets)),
        )
    )


def build_weighted_targets(targets: Mapping[str, int]) -> list[meshwright.WeightedTargetArgs]:
    """Weighted targets from weights by virtual node.

    The bounds of a single weight are the model's, which the provider checks; those of the sum are
    the API's: "the total weight for all targets combined must be less than or equal to 100".

    Raises:
        ValueError: There is no target, or all weights are 0, or their sum is more than 100.
    """
    total = sum(targets.values())
    if total == 0:
        raise ValueError("targets: give at least one a weight above 0, else no request is served")
    if total > _MOST and max(targets.values()) <= _MOST:
        given = " + ".join(str(weight) for weight in targets.values())
        raise ValueError(f"targets: the weights may add up to {_MOST}, but {given} = {total}")
    return [
        meshwright.WeightedTargetArgs(virtual_node=node, weight=weight)
        for node, weight in targets.items()
    ]


_MOST = 100
