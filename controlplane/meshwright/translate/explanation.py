"""Why a request goes where it goes: the translation's decisions, told step by step.

Nothing is sent; the rules of the translation and of Envoy's matching are applied to the graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from meshwright.graph import Graph
from meshwright.model.ports import EGRESS_PORT, TCP
from meshwright.model.resources import Kind, Resource
from meshwright.translate.backends import Backend, Endpoint, RoutedRequests, TcpPort, backends_of
from meshwright.translate.egress import AWS_NAMES, AWS_PORT
from meshwright.translate.mismatches import find_mismatch
from meshwright.translate.names import listener_name
from meshwright.translate.retries import DEFAULT_RETRIES
from meshwright.translate.routes import REQUEST_TIMEOUT_SECONDS
from meshwright.translate.sent_requests import SentRequest
from meshwright.translate.tls import find_client_tls

_DEFAULT = "App Mesh's default"


@dataclass(frozen=True, slots=True)
class Step:
    """One decision.

    Attributes:
        text: What was decided.
        source: Where that comes from: a field of a resource, or a default.
    """

    text: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Share:
    """One listener of a virtual node that a request may go to.

    Attributes:
        virtual_node: The virtual node's name.
        share: How much of such requests it gets, between 0 and 1.
        port: The listener's port.
        protocol: The listener's protocol.
        tls: Whether it is spoken to over TLS.
    """

    virtual_node: str
    share: float
    port: int
    protocol: str
    tls: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """The decisions about a request, in their order, and where it gets.

    Attributes:
        steps: The decisions.
        routed: Whether it gets anywhere.
        route: The ARN of the route that takes it; empty where none does, or where a virtual node
            provides the virtual service.
        targets: Who may get it; empty where it leaves the mesh, or gets nowhere.
    """

    steps: tuple[Step, ...]
    routed: bool
    route: str = ""
    targets: tuple[Share, ...] = ()


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Whether a request gets anywhere, and the rule that takes it, where one does."""

    routed: bool
    rule: RoutedRequests | None = None


def explain(graph: Graph, caller: Resource, request: SentRequest) -> Explanation:
    """Why a request that a virtual node's application sends goes where it goes, or nowhere.

    Args:
        graph: The mesh.
        caller: The virtual node whose application sends it.
        request: The request or connection.
    """
    steps: list[Step] = []
    explain_it = _explain_connection if request.scheme == TCP else _explain_request
    outcome = explain_it(graph, caller, request, steps)
    rule = outcome.rule
    return Explanation(
        tuple(steps),
        outcome.routed,
        route=rule.declared.arn if rule is not None and rule.kind else "",
        targets=_shares(rule) if rule is not None and outcome.routed else (),
    )


def _shares(rule: RoutedRequests) -> tuple[Share, ...]:
    total = sum(target.weight for target in rule.targets)
    return tuple(
        Share(
            virtual_node=target.endpoint.node.key.name,
            share=target.weight / total,
            port=target.endpoint.port,
            protocol=target.endpoint.protocol,
            tls=bool(find_client_tls(target.endpoint)),
        )
        for target in rule.targets
    )


def _explain_request(
    graph: Graph, caller: Resource, request: SentRequest, steps: list[Step]
) -> _Outcome:
    listener = listener_name("egress", "...", EGRESS_PORT)
    steps.append(Step(f"{caller.key} sends it out through its listener {listener}"))
    backends = backends_of(graph, caller)
    backend = _find_backend(backends, request)
    if backend is None:
        return _Outcome(_leaves_the_mesh(graph, backends, request, steps))
    source = _backend_source(caller, backend)
    steps.append(Step(f"the host is its backend {backend.service.key}", source))
    steps.append(_provider(backend))
    rule = _find_rule(backend, request, steps)
    if rule is None:
        steps.append(Step("no route takes it: Envoy answers 404"))
        return _Outcome(routed=False)
    steps.extend(_timing(rule))
    if not any(target.weight for target in rule.targets):
        steps.append(Step("no target can be reached: Envoy answers 503", rule.declared.arn))
        return _Outcome(routed=False, rule=rule)
    steps.extend(_targets(rule))
    return _Outcome(routed=True, rule=rule)


def _backend_source(caller: Resource, backend: Backend) -> str:
    return next(
        (
            f"spec.backends[{position}] of {caller.key}"
            for position, declared in enumerate(caller.spec.get("backends", ()))
            if declared["virtualService"]["virtualServiceName"].rpartition("/")[2]
            == backend.service.key.name
        ),
        "",
    )


def _provider(backend: Backend) -> Step:
    provider, declared = next(iter(backend.service.spec["provider"].items()))
    name = next(iter(declared.values()))
    return Step(
        f"it is provided by {Kind(provider).label} {name!r}",
        f"spec.provider of {backend.service.key}",
    )


def _explain_connection(
    graph: Graph, caller: Resource, request: SentRequest, steps: list[Step]
) -> _Outcome:
    """A TCP connection says no name, unless in TLS: its port finds the backend."""
    backends = backends_of(graph, caller)
    steps.append(Step(f"{caller.key} opens it, and its proxy takes it by its port {request.port}"))
    found = [
        (backend, tcp)
        for backend in backends
        for tcp in backend.tcp_ports
        if tcp.port == request.port
    ]
    if not found:
        return _Outcome(_leaves_as_connection(graph, request, steps))
    named = [each for each in found if each[0].service.key.name.lower() == request.host.lower()]
    names = " and ".join(str(backend.service.key) for backend, _ in found)
    if len(found) > 1:
        text = (
            f"the port is that of {names}: only the server name that TLS asks for, or an address "
            "of the service's own, tells them apart"
        )
        steps.append(Step(text, "service_addresses in the proxy's node metadata"))
        if not named:
            steps.append(Step(f"{request.host} is none of them: it is closed"))
            return _Outcome(routed=False)
    backend, tcp = (named or found)[0]
    text = f"the port is that of its backend {backend.service.key}"
    steps.append(
        Step(text if named else f"{text}, whatever the host", _backend_source(caller, backend))
    )
    steps.append(_provider(backend))
    return _explain_tcp_rule(tcp, steps)


def _explain_tcp_rule(tcp: TcpPort, steps: list[Step]) -> _Outcome:
    rule = tcp.rule
    if rule is None:
        steps.append(Step("no route takes it: it is closed"))
        return _Outcome(routed=False)
    if rule.kind:
        steps.append(Step(f"{rule.declared.key} takes it ({_order(rule)})", "spec.tcpRoute.match"))
    idle = rule.rule.get("timeout", {}).get("idle")
    if idle is None:
        steps.append(Step("it may idle for ever", _DEFAULT))
    else:
        steps.append(Step(f"it may idle {_duration(idle)}", "spec.tcpRoute.timeout.idle"))
    if not any(target.weight for target in rule.targets):
        steps.append(Step("no target can be reached: it is closed", rule.declared.arn))
        return _Outcome(routed=False, rule=rule)
    steps.extend(_targets(rule))
    return _Outcome(routed=True, rule=rule)


def _leaves_as_connection(graph: Graph, request: SentRequest, steps: list[Step]) -> bool:
    steps.append(Step(f"port {request.port} is that of none of its backends for TCP"))
    declared, source = _egress_filter(graph)
    if declared == "ALLOW_ALL":
        steps.append(Step("the egress filter ALLOW_ALL lets it out to where it goes", source))
        return True
    if request.port == AWS_PORT and request.host.lower().endswith(AWS_NAMES.removeprefix("*")):
        text = f"the egress filter DROP_ALL lets TLS out to {AWS_NAMES}, for calls of AWS's APIs"
        steps.append(Step(text, source))
        return True
    steps.append(Step("the egress filter DROP_ALL keeps it in: it is closed", source))
    return False


def _egress_filter(graph: Graph) -> tuple[str, str]:
    """The mesh's egress filter, and where it comes from."""
    mesh = graph.mesh
    declared = mesh.spec.get("egressFilter", {}).get("type") if mesh is not None else None
    source = f"spec.egressFilter of {mesh.key}" if declared and mesh else _DEFAULT
    return declared or "DROP_ALL", source


def _find_backend(backends: tuple[Backend, ...], request: SentRequest) -> Backend | None:
    """The backend whose virtual host Envoy would choose; it takes the name in any case."""
    for backend in (each for each in backends if each.takes_requests):
        ports = {None, EGRESS_PORT, *backend.ports}
        if backend.service.key.name.lower() == request.host.lower() and request.port in ports:
            return backend
    return None


def _leaves_the_mesh(
    graph: Graph, backends: tuple[Backend, ...], request: SentRequest, steps: list[Step]
) -> bool:
    known = ", ".join(
        f"{backend.service.key.name} (port {', '.join(map(str, backend.ports)) or 'any'})"
        for backend in backends
    )
    host = request.host if request.port is None else f"{request.host}:{request.port}"
    steps.append(Step(f"{host} is none of its backends, which are: {known or 'none'}"))
    declared, source = _egress_filter(graph)
    if declared == "ALLOW_ALL":
        steps.append(Step("the egress filter ALLOW_ALL lets it out to that host", source))
        return True
    steps.append(Step("the egress filter DROP_ALL keeps it in: Envoy answers 404", source))
    return False


def _find_rule(backend: Backend, request: SentRequest, steps: list[Step]) -> RoutedRequests | None:
    ports = backend.ports
    asked = request.port if request.port in ports else (80 if 80 in ports else next(iter(ports), 0))
    for rule in backend.rules:
        name = str(rule.declared.key)
        mismatch = find_mismatch(rule, request, asked)
        if not rule.kind:
            if mismatch is None:
                return rule
            continue
        if mismatch is None:
            steps.append(Step(f"{name} takes it ({_order(rule)})", f"spec.{rule.kind}.match"))
            return rule
        steps.append(Step(f"{name} leaves it: {mismatch}", f"spec.{rule.kind}.match"))
    return None


def _order(rule: RoutedRequests) -> str:
    priority = rule.declared.spec.get("priority")
    return "no priority" if priority is None else f"priority {priority}"


def _timing(rule: RoutedRequests) -> Iterator[Step]:
    declared = f"spec.{rule.kind}"
    policy = rule.rule.get("retryPolicy")
    if policy is None:
        text = (
            f"{DEFAULT_RETRIES} retries on gRPC UNAVAILABLE, HTTP 503, connect failure, "
            "refused stream and reset"
        )
        yield Step(text, _DEFAULT)
    else:
        kinds = ("httpRetryEvents", "tcpRetryEvents", "grpcRetryEvents")
        events = [event for kind in kinds for event in policy.get(kind, ())]
        each = _duration(policy["perRetryTimeout"])
        text = f"{policy['maxRetries']} retries, {each} each, on {', '.join(events) or 'nothing'}"
        yield Step(text, f"{declared}.retryPolicy")
    timeouts: Mapping[str, Any] = rule.rule.get("timeout", {})
    if "perRequest" in timeouts:
        yield Step(
            f"it may take {_duration(timeouts['perRequest'])}", f"{declared}.timeout.perRequest"
        )
    else:
        yield Step(f"it may take {REQUEST_TIMEOUT_SECONDS} s", _DEFAULT)
    if "idle" in timeouts:
        yield Step(f"it may idle {_duration(timeouts['idle'])}", f"{declared}.timeout.idle")


def _targets(rule: RoutedRequests) -> Iterator[Step]:
    total = sum(target.weight for target in rule.targets)
    for target in rule.targets:
        endpoint = target.endpoint
        share = 100 * target.weight / total
        tls = "TLS" if find_client_tls(endpoint) else "plain text"
        yield Step(
            f"{share:.4g} % go to {endpoint.node.key}, {endpoint.hostname}:{endpoint.port} in "
            f"{endpoint.protocol} over {tls}",
            f"cluster {endpoint.cluster}",
        )
        yield from _listener(endpoint)


def _listener(endpoint: Endpoint) -> Iterator[Step]:
    where = f"the listener of {endpoint.node.key} on {endpoint.port}"
    timeouts = endpoint.listener.get("timeout", {}).get(endpoint.protocol, {})
    timeout = timeouts.get("perRequest")
    if endpoint.protocol == TCP:
        if "idle" in timeouts:
            yield Step(f"its application may idle {_duration(timeouts['idle'])}", where)
    elif timeout is None:
        yield Step(f"its application may take {REQUEST_TIMEOUT_SECONDS} s", _DEFAULT)
    else:
        yield Step(f"its application may take {_duration(timeout)}", where)
    if "healthCheck" in endpoint.listener:
        yield Step("only hosts that pass their health check get any", where)
    if "outlierDetection" in endpoint.listener:
        yield Step("hosts that fail in a row are left out for a while", where)
    if "connectionPool" in endpoint.listener:
        yield Step("its connection pool may turn some away", where)


def _duration(duration: Mapping[str, Any]) -> str:
    if duration["value"] == 0:
        return "for ever"
    return f"{duration['value']} {duration.get('unit', 's')}"
