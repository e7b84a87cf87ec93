"""Connections over asyncio: TLS, signs of life, a maximum age, and an end in good order."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import structlog

from meshwright.xds.transport.calls import Call, CallListener, Status
from meshwright.xds.transport.http2 import (
    Http2Connection,
    Http2Stream,
    Request,
    StreamListener,
)
from meshwright.xds.transport.tls import TlsSession

_HANDSHAKES_AT_ONCE: Final = 64
"""A handshake costs more than anything else that a stranger can ask for; the others wait."""

_AGE_SPREAD: Final = 0.1
_AGE_GRACE_SECONDS: Final = 5.0

_log = structlog.get_logger("meshwright.xds")


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a connection.

    Attributes:
        address: Where it comes from, as gRPC writes it: `ipv4:127.0.0.1:1234`.
        certificate: Its certificate as PEM, which TLS has verified, or None.
        uris: The URIs of that certificate.
    """

    address: str
    certificate: bytes | None = None
    uris: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Upkeep:
    """How connections are kept, and how long.

    Attributes:
        age_seconds: How old a connection gets, give or take a tenth, which keeps proxies that
            came together from going together. What is under way may then take 5 s to end.
        silence_seconds: After so long without a byte of the peer it is asked for a sign of life.
        answer_seconds: How long that may take; then the connection is given up.
        patience_seconds: How long a handshake may take, and a connection go without a call.
        max_streams: How many calls a connection may have at once; more are refused before anything
            of them is read. A proxy needs one. RFC 9113, 6.5.2, recommends no less than this.
    """

    age_seconds: float = 3600.0
    silence_seconds: float = 30.0
    answer_seconds: float = 20.0
    patience_seconds: float = 30.0
    max_streams: int = 100

    def draw_age(self) -> float:
        """How many seconds one connection is to live."""
        return self.age_seconds * random.uniform(1 - _AGE_SPREAD, 1 + _AGE_SPREAD)  # noqa: S311


class CallServer:
    """Serves calls at any number of addresses.

    Args:
        accept: Takes a call, and names who listens to it; None where it has been finished.
        upkeep: How connections are kept.
    """

    def __init__(
        self, accept: Callable[[Call, Peer], CallListener | None], upkeep: Upkeep | None = None
    ) -> None:
        self.accept = accept
        self.upkeep = upkeep or Upkeep()
        self.connections: set[Connection] = set()
        self.handshakes = asyncio.Semaphore(_HANDSHAKES_AT_ONCE)
        self._servers: list[asyncio.Server] = []

    async def listen(
        self, listener: socket.socket, context: Callable[[], ssl.SSLContext] | None = None
    ) -> None:
        """Serve a bound socket.

        Args:
            listener: The socket.
            context: The TLS context for a new connection; None serves without TLS.
        """
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: Connection(self, context), sock=listener, backlog=socket.SOMAXCONN
        )
        self._servers.append(server)

    def count_queued_bytes(self) -> int:
        """How many bytes have been written and not been taken by the peers' sockets and streams."""
        return sum(connection.queued_bytes for connection in list(self.connections))

    def refuse_more(self) -> None:
        """Take no more connections, and no more calls on those that there are."""
        for server in self._servers:
            server.close()
        for connection in list(self.connections):
            connection.go_away()

    async def close(self) -> None:
        """Close every connection; what has been written is sent."""
        for connection in list(self.connections):
            connection.close()
        # Python 3.12's wait_closed waits for connections too; they are closed by now.
        for server in self._servers:
            await server.wait_closed()


class Connection(asyncio.Protocol):
    """One connection of a peer."""

    def __init__(self, server: CallServer, context: Callable[[], ssl.SSLContext] | None) -> None:
        self._server = server
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._http2: Http2Connection | None = None
        self._tls: TlsSession | None = None
        self._handshake: asyncio.Task[None] | None = None
        self._greeting: asyncio.Future[None] | None = None
        self._peer = Peer("")
        self._calls: dict[int, Call] = {}
        self._heard_at = 0.0
        self._was_idle = False
        self._watching: asyncio.TimerHandle | None = None
        self._ageing: asyncio.TimerHandle | None = None

    @property
    def queued_bytes(self) -> int:
        """How many bytes have been written that the peer has not taken."""
        if self._http2 is None or self._transport is None:
            return 0
        return self._http2.waiting_bytes + self._transport.get_write_buffer_size()

    # What asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: with a handshake where there is TLS."""
        self._server.connections.add(self)
        self._transport = cast("asyncio.Transport", transport)
        if self._context is None:
            self._begin()
            return
        # Nothing is read before its turn to be greeted has come.
        self._transport.pause_reading()
        self._handshake = self._loop.create_task(self._secure(self._transport, self._context))

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        self._heard_at = self._loop.time()
        if self._tls is not None:
            data = self._decrypt(self._tls, data)
        if data and self._http2 is not None:
            self._http2.receive(data)
        if self._tls is not None and self._tls.is_ended:
            self.close()

    def pause_writing(self) -> None:
        """The peer takes no more for now; nor is it listened to, so that it can't ask for more."""
        if self._http2 is not None and self._transport is not None:
            self._http2.pause()
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The peer takes more."""
        if self._http2 is not None and self._transport is not None:
            self._transport.resume_reading()
            self._http2.resume()

    def eof_received(self) -> bool:
        """The peer sends no more, which ends the connection."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._server.connections.discard(self)
        if self._greeting is not None and not self._greeting.done():
            self._greeting.set_exception(exc or ConnectionResetError())
        for timer in (self._watching, self._ageing):
            if timer is not None:
                timer.cancel()
        if self._http2 is not None:
            self._http2.lose()

    # What the server does

    def go_away(self) -> None:
        """Take no more calls."""
        if self._http2 is not None:
            self._http2.go_away()

    def close(self) -> None:
        """Close the connection after what has been written."""
        if self._handshake is not None:
            self._handshake.cancel()
        if self._transport is not None and not self._transport.is_closing():
            if self._tls is not None:
                self._tls.close()
            self._transport.close()

    # Beginning

    async def _secure(
        self, transport: asyncio.Transport, context: Callable[[], ssl.SSLContext]
    ) -> None:
        try:
            async with (
                asyncio.timeout(self._server.upkeep.patience_seconds),
                self._server.handshakes,
            ):
                if transport.is_closing():
                    return
                self._tls = TlsSession(context(), transport.write)
                self._greeting = self._loop.create_future()
                transport.resume_reading()
                await self._greeting
        except OSError as error:
            transport.close() if isinstance(error, ssl.SSLError) else transport.abort()
            if not isinstance(error, ConnectionError):  # nobody but a check of the port goes so
                _log.warning(
                    "proxy_refused",
                    peer=_render_address(transport),
                    reason=f"no TLS connection: {error or 'it took too long'}",
                )
        finally:
            self._handshake = None

    def _decrypt(self, tls: TlsSession, data: bytes) -> bytes:
        """What bytes say; nothing where they were the end of the connection."""
        greeting = self._greeting
        try:
            data = tls.receive(data)
        except ssl.SSLError as error:
            if greeting is not None and not greeting.done():
                greeting.set_exception(error)
                cast("asyncio.Transport", self._transport).pause_reading()
            else:
                self._fail(str(error), "TLS")
            return b""
        if tls.is_secure and greeting is not None and not greeting.done():
            greeting.set_result(None)
            self._begin()
        return data

    def _begin(self) -> None:
        transport = self._transport
        assert transport is not None
        upkeep = self._server.upkeep
        tls = self._tls
        self._peer = read_peer(transport, None if tls is None else tls.peer)
        self._heard_at = self._loop.time()
        write = transport.write if tls is None else tls.send
        self._http2 = Http2Connection(write, self._open, self._fail, max_streams=upkeep.max_streams)
        self._ageing = self._loop.call_later(upkeep.draw_age(), self._grow_old)
        self._watching = self._loop.call_later(
            min(upkeep.silence_seconds, upkeep.patience_seconds), self._watch
        )

    def _open(self, stream: Http2Stream, request: Request) -> StreamListener:
        call = Call(stream, request)
        self._calls[stream.stream_id] = call
        fault = call.find_fault()
        if fault is None:
            call.listener = self._server.accept(call, self._peer)
        else:
            call.finish(*fault)
        self._forget_finished()
        return call

    def _forget_finished(self) -> None:
        finished = [number for number, call in self._calls.items() if call.is_over]
        for number in finished:
            del self._calls[number]

    def _fail(self, reason: str, protocol: str = "HTTP/2") -> None:
        _log.warning("proxy_refused", peer=self._peer.address, reason=f"{protocol}: {reason}")
        self.close()

    # Time

    def _watch(self) -> None:
        """See that the peer lives, and that it has a use for the connection."""
        http2, transport, upkeep = self._http2, self._transport, self._server.upkeep
        if http2 is None or transport is None:
            return
        if not http2.streams and self._was_idle:
            http2.go_away()
            self.close()
            return
        self._was_idle = not http2.streams
        silent = self._loop.time() - self._heard_at
        if silent < upkeep.silence_seconds:
            due = min(upkeep.silence_seconds - silent, upkeep.patience_seconds)
            self._watching = self._loop.call_later(due, self._watch)
            return
        http2.ping()
        self._watching = self._loop.call_later(
            upkeep.answer_seconds, self._expect_answer, self._heard_at
        )

    def _expect_answer(self, heard_at: float) -> None:
        if self._heard_at == heard_at and self._transport is not None:
            self._transport.abort()
        else:
            self._watch()

    def _grow_old(self) -> None:
        self.go_away()
        self._ageing = self._loop.call_later(_AGE_GRACE_SECONDS, self._end_of_age)

    def _end_of_age(self) -> None:
        for call in list(self._calls.values()):
            call.abandon(Status.UNAVAILABLE, "this connection is old: open another")
        self.close()


def read_peer(transport: asyncio.Transport, tls: ssl.SSLObject | None = None) -> Peer:
    """Who is at the other end of a transport, and of the TLS over it."""
    address = _render_address(transport)
    certificate = None if tls is None else tls.getpeercert(binary_form=True)
    if tls is None or certificate is None:
        return Peer(address)
    content = cast("Mapping[str, Any]", tls.getpeercert())
    names: Sequence[tuple[str, str]] = content.get("subjectAltName", ())
    return Peer(
        address,
        ssl.DER_cert_to_PEM_cert(certificate).encode(),
        tuple(value for kind, value in names if kind == "URI"),
    )


def _render_address(transport: asyncio.BaseTransport) -> str:
    peer: Any = transport.get_extra_info("peername")
    if not peer:
        return "unknown"
    host, port = peer[:2]
    return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"
