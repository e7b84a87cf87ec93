r"""A request's canonical form, over which AWS Signature Version 4 is made.

    METHOD \n path \n query \n name:value \n ... \n \n signed;headers \n payload's SHA-256

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote, unquote_to_bytes

_UNRESERVED = "-_.~"


@dataclass(frozen=True)
class RequestHead:
    """A request as it was sent, without its body.

    Attributes:
        method: The HTTP method.
        path: The path, still percent-encoded.
        query: What follows the question mark, still percent-encoded; empty without one.
        headers: Names in lower case and values, in the order that they came, repeats included.
    """

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]

    @cached_property
    def query_pairs(self) -> tuple[tuple[bytes, bytes], ...]:
        """The query's names and values, decoded as the API reads them: a plus is a space."""
        pairs = (pair.partition("=") for pair in self.query.split("&") if pair)
        return tuple((_decode(name), _decode(value)) for name, _, value in pairs)

    def header_values(self, name: str) -> list[str]:
        """The values of a header, in the order that they came."""
        return [value for each, value in self.headers if each == name]


def render_canonical_request(
    head: RequestHead,
    signed_headers: Sequence[str],
    payload_hash: str,
    *,
    without: bytes | None = None,
) -> str:
    """The text whose SHA-256 is signed.

    Args:
        head: The request.
        signed_headers: The names of the headers that the signature covers, in their order.
        payload_hash: The body's SHA-256 in hexadecimal, or what stands for it.
        without: A query parameter to leave out: the signature itself in a presigned request.
    """
    headers = [f"{name}:{_render_values(head.header_values(name))}\n" for name in signed_headers]
    return "\n".join(
        [
            head.method.upper(),
            quote(normalize_path(head.path), safe="/~"),
            _render_query(pair for pair in head.query_pairs if pair[0] != without),
            "".join(headers),
            ";".join(signed_headers),
            payload_hash,
        ]
    )


def normalize_path(path: str) -> str:
    """A path without empty, `.` and `..` segments, as every service but S3 has it signed."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    slash = "/" if kept and path.endswith("/") else ""
    return f"/{'/'.join(kept)}{slash}"


def _decode(text: str) -> bytes:
    return unquote_to_bytes(text.replace("+", " "))


def _render_query(pairs: Iterable[tuple[bytes, bytes]]) -> str:
    encoded = ((quote(name, _UNRESERVED), quote(value, _UNRESERVED)) for name, value in pairs)
    return "&".join(f"{name}={value}" for name, value in sorted(encoded))


def _render_values(values: Iterable[str]) -> str:
    return ",".join(" ".join(value.split()) for value in values)
