"""TLS on one connection, without sockets: encrypted bytes in, plain bytes out, and the reverse.

asyncio's own TLS keeps a buffer of 256 KiB for each connection, ten times what a proxy takes
otherwise.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

_PIECE_BYTES: Final = 16 * 1024
"""How much goes through at once: OpenSSL's buffers grow to what they once held, and stay so."""


class TlsSession:
    """The server's side of TLS on a connection.

    Args:
        context: Certificates, and what is asked of the peer.
        write: Takes bytes for the peer.

    Attributes:
        is_secure: Whether the handshake is complete.
        is_ended: Whether the peer has said that it sends no more.
    """

    def __init__(self, context: ssl.SSLContext, write: Callable[[bytes], None]) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._write = write
        self.is_secure = False
        self.is_ended = False

    @property
    def peer(self) -> ssl.SSLObject:
        """Where the peer's certificate is found."""
        return self._session

    def receive(self, data: bytes) -> bytes:
        """Take bytes of the peer, which may complete the handshake.

        Returns:
            What they say, decrypted.

        Raises:
            ssl.SSLError: The peer is not to be trusted, or breaks the protocol; it has been told.
        """
        plain: list[bytes] = []
        try:
            for start in range(0, len(data), _PIECE_BYTES):
                self._incoming.write(data[start : start + _PIECE_BYTES])
                plain += self._read()
        finally:
            self._flush()
        return b"".join(plain)

    def send(self, data: bytes) -> None:
        """Encrypt bytes for the peer."""
        for start in range(0, len(data), _PIECE_BYTES):
            self._session.write(data[start : start + _PIECE_BYTES])
            self._flush()

    def close(self) -> None:
        """Tell the peer that nothing more is sent."""
        with suppress(ssl.SSLError):  # it would wait for the peer's answer
            self._session.unwrap()
        self._flush()

    def _read(self) -> Iterator[bytes]:
        try:
            if not self.is_secure:
                self._session.do_handshake()
                self.is_secure = True
            while piece := self._session.read(_PIECE_BYTES):
                yield piece
        except ssl.SSLWantReadError:
            return
        except ssl.SSLZeroReturnError:
            pass
        # Nothing at all, or this error where both sides have ended, is the peer's end.
        self.is_ended = True

    def _flush(self) -> None:
        while data := self._outgoing.read():
            self._write(data)
