"""A client that speaks HTTP/2 itself, for what gRPC's own clients never do."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import Event
from h2.settings import SettingCodes

from tests.controlplane.access.serving import TIMEOUT
from tests.controlplane.xds.raw import METHOD

_HEADERS = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", METHOD),
    (":authority", "localhost"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
)


class FrameClient:
    """One connection.

    Args:
        connection: The socket.
        window: How many bytes of each stream it takes before it says so.
    """

    def __init__(self, connection: socket.socket, window: int) -> None:
        self._socket = connection
        self._h2 = H2Connection(H2Configuration(client_side=True))
        self._h2.initiate_connection()
        self._h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: window})
        self._flush()

    def open_stream(self, message: bytes) -> int:
        """Open an ADS stream with one message; the stream's number."""
        number = self._h2.get_next_available_stream_id()
        self._h2.send_headers(number, _HEADERS)
        self._h2.send_data(number, struct.pack(">BI", 0, len(message)) + message)
        self._flush()
        return number

    def take(self, number: int, size: int) -> None:
        """Let the server send so many bytes more on a stream."""
        self._h2.increment_flow_control_window(size, number)
        self._flush()

    def events(self) -> Iterator[Event]:
        """What the server does, as it comes; pings and settings are acknowledged."""
        while part := self._socket.recv(65536):
            events = self._h2.receive_data(part)
            self._flush()
            yield from events

    def _flush(self) -> None:
        self._socket.sendall(self._h2.data_to_send())


@contextmanager
def connect_frames(address: str, *, window: int = 65535) -> Iterator[FrameClient]:
    """A connection to a server's ADS."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=TIMEOUT) as connection:
        yield FrameClient(connection, window)
