"""A front before a control plane that passes requests on, or does something else to them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, Literal, NamedTuple
from urllib.parse import SplitResult, urlsplit

_TIMEOUT: Final = 60.0
_OWN_HEADERS: Final = frozenset({"connection", "content-length", "date", "server"})


class Refusal(NamedTuple):
    """An answer in place of the control plane's."""

    status: int
    code: str

    def body(self) -> bytes:
        """The error as App Mesh writes it."""
        return json.dumps({"__type": self.code, "message": "for the test's sake"}).encode()


Fault = Refusal | Literal["lose the answer", "answer 500 nevertheless"]
"""What can be done to a request; all but a refusal carry it out."""

_BROKEN: Final = Refusal(500, "InternalServerErrorException")


@dataclass
class Front:
    """The front.

    Attributes:
        url: Its address.
        meddle: Told the method and path of each request before it is passed on; says what to do
            to it, or None.
        seen: The methods and paths of all requests.
    """

    url: str
    meddle: Callable[[str, str], Fault | None]
    seen: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])


@contextmanager
def fronting(url: str, meddle: Callable[[str, str], Fault | None]) -> Iterator[Front]:
    """Run a front before the control plane at a URL."""
    behind = urlsplit(url)
    front = Front("", meddle)
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Stay silent."""

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            with lock:
                front.seen.append((self.command, self.path))
                fault = front.meddle(self.command, self.path)
            if isinstance(fault, Refusal):
                self._refuse(fault)
                return
            answer = _pass_on(behind, self, body)
            if answer is None or fault == "lose the answer":
                self.close_connection = True  # as if nobody were there
            elif fault == "answer 500 nevertheless":
                self._refuse(_BROKEN)
            else:
                self._answer(*answer)

        def do_GET(self) -> None:
            self._handle()

        def do_PUT(self) -> None:
            self._handle()

        def do_DELETE(self) -> None:
            self._handle()

        def _refuse(self, refusal: Refusal) -> None:
            headers = {"content-type": "application/json"}
            self._answer(refusal.status, headers, refusal.body())

        def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        front.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield front
        finally:
            server.shutdown()
            thread.join()


def _pass_on(
    behind: SplitResult, request: BaseHTTPRequestHandler, body: bytes
) -> tuple[int, dict[str, str], bytes] | None:
    """The status, headers and body of what the control plane answers; None where it doesn't."""
    connection = HTTPConnection(behind.hostname or "", behind.port, timeout=_TIMEOUT)
    try:
        connection.request(request.command, request.path, body, dict(request.headers))
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
    headers = {k: v for k, v in answer.getheaders() if k.lower() not in _OWN_HEADERS}
    return answer.status, headers, content
