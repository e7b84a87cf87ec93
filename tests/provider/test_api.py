"""Calls of the API: patient with a control plane that is away or busy, but not for ever."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from pulumi_meshwright.api import Api, ApiError
from pulumi_meshwright.settings import Settings
from pytest_meshwright.waiting import wait_until

if TYPE_CHECKING:
    from pytest_meshwright.control_plane import ControlPlane

MESH = {"mesh": {"meshName": "demo"}}


@contextmanager
def answering(*answers: tuple[int, str]) -> Generator[tuple[str, list[str]]]:
    """A server that gives these answers in turn, the last one for ever: what a busy one says."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers[min(len(seen), len(answers) - 1)]
            seen.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
            """Nothing: the test looks at `seen`."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", seen
        finally:
            server.shutdown()


def error(code: str, message: str = "because") -> str:
    """An error as App Mesh writes it."""
    return json.dumps({"__type": code, "message": message})


def describe(api: Api, on_wait: Callable[[str], None] | None = None) -> Any:
    """Ask for a mesh."""

    async def ask() -> Any:
        try:
            return await api.call("DescribeMesh", {"meshName": "demo"}, on_wait=on_wait)
        finally:
            api.close()

    return asyncio.run(ask())


@pytest.mark.parametrize(
    "busy",
    [
        pytest.param((429, error("TooManyRequestsException")), id="throttled"),
        pytest.param((503, error("ServiceUnavailableException")), id="unavailable"),
        pytest.param((502, "<html>bad gateway</html>"), id="a proxy in between"),
        pytest.param((500, error("InternalServerErrorException")), id="an unexpected error"),
        pytest.param((500, "<html>it broke</html>"), id="an unexpected error in between"),
    ],
)
def test_a_busy_control_plane_is_asked_again(busy: tuple[int, str]) -> None:
    with answering(busy, busy, (200, json.dumps(MESH["mesh"]))) as (url, seen):
        answer = describe(Api(Settings(endpoint=url)))

    assert (answer["mesh"]["meshName"], len(seen)) == ("demo", 3)


@pytest.mark.parametrize(
    ("status", "uncertain"), [(500, True), (502, True), (504, True), (503, False), (429, False)]
)
def test_an_error_tells_whether_what_was_asked_may_have_been_done(
    status: int, uncertain: bool
) -> None:
    refusal = (400, error("BadRequestException"))
    busy = (status, error("TooManyRequestsException"))

    with answering(busy, refusal) as (url, _), pytest.raises(ApiError) as caught:
        describe(Api(Settings(endpoint=url)))

    assert caught.value.uncertain == uncertain


def test_a_refusal_is_final() -> None:
    with (
        answering((404, error("NotFoundException", "no mesh demo"))) as (url, seen),
        pytest.raises(ApiError, match="answered NotFoundException: no mesh demo") as caught,
    ):
        describe(Api(Settings(endpoint=url)))

    assert (caught.value.code, len(seen)) == ("NotFoundException", 1)


def test_patience_ends() -> None:
    with (
        answering((429, error("TooManyRequestsException"))) as (url, _),
        pytest.raises(ApiError, match="answered TooManyRequestsException"),
    ):
        describe(Api(Settings(endpoint=url), patience=0.3))


def test_an_unexpected_error_that_stays_is_told_after_a_few_tries() -> None:
    broken = (500, error("InternalServerErrorException", "reported under request_id 7"))
    told: list[str] = []

    with (
        answering(broken) as (url, seen),
        pytest.raises(ApiError, match="reported under request_id 7"),
    ):
        describe(Api(Settings(endpoint=url), patience=600), on_wait=told.append)

    assert len(seen) == 5
    assert told == [f"asking {url} again, up to 4 times: InternalServerErrorException"]


def test_a_server_that_is_no_control_plane_is_told_as_that() -> None:
    with (
        answering((404, "<html>not here</html>")) as (url, _),
        pytest.raises(ApiError, match="is meshwright:endpoint a Meshwright's address"),
    ):
        describe(Api(Settings(endpoint=url)))


def test_an_endpoint_that_does_not_answer_is_named_with_the_remedy() -> None:
    # Port 1 is reserved and never served.
    with pytest.raises(ApiError) as caught:
        describe(Api(Settings(endpoint="http://127.0.0.1:1"), patience=0.3))

    assert str(caught.value) == (
        "no answer from the control plane at http://127.0.0.1:1 (Connection refused): "
        "start it, or set meshwright:endpoint or MESHWRIGHT_ENDPOINT"
    )


def test_what_never_reached_anybody_was_not_done() -> None:
    with pytest.raises(ApiError) as caught:
        describe(Api(Settings(endpoint="http://127.0.0.1:1"), patience=0.3))

    assert not caught.value.uncertain


def test_cancelling_ends_the_waiting_at_once() -> None:
    with answering((429, error("TooManyRequestsException"))) as (url, _):
        api = Api(Settings(endpoint=url), patience=600)

        with pytest.raises(ApiError, match="cancelled while waiting"):
            describe(api, on_wait=lambda _: api.cancel())


def test_the_user_is_told_once_why_it_takes_so_long() -> None:
    told: list[str] = []
    busy = (503, error("ServiceUnavailableException", "starting"))

    with answering(busy, busy, busy, (200, json.dumps(MESH["mesh"]))) as (url, _):
        describe(Api(Settings(endpoint=url)), on_wait=told.append)
        wait_until(lambda: told, what="the notice")

    assert told == [f"asking {url} again for up to 60 s: ServiceUnavailableException"]


def test_a_control_plane_that_restarts_is_waited_for(
    meshwright_control_plane: ControlPlane,
) -> None:
    client: Any = meshwright_control_plane.client()
    client.create_mesh(meshName="demo")
    api = Api(Settings(endpoint=meshwright_control_plane.url))
    meshwright_control_plane.kill()
    starter = threading.Thread(target=meshwright_control_plane.start)

    answer = describe(api, on_wait=lambda _: starter.start())
    starter.join()

    assert answer["mesh"]["meshName"] == "demo"
