"""Signed requests over HTTP, in the header and presigned alike: what is refused, with what code.

The codes are those that AWS answers with, by which SDKs tell what to retry and what to report.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.controlplane.access.accounts import SECRETS, write_keys
from tests.controlplane.access.serving import TIMEOUT, Answer, Server, serving

LIST = "/v20190125/meshes"
_numbers = itertools.count()


class Signed(NamedTuple):
    """A request as it is sent."""

    method: str
    target: str
    headers: dict[str, str]

    def send(self, server: Server) -> Answer:
        """Send it, byte for byte."""
        connection = HTTPConnection(*server.address, timeout=TIMEOUT)
        connection.request(self.method, self.target, headers=self.headers)
        with connection.getresponse() as answer:
            headers = {name.lower(): value for name, value in answer.getheaders()}
            received = Answer(answer.status, headers, answer.read())
        connection.close()
        return received


Sign = Callable[..., Signed]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A control plane with keys."""
    folder = tmp_path_factory.mktemp("server")
    with serving(folder, "--access-keys", write_keys(folder)) as server:
        yield server


@pytest.fixture(params=["in the header", "presigned"])
def sign(request: pytest.FixtureRequest, server: Server) -> Sign:
    """Signs a request in one way after the other."""

    def sign(
        method: str = "GET",
        path: str = LIST,
        *,
        key_id: str = "OWNER",
        secret: str = SECRETS["OWNER"],
        ago: float = 0.0,
    ) -> Signed:
        unsigned = AWSRequest(method=method, url=server.url() + path, data=b"")
        credentials = Credentials(key_id, secret)
        signer: Any = (
            SigV4QueryAuth(credentials, "appmesh", "eu-west-1", expires=60)
            if request.param == "presigned"
            else SigV4Auth(credentials, "appmesh", "eu-west-1")
        )
        then = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=ago)
        with patch("botocore.auth.get_current_datetime", return_value=then):
            signer.add_auth(unsigned)
        target = str(unsigned.url).removeprefix(server.url())
        return Signed(method, target, dict(unsigned.headers.items()))

    return sign


def test_what_is_in_order_is_carried_out(server: Server, sign: Sign):
    assert sign().send(server).status == 200


@pytest.mark.parametrize(
    ("changed", "code", "message"),
    [
        ({"key_id": "NOBODY"}, "UnrecognizedClientException", b"NOBODY"),
        ({"secret": "another"}, "InvalidSignatureException", b"signature"),
        ({"ago": 360}, "InvalidSignatureException", b"Signature expired: "),
        ({"ago": -360}, "InvalidSignatureException", b"Signature not yet current: "),
    ],
    ids=["unknown key", "other secret", "late clock", "early clock"],
)
def test_who_signs_wrongly_is_refused(
    server: Server, sign: Sign, changed: dict[str, Any], code: str, message: bytes
):
    answer = sign(**changed).send(server)

    assert (answer.status, answer.code) == (403, code)
    assert message in answer.body


@pytest.mark.parametrize(
    "alter",
    [
        lambda request: request._replace(method="DELETE"),
        lambda request: request._replace(target=request.target.replace("meshes", "meshes/demo")),
        lambda request: request._replace(
            target=request.target + ("&" if "?" in request.target else "?") + "limit=1"
        ),
        lambda request: request._replace(headers={**request.headers, "host": "elsewhere:4580"}),
    ],
    ids=["method", "path", "query", "host"],
)
def test_what_was_altered_is_refused(server: Server, sign: Sign, alter: Callable[[Signed], Signed]):
    answer = alter(sign()).send(server)

    assert (answer.status, answer.code) == (403, "InvalidSignatureException")


def test_a_write_is_carried_out_once(server: Server, sign: Sign):
    name = f"once-{next(_numbers)}"
    request = sign("DELETE", f"{LIST}/{name}")
    with closing(server.client("OWNER", SECRETS["OWNER"])) as client:
        client.create_mesh(meshName=name)
        first = request.send(server)
        client.create_mesh(meshName=name)
        again = request.send(server)

    assert first.status == 200
    assert (again.status, again.code) == (403, "InvalidSignatureException")
    assert b"Signature already used" in again.body


def test_a_signature_that_lacks_something_is_incomplete(server: Server, sign: Sign):
    request = sign()
    authorization = request.headers.get("Authorization", "").partition(", Signature=")[0]
    incomplete = request._replace(
        target=request.target.partition("&X-Amz-Signature=")[0],
        headers=request.headers | ({"Authorization": authorization} if authorization else {}),
    )

    answer = incomplete.send(server)

    assert (answer.status, answer.code) == (400, "IncompleteSignatureException")


def test_without_a_signature_it_is_asked_for(server: Server):
    answer = Signed("GET", LIST, {}).send(server)

    assert (answer.status, answer.code) == (403, "MissingAuthenticationTokenException")
