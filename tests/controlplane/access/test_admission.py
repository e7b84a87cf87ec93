"""The door as a layer around an application, without a network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from meshwright.access.guard import Guard
from meshwright.access.keys import AccessKey, FixedKeys
from meshwright.access.signatures import parse_claim
from meshwright.api.admission import Admission, Limits
from meshwright.store import SpentSignature
from tests.controlplane.access.requests import KEY, NOW, Arrived, sign


async def succeed(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that carries out everything."""
    await Response("{}")(scope, receive, send)


@pytest.fixture
def freed() -> list[str]:
    """The signatures that the store was told to forget."""
    return []


Unspend = Callable[[SpentSignature], None]
OTHER = AccessKey("AKIDOTHER", "another secret of enough length", KEY.account_id)


def build_door(limits: Limits, unspend: Unspend) -> Admission:
    """A door that knows two keys."""
    guard = Guard(FixedKeys([KEY, OTHER]), account_id=KEY.account_id, clock=lambda: NOW)
    return Admission(succeed, guard, limits, large_bodies={}, unspend=unspend)


@pytest.fixture
def door(freed: list[str]) -> Admission:
    """A door whose store tells what it was told to forget."""
    return build_door(Limits(), lambda spent: freed.append(spent.signature))


@pytest.fixture
def narrow_door() -> Admission:
    """A door that lets a key make one request, and the next in more than an hour."""
    return build_door(Limits(requests_per_second=0.0002), lambda _: None)


def visit(door: Admission, arrived: Arrived, *, leaves: bool = False) -> int:
    """Send a request, perhaps without waiting for the answer, and return its status."""
    head = arrived.head
    scope: Scope = {
        "type": "http",
        "method": head.method,
        "path": head.path,
        "raw_path": head.path.encode(),
        "query_string": head.query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in head.headers],
    }
    incoming: Iterator[Message] = iter(
        [{"type": "http.request", "body": arrived.body, "more_body": False}]
    )
    sent: list[Message] = []

    async def receive() -> Message:
        message = next(incoming, None)
        if message is not None:
            return message
        if not leaves:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(door(scope, receive, send))
    return int(sent[0]["status"])


def test_a_write_is_admitted_once(door: Admission):
    assert [visit(door, sign()), visit(door, sign())] == [200, 403]


def test_a_write_whose_sender_was_gone_before_the_answer_may_be_retried(
    door: Admission, freed: list[str]
):
    signature = parse_claim(sign().head).signature

    assert [visit(door, sign(), leaves=True), visit(door, sign())] == [200, 200]
    assert freed == [f"{KEY.access_key_id}/{signature}"]


def test_a_read_is_admitted_as_often_as_it_is_sent(door: Admission):
    request = sign("GET", body=b"")

    assert [visit(door, request), visit(door, request)] == [200, 200]


def test_a_key_that_asks_too_fast_is_turned_away_and_no_other(narrow_door: Admission):
    request, others = sign("GET", body=b""), sign("GET", body=b"", key=OTHER)

    assert [visit(narrow_door, each) for each in (request, request, others)] == [200, 429, 200]


def test_a_request_of_somebody_else_takes_nothing_of_a_key_s_rate(narrow_door: Admission):
    forged = replace(KEY, secret_access_key="a guess of enough length")

    assert visit(narrow_door, sign("GET", body=b"", key=forged)) == 403
    assert visit(narrow_door, sign("GET", body=b"")) == 200


def test_an_altered_body_is_not_admitted(door: Admission):
    assert visit(door, Arrived(sign().head, b"{}")) == 403
