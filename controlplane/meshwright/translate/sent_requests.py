"""What an application sends, as a command line tells it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A request as an application would send it, or a TCP connection that it would open.

    Attributes:
        method: Its method; CONNECT for a connection.
        scheme: http or https; tcp for a connection.
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
        url: `http://HOST[:PORT]/PATH?QUERY`, or `tcp://HOST:PORT` with the method CONNECT.
        headers: `NAME: VALUE` each.

    Raises:
        ValueError: The URL or a header is none; the message says which.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https", "tcp") or not parts.hostname:
        raise ValueError(f"url {url!r}: expected http://HOST/PATH")
    is_connection = parts.scheme == "tcp"
    if is_connection != (method.upper() == "CONNECT") or (is_connection and parts.port is None):
        raise ValueError(
            f"{method} {url}: a TCP connection is asked for as CONNECT tcp://HOST:PORT"
        )
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
