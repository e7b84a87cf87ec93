"""Rules within one specification that the model does not state and Envoy insists on.

What Envoy would reject is refused at the edge, where somebody is there to read the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

from meshwright.graph.references import ROUTE_TYPES
from meshwright.graph.violations import Violation
from meshwright.model.log_formats import find_format_error
from meshwright.model.patterns import find_pattern_error
from meshwright.model.resources import Kind, Resource
from meshwright.model.retry_events import HTTP_RETRY_EVENTS

LONGEST_SECONDS: Final = 10 * 365 * 24 * 3600
"""No duration may be longer: ten years, well within what Envoy can count."""

LARGEST_COUNT: Final = 2**32 - 1
"""Envoy counts in 32 bits."""

RESERVED_PREFIXES: Final = ("/aws-appmesh", "/aws-app-mesh")
"""Paths that App Mesh kept for itself (user guide, gateway-routes.md)."""


def find_field_violations(resource: Resource) -> list[Violation]:
    """Why a specification, valid by the model, can't be carried out; empty where it can."""
    found = [*_walk(resource.spec, "spec", "")]
    found += _health_check_violations(resource.spec.get("listeners", ()))
    found += _log_violations(resource.spec.get("logging", {}).get("accessLog", {}))
    if resource.key.kind in (Kind.ROUTE, Kind.GATEWAY_ROUTE):
        for kind in ROUTE_TYPES:
            if kind in resource.spec:
                found += _route_violations(resource.spec[kind], f"spec.{kind}")
                if resource.key.kind is Kind.GATEWAY_ROUTE:
                    found += _gateway_violations(resource.spec[kind], f"spec.{kind}")
    return found


def _walk(value: Any, field: str, name: str) -> Iterator[Violation]:
    """Apply the rules that a field's name calls for, wherever the field stands."""
    match value:
        case dict():
            members = cast("dict[str, Any]", value)
            if name in _DURATIONS:
                yield from _duration(members, field, name)
            for member, each in members.items():
                yield from _walk(each, f"{field}.{member}", member)
        case list():
            for position, each in enumerate(cast("list[Any]", value)):
                yield from _walk(each, f"{field}[{position}]", name)
        case _ if name in _RULES:
            yield from (Violation(field, message) for message in _RULES[name](value))
        case _:
            return


def _duration(duration: Mapping[str, Any], field: str, name: str) -> Iterator[Violation]:
    if not {"value", "unit"} <= duration.keys():
        yield Violation(field, "needs value and unit")
        return
    seconds = duration["value"] / (1000 if duration["unit"] == "ms" else 1)
    if seconds > LONGEST_SECONDS:
        yield Violation(field, f"must be at most {LONGEST_SECONDS} s (ten years)")
    if name in ("interval", "baseEjectionDuration") and duration["value"] == 0:
        yield Violation(field, "must be longer than 0")


def _regex(text: str) -> Iterator[str]:
    error = find_pattern_error(text)
    if error is not None:
        yield f"is no regular expression in RE2's syntax: {error}"


def _hostname(text: str) -> Iterator[str]:
    if not text or not text.isprintable() or " " in text:
        yield f"must be a host name, got {text!r}"


def _path(text: str) -> Iterator[str]:
    if not text.startswith("/"):
        yield f"must begin with a slash, got {text!r}"
    if not text.isprintable():
        yield f"may not hold unprintable characters, got {text!r}"


def _count(number: int) -> Iterator[str]:
    if number > LARGEST_COUNT:
        yield f"must be at most {LARGEST_COUNT}, got {number}"


def _header_text(text: str) -> Iterator[str]:
    if any(character in text for character in "\0\r\n"):
        yield "may not hold a line break or a null character"


def _header_name(text: str) -> Iterator[str]:
    yield from _header_text(text)
    if not text:
        yield "must not be empty"


def _http_retry_event(text: str) -> Iterator[str]:
    if text not in HTTP_RETRY_EVENTS:
        yield f"must be one of {', '.join(HTTP_RETRY_EVENTS)}, got {text!r}"


def _health_check_violations(listeners: Sequence[Mapping[str, Any]]) -> Iterator[Violation]:
    for position, listener in enumerate(listeners):
        check: Mapping[str, Any] = listener.get("healthCheck", {})
        # For other protocols it is ignored (botocore's model, HealthCheckPolicy.path).
        if "path" in check and check["protocol"] in ("http", "http2"):
            field = f"spec.listeners[{position}].healthCheck.path"
            yield from (Violation(field, each) for each in _path(check["path"]))


def _log_violations(access_log: Mapping[str, Any]) -> Iterator[Violation]:
    field = "spec.logging.accessLog.file.format"
    log_format: Mapping[str, Any] = access_log.get("file", {}).get("format", {})
    if "text" in log_format:
        error = find_format_error(log_format["text"])
        if error is not None:
            yield Violation(f"{field}.text", error)
    seen: set[str] = set()
    for position, pair in enumerate(log_format.get("json", ())):
        error = find_format_error(pair["value"])
        if error is not None:
            yield Violation(f"{field}.json[{position}].value", error)
        if pair["key"] in seen:
            yield Violation(f"{field}.json[{position}].key", f"{pair['key']!r} stands there twice")
        seen.add(pair["key"])


_DURATIONS: Final = ("perRequest", "idle", "perRetryTimeout", "interval", "baseEjectionDuration")

_RULES: Final[Mapping[str, Callable[[Any], Iterator[str]]]] = {
    "regex": _regex,
    "hostname": _hostname,
    "prefix": _header_text,
    "suffix": _header_text,
    "exact": _header_text,
    "name": _header_name,
    "serviceName": _header_text,
    "methodName": _header_text,
    "path": _header_text,
    "maxRetries": _count,
    "maxServerErrors": _count,
    "httpRetryEvents": _http_retry_event,
}
"""By the name of the field, which means the same wherever the model has it."""


def _route_violations(rule: Mapping[str, Any], field: str) -> Iterator[Violation]:
    match: Mapping[str, Any] = rule.get("match", {})
    if "prefix" in match:
        yield from (Violation(f"{field}.match.prefix", each) for each in _path(match["prefix"]))
        if "path" in match:
            yield Violation(f"{field}.match", "takes prefix or path, not both")
    path: Mapping[str, Any] = match.get("path", {})
    if len(path) > 1:
        yield Violation(f"{field}.match.path", "takes exact or regex, not both")
    if "exact" in path:
        yield from (Violation(f"{field}.match.path.exact", each) for each in _path(path["exact"]))
    if "methodName" in match and "serviceName" not in match:
        # User guide, routes.md: "If you specify a method name, you must specify a service name".
        yield Violation(f"{field}.match.methodName", "needs serviceName beside it")
    for kind in ("headers", "metadata"):
        for position, header in enumerate(match.get(kind, ())):
            bounds: Mapping[str, Any] = header.get("match", {}).get("range", {})
            if bounds and bounds["start"] >= bounds["end"]:
                yield Violation(
                    f"{field}.match.{kind}[{position}].match.range",
                    f"must start below its end, got {bounds['start']} to {bounds['end']}",
                )


def _gateway_violations(rule: Mapping[str, Any], field: str) -> Iterator[Violation]:
    """Rules of gateway routes (App Mesh user guide, gateway-routes.md)."""
    match: Mapping[str, Any] = rule["match"]
    if match.get("prefix", "/").startswith(RESERVED_PREFIXES):
        yield Violation(
            f"{field}.match.prefix", f"must not begin with {' or '.join(RESERVED_PREFIXES)}"
        )
    rewrite: Mapping[str, Any] = rule["action"].get("rewrite", {})
    action = f"{field}.action.rewrite"
    if "prefix" in rewrite and "path" in match:
        yield Violation(f"{action}.prefix", "needs match.prefix; for match.path use rewrite.path")
    if "path" in rewrite and "path" not in match:
        yield Violation(f"{action}.path", "needs match.path; for match.prefix use rewrite.prefix")
    prefix: Mapping[str, Any] = rewrite.get("prefix", {})
    if len(prefix) > 1:
        yield Violation(f"{action}.prefix", "takes defaultPrefix or value, not both")
    if "value" in prefix:
        yield from (Violation(f"{action}.prefix.value", each) for each in _path(prefix["value"]))
    if "exact" in rewrite.get("path", {}):
        exact = rewrite["path"]["exact"]
        yield from (Violation(f"{action}.path.exact", each) for each in _path(exact))
