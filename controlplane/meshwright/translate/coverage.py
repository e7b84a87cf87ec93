"""Which fields of the model take effect: the API refuses the others, so that none is silent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, cast

from meshwright.model.resources import Kind, Resource

_STRING_MATCHES: Final = ("exact", "prefix", "suffix", "regex", "range.start", "range.end")
_PORT_MAPPING: Final = (
    "listeners[].portMapping.port",
    "listeners[].portMapping.protocol=http",
    "listeners[].portMapping.protocol=http2",
    "listeners[].portMapping.protocol=grpc",
)
_TCP_PORT_MAPPING: Final = ("listeners[].portMapping.protocol=tcp",)
"""Virtual gateways take no TCP (App Mesh user guide, virtual_gateways.md)."""
_CONNECTION_POOLS: Final = (
    "listeners[].connectionPool.http.maxConnections",
    "listeners[].connectionPool.http.maxPendingRequests",
    "listeners[].connectionPool.http2.maxRequests",
    "listeners[].connectionPool.grpc.maxRequests",
)
_TARGET: Final = (
    "action.weightedTargets[].virtualNode",
    "action.weightedTargets[].weight",
    "action.weightedTargets[].port",
)
_HEALTH_CHECK: Final = tuple(
    f"listeners[].healthCheck.{field}"
    for field in (
        *("protocol", "path", "port", "intervalMillis", "timeoutMillis"),
        *("healthyThreshold", "unhealthyThreshold"),
    )
)
_ACCESS_LOG: Final = (
    "logging.accessLog.file.path",
    "logging.accessLog.file.format.text",
    "logging.accessLog.file.format.json[].key",
    "logging.accessLog.file.format.json[].value",
)
_LISTENER_TLS: Final = (
    "listeners[].tls.mode",
    "listeners[].tls.certificate.file.certificateChain",
    "listeners[].tls.certificate.file.privateKey",
    "listeners[].tls.certificate.sds.secretName",
    "listeners[].tls.certificate.acm.certificateArn",
    "listeners[].tls.validation.trust.file.certificateChain",
    "listeners[].tls.validation.trust.sds.secretName",
    "listeners[].tls.validation.subjectAlternativeNames.match.exact[]",
)


def _client_policy(of: str) -> tuple[str, ...]:
    fields = (
        "enforce",
        "ports[]",
        "certificate.file.certificateChain",
        "certificate.file.privateKey",
        "certificate.sds.secretName",
        "validation.trust.file.certificateChain",
        "validation.trust.sds.secretName",
        "validation.trust.acm.certificateAuthorityArns[]",
        "validation.subjectAlternativeNames.match.exact[]",
    )
    return tuple(f"{of}.clientPolicy.tls.{field}" for field in fields)


def _durations(*fields: str) -> tuple[str, ...]:
    return tuple(f"{field}.{part}" for field in fields for part in ("value", "unit"))


def _route(kind: str, matched_by: str) -> tuple[str, ...]:
    """The fields that all types of HTTP routes have; `matched_by` is headers or metadata."""
    fields = (
        "match.port",
        f"match.{matched_by}[].name",
        f"match.{matched_by}[].invert",
        *(f"match.{matched_by}[].match.{how}" for how in _STRING_MATCHES),
        *_TARGET,
        "retryPolicy.maxRetries",
        "retryPolicy.httpRetryEvents[]",
        "retryPolicy.tcpRetryEvents[]",
        *_durations("retryPolicy.perRetryTimeout", "timeout.perRequest", "timeout.idle"),
    )
    return tuple(f"{kind}.{field}" for field in fields)


def _http_route(kind: str) -> tuple[str, ...]:
    fields = (
        "match.prefix",
        "match.path.exact",
        "match.path.regex",
        "match.method",
        "match.scheme",
        "match.queryParameters[].name",
        "match.queryParameters[].match.exact",
    )
    return (*_route(kind, "headers"), *(f"{kind}.{field}" for field in fields))


def _gateway_route(kind: str, matched_by: str) -> tuple[str, ...]:
    fields = (
        "match.port",
        "match.hostname.exact",
        "match.hostname.suffix",
        f"match.{matched_by}[].name",
        f"match.{matched_by}[].invert",
        *(f"match.{matched_by}[].match.{how}" for how in _STRING_MATCHES),
        "action.target.port",
        "action.target.virtualService.virtualServiceName",
        "action.rewrite.hostname.defaultTargetHostname",
    )
    return tuple(f"{kind}.{field}" for field in fields)


def _http_gateway_route(kind: str) -> tuple[str, ...]:
    fields = (
        "match.prefix",
        "match.path.exact",
        "match.path.regex",
        "match.method",
        "match.queryParameters[].name",
        "match.queryParameters[].match.exact",
        "action.rewrite.path.exact",
        "action.rewrite.prefix.defaultPrefix",
        "action.rewrite.prefix.value",
    )
    return (*_gateway_route(kind, "headers"), *(f"{kind}.{field}" for field in fields))


_CARRIED_OUT: Final[dict[Kind, tuple[str, ...]]] = {
    Kind.MESH: ("egressFilter.type", "serviceDiscovery.ipPreference"),
    Kind.VIRTUAL_NODE: (
        *_PORT_MAPPING,
        *_TCP_PORT_MAPPING,
        *(
            f"listeners[].timeout.{protocol}.{field}"
            for protocol in ("http", "http2", "grpc")
            for field in _durations("perRequest", "idle")
        ),
        *_durations("listeners[].timeout.tcp.idle"),
        *_HEALTH_CHECK,
        *_durations(
            "listeners[].outlierDetection.interval",
            "listeners[].outlierDetection.baseEjectionDuration",
        ),
        "listeners[].outlierDetection.maxServerErrors",
        "listeners[].outlierDetection.maxEjectionPercent",
        *_CONNECTION_POOLS,
        "listeners[].connectionPool.tcp.maxConnections",
        "serviceDiscovery.dns.hostname",
        "serviceDiscovery.dns.responseType",
        "serviceDiscovery.dns.ipPreference",
        "serviceDiscovery.awsCloudMap.namespaceName",
        "serviceDiscovery.awsCloudMap.serviceName",
        "serviceDiscovery.awsCloudMap.ipPreference",
        "serviceDiscovery.awsCloudMap.attributes[].key",
        "serviceDiscovery.awsCloudMap.attributes[].value",
        "backends[].virtualService.virtualServiceName",
        *_client_policy("backends[].virtualService"),
        *_client_policy("backendDefaults"),
        *_LISTENER_TLS,
        *_ACCESS_LOG,
    ),
    Kind.VIRTUAL_SERVICE: (
        "provider.virtualNode.virtualNodeName",
        "provider.virtualRouter.virtualRouterName",
    ),
    Kind.VIRTUAL_ROUTER: (*_PORT_MAPPING, *_TCP_PORT_MAPPING),
    Kind.ROUTE: (
        "priority",
        *_http_route("httpRoute"),
        *_http_route("http2Route"),
        *_route("grpcRoute", "metadata"),
        "grpcRoute.match.serviceName",
        "grpcRoute.match.methodName",
        "grpcRoute.retryPolicy.grpcRetryEvents[]",
        *(f"tcpRoute.{field}" for field in ("match.port", *_TARGET, *_durations("timeout.idle"))),
    ),
    Kind.VIRTUAL_GATEWAY: (
        *_PORT_MAPPING,
        *_HEALTH_CHECK,
        *_CONNECTION_POOLS,
        *_ACCESS_LOG,
        *_LISTENER_TLS,
        *_client_policy("backendDefaults"),
    ),
    Kind.GATEWAY_ROUTE: (
        "priority",
        *_http_gateway_route("httpRoute"),
        *_http_gateway_route("http2Route"),
        *_gateway_route("grpcRoute", "metadata"),
        "grpcRoute.match.serviceName",
    ),
}
"""Leaf fields, with `=VALUE` where only one value takes effect."""


def find_unsupported_fields(resource: Resource) -> list[str]:
    """The fields of a resource that this version does not carry out, as in a request.

    Whatever the API accepts takes effect: what stands here is refused instead of being stored
    and ignored.
    """
    known = _CARRIED_OUT[resource.key.kind]
    if not known:
        return ["spec"]
    found: list[str] = []
    for field, value in _leaves(resource.spec, ""):
        pattern = re.sub(r"\[\d+\]", "[]", field)
        if pattern not in known and f"{pattern}={value}" not in known:
            shown = f" {value!r}" if any(each.startswith(f"{pattern}=") for each in known) else ""
            found.append(f"spec.{field}{shown}")
    return found


def _leaves(value: Any, field: str) -> Iterator[tuple[str, Any]]:
    match value:
        case dict():
            members = cast("dict[str, Any]", value)
            for name, each in members.items():
                yield from _leaves(each, f"{field}.{name}" if field else name)
        case list():
            for position, each in enumerate(cast("list[Any]", value)):
                yield from _leaves(each, f"{field}[{position}]")
        case _:
            yield field, value
