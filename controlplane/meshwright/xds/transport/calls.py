"""gRPC's calls over HTTP/2 streams: length-prefixed messages, statuses and metadata.

Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, Protocol
from urllib.parse import quote

from meshwright.xds.transport.http2 import Http2Stream, Request

MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024

_PREFIX_BYTES: Final = 5
_CONTENT_TYPE: Final = "application/grpc"
_PRINTABLE: Final = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"


class Status(IntEnum):
    """How a call ends (https://grpc.io/docs/guides/status-codes/)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class CallListener(Protocol):
    """Who is told what the caller sends."""

    def receive(self, message: bytes) -> None:
        """Take a message."""
        ...

    def end(self) -> None:
        """The caller has sent everything."""
        ...

    def lose(self) -> None:
        """The call is over, and nothing can be sent any more."""
        ...

    def drain(self) -> None:
        """Everything that had to wait for the caller has been sent."""
        ...


class Call:
    """One call: the stream's listener, and the listener's way to answer.

    Args:
        stream: The stream that it came on.
        request: What opened it.
    """

    __slots__ = (
        "_begun",
        "_buffer",
        "_over",
        "_stream",
        "authority",
        "listener",
        "path",
        "request",
    )

    def __init__(self, stream: Http2Stream, request: Request) -> None:
        self._stream = stream
        self._buffer = b""
        self._begun = False
        self._over = False
        self.request = request
        self.path = request.get(":path")
        self.authority = request.get(":authority")
        self.listener: CallListener | None = None

    @property
    def metadata(self) -> Sequence[tuple[str, str]]:
        """What the caller sent with it, as names and values."""
        return [each for each in self.request.headers if not each[0].startswith(":")]

    @property
    def is_over(self) -> bool:
        """Whether it has been finished, or lost."""
        return self._over

    @property
    def is_waiting(self) -> bool:
        """Whether something waits for the caller to take it."""
        return self._stream.is_waiting

    def find_fault(self) -> tuple[Status, str] | None:
        """Why it is no call that could be served, if so."""
        if not self.request.get("content-type").startswith(_CONTENT_TYPE):
            return Status.UNKNOWN, f"expected content-type {_CONTENT_TYPE}"
        if self.request.get(":method") != "POST":
            return Status.UNIMPLEMENTED, "expected POST"
        return None

    def send(self, message: bytes) -> None:
        """Send a message."""
        if self._over:
            return
        self._begin()
        self._stream.send(b"\0" + len(message).to_bytes(4, "big") + message)

    def finish(self, status: Status, text: str = "", *, at_once: bool = False) -> None:
        """End the call.

        Args:
            status: How it ends.
            text: Why, for people.
            at_once: Whether what the caller has not taken yet is given up.
        """
        if self._over:
            return
        if at_once:
            self._stream.discard()
        self._over = True
        self._buffer = b""
        trailers = [("grpc-status", str(status.value))]
        if text:
            trailers.append(("grpc-message", quote(text, safe=_PRINTABLE)))
        if not self._begun:
            # A response of trailers alone ("Trailers-Only").
            trailers = [(":status", "200"), ("content-type", _CONTENT_TYPE), *trailers]
        self._stream.finish(trailers)

    def go_away(self) -> None:
        """Have the caller make its next call on another connection."""
        self._stream.go_away()

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._stream.send_headers([(":status", "200"), ("content-type", _CONTENT_TYPE)])

    # What the stream tells

    def receive(self, data: bytes) -> None:
        """Take data of the stream, and hand on the messages that it completes."""
        if self._over:
            return
        buffer = self._buffer + data if self._buffer else data
        position = 0
        while len(buffer) - position >= _PREFIX_BYTES and not self._over:
            length = int.from_bytes(buffer[position + 1 : position + _PREFIX_BYTES], "big")
            if buffer[position]:
                self.abandon(Status.UNIMPLEMENTED, "compressed messages are not taken")
                return
            if length > MAX_MESSAGE_BYTES:
                reason = f"a message of {length} bytes; {MAX_MESSAGE_BYTES} are taken"
                self.abandon(Status.RESOURCE_EXHAUSTED, reason)
                return
            following = position + _PREFIX_BYTES + length
            if following > len(buffer):
                break
            message = buffer[position + _PREFIX_BYTES : following]
            position = following
            if self.listener is not None:
                self.listener.receive(message)
        self._buffer = b"" if self._over else buffer[position:]

    def end(self) -> None:
        """The caller has sent everything."""
        if self.listener is not None and not self._over:
            self.listener.end()

    def lose(self) -> None:
        """The stream is gone."""
        if not self._over:
            self._over = True
            if self.listener is not None:
                self.listener.lose()

    def drain(self) -> None:
        """Everything that waited has been sent."""
        if self.listener is not None and not self._over:
            self.listener.drain()

    def abandon(self, status: Status, text: str) -> None:
        """End the call from below, which its listener is told of."""
        if self._over:
            return
        self.finish(status, text)
        if self.listener is not None:
            self.listener.lose()
