"""What a proxy can reach: virtual services, resolved through routers and routes to endpoints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from meshwright.graph import Graph
from meshwright.graph.references import ROUTE_TYPES, references_of, route_priority
from meshwright.model.ports import TCP
from meshwright.model.resources import Kind, Resource, ResourceKey
from meshwright.translate.lookups import CloudMapService
from meshwright.translate.names import cluster_name


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One listener of a virtual node, as others reach it.

    Attributes:
        node: The virtual node.
        listener: The listener, as the node's specification has it.
        policy: The TLS policy of the client that reaches it; None where that has none.
        service: The virtual service by which it is reached, where others reach it under another
            client policy; else empty.
    """

    node: Resource
    listener: Mapping[str, Any]
    policy: Mapping[str, Any] | None = None
    service: str = ""

    @property
    def protocol(self) -> str:
        """The listener's protocol."""
        return self.listener["portMapping"]["protocol"]

    @property
    def port(self) -> int:
        """The listener's port."""
        return self.listener["portMapping"]["port"]

    @property
    def hostname(self) -> str:
        """The name by which it is discovered, which its certificate has to be for.

        Source: App Mesh user guide, tls.md, "Certificate requirements".
        """
        discovery = self.node.spec["serviceDiscovery"]
        service = cloud_map_service(discovery)
        return discovery["dns"]["hostname"] if service is None else str(service)

    @property
    def cluster(self) -> str:
        """The name of the cluster that reaches it."""
        key = self.node.key
        name = cluster_name("egress", key.mesh.name, key.name, self.protocol, self.port)
        return f"{name}_{self.service}" if self.service else name


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint and its weight among the targets of one route."""

    endpoint: Endpoint
    weight: int


@dataclass(frozen=True, slots=True)
class RoutedRequests:
    """One rule of a backend: some of its requests or connections, and who gets them.

    Attributes:
        declared: The route; the virtual service where a virtual node provides it, which takes
            everything.
        kind: The route's type, such as `httpRoute`; empty for a virtual node provider.
        rule: The route itself, the part of the specification under its type.
        targets: Who gets the requests or connections.
    """

    declared: Resource
    kind: str
    rule: Mapping[str, Any]
    targets: tuple[Target, ...]

    @property
    def match(self) -> Mapping[str, Any]:
        """The route's match; empty where it takes every request."""
        return self.rule.get("match", {})

    def takes_port(self, port: int) -> bool:
        """Whether what is asked on a port may be for it."""
        return self.match.get("port", port) == port


@dataclass(frozen=True, slots=True)
class TcpPort:
    """A port on which a virtual service takes TCP connections.

    Attributes:
        port: The port.
        rule: Who gets its connections; None where no route takes them.
    """

    port: int
    rule: RoutedRequests | None


@dataclass(frozen=True, slots=True)
class Backend:
    """A virtual service with the rules that answer for it.

    Attributes:
        service: The virtual service.
        ports: The ports of its virtual router or virtual node on which it is asked in HTTP of any
            version.
        rules: What is tried for a request, in this order.
        tcp_ports: The ports on which it takes TCP connections.
    """

    service: Resource
    ports: tuple[int, ...]
    rules: tuple[RoutedRequests, ...]
    tcp_ports: tuple[TcpPort, ...] = ()

    @property
    def takes_requests(self) -> bool:
        """Whether it can be asked in HTTP at all."""
        return bool(self.ports or not self.tcp_ports)

    @property
    def all_rules(self) -> tuple[RoutedRequests, ...]:
        """The rules for requests, and those for connections."""
        return (*self.rules, *(tcp.rule for tcp in self.tcp_ports if tcp.rule is not None))

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        """Every endpoint that it leads to, by the name of the cluster."""
        return {
            target.endpoint.cluster: target.endpoint
            for rule in self.all_rules
            for target in rule.targets
        }

    @property
    def connections(self) -> Backend:
        """What is to be known of it where a connection comes that may be for it."""
        return replace(self, rules=())


def backends_of(graph: Graph, owner: Resource) -> tuple[Backend, ...]:
    """The virtual services that a proxy's resource can reach and that exist, by name.

    Those are the backends of a virtual node, and the targets of a virtual gateway's routes. One
    that does not exist, or has no provider, is a finding of the graph and left out here.
    """
    found = (find_backend(graph, key) for key in services_named_by(graph, owner))
    backends = [backend for backend in found if backend is not None]
    if not has_client_policies(owner):
        return tuple(backends)
    policies = [find_client_policy(owner, backend.service.key.name) for backend in backends]
    reached = [(each, backend.endpoints) for each, backend in zip(policies, backends, strict=True)]
    return tuple(
        reach_under(backend, policy, apart)
        for backend, policy, apart in zip(backends, policies, part_clusters(reached), strict=True)
    )


def services_named_by(graph: Graph, owner: Resource) -> tuple[ResourceKey, ...]:
    """The keys of the virtual services that a proxy's resource names, by name, existing or not."""
    naming = [owner, *graph.children_of(owner.key)]
    return tuple(sorted({reference.target for each in naming for reference in references_of(each)}))


def part_clusters(
    reached: Iterable[tuple[Mapping[str, Any] | None, Iterable[str]]],
) -> Iterator[frozenset[str]]:
    """The clusters that backends can't share with an earlier one, which has another policy.

    Where backends reach an endpoint under different policies, they have clusters of their own; the
    first by name keeps the one with App Mesh's name.

    Args:
        reached: For each backend, by name, the client policy and the names of the clusters.
    """
    policies: dict[str, Mapping[str, Any] | None] = {}
    for policy, clusters in reached:
        apart: list[str] = []
        for name in clusters:
            earlier = policies.setdefault(name, policy)
            if earlier is not policy and earlier != policy:
                apart.append(name)
        yield frozenset(apart)


def reach_under(
    backend: Backend, policy: Mapping[str, Any] | None, apart: frozenset[str]
) -> Backend:
    """A backend whose endpoints are reached under a client policy.

    Args:
        backend: The backend.
        policy: The client policy.
        apart: The names of the clusters that it must not share.
    """
    service = backend.service.key.name

    def reach(rule: RoutedRequests) -> RoutedRequests:
        targets = [
            replace(
                target,
                endpoint=replace(
                    target.endpoint,
                    policy=policy,
                    service=service if target.endpoint.cluster in apart else "",
                ),
            )
            for target in rule.targets
        ]
        return replace(rule, targets=tuple(targets))

    return replace(
        backend,
        rules=tuple(map(reach, backend.rules)),
        tcp_ports=tuple(
            replace(tcp, rule=None if tcp.rule is None else reach(tcp.rule))
            for tcp in backend.tcp_ports
        ),
    )


def has_client_policies(owner: Resource) -> bool:
    """Whether a proxy's resource says how TLS is spoken to any of its backends."""
    declared = [each["virtualService"] for each in owner.spec.get("backends", ())]
    defaults = owner.spec.get("backendDefaults", {})
    return any("clientPolicy" in each for each in (defaults, *declared))


def find_client_policy(owner: Resource, service: str) -> Mapping[str, Any] | None:
    """The TLS policy for a backend of that name: its own, else the owner's default."""
    for declared in owner.spec.get("backends", ()):
        backend = declared["virtualService"]
        policy = backend.get("clientPolicy", {}).get("tls")
        if policy is not None and backend["virtualServiceName"].rpartition("/")[2] == service:
            return policy
    return owner.spec.get("backendDefaults", {}).get("clientPolicy", {}).get("tls")


def find_backend(graph: Graph, key: ResourceKey) -> Backend | None:
    """A virtual service as whoever names it reaches it; None where it can't be reached."""
    service = graph.resources.get(key)
    if service is None:
        return None
    for reference in references_of(service):
        provider = graph.resources[reference.target]
        if provider.key.kind is Kind.VIRTUAL_ROUTER:
            return _resolve_router(graph, service, provider)
        if provider.spec.get("listeners"):
            return _resolve_node(service, provider)
    return None


def _resolve_node(service: Resource, node: Resource) -> Backend:
    """A virtual service that a virtual node provides: each of its ports is that of a listener."""
    endpoints = [Endpoint(node, listener) for listener in node.spec["listeners"]]
    http = [endpoint for endpoint in endpoints if endpoint.protocol != TCP]

    def send_all(endpoint: Endpoint) -> RoutedRequests:
        rule = {"match": {"port": endpoint.port}} if len(http) > 1 else {}
        return RoutedRequests(service, "", rule, (Target(endpoint, 1),))

    return Backend(
        service,
        tuple(endpoint.port for endpoint in http),
        tuple(send_all(endpoint) for endpoint in http),
        tuple(
            TcpPort(endpoint.port, RoutedRequests(service, "", {}, (Target(endpoint, 1),)))
            for endpoint in endpoints
            if endpoint.protocol == TCP
        ),
    )


def _resolve_router(graph: Graph, service: Resource, router: Resource) -> Backend:
    mappings = [listener["portMapping"] for listener in router.spec.get("listeners", ())]
    rules = sorted(
        (_resolve_route(graph, route) for route in graph.children_of(router.key)), key=_order
    )
    connections = [rule for rule in rules if rule.kind == "tcpRoute"]
    return Backend(
        service,
        tuple(mapping["port"] for mapping in mappings if mapping["protocol"] != TCP),
        tuple(rule for rule in rules if rule.kind != "tcpRoute"),
        tuple(
            TcpPort(port, next((each for each in connections if each.takes_port(port)), None))
            for port in (mapping["port"] for mapping in mappings if mapping["protocol"] == TCP)
        ),
    )


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
    return route_priority(declared), specificity, -length, declared.key.name


def cloud_map_service(discovery: Mapping[str, Any]) -> CloudMapService | None:
    """The service of a node's `serviceDiscovery`, or None where DNS finds the node."""
    declared = discovery.get("awsCloudMap")
    if declared is None:
        return None
    attributes = sorted((each["key"], each["value"]) for each in declared.get("attributes", ()))
    return CloudMapService(declared["namespaceName"], declared["serviceName"], tuple(attributes))


def find_endpoint(node: Resource, port: int | None = None) -> Endpoint | None:
    """A virtual node's listener on a port, or its first; None where it has none such."""
    for listener in node.spec.get("listeners", ()):
        if port in (None, listener["portMapping"]["port"]):
            return Endpoint(node, listener)
    return None
