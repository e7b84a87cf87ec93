"""A write that was carried out is not carried out again by another process on the same store."""

from __future__ import annotations

import itertools
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.controlplane.access.serving import TIMEOUT, Answer, Server, serving
from tests.controlplane.meshes import router_spec

SECRET: Final = "a secret of enough length"
AWS: Final = {"AWS_ACCESS_KEY_ID": "meshwright", "AWS_SECRET_ACCESS_KEY": "meshwright"}
ENVIRONMENT: Final = {
    **AWS,
    "MESHWRIGHT_ACCESS_KEY_ID": "WRITER",
    "MESHWRIGHT_SECRET_ACCESS_KEY": SECRET,
}
MESHES: Final = "/v20190125/meshes"
_numbers = itertools.count()

Start = Callable[[], Server]


@pytest.fixture(params=["sqlite", "dynamodb"])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Start]:
    """Starts control planes on one new store, of each engine in turn."""
    store = f"sqlite:///{tmp_path}/mesh.db"
    if request.param == "dynamodb":
        endpoint = request.getfixturevalue("dynamodb_endpoint")
        store = f"dynamodb://replays-{next(_numbers)}?region=us-east-1&endpoint={endpoint}"
    with ExitStack() as stack:

        def start_one() -> Server:
            folder = tmp_path / f"server-{next(_numbers)}"
            folder.mkdir()
            return stack.enter_context(serving(folder, "--store", store, **ENVIRONMENT))

        yield start_one


def sign(server: Server, method: str, path: str, body: object = None) -> AWSRequest:
    """A signed request, as botocore makes it."""
    data = b"" if body is None else json.dumps(body).encode()
    request = AWSRequest(method=method, url=f"{server.url()}{path}", data=data)
    SigV4Auth(Credentials("WRITER", SECRET), "appmesh", "eu-west-1").add_auth(request)
    return request


def send(request: AWSRequest, to: Server) -> Answer:
    """Send a signed request, byte for byte, wherever it was meant to go."""
    parts = urlsplit(str(request.url))
    headers = dict(request.headers.items()) | {"Host": parts.netloc}
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    connection = HTTPConnection(*to.address, timeout=TIMEOUT)
    connection.request(str(request.method), path, request.data, headers)
    with connection.getresponse() as answer:
        received = Answer(
            answer.status,
            {name.lower(): value for name, value in answer.getheaders()},
            answer.read(),
        )
    connection.close()
    return received


def ask(server: Server, method: str, path: str, body: object = None) -> dict[str, Any]:
    """What a new request is answered, with success."""
    answer = send(sign(server, method, path, body), server)
    assert answer.status == 200, answer
    return json.loads(answer.body)


def require_refused(answer: Answer) -> None:
    assert (answer.status, answer.code) == (403, "InvalidSignatureException")
    assert "Signature already used" in json.loads(answer.body)["message"]


def test_another_replica_refuses_a_replay(start: Start):
    first, second = start(), start()
    request = sign(first, "PUT", MESHES, {"meshName": "demo"})
    assert send(request, first).status == 200
    ask(first, "DELETE", f"{MESHES}/demo")

    require_refused(send(request, second))

    assert ask(second, "GET", MESHES) == {"meshes": []}


def test_a_replay_with_a_client_token_is_refused_too(start: Start):
    first, second = start(), start()
    request = sign(first, "PUT", MESHES, {"meshName": "demo", "clientToken": "once"})
    assert send(request, first).status == 200

    require_refused(send(request, second))


def test_a_process_that_was_started_anew_refuses_a_replay(start: Start):
    first = start()
    request = sign(first, "PUT", MESHES, {"meshName": "demo"})
    assert send(request, first).status == 200
    ask(first, "DELETE", f"{MESHES}/demo")
    os.kill(first.pid, signal.SIGKILL)

    require_refused(send(request, start()))


def test_a_write_that_changed_nothing_is_not_repeated_when_it_would_change_something(start: Start):
    first, second = start(), start()
    path = f"{MESHES}/demo"
    ask(first, "PUT", MESHES, {"meshName": "demo"})
    request = sign(first, "PUT", path, {"spec": {}})
    assert send(request, first).status == 200
    ask(first, "PUT", path, {"spec": {"egressFilter": {"type": "ALLOW_ALL"}}})

    require_refused(send(request, second))

    spec = ask(second, "GET", path)["spec"]
    assert spec == {"egressFilter": {"type": "ALLOW_ALL"}}


def test_a_token_is_not_issued_again(start: Start):
    first, second = start(), start()
    request = sign(first, "POST", "/meshwright/v1/tokens", {"for": "mesh/demo"})
    assert send(request, first).status == 200

    require_refused(send(request, second))

    assert len(ask(second, "GET", "/meshwright/v1/tokens")["tokens"]) == 1


def test_a_write_that_failed_may_be_sent_again_elsewhere(start: Start):
    first, second = start(), start()
    router = {"virtualRouterName": "router", "spec": router_spec()}
    request = sign(first, "PUT", f"{MESHES}/demo/virtualRouters", router)
    failed = send(request, first)
    ask(first, "PUT", MESHES, {"meshName": "demo"})

    again = send(request, second)

    assert (failed.status, again.status) == (404, 200)
