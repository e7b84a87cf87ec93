"""Route configurations: who answers which request.

What many proxies have in common is serialized once: a virtual host, and the routes in one, as the
protobuf fields that a message consists of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.message import Message

from meshwright.model.ports import EGRESS_PORT
from meshwright.model.resources import Resource
from meshwright.translate.backends import Backend, RoutedRequests, Target
from meshwright.translate.durations import build_duration
from meshwright.translate.envoy_api import (
    Route,
    RouteConfiguration,
    VirtualHost,
    build_struct,
)
from meshwright.translate.health import SELF_CHECK_HOST, build_self_checks
from meshwright.translate.matches import build_grpc_match, build_http_match
from meshwright.translate.names import cluster_name, route_configuration_name
from meshwright.translate.packing import PackedResource, encode_bytes, pack_content, serialize
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
_TAKEN: Final = frozenset({"*", SELF_CHECK_HOST})
"""The domains of virtual hosts that are no backend's."""

EGRESS_ROUTES: Final = route_configuration_name("egress", "http", EGRESS_PORT)
"""The name of the route configuration of what leaves a proxy."""

_EGRESS_NAME: Final = serialize(RouteConfiguration(name=EGRESS_ROUTES))
_EGRESS_SETTINGS: Final = serialize(RouteConfiguration(validate_clusters={"value": False}))

# Fields of Envoy's API, config.route.v3.RouteConfiguration and VirtualHost.
_HOSTS_FIELD: Final = 2
_ROUTES_FIELD: Final = 3


@dataclass(frozen=True, slots=True)
class PackedHost:
    """A backend's virtual host, serialized once for all route configurations that have it.

    Attributes:
        name: Its name.
        domains: Its domains, in lower case.
        routes: Its routes, serialized.
        whole: All of it, serialized as the field of a route configuration.
    """

    name: str
    domains: tuple[str, ...]
    routes: bytes = field(repr=False)
    whole: bytes = field(repr=False)


def pack_egress_routes(
    hosts: Iterable[PackedHost], *, first: bytes = b"", last: bytes = b""
) -> PackedResource:
    """The route configuration of what leaves a proxy.

    Envoy compares domains without regard to case, and rejects one that stands there twice: it is
    the first virtual host's.

    Args:
        hosts: The virtual hosts of its backends.
        first: The virtual hosts before them, serialized.
        last: The virtual hosts after them, serialized.
    """
    taken = set(_TAKEN)
    packed: list[bytes] = []
    for host in hosts:
        if taken.isdisjoint(host.domains):
            packed.append(host.whole)
        else:
            free = [domain for domain in host.domains if domain not in taken]
            if free:
                packed.append(_pack_host(host.name, free, host.routes))
        taken.update(host.domains)
    content = b"".join((_EGRESS_NAME, first, *packed, last, _EGRESS_SETTINGS))
    return pack_content(RouteConfiguration, EGRESS_ROUTES, content)


def pack_virtual_hosts(backend: Backend) -> tuple[PackedHost, ...]:
    """A backend's virtual host; where routes look at the port, one for each port.

    A request without a port asks for port 80 where the service has that, else for its first.
    """
    if not backend.takes_requests:
        return ()
    service = backend.service.key.name
    routes = {id(rule): _pack_route(_build_route(rule)) for rule in backend.rules}

    def pack_one(name: str, domains: Iterable[str], rules: Iterable[RoutedRequests]) -> PackedHost:
        lower = tuple(dict.fromkeys(map(str.lower, domains)))
        taken = b"".join(routes[id(rule)] for rule in rules)
        return PackedHost(name, lower, taken, _pack_host(name, lower, taken))

    bare_port = next((port for port in backend.ports if port == HTTP_PORT), None)
    bare_port = bare_port or next(iter(backend.ports), None)
    if not any("port" in rule.match for rule in backend.rules):
        names = [service, *(f"{service}:{port}" for port in (*backend.ports, EGRESS_PORT))]
        return (pack_one(service, names, backend.rules),)
    return tuple(
        pack_one(
            f"{service}:{port}",
            [
                *([service, f"{service}:{EGRESS_PORT}"] if port == bare_port else []),
                f"{service}:{port}",
            ],
            [rule for rule in backend.rules if rule.takes_port(port)],
        )
        for port in backend.ports
    )


def pack_self_check_host(gateway: Resource) -> bytes:
    """The virtual host of a virtual gateway's requests to itself, where it makes some."""
    if not build_self_checks(gateway):
        return b""
    return encode_bytes(_HOSTS_FIELD, serialize(VirtualHost(**_SELF_CHECK)))


def pack_named_by_header_host(routes: Iterable[bytes]) -> bytes:
    """Requests that a gateway route left their host name: a header names the virtual service.

    App Mesh's gateways did it so; the header does not reach the application.

    Args:
        routes: Each backend's, as `pack_named_by_header_routes` has them.
    """
    return _pack_host("default_backend", ["*"], b"".join(routes))


def pack_named_by_header_routes(backend: Backend) -> bytes:
    """A backend's routes for requests in which a header names it."""
    named = {"name": SERVICE_HEADER, "string_match": {"exact": backend.service.key.name}}
    packed: list[bytes] = []
    for rule in backend.rules:
        route = _build_route(rule)
        match = {**route["match"], "headers": [*route["match"].get("headers", ()), named]}
        removed = {"request_headers_to_remove": [SERVICE_HEADER]}
        packed.append(_pack_route({**route, "match": match, **removed}))
    return b"".join(packed)


def pack_no_backend_host(
    node: Resource, backends: Sequence[str], open_cluster: str | None
) -> bytes:
    """Requests that are for no backend of a virtual node.

    Args:
        node: The virtual node.
        backends: The names of its backends.
        open_cluster: Where such requests go; None where they go nowhere.
    """
    if open_cluster is None:
        body = (
            f"{node.key} of mesh {node.key.mesh.name!r} has no backend of this name; "
            f"its backends are: {', '.join(backends) or 'none'}\n"
        )
        action = {"direct_response": {"status": 404, "body": {"inline_string": body}}}
    else:
        action = {"route": {"cluster": open_cluster, "timeout": {"seconds": 0}}}
    return _pack_host("no_backend", ["*"], _pack_route({"match": {"prefix": "/"}, **action}))


def _pack_host(name: str, domains: Sequence[str], routes: bytes) -> bytes:
    head = serialize(VirtualHost(name=name, domains=domains))
    return encode_bytes(_HOSTS_FIELD, head + routes)


def _pack_route(route: Mapping[str, Any]) -> bytes:
    return encode_bytes(_ROUTES_FIELD, serialize(Route(**route)))


def build_timeouts(timeouts: Mapping[str, Any]) -> dict[str, Any]:
    """How long a request may take, and how long it may be idle; 0 is for ever.

    Source: App Mesh user guide, routes.md and virtual_nodes.md.
    """
    per_request = timeouts.get("perRequest", {"value": REQUEST_TIMEOUT_SECONDS, "unit": "s"})
    built = {"timeout": build_duration(per_request)}
    if "idle" in timeouts:
        built["idle_timeout"] = build_duration(timeouts["idle"])
    return built


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
