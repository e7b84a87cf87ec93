"""Load over HTTP that costs its sender next to nothing: requests made before the clock runs.

A request is made and signed before the clock runs. What is measured is from its first byte sent to
the last byte of its answer, with as many requests under way as there are connections.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Self

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest, prepare_request_dict
from botocore.credentials import Credentials
from botocore.serialize import create_serializer

from meshwright.model.service import load_service_model

KEY: Final = Credentials("BENCH", "a secret that everybody may know")
REGION: Final = "us-east-1"
CONNECTIONS: Final = 4

_TIMEOUT_SECONDS: Final = 60.0
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE: Final = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_OK: Final = b" 200 "


class LoadError(Exception):
    """A request was not answered as it should; the text holds the answer."""


@dataclass(frozen=True, slots=True)
class Timings:
    """How a number of requests went.

    Attributes:
        seconds: From the first request's first byte to the last answer's last.
        latencies: Each request's own time, in seconds.
    """

    seconds: float
    latencies: tuple[float, ...]


class Load:
    """Some connections to one server.

    Args:
        address: Its host and port.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._connections = [_Connection(address) for _ in range(CONNECTIONS)]
        self._threads = ThreadPoolExecutor(CONNECTIONS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown()
        for connection in self._connections:
            connection.close()

    def build(self, operation: str, parameters: Mapping[str, Any]) -> bytes:
        """A signed request of App Mesh's API, as it goes over the wire."""
        model = load_service_model().operation_model(operation)
        made = create_serializer("rest-json").serialize_to_request(dict(parameters), model)
        host, port = self._address
        prepare_request_dict(made, f"http://{host}:{port}")
        headers = {**made["headers"], "Host": f"{host}:{port}"}
        request = AWSRequest(
            method=made["method"], url=made["url"], data=made["body"], headers=headers
        )
        SigV4Auth(KEY, "appmesh", REGION).add_auth(request)
        body = request.body or b""
        if isinstance(body, str):
            body = body.encode()
        target = made["url"].removeprefix(f"http://{host}:{port}")
        lines = [f"{name}: {value}" for name, value in request.headers.items()]
        head = [f"{made['method']} {target} HTTP/1.1", *lines, f"Content-Length: {len(body)}"]
        return "\r\n".join([*head, "", ""]).encode() + body

    def send(self, requests: Sequence[bytes]) -> Timings:
        """Send requests, each connection its share of them one after another.

        Raises:
            LoadError: One was refused.
        """
        shares = [requests[each::CONNECTIONS] for each in range(CONNECTIONS)]
        began = time.perf_counter()
        taken = list(self._threads.map(_send_share, self._connections, shares))
        seconds = time.perf_counter() - began
        return Timings(seconds, tuple(each for share in taken for each in share))


class _Connection:
    """One connection, which is opened again where the server closes it after an answer."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._socket: socket.socket | None = None

    def send(self, request: bytes) -> None:
        if self._socket is None:
            self._socket = socket.create_connection(self._address, timeout=_TIMEOUT_SECONDS)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)
        answer = self._receive(self._socket, b"")
        while b"\r\n\r\n" not in answer:
            answer = self._receive(self._socket, answer)
        head, _, body = answer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if length is None:
            raise LoadError(f"an answer without a length: {head!r}")
        while len(body) < int(length[1]):
            body = self._receive(self._socket, body)
        if _OK not in head[:16]:
            raise LoadError(f"{request[:300]!r} was answered {head[:16]!r}: {body[:500]!r}")
        if _CLOSE.search(head):
            self.close()

    @staticmethod
    def _receive(connection: socket.socket, before: bytes) -> bytes:
        part = connection.recv(65536)
        if not part:
            raise LoadError("the server closed the connection before it had answered")
        return before + part

    def close(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
            self._socket = None


def _send_share(connection: _Connection, requests: Sequence[bytes]) -> list[float]:
    taken: list[float] = []
    for request in requests:
        began = time.perf_counter()
        connection.send(request)
        taken.append(time.perf_counter() - began)
    return taken
