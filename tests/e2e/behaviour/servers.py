"""HTTP, gRPC and TCP servers whose answers a test decides, where an application would listen."""

from __future__ import annotations

import asyncio
import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

import grpc
from hypercorn.asyncio import serve
from hypercorn.config import Config


class Reply(NamedTuple):
    """What a server answers: after so many seconds, with this status."""

    status: int = 200
    seconds: float = 0.0


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: Any) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a proxy that gave a request up is what some tests are about."""


class ScriptedServer:
    """An HTTP server that answers with its name, as its script says.

    Args:
        name: What it calls itself.
        address: Where it listens.
        port: Its port.
        script: The reply to the nth request (from 1) with a path.
    """

    def __init__(
        self,
        name: str,
        address: str,
        port: int,
        script: Callable[[int, str], Reply] = lambda _number, _path: Reply(),
    ) -> None:
        self.paths: list[str] = []
        self._closing = threading.Event()
        self._server = _Server((address, port), self._handler(name, script))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def _handler(self, name: str, script: Callable[[int, str], Reply]) -> Any:
        outer = self

        # HTTP/1.0, so that no connection outlives a test and meets the next one's script.
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.paths.append(self.path)
                reply = script(len(outer.paths), self.path)
                outer._closing.wait(reply.seconds)
                body = json.dumps({"service": name, "path": self.path}).encode()
                self.send_response(reply.status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
                del format, args

        return Handler

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Http2Server:
    """An HTTP/2 server, without TLS, that answers with its name, as its script says.

    Args:
        name: What it calls itself.
        address: Where it listens.
        port: Its port.
        script: The reply to the nth request (from 1) with a path.
    """

    def __init__(
        self,
        name: str,
        address: str,
        port: int,
        script: Callable[[int, str], Reply] = lambda _number, _path: Reply(),
    ) -> None:
        self.paths: list[str] = []
        self._name = name
        self._script = script
        self._config = Config()
        self._config.bind = [f"{address}:{port}"]
        self._config.errorlog = None
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        serving = serve(self._application, self._config, shutdown_trigger=self._closing.wait)
        self._loop.run_until_complete(serving)
        self._loop.close()

    async def _application(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            self._listening.set()
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        self.paths.append(scope["path"])
        reply = self._script(len(self.paths), scope["path"])
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), reply.seconds or 0.001)
        body = json.dumps({"service": self._name, "path": scope["path"]}).encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def __enter__(self) -> Self:
        self._thread.start()
        self._listening.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()


class EchoingGrpcServer:
    """A gRPC server that answers every method with its name and the method's path, as scripted.

    Args:
        name: What it calls itself.
        address: Where it listens.
        port: Its port.
        script: The reply to the nth call (from 1) of a method; its status is one of gRPC's.
    """

    def __init__(
        self,
        name: str,
        address: str,
        port: int,
        script: Callable[[int, str], Reply] = lambda _number, _path: Reply(0),
    ) -> None:
        self.paths: list[str] = []
        self._closing = threading.Event()
        self._server = grpc.server(ThreadPoolExecutor(8))
        self._server.add_generic_rpc_handlers((_Echo(self, name, script),))
        self._server.add_insecure_port(f"{address}:{port}")

    def wait(self, seconds: float) -> None:
        """Wait for some time, or until the server is stopped."""
        self._closing.wait(seconds)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.stop(None).wait()


class _Echo(grpc.GenericRpcHandler):
    def __init__(
        self, server: EchoingGrpcServer, name: str, script: Callable[[int, str], Reply]
    ) -> None:
        self._server = server
        self._name = name
        self._script = script

    def service(self, handler_call_details: Any) -> Any:
        method = handler_call_details.method

        def answer(_request: bytes, context: Any) -> bytes:
            self._server.paths.append(method)
            reply = self._script(len(self._server.paths), method)
            self._server.wait(reply.seconds)
            if reply.status:
                context.abort(_STATUS[reply.status], "as scripted")
            return f"{self._name} {method}".encode()

        return grpc.unary_unary_rpc_method_handler(answer)


_STATUS = {code.value[0]: code for code in grpc.StatusCode}


class LineServer:
    """A TCP server that greets with its name, if it is to speak first, and answers each line.

    The answer to `x` is `NAME x`, so that a test sees who answered. With a context it speaks TLS.
    """

    def __init__(
        self,
        name: str,
        address: str,
        port: int,
        *,
        greets: bool = False,
        context: ssl.SSLContext | None = None,
    ) -> None:
        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with suppress(OSError):
                    if greets:
                        self.wfile.write(f"{name}\n".encode())
                    for line in self.rfile:
                        self.wfile.write(f"{name} ".encode() + line)

        self._server = _TcpServer((address, port), Handler)
        if context is not None:
            # The handler's thread shakes hands, so that nobody waits for a client that does not.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class UpgradingServer:
    """An HTTP server that takes every upgrade to WebSocket, and then says back what it is told.

    What follows the upgrade is lines instead of frames, which no proxy looks into.
    """

    def __init__(self, address: str, port: int) -> None:
        self._server = _TcpServer((address, port), _Upgrade)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Upgrade(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        with suppress(OSError):
            while self.rfile.readline().strip():
                pass
            upgrade = b"connection: upgrade\r\nupgrade: websocket\r\n"
            self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\n" + upgrade + b"\r\n")
            for line in self.rfile:
                self.wfile.write(line)


class _TcpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class LineClient:
    """One connection that sends lines.

    Args:
        address: Where it connects to.
        context: With one, it speaks TLS.
        server_name: The name that it then asks for.
    """

    def __init__(
        self,
        address: tuple[str, int],
        *,
        context: ssl.SSLContext | None = None,
        server_name: str | None = None,
    ) -> None:
        self._socket = socket.create_connection(address, timeout=20)
        if context is not None:
            self._socket = context.wrap_socket(self._socket, server_hostname=server_name)
        self._lines = self._socket.makefile("rb")

    def ask(self, line: str) -> str:
        """Send a line and read the answer; empty where the connection is closed instead."""
        with suppress(OSError):
            self._socket.sendall(f"{line}\n".encode())
        return self.read()

    def read(self) -> str:
        """The next line, without its end; empty where the connection is closed instead."""
        try:
            return self._lines.readline().decode().removesuffix("\n")
        except ConnectionError:
            return ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._socket.close()


def ask_once(address: tuple[str, int], **tls: Any) -> str:
    """Who answers a connection of its own; empty where it is closed."""
    try:
        with LineClient(address, **tls) as client:
            return client.ask("x").removesuffix(" x")
    except (ConnectionError, ssl.SSLEOFError):
        return ""
