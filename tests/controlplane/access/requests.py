"""Signed requests as botocore's own signer makes them, in the form in which they arrive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from meshwright.access.canonical import RequestHead
from meshwright.access.guard import Guard
from meshwright.access.keys import AccessKey, FixedKeys
from meshwright.access.permissions import Caller

NOW = datetime(2026, 9, 30, 12, 0, 0, tzinfo=UTC)
KEY = AccessKey("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "111122223333")
ENDPOINT = "http://mesh.example:4580"


@dataclass(frozen=True, slots=True)
class Arrived:
    """A request as it arrives."""

    head: RequestHead
    body: bytes = b""

    def altered(self, **changes: Any) -> Arrived:
        """The same request with other parts of its head."""
        return replace(self, head=replace(self.head, **changes))

    def with_header(self, name: str, value: str) -> Arrived:
        """The same request with another value of a header, in its place, or with one more."""
        others = [(each, old) for each, old in self.head.headers if each != name]
        return self.altered(headers=[*others, (name, value)])

    def without_header(self, name: str) -> Arrived:
        """The same request without a header."""
        return self.altered(headers=[each for each in self.head.headers if each[0] != name])


def sign(
    method: str = "PUT",
    url: str = f"{ENDPOINT}/v20190125/meshes",
    *,
    body: bytes = b'{"meshName":"demo"}',
    headers: Sequence[tuple[str, str]] = (),
    params: Mapping[str, str] | None = None,
    at: datetime = NOW,
    key: AccessKey = KEY,
    region: str = "eu-west-1",
    service: str = "appmesh",
    expires: int | None = None,
    token: str | None = None,
) -> Arrived:
    """A request signed by botocore: in its header, or in its query if it `expires`."""
    request = AWSRequest(method=method, url=url, data=body, params=dict(params or {}))
    for name, value in headers:
        request.headers.add_header(name, value)
    credentials = Credentials(key.access_key_id, key.secret_access_key, token)
    signer: Any = (
        SigV4Auth(credentials, service, region)
        if expires is None
        else SigV4QueryAuth(credentials, service, region, expires=expires)
    )
    with patch("botocore.auth.get_current_datetime", return_value=at.replace(tzinfo=None)):
        signer.add_auth(request)
    sent = request.prepare()
    parts = urlsplit(str(sent.url))
    arrived = [(name.lower(), value) for name, value in request.headers.items()]
    arrived.append(("host", parts.netloc))
    sent_body = b"" if expires is not None else body
    return Arrived(RequestHead(method, parts.path, parts.query, arrived), sent_body)


def identify(arrived: Arrived, *, at: datetime = NOW, key: AccessKey = KEY) -> Caller:
    """Who a guard with one key takes the sender for."""
    guard = Guard(FixedKeys([key]), account_id="000000000000", clock=lambda: at)
    return guard.identify(guard.check_head(arrived.head), arrived.body)
