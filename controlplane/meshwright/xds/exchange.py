"""One ADS stream: what its proxy sends goes to the state machine, and its answers go out.

A response that the proxy does not take yet holds the further ones back, so that it gets what is
newest when it does.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Final

import structlog

from meshwright.model.resources import ResourceKey
from meshwright.translate import Proxy, parse_proxy
from meshwright.xds.admission import Admission, Credentials, Gate, NotAdmittedError
from meshwright.xds.bounds import Bounds, TurnedAwayError, Turnstile
from meshwright.xds.connection import Connection
from meshwright.xds.distribution import Distribution, NotBuiltError
from meshwright.xds.stream import Dialect, Response
from meshwright.xds.transport.calls import Call, Status
from meshwright.xds.unknown_proxies import UnknownProxyError
from meshwright.xds.wire import Node, Request

_WOKEN_IN_A_TURN: Final = 1_000
"""Some 15 ms of work. Fewer, and acknowledgements are taken one by one among the pushes, which
makes the last proxy wait a third longer."""

_NOT_ADMITTED: Final = (Status.UNAUTHENTICATED, Status.PERMISSION_DENIED)
_NOBODY: Final = Node("", {}, "")

_log = structlog.get_logger("meshwright.xds")


class _EndError(Exception):
    """The stream is to be ended by the server."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Wakening:
    """The exchanges that may have something to send, so many of which do in each turn of the loop.

    Between turns all else gets its turn, however many proxies a change is for.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Exchange] = deque()

    def add(self, exchange: Exchange) -> None:
        """Have an exchange look for what there is to send, soon."""
        if not self._waiting:
            self._loop.call_soon(self._wake)
        self._waiting.append(exchange)

    def _wake(self) -> None:
        waiting = self._waiting
        for _ in range(min(len(waiting), _WOKEN_IN_A_TURN)):
            waiting.popleft().push()
        if waiting:
            self._loop.call_soon(self._wake)


class Exchange:
    """One stream, as the listener of its call.

    Args:
        distribution: What it gets its responses from.
        account_id: The owner of meshes that node ids name without one.
        gate: Who decides whether its proxy is let in.
        turnstile: Counts the streams of each identity.
        wakening: Has it look for something to send.
        credentials: What the proxy shows.
        peer: Where it comes from.
        parse: Reads a request.
        dialect: How it is spoken to.
        call: The way to answer.
        on_over: Told when the stream is over.
    """

    def __init__(
        self,
        distribution: Distribution,
        account_id: str,
        gate: Gate,
        turnstile: Turnstile,
        wakening: Wakening,
        credentials: Credentials,
        peer: str,
        parse: Callable[[bytes], Request],
        dialect: Dialect,
        call: Call,
        on_over: Callable[[Exchange], None],
    ) -> None:
        self._distribution = distribution
        self._account_id = account_id
        self._gate = gate
        self._turnstile = turnstile
        self._wakening = wakening
        self._credentials = credentials
        self._peer = peer
        self._parse = parse
        self._dialect = dialect
        self._call = call
        self._on_over = on_over
        self._loop = asyncio.get_running_loop()
        self._admission = Admission()
        self._node_id = ""
        self._key: ResourceKey | None = None
        self._connection: Connection | None = None
        self._leaving = ExitStack()
        self._is_stirred = False
        self._is_over = False
        self._untaken: Sequence[Response] = ()
        self._sent_at = 0.0
        self._patience = self._begin_patience("the first request did not come")

    @property
    def _bounds(self) -> Bounds:
        return self._turnstile.bounds

    def end_with(self, status: Status, reason: str, *, is_refusal: bool = True) -> None:
        """End the stream, whatever it is doing."""
        if self._is_over:
            return
        if is_refusal:
            _log.warning("proxy_refused", node_id=self._node_id, peer=self._peer, reason=reason)
            self._distribution.metrics.refused(status.name)
            if self._key is not None:
                self._distribution.refuse(self._key, self._node_id, self._peer, reason)
        if status in _NOT_ADMITTED and self._credentials.certificate is not None:
            # A connection keeps its certificate; on another one the proxy may show a better one.
            self._call.go_away()
        self._call.finish(status, reason, at_once=status is Status.DEADLINE_EXCEEDED)
        self._leave()

    def end_if_unwelcome(self) -> None:
        """End the stream if its proxy would not be let in any more."""
        fault = self._admission.find_fault()
        if fault is not None:
            self.end_with(Status.UNAUTHENTICATED, fault)

    def wake(self) -> None:
        """There may be something to send; it is looked for soon."""
        if not self._is_stirred:
            self._is_stirred = True
            self._wakening.add(self)

    def push(self) -> None:
        """Send what there is to send."""
        self._guard(self._push)

    # What the call tells

    def receive(self, message: bytes) -> None:
        """Take a request, and answer it."""
        self._guard(self._take, message)

    def end(self) -> None:
        """The proxy has sent everything, which ends the stream in order."""
        self._call.finish(Status.OK)
        self._leave()

    def lose(self) -> None:
        """The stream is gone."""
        self._leave()

    def drain(self) -> None:
        """The proxy has taken what it was sent."""
        self.push()

    # Within

    def _guard(self, work: Callable[..., None], *arguments: bytes) -> None:
        """Do a piece of work; what goes wrong in it ends this stream and nothing else."""
        if self._is_over:
            return
        try:
            work(*arguments)
        except _EndError as end:
            self.end_with(end.status, end.reason)
        except Exception:
            _log.exception("unexpected_error", node_id=self._node_id, peer=self._peer)
            self.end_with(Status.INTERNAL, "an unexpected error, which is logged", is_refusal=False)

    def _take(self, message: bytes) -> None:
        try:
            request = self._parse(message)
        except ValueError as error:
            raise _EndError(Status.INVALID_ARGUMENT, str(error)) from None
        connection = self._connection
        if connection is None:
            self._end_patience()
            connection = self._connection = self._enter(request.node or _NOBODY)
        elif request.node is not None and request.node.id not in ("", connection.node.id):
            raise _EndError(
                Status.INVALID_ARGUMENT,
                f"node id {request.node.id!r}: this stream is for {connection.node.id!r}; "
                "open another",
            )
        self._distribution.receive(connection, request)
        if connection.stream.subscribed > self._bounds.subscriptions:
            raise _EndError(
                Status.RESOURCE_EXHAUSTED,
                f"a stream may ask for {self._bounds.subscriptions} types and names at most",
            )
        if not connection.stream.settled:
            self._push()

    def _enter(self, node: Node) -> Connection:
        """Let the proxy in, and have it counted."""
        self._node_id = node.id
        proxy = self._admit(node)
        try:
            self._leaving.enter_context(self._turnstile.enter(self._admission.identity, proxy.key))
            connection = self._distribution.connect(
                *(proxy, node, self._peer, self._dialect),
                wake=self.wake,
                close=lambda reason: self.end_with(Status.NOT_FOUND, reason, is_refusal=False),
            )
        except TurnedAwayError as error:
            raise _EndError(Status.RESOURCE_EXHAUSTED, f"node id {node.id!r}: {error}") from None
        except UnknownProxyError as error:
            raise _EndError(Status.NOT_FOUND, f"node id {node.id!r}: {error}") from None
        except NotBuiltError as error:
            raise _EndError(Status.INTERNAL, f"node id {node.id!r}: {error}") from None
        self._leaving.callback(self._distribution.disconnect, connection)
        return connection

    def _admit(self, node: Node) -> Proxy:
        try:
            proxy = parse_proxy(node.id, node.metadata, account_id=self._account_id)
            self._key = proxy.key
            self._admission = self._gate.admit(self._credentials, proxy.key)
        except NotAdmittedError as error:
            status = Status.PERMISSION_DENIED if error.is_known else Status.UNAUTHENTICATED
            raise _EndError(status, f"node id {node.id!r}: {error}") from None
        except ValueError as error:
            raise _EndError(Status.INVALID_ARGUMENT, f"node id {node.id!r}: {error}") from None
        return proxy

    def _push(self) -> None:
        """Send what is due, unless the proxy has not even taken what it was sent last."""
        self._is_stirred = False
        connection = self._connection
        if connection is None or not self._note_taken():
            return
        began = time.perf_counter()
        responses = connection.stream.next_responses()
        for response in responses:
            self._call.send(response.data)
            self._distribution.log.note_push(
                connection.arn,
                response.type_url,
                connection.stream.target.revision,
                response.update,
                self._peer,
            )
        if responses:
            self._untaken = responses
            self._sent_at = began
            self._note_taken()

    def _note_taken(self) -> bool:
        """Whether the proxy has taken what it was sent; for what it has not, its time runs."""
        if self._call.is_waiting:
            if self._untaken and self._patience is None:
                limit = self._bounds.patience_seconds
                reason = f"a response was not taken within {limit:g} s"
                self._patience = self._begin_patience(reason)
            return False
        if self._untaken:
            self._end_patience()
            seconds = time.perf_counter() - self._sent_at
            for response in self._untaken:
                self._distribution.metrics.pushed(response.type_url, len(response.data), seconds)
            self._untaken = ()
        return True

    def _begin_patience(self, reason: str) -> asyncio.TimerHandle:
        return self._loop.call_later(
            self._bounds.patience_seconds, self.end_with, Status.DEADLINE_EXCEEDED, reason
        )

    def _end_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _leave(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._end_patience()
            self._leaving.close()
            self._on_over(self)
