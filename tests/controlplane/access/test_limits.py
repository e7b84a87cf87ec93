"""The API's limits, seen over bare connections to a real process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from pytest_meshwright.waiting import wait_until
from tests.controlplane.access.serving import TIMEOUT, Server, read_answer, read_end, serving

HEALTH = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
LIST = b"GET /v20190125/meshes HTTP/1.1\r\nhost: x\r\n\r\n"
UNFINISHED = b"PUT /v20190125/meshes HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{"
ACCESS_KEY = {
    "MESHWRIGHT_ACCESS_KEY_ID": "ID",
    "MESHWRIGHT_SECRET_ACCESS_KEY": "a secret of enough length",
}


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that waits for nobody."""
    with serving(tmp_path_factory.mktemp("hasty"), "--request-seconds", "0.2") as server:
        yield server


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that serves two requests at once, and eight connections."""
    flags = ("--concurrent-requests", "2", "--request-seconds", "600")
    with serving(tmp_path_factory.mktemp("narrow"), *flags) as server:
        yield server


@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"], ids=["unfinished", "complete"])
def test_a_head_that_is_too_large(narrow: Server, end: bytes):
    answer = narrow.send(LIST[:-2] + b"x-large: " + b"x" * 40_000 + end)

    assert (answer.status, answer.code) == (431, "BadRequestException")
    assert b"must have at most 32768 bytes" in answer.body


def test_what_is_no_http(narrow: Server):
    answer = narrow.send(b"what is this?\r\n\r\n")

    assert (answer.status, answer.code) == (400, "BadRequestException")


def test_a_body_of_two_lengths_is_refused_with_its_connection(narrow: Server):
    with narrow.connect() as connection:
        connection.sendall(
            b"PUT /v20190125/meshes HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n"
            b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + LIST
        )
        answer = read_answer(connection)

        assert (answer.status, answer.code) == (400, "BadRequestException")
        assert answer.headers["connection"] == "close"
        assert read_end(connection) == b""


def test_a_head_that_does_not_arrive(hasty: Server):
    answer = hasty.send(LIST[:-2])

    assert (answer.status, answer.code) == (408, "RequestTimeoutException")


def test_a_body_that_does_not_arrive(hasty: Server):
    answer = hasty.send(UNFINISHED)

    assert (answer.status, answer.code) == (408, "RequestTimeoutException")
    assert answer.headers["connection"] == "close"


def test_a_body_that_nobody_asked_for_and_that_does_not_end(hasty: Server):
    with hasty.connect() as connection:
        connection.sendall(HEALTH[:-2] + b"content-length: 100\r\n\r\n")
        assert read_answer(connection).status == 200

        assert read_end(connection) == b""


def test_a_connection_on_which_nothing_is_asked(hasty: Server):
    with hasty.connect() as connection:
        assert read_end(connection) == b""


def test_a_connection_that_idles_after_a_request(hasty: Server):
    with hasty.connect() as connection:
        connection.sendall(HEALTH)
        assert read_answer(connection).status == 200

        assert read_end(connection) == b""


def test_a_second_request_that_does_not_arrive(hasty: Server):
    with hasty.connect() as connection:
        connection.sendall(HEALTH)
        assert read_answer(connection).status == 200
        connection.sendall(LIST[:-2])

        assert read_answer(connection).status == 408


def test_more_requests_at_once_than_are_served(narrow: Server):
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(narrow.connect()).sendall(UNFINISHED)

        answer = wait_until(
            lambda: next((each for each in [narrow.send(LIST)] if each.status == 503), None),
            what="both requests to be under way",
            timeout=TIMEOUT,
        )
        assert answer.code == "ServiceUnavailableException"
        assert answer.headers["retry-after"] == "1"
        assert narrow.send(HEALTH).status == 200
    wait_until(
        lambda: narrow.send(LIST).status == 200, what="requests to be served again", timeout=TIMEOUT
    )


def test_more_connections_than_are_kept(narrow: Server):
    with ExitStack() as stack:
        for _ in range(8):
            connection = stack.enter_context(narrow.connect())
            connection.sendall(HEALTH)
            read_answer(connection)

        with narrow.connect() as ninth:
            answer = read_answer(ninth)

    assert (answer.status, answer.code) == (503, "ServiceUnavailableException")


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "with an unknown key"])
def test_a_large_body_of_a_stranger_is_refused_for_its_head(
    tmp_path_factory: pytest.TempPathFactory, signed: bool
):
    authorization = (
        b"authorization: AWS4-HMAC-SHA256 Credential=X/20260930/r/appmesh/aws4_request, "
        b"SignedHeaders=host;x-amz-date, Signature=" + b"0" * 64 + b"\r\n"
        b"x-amz-date: 20260930T120000Z\r\n"
    )
    head = b"PUT /v20190125/meshes HTTP/1.1\r\nhost: x\r\ncontent-length: 4000000\r\n"

    with serving(tmp_path_factory.mktemp("keys"), **ACCESS_KEY) as server:
        answer = server.send(head + (authorization if signed else b"") + b"\r\n" + b"x" * 4_000_000)

    assert (answer.status, answer.code) == (
        403,
        "UnrecognizedClientException" if signed else "MissingAuthenticationTokenException",
    )
