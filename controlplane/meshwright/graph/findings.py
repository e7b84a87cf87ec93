"""What is wrong in a mesh without being refused: findings, shown until they are resolved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from meshwright.graph.collisions import find_collisions
from meshwright.graph.graph import Graph
from meshwright.graph.references import references_of, route_priority
from meshwright.graph.violations import find_violations
from meshwright.model.ports import TCP
from meshwright.model.resources import Kind, Resource


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem of one resource.

    Attributes:
        resource: The ARN of the resource that has it.
        code: A word that names the kind of problem, for filters: `BackendMissing`.
        field: The path of the field at fault, as in a request.
        message: What is wrong.
        remedy: What to do about it.
    """

    resource: str
    code: str
    field: str
    message: str
    remedy: str


def find_problems(graph: Graph) -> list[Finding]:
    """All findings of a mesh, by resource.

    People's scripts make nodes before services and delete services before nodes, so that a
    backend may name what is not there yet or any more: it is reported here instead of refused.
    """
    return [
        finding
        for key in sorted(graph.resources)
        for finding in problems_of(graph, graph.resources[key])
    ]


def problems_of(graph: Graph, resource: Resource) -> Iterator[Finding]:
    """The findings of one resource of a mesh."""
    if not graph.admits(resource.resource_owner):
        yield Finding(
            resource.arn,
            "OwnerNotAdmitted",
            "",
            f"{resource.key} belongs to account {resource.resource_owner}, and mesh "
            f"{resource.key.mesh.name!r} is not shared with that account (any more), so its "
            "proxies get no configuration and nobody can change it",
            f"delete it, or share the mesh: meshwright mesh share {resource.key.mesh.name} "
            f"{resource.resource_owner}",
        )
    match resource.key.kind:
        case Kind.VIRTUAL_NODE:
            yield from _missing_backends(graph, resource)
            yield from _colliding_backends(graph, resource)
        case Kind.VIRTUAL_SERVICE if not references_of(resource):
            yield Finding(
                resource.arn,
                "ProviderMissing",
                "spec.provider",
                f"{resource.key} has no provider, so nobody answers its requests",
                "set spec.provider to a virtual router or a virtual node",
            )
        case Kind.VIRTUAL_ROUTER if not graph.children_of(resource.key):
            yield Finding(
                resource.arn,
                "RouteMissing",
                "",
                f"{resource.key} has no route, so it answers every request with 404",
                "create a route in it",
            )
        case Kind.ROUTE | Kind.GATEWAY_ROUTE:
            for violation in find_violations(graph, resource):
                # It was accepted, and a later change to its target, or to what it is in, took the
                # ground away.
                yield Finding(
                    resource.arn,
                    "TargetUnreachable",
                    violation.field,
                    f"{resource.key}: {violation.field} {violation.message}",
                    f"change the {resource.key.kind.label}, or give back the listener it needs",
                )
            yield from _shadowed_tcp_route(graph, resource)
        case _:
            return


def _missing_backends(graph: Graph, node: Resource) -> Iterator[Finding]:
    for reference in references_of(node):
        if reference.target not in graph.resources:
            yield Finding(
                node.arn,
                "BackendMissing",
                reference.field,
                f"{node.key} has the backend {reference.target.name!r}, and there is no such "
                f"virtual service in mesh {node.key.mesh.name!r}",
                f"create the virtual service {reference.target.name!r}, or take the backend out "
                "of the virtual node",
            )


def _colliding_backends(graph: Graph, node: Resource) -> Iterator[Finding]:
    """Backends that share a port, which alone does not tell a connection's backend."""
    for first, second, mixed in find_collisions(graph, node):
        if mixed:
            # It was accepted, and a later change to one of the services, or to what provides it,
            # took the ground away.
            code = "PortProtocolsMixed"
            tcp, http = (first, second) if first.protocol == TCP else (second, first)
            consequence = (
                f"which take {first.protocol} and {second.protocol} on port {first.port}: what "
                f"begins as HTTP goes to {http.service.name!r}, and the rest to "
                f"{tcp.service.name!r}, after a wait where the server is to speak first"
            )
        else:
            code = "TcpPortShared"
            consequence = (
                f"which both take TCP connections on port {first.port}: only those with TLS are "
                "told apart, by the server name that they ask for"
            )
        yield Finding(
            node.arn,
            code,
            second.field,
            f"{node.key} has the backends {first.service.name!r} and {second.service.name!r}, "
            f"{consequence}",
            "give one of their virtual routers another port, or each an address of its own in the "
            "proxies' service_addresses",
        )


def _shadowed_tcp_route(graph: Graph, route: Resource) -> Iterator[Finding]:
    """A TCP route that gets nothing, since another one takes the connections of all its ports."""
    ports = _tcp_ports_of(graph, route)
    if not ports:
        return
    before = [
        each
        for each in graph.children_of(route.key.parent_key or route.key)
        if (route_priority(each), each.key.name) < (route_priority(route), route.key.name)
    ]
    taken = {port: each.key for each in reversed(before) for port in _tcp_ports_of(graph, each)}
    if ports <= taken.keys():
        yield Finding(
            route.arn,
            "RouteShadowed",
            "spec.tcpRoute",
            f"{route.key} gets no connection, since {taken[min(ports)]} takes them before it",
            "delete one of them, or let them match different ports",
        )


def _tcp_ports_of(graph: Graph, route: Resource) -> set[int]:
    """The ports whose connections a route may take; empty for one that is not for TCP."""
    router = graph.resources.get(route.key.parent_key) if route.key.parent_key else None
    if "tcpRoute" not in route.spec or router is None:
        return set()
    wanted = route.spec["tcpRoute"].get("match", {}).get("port")
    mappings = [listener["portMapping"] for listener in router.spec.get("listeners", ())]
    return {
        mapping["port"]
        for mapping in mappings
        if mapping["protocol"] == "tcp" and wanted in (None, mapping["port"])
    }
