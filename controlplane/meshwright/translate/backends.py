"""What a proxy can reach: virtual services, resolved through routers and routes to endpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from meshwright.graph import Graph
from meshwright.graph.references import ROUTE_TYPES, references_of
from meshwright.model.resources import Kind, Resource
from meshwright.translate.names import cluster_name

_NO_PRIORITY: Final = 1_001
"""A route without a priority comes after those with one, whose largest is 1000."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One listener of a virtual node, as others reach it.

    Attributes:
        node: The virtual node.
        listener: The listener, as the node's specification has it.
    """

    node: Resource
    listener: Mapping[str, Any]

    @property
    def protocol(self) -> str:
        """The listener's protocol."""
        return self.listener["portMapping"]["protocol"]

    @property
    def port(self) -> int:
        """The listener's port."""
        return self.listener["portMapping"]["port"]

    @property
    def cluster(self) -> str:
        """The name of the cluster that reaches it."""
        key = self.node.key
        return cluster_name("egress", key.mesh.name, key.name, self.protocol, self.port)


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint and its weight among the targets of one route."""

    endpoint: Endpoint
    weight: int


@dataclass(frozen=True, slots=True)
class RoutedRequests:
    """One rule of a backend: some of its requests, and who gets them.

    Attributes:
        declared: The route; the virtual service where a virtual node provides it, which takes
            every request.
        kind: The route's type, such as `httpRoute`; empty for a virtual node provider.
        rule: The route itself, the part of the specification under its type.
        targets: Who gets the requests.
    """

    declared: Resource
    kind: str
    rule: Mapping[str, Any]
    targets: tuple[Target, ...]

    @property
    def match(self) -> Mapping[str, Any]:
        """The route's match; empty where it takes every request."""
        return self.rule.get("match", {})


@dataclass(frozen=True, slots=True)
class Backend:
    """A virtual service with the rules that answer for it.

    Attributes:
        service: The virtual service.
        ports: The ports that it is asked on: its virtual router's, or its virtual node's.
        rules: What is tried, in this order.
    """

    service: Resource
    ports: tuple[int, ...]
    rules: tuple[RoutedRequests, ...]


def backends_of(graph: Graph, owner: Resource) -> tuple[Backend, ...]:
    """The virtual services that a proxy's resource can reach and that exist, by name.

    Those are the backends of a virtual node, and the targets of a virtual gateway's routes. One
    that does not exist, or has no provider, is a finding of the graph and left out here.
    """
    naming = [owner, *graph.children_of(owner.key)]
    targets = {reference.target for each in naming for reference in references_of(each)}
    found: list[Backend] = []
    for target in sorted(targets):
        service = graph.resources.get(target)
        if service is not None:
            found.extend(_resolve(graph, service))
    return tuple(found)


def _resolve(graph: Graph, service: Resource) -> Iterator[Backend]:
    for reference in references_of(service):
        provider = graph.resources[reference.target]
        listeners = provider.spec.get("listeners", ())
        ports = tuple(listener["portMapping"]["port"] for listener in listeners)
        if provider.key.kind is Kind.VIRTUAL_NODE:
            endpoint = find_endpoint(provider)
            if endpoint is not None:
                rule = RoutedRequests(service, "", {}, (Target(endpoint, 1),))
                yield Backend(service, ports, (rule,))
        else:
            rules = (_resolve_route(graph, route) for route in graph.children_of(provider.key))
            yield Backend(service, ports, tuple(sorted(rules, key=_order)))


def _resolve_route(graph: Graph, route: Resource) -> RoutedRequests:
    kind = next(kind for kind in ROUTE_TYPES if kind in route.spec)
    rule = route.spec[kind]
    targets: list[Target] = []
    for weighted in rule["action"]["weightedTargets"]:
        node = graph.find(Kind.VIRTUAL_NODE, weighted["virtualNode"])
        endpoint = find_endpoint(node, weighted.get("port")) if node is not None else None
        if endpoint is not None:
            targets.append(Target(endpoint, weighted["weight"]))
    return RoutedRequests(route, kind, rule, tuple(targets))


def _order(rule: RoutedRequests) -> tuple[int, int, int, str]:
    return route_order(rule.declared, rule.match)


def route_order(declared: Resource, match: Mapping[str, Any]) -> tuple[int, int, int, str]:
    """The sort key of a route or gateway route among those of its router or gateway.

    Lower priority first; then an exact path, a regex, the longer prefix; then by name.
    Source: App Mesh user guide, routes.md (0 is the highest priority) and gateway-routes.md (the
    longest prefix is matched).
    """
    path: Mapping[str, Any] = match.get("path", {})
    if "exact" in path or "methodName" in match:
        specificity, length = 0, 0
    elif "regex" in path:
        specificity, length = 1, 0
    else:
        prefix = match.get("prefix") or match.get("serviceName") or ""
        specificity, length = 2, len(prefix)
    return declared.spec.get("priority", _NO_PRIORITY), specificity, -length, declared.key.name


def find_endpoint(node: Resource, port: int | None = None) -> Endpoint | None:
    """A virtual node's listener on a port, or its first; None where it has none such."""
    for listener in node.spec.get("listeners", ()):
        if port in (None, listener["portMapping"]["port"]):
            return Endpoint(node, listener)
    return None
