"""What a request's headers have to be like before anybody reads them (RFC 9113, 8.2 and 8.3)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from meshwright.xds.transport.frames import ErrorCode, StreamFaultError

Headers = Sequence[tuple[str, str]]

_NAME: Final = re.compile(r":?[a-z0-9!#$%&'*+.^_`|~-]+")
_LENGTH: Final = re.compile(r"[0-9]{1,19}")
_VALUE: Final = re.compile(r"[^\0\r\n]*")
_REQUIRED: Final = (":method", ":scheme", ":path")
_PSEUDO: Final = frozenset((*_REQUIRED, ":authority"))
_OF_CONNECTIONS: Final = frozenset(
    ("connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade")
)


def check_request(stream_id: int, headers: Headers, *, is_whole: bool) -> int | None:
    """Check a request's headers, and give the length of what is to follow, where they say it.

    Args:
        stream_id: The request's stream.
        headers: Its headers.
        is_whole: Whether nothing follows them.

    Raises:
        StreamFaultError: They are malformed (8.1.1).
    """
    fault = find_fault(headers)
    if fault is not None:
        raise StreamFaultError(ErrorCode.PROTOCOL_ERROR, stream_id, fault)
    lengths = {value for name, value in headers if name == "content-length"}
    if not lengths:
        return None
    length = lengths.pop()
    if lengths or not _LENGTH.fullmatch(length) or (is_whole and int(length)):
        fault = f"content-length is {length}, which it is not"
        raise StreamFaultError(ErrorCode.PROTOCOL_ERROR, stream_id, fault)
    return int(length)


def find_fault(headers: Headers) -> str | None:
    """Why a request's headers are malformed, or None where they are not."""
    pseudo = [name for name, _ in headers if name.startswith(":")]
    if any(not name.startswith(":") for name, _ in headers[: len(pseudo)]):
        return "a pseudo-header after other headers"
    if len(set(pseudo)) < len(pseudo) or not _PSEUDO.issuperset(pseudo):
        return "pseudo-headers twice, or unknown ones"
    values = dict(headers)
    if not all(values.get(name) for name in _REQUIRED):
        return f"one of {', '.join(_REQUIRED)} is missing"
    for name, value in headers:
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            return f"header {name!r} is malformed"
        if name in _OF_CONNECTIONS or (name == "te" and value != "trailers"):
            return f"header {name!r} is not for HTTP/2"
    return None
