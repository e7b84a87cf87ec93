"""Gateway routes: which requests from outside become requests to which virtual service.

    client --> gateway's listener --rewritten--> its own egress listener --> virtual service

Gateway routes decide and rewrite at the first listener; the second routes as it would for a
virtual node with that backend, so that both kinds of route apply, one after the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from google.protobuf.message import Message

from meshwright.graph import Graph
from meshwright.graph.references import ROUTE_TYPES
from meshwright.model.resources import Resource
from meshwright.translate.backends import route_order
from meshwright.translate.envoy_api import RouteConfiguration
from meshwright.translate.matches import build_grpc_match, build_http_match
from meshwright.translate.names import route_configuration_name, self_redirect_cluster_name
from meshwright.translate.routes import SERVICE_HEADER, build_origin

_NO_TIMEOUT: Final = {"seconds": 0}
"""The route behind the egress listener bounds the request's time; once is enough."""


def gateway_routes_of(graph: Graph, gateway: Resource) -> list[tuple[Resource, str]]:
    """The gateway routes of a virtual gateway with their types, in the order of their matching."""
    typed = [
        (route, next(kind for kind in ROUTE_TYPES if kind in route.spec))
        for route in graph.children_of(gateway.key)
    ]
    return sorted(typed, key=lambda each: route_order(each[0], each[0].spec[each[1]]["match"]))


def redirect_protocol(kind: str) -> str:
    """The protocol in which a gateway hands on the requests of a type of gateway route."""
    return "http" if kind == "httpRoute" else "http2"


def build_gateway_routes(graph: Graph, gateway: Resource, listener: Mapping[str, Any]) -> Message:
    """The route configuration of a gateway's listener."""
    mapping = listener["portMapping"]
    routes = [
        built
        for route, kind in gateway_routes_of(graph, gateway)
        if route.spec[kind]["match"].get("port", mapping["port"]) == mapping["port"]
        for built in _build_gateway_route(gateway, route, kind)
    ]
    return RouteConfiguration(
        name=route_configuration_name("ingress", mapping["protocol"], mapping["port"]),
        virtual_hosts=[{"name": "self_redirect", "domains": ["*"], "routes": routes}],
        validate_clusters={"value": False},
    )


def _build_gateway_route(gateway: Resource, route: Resource, kind: str) -> Iterator[dict[str, Any]]:
    rule = route.spec[kind]
    rewrite: Mapping[str, Any] = rule["action"].get("rewrite", {})
    host_action, headers = _build_host(rule["action"]["target"], rewrite)
    key = gateway.key
    action = {
        "cluster": self_redirect_cluster_name(key.mesh.name, key.name, redirect_protocol(kind)),
        "timeout": _NO_TIMEOUT,
        **host_action,
    }
    for match, path_action in _build_matches(rule["match"], rewrite, kind):
        yield {
            "name": route.key.name,
            "match": match,
            "route": {**action, **path_action},
            "request_headers_to_add": headers,
            "metadata": build_origin(route),
        }


def _build_host(
    target: Mapping[str, Any], rewrite: Mapping[str, Any]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The host that the request is handed on with, or a header where it keeps its own.

    Source: App Mesh user guide, gateway-routes.md: by default the host name is rewritten to the
    target virtual service's name.
    """
    service = target["virtualService"]["virtualServiceName"]
    if rewrite.get("hostname", {}).get("defaultTargetHostname") == "DISABLED":
        header = {"key": SERVICE_HEADER, "value": service}
        return {}, [{"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]
    host = f"{service}:{target['port']}" if "port" in target else service
    return {"host_rewrite_literal": host}, []


def _build_matches(
    match: Mapping[str, Any], rewrite: Mapping[str, Any], kind: str
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Envoy matches, each with how the path is rewritten."""
    if kind == "grpcRoute":
        yield _with_hostname(build_grpc_match(match), match), {}
        return
    built = _with_hostname(build_http_match(match), match)
    path: Mapping[str, Any] = match.get("path", {})
    replacement = rewrite.get("path", {}).get("exact")
    if path:
        yield built, {} if replacement is None else _build_whole_path(replacement)
        return
    prefix = match.get("prefix", "/")
    instead = _rewritten_prefix(rewrite)
    if instead is None or prefix == "/":
        # There is nothing to take away from "/"; what is put in front of it is.
        whole = {} if instead in (None, "/") else {"prefix_rewrite": instead}
        yield built, whole
        return
    if not prefix.endswith("/"):
        # /shop/x becomes /x and not //x, while /shop becomes /.
        yield {**built, "prefix": f"{prefix}/"}, {"prefix_rewrite": _with_slash(instead)}
    yield built, {"prefix_rewrite": instead}


def _rewritten_prefix(rewrite: Mapping[str, Any]) -> str | None:
    """What the matched prefix becomes: `/` unless told otherwise; None leaves it."""
    prefix: Mapping[str, Any] = rewrite.get("prefix", {})
    if prefix.get("defaultPrefix") == "DISABLED":
        return None
    return prefix.get("value", "/")


def _with_slash(prefix: str) -> str:
    return prefix if prefix.endswith("/") else f"{prefix}/"


def _build_whole_path(replacement: str) -> dict[str, Any]:
    escaped = replacement.replace("\\", "\\\\")
    return {"regex_rewrite": {"pattern": {"regex": "^.+$"}, "substitution": escaped}}


def _with_hostname(built: dict[str, Any], match: Mapping[str, Any]) -> dict[str, Any]:
    """A match that looks at the host name too.

    All gateway routes stand in one virtual host, since Envoy would pick a virtual host before it
    looks at a route's priority.
    """
    hostname: Mapping[str, Any] = match.get("hostname", {})
    if "exact" in hostname:
        pattern = re.escape(hostname["exact"])
    elif "suffix" in hostname:
        pattern = f".*{re.escape(hostname['suffix'])}"
    else:
        return built
    header = {
        "name": ":authority",
        "string_match": {"safe_regex": {"regex": f"(?i){pattern}(:[0-9]+)?"}},
    }
    return {**built, "headers": [*built.get("headers", ()), header]}
