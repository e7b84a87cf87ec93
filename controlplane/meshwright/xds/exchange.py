"""One ADS stream over gRPC: a reader that feeds an inbox, and a loop that empties it and writes."""
# pyright: basic, reportAttributeAccessIssue=false
# grpcio's stubs do not know grpc.aio.EOF.

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final

import grpc
import grpc.aio
import structlog

from meshwright.translate import Proxy, parse_proxy
from meshwright.xds.admission import Admission, Credentials, Gate, NotAdmittedError
from meshwright.xds.bounds import Bounds, TurnedAwayError, Turnstile
from meshwright.xds.distribution import Connection, Distribution, UnknownProxyError
from meshwright.xds.metrics import short_type
from meshwright.xds.stream import Dialect
from meshwright.xds.wire import Node, Request

_INBOX_SIZE: Final = 8
"""How many requests wait; further ones are left to HTTP/2's flow control."""

_log = structlog.get_logger("meshwright.xds")

Code = grpc.StatusCode


class _EndError(Exception):
    """The stream is to be ended by the server."""

    def __init__(self, code: grpc.StatusCode, reason: str, *, is_refusal: bool = True) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.is_refusal = is_refusal


class Exchange:
    """One stream.

    Args:
        distribution: What it gets its responses from.
        account_id: The owner of meshes that node ids name without one.
        gate: Who decides whether its proxy is let in.
        turnstile: Counts the streams of each identity.
        credentials: What the proxy shows.
        parse: Reads a request.
        context: The stream, as gRPC has it.
    """

    def __init__(
        self,
        distribution: Distribution,
        account_id: str,
        gate: Gate,
        turnstile: Turnstile,
        credentials: Credentials,
        parse: Callable[[bytes], Request],
        context: Any,
    ) -> None:
        self._distribution = distribution
        self._account_id = account_id
        self._gate = gate
        self._turnstile = turnstile
        self._credentials = credentials
        self._parse = parse
        self._context = context
        self._peer = str(context.peer())
        self._inbox: asyncio.Queue[Request] = asyncio.Queue(maxsize=_INBOX_SIZE)
        self._stirred = asyncio.Event()
        self._ended = False
        self._admission = Admission()
        self._node_id = ""
        self._loop = asyncio.get_running_loop()
        self._end: asyncio.Future[_EndError] = self._loop.create_future()
        self._connection: Connection | None = None
        self._place = ExitStack()
        self._is_writing = False

    @property
    def _bounds(self) -> Bounds:
        return self._turnstile.bounds

    def end(self, code: grpc.StatusCode, reason: str, *, is_refusal: bool = True) -> None:
        """End the stream from outside, whatever it is doing."""
        if not self._end.done():
            self._end.set_result(_EndError(code, reason, is_refusal=is_refusal))

    def end_if_unwelcome(self) -> None:
        """End the stream if its proxy would not be let in any more."""
        fault = self._admission.find_fault()
        if fault is not None:
            self.end(Code.UNAUTHENTICATED, fault)

    async def run(self, dialect: Dialect) -> None:
        """Serve the stream to its end."""
        serving = asyncio.create_task(self._serve(dialect))
        try:
            await asyncio.wait((serving, self._end), return_when=asyncio.FIRST_COMPLETED)
            if self._end.done():
                raise self._end.result()
            await serving
        except _EndError as end:
            if end.is_refusal:
                _log.warning(
                    "proxy_refused", node_id=self._node_id, peer=self._peer, reason=end.reason
                )
            self._leave()
            await self._finish(serving)
            await self._context.abort(end.code, end.reason)
        finally:
            # Before anything is awaited: gRPC may cancel this again, and then that is skipped.
            self._leave()
            self._place.close()
            await _cancel(serving)

    def _leave(self) -> None:
        """Have the distribution forget the stream, once."""
        if self._connection is not None:
            self._distribution.disconnect(self._connection)
            self._connection = None

    async def _finish(self, serving: asyncio.Task[None]) -> None:
        """See the serving end.

        gRPC has no way to take a response back, and can't end a stream before it has been taken or
        the connection has ended: until then the stream keeps its place at the turnstile.
        """
        if self._is_writing:
            await asyncio.wait((serving,))
        else:
            await _cancel(serving)

    async def _serve(self, dialect: Dialect) -> None:
        try:
            async with asyncio.timeout(self._bounds.patience_seconds):
                first = await self._read()
        except TimeoutError:
            raise _EndError(Code.DEADLINE_EXCEEDED, "the first request did not come") from None
        if first is None:
            return
        node = first.node or Node("", {}, "")
        self._node_id = node.id
        proxy = self._admit(node)
        try:
            self._place.enter_context(self._turnstile.enter(self._admission.identity, proxy.key))
            self._connection = self._distribution.connect(
                *(proxy, node, self._peer, dialect), wake=self._stirred.set, close=self._close
            )
            await self._converse(self._connection, first)
        except TurnedAwayError as error:
            raise _EndError(Code.RESOURCE_EXHAUSTED, f"node id {node.id!r}: {error}") from None
        except UnknownProxyError as error:
            raise _EndError(Code.NOT_FOUND, f"node id {node.id!r}: {error}") from None

    def _admit(self, node: Node) -> Proxy:
        try:
            proxy = parse_proxy(node.id, node.metadata, account_id=self._account_id)
            self._admission = self._gate.admit(self._credentials, proxy.key)
        except NotAdmittedError as error:
            code = Code.PERMISSION_DENIED if error.is_known else Code.UNAUTHENTICATED
            raise _EndError(code, f"node id {node.id!r}: {error}") from None
        except ValueError as error:
            raise _EndError(Code.INVALID_ARGUMENT, f"node id {node.id!r}: {error}") from None
        return proxy

    async def _converse(self, connection: Connection, first: Request) -> None:
        reader = asyncio.create_task(self._fill_inbox())
        try:
            self._receive(connection, first)
            await self._answer(connection)
            await reader  # it has ended, and says whether in order
        finally:
            await _cancel(reader)

    async def _read(self) -> Request | None:
        data = await self._context.read()
        if data is grpc.aio.EOF:
            return None
        try:
            return self._parse(data)
        except ValueError as error:
            raise _EndError(Code.INVALID_ARGUMENT, str(error)) from None

    def _close(self, reason: str) -> None:
        self.end(Code.NOT_FOUND, reason, is_refusal=False)

    def _receive(self, connection: Connection, request: Request) -> None:
        said = request.node.id if request.node is not None else ""
        if said not in ("", connection.node.id):
            raise _EndError(
                Code.INVALID_ARGUMENT,
                f"node id {said!r}: this stream is for {connection.node.id!r}; open another",
            )
        self._distribution.receive(connection, request)
        if connection.stream.count_subscriptions() > self._bounds.subscriptions:
            raise _EndError(
                Code.RESOURCE_EXHAUSTED,
                f"a stream may ask for {self._bounds.subscriptions} types and names at most",
            )

    async def _fill_inbox(self) -> None:
        try:
            while (request := await self._read()) is not None:
                await self._inbox.put(request)
                self._stirred.set()
        finally:
            self._ended = True
            self._stirred.set()

    async def _answer(self, connection: Connection) -> None:
        """Take requests and send what is due, until the proxy's side ends."""
        while True:
            while not self._inbox.empty():
                self._receive(connection, self._inbox.get_nowait())
            for response in connection.stream.next_responses():
                began = time.perf_counter()
                await self._write(response.data)
                self._distribution.metrics.pushed(
                    response.type_url, len(response.data), time.perf_counter() - began
                )
                _log.info(
                    "push",
                    resource=connection.arn,
                    peer=self._peer,
                    type=short_type(response.type_url),
                    sent=[each.name for each in response.update.changed],
                    versions={each.name: each.version for each in response.update.changed},
                    removed=list(response.update.removed),
                    revision=connection.stream.target.revision,
                    nonce=response.nonce,
                )
            if self._ended and self._inbox.empty():
                return
            await self._stirred.wait()
            self._stirred.clear()

    async def _write(self, data: bytes) -> None:
        patience = self._bounds.patience_seconds
        reason = f"a response was not taken within {patience:g} s"
        timer = self._loop.call_later(patience, self.end, Code.DEADLINE_EXCEEDED, reason)
        self._is_writing = True
        try:
            await self._context.write(data)
        finally:
            self._is_writing = False
            timer.cancel()
        if self._end.done():
            raise self._end.result()


async def _cancel(task: asyncio.Task[None]) -> None:
    """Cancel a task and see it end, without its outcome."""
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()
