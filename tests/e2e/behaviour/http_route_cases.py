"""What HTTP route matches mean: a match beside the requests that it takes and those it does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Sent:
    """A request to the service: path with query, method and headers."""

    path: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Case:
    """A match, requests that it takes, and requests that it leaves to the next route."""

    name: str
    match: Mapping[str, Any]
    taken: tuple[Sent, ...]
    left: tuple[Sent, ...]


def header_case(
    name: str, header: Mapping[str, Any], takes: str | None, leaves: str | None
) -> Case:
    """A match of the header `x`, a value that it takes and one that it leaves; None: no header."""

    def sent(value: str | None) -> Sent:
        return Sent(f"/{name}", headers={} if value is None else {"x": value})

    match = {"prefix": f"/{name}", "headers": [{"name": "x", **header}]}
    return Case(name, match, (sent(takes),), (sent(leaves),))


HEADER_CASES = (
    header_case("header-exact", {"match": {"exact": "abc"}}, "abc", "abcd"),
    header_case("header-prefix", {"match": {"prefix": "ab"}}, "abc", "cab"),
    header_case("header-suffix", {"match": {"suffix": "bc"}}, "abc", "bca"),
    header_case("header-regex", {"match": {"regex": "[ab]+"}}, "abba", "abc"),
    header_case("header-range-start", {"match": {"range": {"start": 1, "end": 5}}}, "1", "0"),
    header_case("header-range-end", {"match": {"range": {"start": 1, "end": 5}}}, "4", "5"),
    header_case("header-present", {}, "anything", None),
    header_case("header-absent", {"invert": True}, None, "anything"),
    header_case("header-not", {"match": {"exact": "a"}, "invert": True}, "b", "a"),
)

CASES = (
    Case("prefix", {"prefix": "/prefix"}, (Sent("/prefix"), Sent("/prefix/a")), (Sent("/pre"),)),
    Case(
        "exact",
        {"path": {"exact": "/exact"}},
        (Sent("/exact"), Sent("/exact?a=b")),
        (Sent("/exact/a"),),
    ),
    Case(
        "regex",
        {"path": {"regex": "/regex/v[0-9]+/.*"}},
        (Sent("/regex/v12/x"),),
        (Sent("/regex/vx/x"), Sent("/a/regex/v1/x")),
    ),
    Case(
        "method",
        {"prefix": "/method", "method": "POST"},
        (Sent("/method", "POST"),),
        (Sent("/method"),),
    ),
    Case(
        "scheme",
        {"prefix": "/scheme", "scheme": "http"},
        (Sent("/scheme"),),
        (),
    ),
    Case(
        "other-scheme", {"prefix": "/other-scheme", "scheme": "https"}, (), (Sent("/other-scheme"),)
    ),
    Case(
        "query",
        {"prefix": "/query", "queryParameters": [{"name": "a", "match": {"exact": "b"}}]},
        (Sent("/query?a=b"), Sent("/query?c=d&a=b")),
        (Sent("/query"), Sent("/query?a=c")),
    ),
    Case(
        "query-present",
        {"prefix": "/query-present", "queryParameters": [{"name": "a"}]},
        (Sent("/query-present?a=1"),),
        (Sent("/query-present?b=1"),),
    ),
    *HEADER_CASES,
    Case(
        "all-at-once",
        {
            "prefix": "/all-at-once",
            "method": "PUT",
            "headers": [{"name": "x", "match": {"exact": "a"}}],
        },
        (Sent("/all-at-once", "PUT", {"x": "a"}),),
        (Sent("/all-at-once", "PUT"), Sent("/all-at-once", "GET", {"x": "a"})),
    ),
)
