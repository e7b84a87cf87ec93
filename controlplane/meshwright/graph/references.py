"""What a resource refers to, read from its specification."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from meshwright.model.resources import Kind, Resource, ResourceKey

ROUTE_TYPES = ("httpRoute", "http2Route", "grpcRoute", "tcpRoute")
"""The members of a route's or gateway route's specification that hold the route itself."""

GATEWAY_ROUTE_TYPES = ROUTE_TYPES[:3]
"""Those of a gateway route, which has none for TCP."""


_NO_PRIORITY = 1_001
"""A route without a priority comes after those with one, whose largest is 1000."""


class Reference(NamedTuple):
    """A field that names another resource.

    Attributes:
        field: The field's path in the request, such as
            `spec.httpRoute.action.weightedTargets[0].virtualNode`.
        target: What it names, whether that exists or not.
    """

    field: str
    target: ResourceKey


def references_of(resource: Resource) -> tuple[Reference, ...]:
    """Everything that a resource's specification names, in the order of its fields.

    A route's virtual router is not among them: that is its parent, not a reference.
    """
    match resource.key.kind:
        case Kind.VIRTUAL_NODE:
            return tuple(_backends(resource))
        case Kind.VIRTUAL_SERVICE:
            return tuple(_provider(resource))
        case Kind.ROUTE:
            return tuple(reference for reference, _ in weighted_target_ports(resource))
        case Kind.GATEWAY_ROUTE:
            return tuple(_gateway_target(resource))
        case Kind.MESH | Kind.VIRTUAL_ROUTER | Kind.VIRTUAL_GATEWAY:
            return ()


def _backends(node: Resource) -> Iterator[Reference]:
    for position, backend in enumerate(node.spec.get("backends", ())):
        # A backend may name a virtual service by its ARN: "Enter an App Mesh virtual service
        # name or full ARN" (App Mesh user guide, virtual_nodes.md).
        name = backend["virtualService"]["virtualServiceName"].rpartition("/")[2]
        yield Reference(
            f"spec.backends[{position}].virtualService.virtualServiceName",
            ResourceKey(node.key.mesh, Kind.VIRTUAL_SERVICE, name),
        )


def _provider(service: Resource) -> Iterator[Reference]:
    provider: dict[str, Any] = service.spec.get("provider", {})
    for kind in (Kind.VIRTUAL_NODE, Kind.VIRTUAL_ROUTER):
        if kind.value in provider:
            yield Reference(
                f"spec.provider.{kind.value}.{kind.name_member}",
                ResourceKey(service.key.mesh, kind, provider[kind.value][kind.name_member]),
            )


def weighted_target_ports(route: Resource) -> Iterator[tuple[Reference, int | None]]:
    """A route's weighted targets, each with the port that it names, if it names one."""
    for route_type in ROUTE_TYPES:
        action = route.spec.get(route_type, {}).get("action", {})
        for position, target in enumerate(action.get("weightedTargets", ())):
            reference = Reference(
                f"spec.{route_type}.action.weightedTargets[{position}].virtualNode",
                ResourceKey(route.key.mesh, Kind.VIRTUAL_NODE, target["virtualNode"]),
            )
            yield reference, target.get("port")


class CertificateUse(NamedTuple):
    """A field that names a certificate by its ARN.

    Attributes:
        field: The field's path in the request.
        arn: The ARN.
        is_trust: Whether authorities are asked for, or else a certificate with its key.
    """

    field: str
    arn: str
    is_trust: bool


def certificates_of(resource: Resource) -> Iterator[CertificateUse]:
    """The certificates that a resource's specification names by their ARNs."""
    yield from _certificates(resource.spec, "spec")


def _certificates(value: Any, field: str) -> Iterator[CertificateUse]:
    match value:
        case {"certificateArn": str(arn)}:
            yield CertificateUse(f"{field}.certificateArn", arn, is_trust=False)
        case {"certificateAuthorityArns": [*arns]}:
            for position, arn in enumerate(cast("list[str]", arns)):
                yield CertificateUse(
                    f"{field}.certificateAuthorityArns[{position}]", arn, is_trust=True
                )
        case dict():
            for name, each in cast("dict[str, Any]", value).items():
                yield from _certificates(each, f"{field}.{name}")
        case list():
            for position, each in enumerate(cast("list[Any]", value)):
                yield from _certificates(each, f"{field}[{position}]")
        case _:
            return


def route_priority(route: Resource) -> int:
    """The priority of a route or gateway route; 0 is the highest."""
    return route.spec.get("priority", _NO_PRIORITY)


def _gateway_target(route: Resource) -> Iterator[Reference]:
    for route_type in ROUTE_TYPES:
        target = route.spec.get(route_type, {}).get("action", {}).get("target")
        if target is not None:
            yield Reference(
                f"spec.{route_type}.action.target.virtualService.virtualServiceName",
                ResourceKey(
                    route.key.mesh,
                    Kind.VIRTUAL_SERVICE,
                    target["virtualService"]["virtualServiceName"],
                ),
            )
