"""AWS Signature Version 4: what a signed request claims, and whether the claim is true.

A request is signed in its `Authorization` header or, presigned, in its query. What it claims is
read and checked against the clock before its body is; only then is the body worth having.
Everything here is a pure function of the request, the secret and the time.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

from meshwright.access.canonical import RequestHead, normalize_path, render_canonical_request
from meshwright.access.errors import AccessError, incomplete_signature, invalid_signature

SERVICE: Final = "appmesh"
SKEW: Final = timedelta(minutes=5)
"""How far a client's clock may be from this one, as AWS has it."""

ALGORITHM: Final = "AWS4-HMAC-SHA256"
_TERMINATOR: Final = "aws4_request"
_TIMESTAMP: Final = "%Y%m%dT%H%M%SZ"
_TIMESTAMP_PATTERN: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"
_EMPTY_HASH: Final = hashlib.sha256(b"").hexdigest()
_SIGNATURE: Final = re.compile(r"[0-9a-f]{64}")
_CREDENTIAL: Final = re.compile(
    r"(?P<key>[^/\s,]+)/(?P<date>\d{8})/(?P<region>[^/\s]+)/(?P<service>[^/\s]+)/(?P<end>[^/\s]+)"
)
_SIGNATURE_PARAMETER: Final = "X-Amz-Signature"
_MAX_EXPIRES: Final = 7 * 24 * 3600
_KEYS_KEPT: Final = 256
"""Of how many secrets and days the keys derived last are kept, since making one takes 4 HMACs."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a signed request says of its signature.

    Attributes:
        access_key_id: Whose secret signed it.
        date: The scope's day, `YYYYMMDD`.
        region: The scope's region; any is taken, since the signature covers it.
        signed_at: When it was signed.
        valid_until: Until when it is good, by this control plane's clock.
        signed_headers: The headers that the signature covers.
        signature: The signature, in hexadecimal.
        is_presigned: Whether it stands in the query.
    """

    access_key_id: str
    date: str
    region: str
    signed_at: datetime
    valid_until: datetime
    signed_headers: tuple[str, ...]
    signature: str
    is_presigned: bool


def parse_claim(head: RequestHead) -> Claim:
    """What a request claims of its signature, read from its header or its query.

    Raises:
        AccessError: It is not signed, or its signature lacks something.
    """
    query = {name.decode("latin-1") for name, _ in head.query_pairs}
    presigned = not query.isdisjoint(("X-Amz-Algorithm", "X-Amz-Credential", _SIGNATURE_PARAMETER))
    values = head.header_values("authorization")
    if not values and not presigned:
        raise AccessError(
            "MissingAuthenticationTokenException",
            "the request is not signed: sign it (AWS Signature Version 4, service appmesh) with "
            "an access key of this control plane",
        )
    if presigned and values:
        raise incomplete_signature("the request is signed twice: in its header and in its query")
    if len(values) > 1:
        raise incomplete_signature("Authorization: must be there once")
    claim = _parse_query(head) if presigned else _parse_header(head, values[0])
    _require_signed(head, claim.signed_headers)
    return claim


def check_time(claim: Claim, now: datetime) -> None:
    """Check a claim against the clock.

    Raises:
        AccessError: InvalidSignatureException, which SDKs take as a sign that clocks differ.
    """
    signed_at, at = claim.signed_at.strftime(_TIMESTAMP), now.strftime(_TIMESTAMP)
    if claim.signed_at - SKEW > now:
        limit = (now + SKEW).strftime(_TIMESTAMP)
        raise invalid_signature(
            f"Signature not yet current: {signed_at} is still later than {limit} ({at} + 5 min.)"
        )
    if now > claim.valid_until:
        if claim.is_presigned:
            until = claim.valid_until.strftime(_TIMESTAMP)
            raise invalid_signature(f"Signature expired: it was good until {until}, and it is {at}")
        limit = (now - SKEW).strftime(_TIMESTAMP)
        raise invalid_signature(
            f"Signature expired: {signed_at} is now earlier than {limit} ({at} - 5 min.)"
        )


def check_signature(head: RequestHead, claim: Claim, secret: str, body: bytes) -> None:
    """Check that a request is what the holder of a secret has signed.

    Raises:
        AccessError: InvalidSignatureException.
    """
    if normalize_path(head.path) != (head.path or "/"):
        # Paths that differ only in such segments are signed alike, but mean different resources.
        raise invalid_signature(
            "the path may hold no empty, . or .. segments, which a signature does not cover"
        )
    canonical = render_canonical_request(
        head,
        claim.signed_headers,
        _payload_hash(head, body),
        without=_SIGNATURE_PARAMETER.encode() if claim.is_presigned else None,
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    scope = f"{claim.date}/{claim.region}/{SERVICE}/{_TERMINATOR}"
    signed_at = claim.signed_at.strftime(_TIMESTAMP)
    key = _derive_key(secret, scope)
    expected = _hmac(key, f"{ALGORITHM}\n{signed_at}\n{scope}\n{digest}").hex()
    if not hmac.compare_digest(expected, claim.signature):
        raise invalid_signature(
            "The request signature we calculated does not match the signature you provided. Check "
            "your secret access key and signing method, and that nothing between alters requests. "
            f"The canonical request as it arrived has SHA-256 {digest}"
        )


def _parse_header(head: RequestHead, text: str) -> Claim:
    algorithm, _, rest = text.strip().partition(" ")
    if algorithm != ALGORITHM:
        raise incomplete_signature(f"Authorization: must begin with {ALGORITHM}")
    parts = dict[str, str]()
    for part in rest.split(","):
        name, _, value = part.strip().partition("=")
        if name in parts:
            raise incomplete_signature(f"Authorization: {name} must be there once")
        parts[name] = value
    for name in ("Credential", "SignedHeaders", "Signature"):
        if not parts.get(name):
            raise incomplete_signature(f"Authorization: requires {name}")
    signed_at = _parse_header_time(head)
    return _build_claim(
        parts["Credential"],
        parts["SignedHeaders"],
        parts["Signature"],
        signed_at,
        signed_at + SKEW,
        is_presigned=False,
    )


def _parse_header_time(head: RequestHead) -> datetime:
    if values := head.header_values("x-amz-date"):
        if len(values) > 1:
            raise incomplete_signature("X-Amz-Date: must be there once")
        return _parse_timestamp("X-Amz-Date", values[0].strip())
    for value in head.header_values("date")[:1]:
        try:
            parsed = parsedate_to_datetime(value)
        except ValueError:
            return _parse_timestamp("Date", value.strip())
        return _plausible("Date", parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC))
    raise incomplete_signature("a signed request requires an X-Amz-Date or a Date header")


def _parse_query(head: RequestHead) -> Claim:
    query = _authentication_parameters(head)
    if query["X-Amz-Algorithm"] != ALGORITHM:
        raise incomplete_signature(f"X-Amz-Algorithm: must be {ALGORITHM}")
    expires = query["X-Amz-Expires"]
    if not re.fullmatch(r"[0-9]{1,6}", expires) or not 1 <= int(expires) <= _MAX_EXPIRES:
        raise incomplete_signature(f"X-Amz-Expires: must be 1 to {_MAX_EXPIRES} seconds")
    signed_at = _parse_timestamp("X-Amz-Date", query["X-Amz-Date"])
    return _build_claim(
        query["X-Amz-Credential"],
        query["X-Amz-SignedHeaders"],
        query[_SIGNATURE_PARAMETER],
        signed_at,
        signed_at + timedelta(seconds=int(expires)),
        is_presigned=True,
    )


def _authentication_parameters(head: RequestHead) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name in (
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-SignedHeaders",
        _SIGNATURE_PARAMETER,
    ):
        values = [value for each, value in head.query_pairs if each == name.encode()]
        if len(values) != 1:
            raise incomplete_signature(f"{name}: a presigned request requires it once")
        found[name] = values[0].decode("latin-1")
    return found


def _build_claim(
    credential: str,
    signed_headers: str,
    signature: str,
    signed_at: datetime,
    valid_until: datetime,
    *,
    is_presigned: bool,
) -> Claim:
    scope = _CREDENTIAL.fullmatch(credential)
    if scope is None:
        raise incomplete_signature(
            f"Credential: must be KEY_ID/YYYYMMDD/REGION/{SERVICE}/{_TERMINATOR}"
        )
    if scope["service"] != SERVICE:
        raise invalid_signature(f"Credential should be scoped to correct service: '{SERVICE}'.")
    if scope["end"] != _TERMINATOR:
        raise invalid_signature(
            f"Credential should be scoped with a valid terminator: {_TERMINATOR}"
        )
    if scope["date"] != signed_at.strftime("%Y%m%d"):
        raise invalid_signature("Date in Credential scope does not match the date of the request")
    if not _SIGNATURE.fullmatch(signature):
        raise incomplete_signature("Signature: must be 64 hexadecimal digits in lower case")
    return Claim(
        access_key_id=scope["key"],
        date=scope["date"],
        region=scope["region"],
        signed_at=signed_at,
        valid_until=valid_until,
        signed_headers=tuple(signed_headers.split(";")),
        signature=signature,
        is_presigned=is_presigned,
    )


def _parse_timestamp(name: str, text: str) -> datetime:
    try:
        # Told apart by a pattern and read as ISO 8601, several times faster than by strptime.
        parsed = datetime.fromisoformat(text if _TIMESTAMP_PATTERN.fullmatch(text) else "")
    except ValueError:
        raise incomplete_signature(f"{name}: must look like 20260930T120000Z") from None
    return _plausible(name, parsed)


def _plausible(name: str, time: datetime) -> datetime:
    if not 2000 <= time.year < 9000:  # so that no arithmetic on it leaves the calendar
        raise incomplete_signature(f"{name}: the year {time.year} can't be meant")
    return time.astimezone(UTC)


def _require_signed(head: RequestHead, signed: tuple[str, ...]) -> None:
    """`host` and every `x-amz-` header must be covered; a proxy's `x-amzn-` ones need not be."""
    if list(signed) != sorted({name.lower() for name in signed}):
        raise incomplete_signature("SignedHeaders: must be sorted, in lower case, each name once")
    present = {name for name, _ in head.headers if name.startswith("x-amz-")}
    for name in sorted({"host", *present}):
        if name not in signed:
            raise incomplete_signature(f"SignedHeaders: must hold {name}, which the request has")


def _payload_hash(head: RequestHead, body: bytes) -> str:
    """What stands for the body in the canonical request, checked against the body itself."""
    actual = hashlib.sha256(body).hexdigest() if body else _EMPTY_HASH
    values = head.header_values("x-amz-content-sha256")
    if not values:
        return actual
    declared = values[0].strip()
    if len(values) > 1 or declared != actual:
        # A body that the signature does not cover could be exchanged on its way.
        if declared == _UNSIGNED_PAYLOAD and not body and len(values) == 1:
            return _UNSIGNED_PAYLOAD
        raise invalid_signature(
            "x-amz-content-sha256: must be the SHA-256 of the body; an unsigned body is not taken"
        )
    return actual


@lru_cache(maxsize=_KEYS_KEPT)
def _derive_key(secret: str, scope: str) -> bytes:
    """The key that a secret's signatures of one day are made with."""
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
