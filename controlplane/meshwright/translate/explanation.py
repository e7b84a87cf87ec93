"""Why a request goes where it goes: the translation's decisions, told step by step.

Nothing is sent; the rules of the translation and of Envoy's matching are applied to the graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from meshwright.graph import Graph
from meshwright.model.patterns import matches_pattern
from meshwright.model.resources import Kind, Resource
from meshwright.translate.backends import Backend, Endpoint, RoutedRequests, backends_of
from meshwright.translate.names import listener_name
from meshwright.translate.proxies import EGRESS_PORT
from meshwright.translate.retries import DEFAULT_RETRIES
from meshwright.translate.routes import REQUEST_TIMEOUT_SECONDS
from meshwright.translate.tls import find_client_tls

_DEFAULT = "App Mesh's default"


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A request as an application would send it.

    Attributes:
        method: Its method.
        scheme: http or https.
        host: The host that it names, without the port.
        port: The port that it names; None where it names none.
        path: Its path.
        query: Its query parameters, in order.
        headers: Its headers by lower-case name.
    """

    method: str
    scheme: str
    host: str
    port: int | None
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] | None = None


def parse_request(method: str, url: str, headers: Iterable[str]) -> SentRequest:
    """A request from what a command line gives.

    Args:
        method: Its method, in any case.
        url: `http://HOST[:PORT]/PATH?QUERY`.
        headers: `NAME: VALUE` each.

    Raises:
        ValueError: The URL or a header is none; the message says which.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"url {url!r}: expected http://HOST/PATH")
    parsed: dict[str, str] = {}
    for header in headers:
        name, colon, value = header.partition(":")
        if not colon or not name.strip():
            raise ValueError(f"header {header!r}: expected NAME: VALUE")
        parsed[name.strip().lower()] = value.strip()
    return SentRequest(
        method=method.upper(),
        scheme=parts.scheme,
        host=parts.hostname,
        port=parts.port,
        path=parts.path or "/",
        query=tuple(parse_qsl(parts.query, keep_blank_values=True)),
        headers=parsed,
    )


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
class Explanation:
    """The decisions about a request, in their order, and whether it gets anywhere."""

    steps: tuple[Step, ...]
    routed: bool


def explain(graph: Graph, caller: Resource, request: SentRequest) -> Explanation:
    """Why a request that a virtual node's application sends goes where it goes, or nowhere.

    Args:
        graph: The mesh.
        caller: The virtual node whose application sends it.
        request: The request.
    """
    steps: list[Step] = []
    routed = _explain(graph, caller, request, steps)
    return Explanation(tuple(steps), routed)


def _explain(graph: Graph, caller: Resource, request: SentRequest, steps: list[Step]) -> bool:
    listener = listener_name("egress", "...", EGRESS_PORT)
    steps.append(Step(f"{caller.key} sends it out through its listener {listener}"))
    backends = backends_of(graph, caller)
    backend = _find_backend(backends, request)
    if backend is None:
        return _leaves_the_mesh(graph, backends, request, steps)
    source = next(
        (
            f"spec.backends[{position}] of {caller.key}"
            for position, declared in enumerate(caller.spec.get("backends", ()))
            if declared["virtualService"]["virtualServiceName"].rpartition("/")[2]
            == backend.service.key.name
        ),
        "",
    )
    steps.append(Step(f"the host is its backend {backend.service.key}", source))
    provider, declared = next(iter(backend.service.spec["provider"].items()))
    name = next(iter(declared.values()))
    steps.append(
        Step(
            f"it is provided by {Kind(provider).label} {name!r}",
            f"spec.provider of {backend.service.key}",
        )
    )
    rule = _find_rule(backend, request, steps)
    if rule is None:
        steps.append(Step("no route takes it: Envoy answers 404"))
        return False
    steps.extend(_timing(rule))
    if not any(target.weight for target in rule.targets):
        steps.append(Step("no target can be reached: Envoy answers 503", rule.declared.arn))
        return False
    steps.extend(_targets(caller, backends, rule))
    return True


def _find_backend(backends: tuple[Backend, ...], request: SentRequest) -> Backend | None:
    """The backend whose virtual host Envoy would choose; it takes the name in any case."""
    for backend in backends:
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
    mesh = graph.mesh
    declared = mesh.spec.get("egressFilter", {}).get("type") if mesh is not None else None
    source = f"spec.egressFilter of {mesh.key}" if declared and mesh else _DEFAULT
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
        if not rule.kind:
            return rule
        mismatch = _find_mismatch(rule, request, asked)
        if mismatch is None:
            priority = rule.declared.spec.get("priority")
            order = "no priority" if priority is None else f"priority {priority}"
            steps.append(Step(f"{name} takes it ({order})", f"spec.{rule.kind}.match"))
            return rule
        steps.append(Step(f"{name} leaves it: {mismatch}", f"spec.{rule.kind}.match"))
    return None


def _find_mismatch(rule: RoutedRequests, request: SentRequest, asked: int) -> str | None:
    """Why a route does not take a request, or None where it does."""
    match = rule.match
    if match.get("port", asked) != asked:
        return f"the port is {asked} and not {match['port']}"
    reasons = _grpc_mismatches if rule.kind == "grpcRoute" else _http_mismatches
    return next(reasons(match, request), None)


def _http_mismatches(match: Mapping[str, Any], request: SentRequest) -> Iterator[str]:
    path: Mapping[str, Any] = match.get("path", {})
    if "exact" in path and request.path != path["exact"]:
        yield f"the path is not {path['exact']}"
    if "regex" in path and not matches_pattern(path["regex"], request.path):
        yield f"the path does not match {path['regex']}"
    if not path and not request.path.startswith(match.get("prefix", "/")):
        yield f"the path does not begin with {match['prefix']}"
    for name, value in (("method", request.method), ("scheme", request.scheme)):
        if match.get(name, value) != value:
            yield f"the {name} is {value} and not {match[name]}"
    yield from _header_mismatches(match.get("headers", ()), request)
    for parameter in match.get("queryParameters", ()):
        values = [value for name, value in request.query if name == parameter["name"]]
        exact = parameter.get("match", {}).get("exact")
        if not values or (exact is not None and exact != values[0]):
            wanted = parameter["name"] if exact is None else f"{parameter['name']}={exact}"
            yield f"the query does not have {wanted}"


def _grpc_mismatches(match: Mapping[str, Any], request: SentRequest) -> Iterator[str]:
    if not (request.headers or {}).get("content-type", "").startswith("application/grpc"):
        yield "it is no gRPC request: content-type is not application/grpc"
    service, method = match.get("serviceName"), match.get("methodName")
    if method is not None and request.path != f"/{service}/{method}":
        yield f"the method is not {service}/{method}"
    elif service is not None and not request.path.startswith(f"/{service}/"):
        yield f"the service is not {service}"
    yield from _header_mismatches(match.get("metadata", ()), request)


def _header_mismatches(headers: Iterable[Mapping[str, Any]], request: SentRequest) -> Iterator[str]:
    for header in headers:
        name, inverted = header["name"], header.get("invert", False)
        value = (request.headers or {}).get(name.lower())
        match: Mapping[str, Any] = header.get("match", {})
        if not match:
            holds = (value is not None) != inverted
        else:
            # A missing header fits neither a value nor "not this value" (Envoy's API,
            # config.route.v3.HeaderMatcher).
            holds = value is not None and _fits(match, value) != inverted
        if not holds:
            wanted = "be there" if not match else f"have {_describe(match)}"
            yield f"the header {name} should {'not ' if inverted else ''}{wanted}"


def _fits(match: Mapping[str, Any], value: str) -> bool:
    (how, wanted) = next(iter(match.items()))
    match how:
        case "exact":
            return value == wanted
        case "prefix":
            return value.startswith(wanted)
        case "suffix":
            return value.endswith(wanted)
        case "regex":
            return matches_pattern(wanted, value)
        case _:
            digits = value.removeprefix("-")
            return digits.isdecimal() and wanted["start"] <= int(value) < wanted["end"]


def _describe(match: Mapping[str, Any]) -> str:
    (how, wanted) = next(iter(match.items()))
    if how == "range":
        return f"a number from {wanted['start']} to below {wanted['end']}"
    return f"{how} {wanted}"


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


def _targets(
    caller: Resource, backends: tuple[Backend, ...], rule: RoutedRequests
) -> Iterator[Step]:
    total = sum(target.weight for target in rule.targets)
    for target in rule.targets:
        endpoint = target.endpoint
        share = 100 * target.weight / total
        dns = endpoint.node.spec["serviceDiscovery"]["dns"]
        tls = "TLS" if find_client_tls(caller, backends, endpoint) else "plain text"
        yield Step(
            f"{share:.4g} % go to {endpoint.node.key}, {dns['hostname']}:{endpoint.port} in "
            f"{endpoint.protocol} over {tls}",
            f"cluster {endpoint.cluster}",
        )
        yield from _listener(endpoint)


def _listener(endpoint: Endpoint) -> Iterator[Step]:
    where = f"the listener of {endpoint.node.key} on {endpoint.port}"
    timeout = endpoint.listener.get("timeout", {}).get(endpoint.protocol, {}).get("perRequest")
    if timeout is None:
        yield Step(f"its application may take {REQUEST_TIMEOUT_SECONDS} s", _DEFAULT)
    else:
        yield Step(f"its application may take {_duration(timeout)}", where)
    if "healthCheck" in endpoint.listener:
        yield Step("only hosts that pass their health check get any", where)
    if "outlierDetection" in endpoint.listener:
        yield Step("hosts that fail in a row are left out for a while", where)
    if "connectionPool" in endpoint.listener:
        yield Step("its connection pool may turn requests away", where)


def _duration(duration: Mapping[str, Any]) -> str:
    if duration["value"] == 0:
        return "for ever"
    return f"{duration['value']} {duration.get('unit', 's')}"
