"""Route configurations: who answers which request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from google.protobuf.message import Message

from meshwright.model.ports import EGRESS_PORT
from meshwright.model.resources import Kind, Resource
from meshwright.translate.backends import Backend, RoutedRequests, Target
from meshwright.translate.durations import build_duration
from meshwright.translate.envoy_api import RouteConfiguration, build_struct
from meshwright.translate.health import SELF_CHECK_HOST, build_self_checks
from meshwright.translate.matches import build_grpc_match, build_http_match
from meshwright.translate.names import cluster_name, route_configuration_name
from meshwright.translate.retries import build_retry_policy

REQUEST_TIMEOUT_SECONDS: Final = 15
"""Where neither route nor listener sets one (user guide, virtual_nodes.md and routes.md)."""

SERVICE_HEADER: Final = "x-app-mesh-virtual-service"
"""Names the virtual service of a request whose host name a gateway route did not rewrite."""

HTTP_PORT: Final = 80
"""The port of a request whose host names none."""


def build_ingress_routes(node: Resource, listener: Mapping[str, Any]) -> Message:
    """The route configuration of a listener: everything goes to the application, in its time."""
    mapping = listener["portMapping"]
    protocol, port = mapping["protocol"], mapping["port"]
    cluster = cluster_name("ingress", node.key.mesh.name, node.key.name, protocol, port)
    timeouts = build_timeouts(listener.get("timeout", {}).get(protocol, {}))
    route = {"match": {"prefix": "/"}, "route": {"cluster": cluster, **timeouts}}
    host = {"name": node.key.name, "domains": ["*"], "routes": [route]}
    return RouteConfiguration(
        name=route_configuration_name("ingress", protocol, port),
        virtual_hosts=[host],
        validate_clusters={"value": False},
    )


_SELF_CHECK: Final = {
    "name": "self_check",
    "domains": [SELF_CHECK_HOST],
    "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}],
}


def build_egress_routes(
    owner: Resource, backends: tuple[Backend, ...], open_cluster: str | None
) -> Message:
    """The route configuration of what leaves a proxy: virtual hosts for each backend.

    Args:
        owner: The virtual node or virtual gateway.
        backends: What it can reach.
        open_cluster: Where requests to what is no backend go; None where they go nowhere.
    """
    taken = {"*", SELF_CHECK_HOST}
    asked = [backend for backend in backends if backend.takes_requests]
    built = [host for backend in asked for host in _build_virtual_hosts(backend, taken)]
    hosts = [host for host in built if host["domains"]]
    if owner.key.kind is Kind.VIRTUAL_GATEWAY:
        if build_self_checks(owner):
            hosts.insert(0, _SELF_CHECK)
        hosts.append(_build_named_by_header_host(backends))
    elif open_cluster is not None:
        hosts.append(_build_open_host(open_cluster))
    else:
        hosts.append(_build_no_backend_host(owner, backends))
    return RouteConfiguration(
        name=route_configuration_name("egress", "http", EGRESS_PORT),
        virtual_hosts=hosts,
        validate_clusters={"value": False},
    )


def build_timeouts(timeouts: Mapping[str, Any]) -> dict[str, Any]:
    """How long a request may take, and how long it may be idle; 0 is for ever.

    Source: App Mesh user guide, routes.md and virtual_nodes.md.
    """
    per_request = timeouts.get("perRequest", {"value": REQUEST_TIMEOUT_SECONDS, "unit": "s"})
    built = {"timeout": build_duration(per_request)}
    if "idle" in timeouts:
        built["idle_timeout"] = build_duration(timeouts["idle"])
    return built


def _build_virtual_hosts(backend: Backend, taken: set[str]) -> Iterator[dict[str, Any]]:
    """A backend's virtual host; where routes look at the port, one for each port.

    A request without a port asks for port 80 where the service has that, else for its first.
    """
    service = backend.service.key.name
    bare_port = next((port for port in backend.ports if port == HTTP_PORT), None)
    bare_port = bare_port or next(iter(backend.ports), None)
    if not any("port" in rule.match for rule in backend.rules):
        names = [service, *(f"{service}:{port}" for port in (*backend.ports, EGRESS_PORT))]
        yield _build_virtual_host(service, names, backend.rules, taken)
        return
    for port in backend.ports:
        names = [service, f"{service}:{EGRESS_PORT}"] if port == bare_port else []
        rules = [rule for rule in backend.rules if rule.takes_port(port)]
        yield _build_virtual_host(
            f"{service}:{port}", [*names, f"{service}:{port}"], tuple(rules), taken
        )


def _build_virtual_host(
    name: str, domains: list[str], rules: tuple[RoutedRequests, ...], taken: set[str]
) -> dict[str, Any]:
    """A virtual host with those of its domains that no earlier one has taken.

    Envoy compares domains without regard to case, and rejects one that stands there twice.
    """
    free = [domain for domain in dict.fromkeys(map(str.lower, domains)) if domain not in taken]
    taken.update(free)
    return {"name": name, "domains": free, "routes": [_build_route(rule) for rule in rules]}


def _build_route(rule: RoutedRequests) -> dict[str, Any]:
    build_match = build_grpc_match if rule.kind == "grpcRoute" else build_http_match
    return {
        "name": rule.declared.key.name,
        "match": build_match(rule.match),
        **_build_action(rule),
        "metadata": build_origin(rule.declared),
    }


def build_origin(declared: Resource) -> dict[str, Any]:
    """A route's metadata, which access logs can show.

    %METADATA(ROUTE:meshwright:arn)% says which declared route a request followed, and :version
    says which version of it.
    """
    origin = {"arn": declared.arn, "version": str(declared.version)}
    return {"filter_metadata": {"meshwright": build_struct(origin)}}


def _build_action(rule: RoutedRequests) -> dict[str, Any]:
    if not any(target.weight for target in rule.targets):
        body = f"{rule.declared.key} has no target that can be reached\n"
        return {"direct_response": {"status": 503, "body": {"inline_string": body}}}
    return {
        "route": {
            **_build_cluster_choice(rule.targets),
            **build_timeouts(rule.rule.get("timeout", {})),
            "retry_policy": build_retry_policy(rule.rule.get("retryPolicy")),
        }
    }


def _build_cluster_choice(targets: tuple[Target, ...]) -> dict[str, Any]:
    if len(targets) == 1:
        return {"cluster": targets[0].endpoint.cluster}
    clusters = [
        {"name": target.endpoint.cluster, "weight": {"value": target.weight}} for target in targets
    ]
    return {"weighted_clusters": {"clusters": clusters}}


def _build_named_by_header_host(backends: tuple[Backend, ...]) -> dict[str, Any]:
    """Requests that a gateway route left their host name: a header names the virtual service.

    App Mesh's gateways did it so; the header does not reach the application.
    """
    routes: list[dict[str, Any]] = []
    for backend in backends:
        named = {"name": SERVICE_HEADER, "string_match": {"exact": backend.service.key.name}}
        for rule in backend.rules:
            route = _build_route(rule)
            match = {**route["match"], "headers": [*route["match"].get("headers", ()), named]}
            routes.append({**route, "match": match, "request_headers_to_remove": [SERVICE_HEADER]})
    return {"name": "default_backend", "domains": ["*"], "routes": routes}


def _build_open_host(cluster: str) -> dict[str, Any]:
    action = {"cluster": cluster, "timeout": {"seconds": 0}}
    return {
        "name": "no_backend",
        "domains": ["*"],
        "routes": [{"match": {"prefix": "/"}, "route": action}],
    }


def _build_no_backend_host(node: Resource, backends: tuple[Backend, ...]) -> dict[str, Any]:
    names = ", ".join(backend.service.key.name for backend in backends) or "none"
    body = (
        f"{node.key} of mesh {node.key.mesh.name!r} has no backend of this name; "
        f"its backends are: {names}\n"
    )
    answer = {"status": 404, "body": {"inline_string": body}}
    return {
        "name": "no_backend",
        "domains": ["*"],
        "routes": [{"match": {"prefix": "/"}, "direct_response": answer}],
    }
