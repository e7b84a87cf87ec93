"""Connections to the API: how long they may be silent or slow, how many there are.

uvicorn bounds how long a connection may idle between requests. What it lacks is here: a client that
sends its request byte by byte, or nothing, or never reads its answer.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from http import HTTPStatus
from typing import Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from meshwright.api.admission import Limits

MAX_HEAD_BYTES: Final = 32 * 1024
"""The largest request line with all headers."""

IDLE_FACTOR: Final = 4
"""How many times longer than a request may arrive a connection may idle between requests: with the
defaults longer than the 60 seconds after which load balancers close one, so that they do it first.
"""

_CONNECTIONS_PER_REQUEST: Final = 4
_GRACE_SECONDS: Final = 1.0
_END_OF_HEAD: Final = re.compile(rb"\n\r?\n")


def build_protocol(limits: Limits) -> type[H11Protocol]:
    """The class of the API's connections, for uvicorn to make one of each."""

    class LimitedProtocol(_LimitedProtocol):
        seconds = limits.request_seconds
        most_connections = limits.concurrent_requests * _CONNECTIONS_PER_REQUEST

    return LimitedProtocol


class _LimitedProtocol(H11Protocol):
    """uvicorn's connection with a time limit on each request's arrival.

    The limit begins with the connection, or with the first byte of a later request; it begins
    anew when the head is complete. The application has a limit of its own on the body, which
    comes first by a little and answers better.
    """

    seconds: float
    most_connections: int

    _timer: asyncio.TimerHandle | None = None
    _abortion: asyncio.TimerHandle | None = None
    _timed_state: object = None
    _is_answered: bool = False

    # uvicorn narrows asyncio's parameter, and so does what inherits from it.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            self._answer_and_close(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "ServiceUnavailableException",
                "too many connections; try again",
            )
            return
        self._arm(h11.IDLE, self.seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        if self._abortion is not None:
            self._abortion.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        # h11 bounds a head that is incomplete, but not one that arrives in one piece.
        if self.conn.their_state is h11.IDLE:
            head = self.conn.trailing_data[0] + data
            if len(head) > MAX_HEAD_BYTES and not _END_OF_HEAD.search(head, 0, MAX_HEAD_BYTES + 4):
                self._refuse_head()
                return
        super().data_received(data)

    def handle_events(self) -> None:
        if self._is_answered:
            return
        super().handle_events()
        match self.conn.their_state:
            case h11.IDLE if self.conn.trailing_data[0] or self.timeout_keep_alive_task is None:
                self._arm(h11.IDLE, self.seconds)
            case h11.SEND_BODY:
                self._arm(h11.SEND_BODY, self.seconds + _GRACE_SECONDS)
            case _:
                self._disarm()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._abort_later()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._abortion is not None:
            self._abortion.cancel()
            self._abortion = None

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._abort_later()  # an answer that was never fetched keeps a closed connection open

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, or has too large a head, in the API's way."""
        error = sys.exception()
        hint = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        if hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
            self._refuse_head()
        else:
            self._answer_and_close(hint, "BadRequestException", msg)

    def _refuse_head(self) -> None:
        self._answer_and_close(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            "BadRequestException",
            f"the request's head must have at most {MAX_HEAD_BYTES} bytes",
        )

    def _arm(self, state: object, seconds: float) -> None:
        if self._timer is not None and self._timed_state is state:
            return
        self._disarm()
        self._timed_state = state
        self._timer = self.loop.call_later(seconds, self._give_up)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _abort_later(self) -> None:
        if self._abortion is None:
            self._abortion = self.loop.call_later(self.seconds, self.transport.abort)

    def _give_up(self) -> None:
        self._timer = None
        if self._timed_state is h11.IDLE and self.conn.trailing_data[0]:
            message = f"the request's head did not arrive within {self.seconds:g} seconds"
            self._answer_and_close(HTTPStatus.REQUEST_TIMEOUT, "RequestTimeoutException", message)
        elif self._timed_state is h11.IDLE:
            self.transport.close()
        else:
            self.transport.abort()

    def _answer_and_close(self, status: int, code: str, message: str) -> None:
        """Answer without the application, which has no request to answer yet."""
        self._is_answered = True
        body = json.dumps({"__type": code, "message": message}).encode()
        headers = [
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("x-amzn-errortype", code),
            ("connection", "close"),
            *([("retry-after", "1")] if status == HTTPStatus.SERVICE_UNAVAILABLE else []),
        ]
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            response = h11.Response(status_code=status, headers=headers)
            for event in (response, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        self._abort_later()
