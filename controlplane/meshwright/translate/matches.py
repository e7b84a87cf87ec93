"""Route matches: which requests a route is for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

_ENVOY_STRING_MATCH: Final[Mapping[str, str]] = {
    "exact": "exact",
    "prefix": "prefix",
    "suffix": "suffix",
}


def build_http_match(match: Mapping[str, Any]) -> dict[str, Any]:
    """The match of an HTTP or HTTP/2 route (user guide, routes.md).

    Everything that is given has to hold. The port is not looked at here: it decides in which
    virtual host a route stands.
    """
    return {
        **_build_path(match),
        "headers": [*_build_pseudo_headers(match), *map(_build_header, match.get("headers", ()))],
        "query_parameters": [
            _build_query_parameter(parameter) for parameter in match.get("queryParameters", ())
        ],
    }


def build_grpc_match(match: Mapping[str, Any]) -> dict[str, Any]:
    """The match of a gRPC route: a method's path is `/SERVICE/METHOD`.

    Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
    """
    service = match.get("serviceName")
    if service is None:
        path = {"prefix": "/"}
    elif "methodName" in match:
        path = {"path": f"/{service}/{match['methodName']}"}
    else:
        path = {"prefix": f"/{service}/"}
    metadata = [_build_header(each) for each in match.get("metadata", ())]
    return {**path, "grpc": {}, "headers": metadata}


def _build_path(match: Mapping[str, Any]) -> dict[str, Any]:
    path: Mapping[str, Any] = match.get("path", {})
    if "exact" in path:
        return {"path": path["exact"]}
    if "regex" in path:
        return {"safe_regex": {"regex": path["regex"]}}
    return {"prefix": match.get("prefix", "/")}


def _build_pseudo_headers(match: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name in ("method", "scheme"):
        if name in match:
            yield {"name": f":{name}", "string_match": {"exact": match[name]}}


def _build_header(header: Mapping[str, Any]) -> dict[str, Any]:
    """One header; without a match it has to be there.

    A range takes its start and not its end (botocore's model, MatchRange), as Envoy's does.
    """
    built: dict[str, Any] = {"name": header["name"], "invert_match": header.get("invert", False)}
    match: Mapping[str, Any] = header.get("match", {})
    if "range" in match:
        built["range_match"] = {"start": match["range"]["start"], "end": match["range"]["end"]}
    elif match:
        built["string_match"] = _build_string_match(match)
    else:
        built["present_match"] = True
    return built


def _build_string_match(match: Mapping[str, Any]) -> dict[str, Any]:
    if "regex" in match:
        return {"safe_regex": {"regex": match["regex"]}}
    return {_ENVOY_STRING_MATCH[how]: text for how, text in match.items()}


def _build_query_parameter(parameter: Mapping[str, Any]) -> dict[str, Any]:
    exact = parameter.get("match", {}).get("exact")
    if exact is None:
        return {"name": parameter["name"], "present_match": True}
    return {"name": parameter["name"], "string_match": {"exact": exact}}
