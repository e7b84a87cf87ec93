"""What a mesh must never become: the rules between resources that the API enforces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from meshwright.graph.collisions import find_collisions
from meshwright.graph.graph import PROXY_KINDS, Graph
from meshwright.graph.references import (
    GATEWAY_ROUTE_TYPES,
    ROUTE_TYPES,
    references_of,
    weighted_target_ports,
)
from meshwright.model.ports import PROXY_PORTS
from meshwright.model.resources import Kind, Resource

_APART: Final = "give one of their virtual routers another port"


@dataclass(frozen=True, slots=True)
class Violation:
    """Why a resource can't be accepted beside the others of its mesh.

    Attributes:
        field: The path of the field at fault, as in a request.
        message: What is wrong with it, without the field's name.
        missing: Whether the field names a resource that does not exist.
    """

    field: str
    message: str
    missing: bool = False


def find_violations(graph: Graph, resource: Resource) -> list[Violation]:
    """Why a resource does not fit into a mesh; empty where it does.

    Args:
        graph: The mesh with the resource in it.
        resource: The resource that was created or updated.
    """
    match resource.key.kind:
        case Kind.VIRTUAL_SERVICE:
            misfits = _mixed_for_callers(graph, resource)
        case Kind.GATEWAY_ROUTE:
            misfits = chain(
                _listener_mismatch(graph, resource), _unreachable_service_port(graph, resource)
            )
        case Kind.ROUTE:
            misfits = chain(
                _unreachable_targets(graph, resource),
                _listener_mismatch(graph, resource),
                _target_mismatch(graph, resource),
            )
        case Kind.VIRTUAL_NODE:
            misfits = _mixed_backends(graph, resource)
        case Kind.VIRTUAL_GATEWAY | Kind.VIRTUAL_ROUTER | Kind.MESH:
            misfits = ()
    return [*find_standing_violations(graph, resource), *misfits]


def find_standing_violations(graph: Graph, resource: Resource) -> list[Violation]:
    """Why a resource could not even have been left in a mesh; empty where it could.

    What was accepted and lost its ground by a later change to another resource stays in a mesh, as
    a finding. Arguments as in `find_violations`.
    """
    return [*find_own_violations(resource), *_missing_targets(graph, resource)]


def find_own_violations(resource: Resource) -> list[Violation]:
    """Why a resource would fit into no mesh, whatever else is in it."""
    match resource.key.kind:
        case Kind.ROUTE:
            return [*_not_one_route(resource), *_weights_all_zero(resource)]
        case Kind.GATEWAY_ROUTE:
            return list(_not_one_route(resource))
        case Kind.VIRTUAL_NODE:
            return [
                *_no_service_discovery(resource),
                *_port_twice(resource),
                *_other_protocols(resource),
                *_grpc_check_over_http1(resource),
            ]
        case Kind.VIRTUAL_GATEWAY:
            return [
                *_port_twice(resource),
                *_other_protocols(resource),
                *_other_check_port(resource),
            ]
        case Kind.VIRTUAL_ROUTER:
            return list(_port_twice(resource))
        case Kind.VIRTUAL_SERVICE | Kind.MESH:
            return []


def _missing_targets(graph: Graph, resource: Resource) -> Iterator[Violation]:
    """The fields that name a resource which does not exist; a virtual node's backends may."""
    if resource.key.kind is Kind.VIRTUAL_NODE:
        return
    for reference in references_of(resource):
        if reference.target not in graph.resources:
            yield Violation(
                reference.field,
                f"there is no {reference.target} in mesh {resource.key.mesh.name!r}; create it "
                "first",
                missing=True,
            )


def _not_one_route(route: Resource) -> Iterator[Violation]:
    known = ROUTE_TYPES if route.key.kind is Kind.ROUTE else GATEWAY_ROUTE_TYPES
    given = [name for name in known if name in route.spec]
    if len(given) != 1:
        yield Violation(
            "spec",
            f"takes exactly one of {', '.join(known)}, and has "
            f"{' and '.join(given) if given else 'none of them'}",
        )


def _weights_all_zero(route: Resource) -> Iterator[Violation]:
    for route_type in ROUTE_TYPES:
        targets: Sequence[Mapping[str, Any]] = (
            route.spec.get(route_type, {}).get("action", {}).get("weightedTargets", ())
        )
        if targets and not any(target["weight"] for target in targets):
            yield Violation(
                f"spec.{route_type}.action.weightedTargets",
                "has no target with a weight above 0, so that nobody could be chosen",
            )


def _no_service_discovery(node: Resource) -> Iterator[Violation]:
    # "If you specify a listener, then you must specify service discovery information"
    # (botocore's model, VirtualNodeSpec.serviceDiscovery).
    if node.spec.get("listeners") and not node.spec.get("serviceDiscovery"):
        yield Violation(
            "spec.serviceDiscovery", "is required where the virtual node has a listener"
        )


def _other_protocols(node: Resource) -> Iterator[Violation]:
    for position, listener in enumerate(node.spec.get("listeners", ())):
        protocol = listener["portMapping"]["protocol"]
        for name in ("timeout", "connectionPool"):
            for other in listener.get(name, {}).keys() - {protocol}:
                yield Violation(
                    f"spec.listeners[{position}].{name}.{other}",
                    f"does not fit a listener with protocol {protocol}; use {name}.{protocol}",
                )


def _grpc_check_over_http1(node: Resource) -> Iterator[Violation]:
    # Envoy: "cluster must support HTTP/2 for gRPC healthchecking".
    for position, listener in enumerate(node.spec.get("listeners", ())):
        protocol = listener["portMapping"]["protocol"]
        check = listener.get("healthCheck", {}).get("protocol")
        if check == "grpc" and protocol not in ("grpc", "http2"):
            yield Violation(
                f"spec.listeners[{position}].healthCheck.protocol",
                f"must be http or tcp for a listener with protocol {protocol}, got grpc",
            )


def _other_check_port(gateway: Resource) -> Iterator[Violation]:
    # "This port must match the port defined in the PortMapping for the listener" (botocore's
    # model, VirtualGatewayHealthCheckPolicy.port).
    for position, listener in enumerate(gateway.spec["listeners"]):
        port = listener["portMapping"]["port"]
        if listener.get("healthCheck", {}).get("port", port) != port:
            yield Violation(
                f"spec.listeners[{position}].healthCheck.port", f"must be the listener's, {port}"
            )


def _port_twice(resource: Resource) -> Iterator[Violation]:
    seen: set[int] = set()
    for position, listener in enumerate(resource.spec.get("listeners", ())):
        port = listener["portMapping"]["port"]
        field = f"spec.listeners[{position}].portMapping.port"
        bound = resource.key.kind in PROXY_KINDS or listener["portMapping"]["protocol"] == "tcp"
        if port in PROXY_PORTS and bound:
            yield Violation(field, f"must not be {port}, on which the proxy itself listens")
        if port in seen:
            yield Violation(field, f"must differ from the other listeners', and {port} is taken")
        seen.add(port)


def _listener_mismatch(graph: Graph, route: Resource) -> Iterator[Violation]:
    """A route's type and port against the listeners of its virtual router or virtual gateway.

    Source: App Mesh user guide, routes.md: "The protocol that you select must match the listener
    protocol that you selected for your virtual router and the virtual node".
    """
    parent = graph.resources.get(route.key.parent_key) if route.key.parent_key else None
    given = [name for name in ROUTE_TYPES if name in route.spec]
    if len(given) != 1 or parent is None:
        return
    mappings = [each["portMapping"] for each in parent.spec.get("listeners", ())]
    protocol = given[0].removesuffix("Route")
    offered = sorted({mapping["protocol"] for mapping in mappings})
    if protocol not in offered and (offered or protocol == "tcp"):
        yield Violation(
            f"spec.{given[0]}",
            f"needs a listener with protocol {protocol} in {parent.key}, which has "
            f"{', '.join(offered) or 'none'}",
        )
    port = route.spec[given[0]].get("match", {}).get("port")
    ports = [mapping["port"] for mapping in mappings]
    if port is not None and port not in ports:
        yield Violation(
            f"spec.{given[0]}.match.port",
            f"must be a port of {parent.key}, which listens on "
            f"{', '.join(map(str, ports)) or 'none'}; got {port}",
        )


def _target_mismatch(graph: Graph, route: Resource) -> Iterator[Violation]:
    """A route's type against the listeners of its targets."""
    for reference, port in weighted_target_ports(route):
        protocol = reference.field.split(".")[1].removesuffix("Route")
        node = graph.resources.get(reference.target)
        mappings = [each["portMapping"] for each in node.spec.get("listeners", ())] if node else []
        chosen = next((each for each in mappings if port in (None, each["port"])), None)
        if chosen is not None and chosen["protocol"] != protocol:
            yield Violation(
                reference.field,
                f"must listen with protocol {protocol}, and {reference.target} listens on "
                f"{chosen['port']} with {chosen['protocol']}",
            )


def _unreachable_service_port(graph: Graph, route: Resource) -> Iterator[Violation]:
    """A gateway route's target and its port against what its virtual service is asked on.

    Source: App Mesh user guide, virtual_gateways.md: gateways speak HTTP, HTTP/2 and gRPC.
    """
    for reference in references_of(route):
        kind = reference.field.split(".")[1]
        port = route.spec[kind]["action"]["target"].get("port")
        service = graph.resources.get(reference.target)
        if service is None:
            continue
        mappings = graph.port_mappings_of(service)
        ports = [mapping["port"] for mapping in mappings if mapping["protocol"] != "tcp"]
        if mappings and not ports:
            yield Violation(
                reference.field, f"must not be {service.key}, which takes nothing but TCP"
            )
        elif port is not None and port not in ports:
            yield Violation(
                f"spec.{kind}.action.target.port",
                f"must be a port of {service.key}, which is asked on "
                f"{', '.join(map(str, ports)) or 'none'}; got {port}",
            )


def _mixed_backends(graph: Graph, node: Resource) -> Iterator[Violation]:
    """Backends of a virtual node that take requests and TCP connections on one port."""
    for first, second, mixed in find_collisions(graph, node):
        if mixed:
            yield Violation(
                second.field,
                f"must not take {second.protocol} on port {second.port}, on which the backend "
                f"{first.service.name!r} takes {first.protocol}; {_APART}",
            )


def _mixed_for_callers(graph: Graph, service: Resource) -> Iterator[Violation]:
    """A virtual service on a port that one of its callers knows by another protocol.

    Callers of other accounts are left out: what they declare must not keep a service's owner
    from changing it.
    """
    for caller in sorted(graph.referrers_of(service.key)):
        node = graph.resources[caller]
        if caller.kind is not Kind.VIRTUAL_NODE or node.resource_owner != service.resource_owner:
            continue
        for first, second, mixed in find_collisions(graph, node):
            if mixed and service.key in (first.service, second.service):
                own, other = (first, second) if first.service == service.key else (second, first)
                yield Violation(
                    "spec.provider",
                    f"must not take {own.protocol} on port {own.port}, on which {caller} has the "
                    f"backend {other.service.name!r} with {other.protocol}; {_APART}",
                )


def _unreachable_targets(graph: Graph, route: Resource) -> Iterator[Violation]:
    for reference, port in weighted_target_ports(route):
        node = graph.resources.get(reference.target)
        if node is None:
            continue
        ports = [listener["portMapping"]["port"] for listener in node.spec.get("listeners", ())]
        if not ports:
            yield Violation(reference.field, f"{node.key} has no listener that could be reached")
        elif port is not None and port not in ports:
            yield Violation(
                reference.field.removesuffix("virtualNode") + "port",
                f"must be a port of {node.key}, which listens on {', '.join(map(str, ports))}; "
                f"got {port}",
            )
