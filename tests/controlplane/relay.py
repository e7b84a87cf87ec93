"""A TCP load balancer of the tests' own, which can also fall silent without closing anything.

client --> relay --> the first of its servers that takes the connection, each in turn
"""

from __future__ import annotations

import itertools
import selectors
import socket
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

_CONNECT_SECONDS = 5.0
_POLL_SECONDS = 0.05


class Relay:
    """Relays connections to servers, round robin, as a network load balancer does.

    Args:
        servers: `HOST:PORT` of each.
    """

    def __init__(self, servers: Sequence[str]) -> None:
        self._turns = itertools.count()
        self._servers = servers
        self._frozen = threading.Event()
        self._stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self.address = "{}:{}".format(*self._listener.getsockname()[:2])

    def freeze(self) -> None:
        """Relay nothing more from now on, and leave connections open: the network has gone."""
        self._frozen.set()

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        for each in self._threads:
            each.join()
        self._listener.close()

    def _accept(self) -> None:
        self._listener.settimeout(_POLL_SECONDS)
        while not self._stopping.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            thread = threading.Thread(target=self._relay, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _relay(self, client: socket.socket) -> None:
        server = self._connect()
        with client:
            if server is not None:
                with server:
                    self._pump(client, server)

    def _connect(self) -> socket.socket | None:
        turn = next(self._turns)
        for step in range(len(self._servers)):
            host, _, port = self._servers[(turn + step) % len(self._servers)].rpartition(":")
            try:
                return socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS)
            except OSError:
                continue
        return None

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        """Carry bytes both ways until either side closes."""
        peers = {client: server, server: client}
        with selectors.DefaultSelector() as selector:
            for each in peers:
                selector.register(each, selectors.EVENT_READ)
            while not self._stopping.is_set():
                for key, _ in selector.select(_POLL_SECONDS):
                    if self._frozen.is_set():
                        self._stopping.wait()
                        return
                    source = key.fileobj
                    assert isinstance(source, socket.socket)
                    try:
                        part = source.recv(65536)
                        peers[source].sendall(part)
                    except OSError:
                        return
                    if not part:
                        return
