"""gRPC's calls: messages in pieces, what is refused, and how a call ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from meshwright.xds.transport.calls import MAX_MESSAGE_BYTES, Call, Status
from meshwright.xds.transport.http2 import Request

HEADERS = [(":method", "POST"), (":path", "/s/M"), ("content-type", "application/grpc+proto")]


@dataclass
class Stream:
    """A stream that remembers what it was given."""

    headers: list[Sequence[tuple[str, str]]] = field(
        default_factory=list[Sequence[tuple[str, str]]]
    )
    sent: list[bytes] = field(default_factory=list[bytes])
    trailers: dict[str, str] | None = None
    is_waiting: bool = False

    def send_headers(self, headers: Sequence[tuple[str, str]]) -> None:
        """Remember headers."""
        self.headers.append(headers)

    def send(self, data: bytes) -> None:
        """Remember data."""
        self.sent.append(data)

    def discard(self) -> None:
        """Forget data."""
        self.sent.clear()

    def finish(self, trailers: Sequence[tuple[str, str]]) -> None:
        """Remember trailers."""
        self.trailers = dict(trailers)


@dataclass
class Listener:
    """A listener that remembers what it was told."""

    messages: list[bytes] = field(default_factory=list[bytes])
    told: list[str] = field(default_factory=list[str])

    def receive(self, message: bytes) -> None:
        """Remember a message."""
        self.messages.append(message)

    def end(self) -> None:
        """Remember the end."""
        self.told.append("end")

    def lose(self) -> None:
        """Remember that the call is over."""
        self.told.append("lose")

    def drain(self) -> None:
        """Remember that nothing waits."""
        self.told.append("drain")


def calling(headers: Sequence[tuple[str, str]] = HEADERS) -> tuple[Call, Stream, Listener]:
    """A call, the stream that it is on, and who listens to it."""
    stream, listener = Stream(), Listener()
    made: Any = stream
    call = Call(made, Request(headers))
    call.listener = listener
    return call, stream, listener


def framed(message: bytes) -> bytes:
    """A message as it goes over a stream."""
    return b"\0" + len(message).to_bytes(4, "big") + message


@pytest.mark.parametrize("size", [1, 3, 100])
def test_messages_may_come_in_pieces_of_any_size(size: int):
    call, _, listener = calling()
    data = framed(b"one") + framed(b"") + framed(b"three")
    for start in range(0, len(data), size):
        call.receive(data[start : start + size])

    assert listener.messages == [b"one", b"", b"three"]


def test_an_answer_begins_with_headers_once():
    call, stream, _ = calling()
    call.send(b"a")
    call.send(b"b")

    assert (len(stream.headers), stream.sent) == (1, [framed(b"a"), framed(b"b")])


def test_an_end_without_an_answer_is_trailers_alone():
    call, stream, _ = calling()
    call.finish(Status.NOT_FOUND, "none of 100 %\nnor ä")

    assert (stream.headers, stream.trailers) == (
        [],
        {
            ":status": "200",
            "content-type": "application/grpc",
            "grpc-status": "5",
            "grpc-message": "none of 100 %25%0Anor %C3%A4",
        },
    )


def test_what_is_given_up_at_once_is_not_sent():
    call, stream, _ = calling()
    call.send(b"a")
    call.finish(Status.DEADLINE_EXCEEDED, at_once=True)

    assert (stream.sent, stream.trailers) == ([], {"grpc-status": "4"})


def test_nothing_is_sent_or_heard_after_the_end():
    call, stream, listener = calling()
    call.finish(Status.OK)
    call.send(b"a")
    call.receive(framed(b"b"))
    call.end()
    call.lose()

    assert (stream.sent, listener.messages, listener.told) == ([], [], [])


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\1" + framed(b"x")[1:], Status.UNIMPLEMENTED),
        (b"\0" + (MAX_MESSAGE_BYTES + 1).to_bytes(4, "big"), Status.RESOURCE_EXHAUSTED),
    ],
    ids=["compressed", "too large"],
)
def test_a_message_that_is_not_taken_ends_the_call_and_tells_its_listener(
    data: bytes, status: Status
):
    call, stream, listener = calling()
    call.receive(data)

    assert stream.trailers is not None
    assert (stream.trailers["grpc-status"], listener.told) == (str(status.value), ["lose"])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([(":method", "POST"), ("content-type", "text/plain")], Status.UNKNOWN),
        ([(":method", "GET"), ("content-type", "application/grpc")], Status.UNIMPLEMENTED),
    ],
)
def test_what_is_no_call_has_a_fault(headers: Sequence[tuple[str, str]], status: Status):
    call, _, _ = calling(headers)
    fault = call.find_fault()

    assert fault is not None
    assert fault[0] is status
