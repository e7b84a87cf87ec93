"""An HTTP/1.1 client connection that costs little: asyncio streams and h11, kept alive.

httpx needs about a millisecond of processor time for a request; a test that sends thousands
through several Envoys on a shared core would measure its client.
"""

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import h11

_READ_SIZE = 65536


@dataclass(frozen=True, slots=True)
class Target:
    """What to ask for, and where to send the question."""

    host: str
    port: int
    path: str
    authority: str

    @classmethod
    def of(cls, url: str, proxy: str | None) -> "Target":
        """Split an `http://` URL; with a proxy (`http://HOST:PORT`) that is who is asked.

        Raises:
            ValueError: a URL is not of the form `http://HOST[:PORT][/PATH]`.
        """
        wanted = urlsplit(url)
        asked = urlsplit(proxy) if proxy else wanted
        for part in (wanted, asked):
            if part.scheme != "http" or part.hostname is None:
                raise ValueError(f"{part.geturl()!r} is not of the form http://HOST[:PORT][/PATH]")
        path = wanted.path or "/"
        if wanted.query:
            path += f"?{wanted.query}"
        return cls(
            host=asked.hostname or "",
            port=asked.port or 80,
            # A proxy is asked with the absolute form (RFC 9112, 3.2.2).
            path=f"http://{wanted.netloc}{path}" if proxy else path,
            authority=wanted.netloc,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request."""

    status: int
    body: bytes

    @property
    def service(self) -> str | None:
        """The name of the application that answered; None where a proxy answered by itself."""
        try:
            content: Any = json.loads(self.body)
            return str(content["service"])
        except (ValueError, KeyError, TypeError):
            return None


class Connection:
    """One connection to a target, opened on the first request and again after it was closed."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._protocol = h11.Connection(h11.CLIENT)

    async def get(self) -> Answer:
        """Send one GET and read the answer.

        Raises:
            OSError: the connection could not be opened or broke.
            h11.RemoteProtocolError: what came back is not HTTP.
        """
        try:
            return await self._exchange()
        except BaseException:
            # Whatever went wrong, what may still arrive on it belongs to no later request.
            self.close()
            raise

    async def _exchange(self) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._target.host, self._target.port)
            self._protocol = h11.Connection(h11.CLIENT)
        reader, writer = self._streams
        protocol = self._protocol
        request = h11.Request(
            method="GET", target=self._target.path, headers=[("host", self._target.authority)]
        )
        writer.write((protocol.send(request) or b"") + (protocol.send(h11.EndOfMessage()) or b""))
        status, body = 0, bytearray()
        while True:
            event = protocol.next_event()
            if event is h11.NEED_DATA:
                protocol.receive_data(await reader.read(_READ_SIZE))
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
        if protocol.our_state is h11.DONE and protocol.their_state is h11.DONE:
            protocol.start_next_cycle()
        else:
            self.close()
        return Answer(status, bytes(body))

    def close(self) -> None:
        """Close the connection; the next request opens a new one."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def describe_failure(error: Exception) -> str:
    """A short name for what went wrong with a request, to tally failures by."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return type(error).__name__
