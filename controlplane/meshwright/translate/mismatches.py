"""Why a route does not take a request: Envoy's matching, applied to a request that is not sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from meshwright.model.patterns import matches_pattern
from meshwright.translate.backends import RoutedRequests
from meshwright.translate.sent_requests import SentRequest


def find_mismatch(rule: RoutedRequests, request: SentRequest, asked: int) -> str | None:
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
