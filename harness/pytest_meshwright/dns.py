"""A small DNS server for a lab: addresses that change while it runs, and a count of questions."""

import contextlib
import socketserver
import struct
import threading
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

import dnslib  # pyright: ignore[reportMissingTypeStubs]

if TYPE_CHECKING:
    import socket

DEFAULT_PORT = 5300
# What every resolver takes without EDNS (RFC 1035, 4.2.1); a longer answer is marked truncated
# and asked again over TCP.
_LONGEST_UDP_ANSWER = 512


class DnsServer:
    """Answers A and AAAA questions from a table, over UDP and TCP.

    A known name has the records of its addresses and nothing else (an empty answer for a version
    that it has no address of, so that resolvers do not wait); an unknown name is NXDOMAIN.
    The time to live is one second, or none.
    """

    def __init__(self, address: str, port: int = DEFAULT_PORT, *, ttl: int = 0) -> None:
        self.address = address
        self.port = port
        self._ttl = ttl
        self._lock = threading.Lock()
        self._records: dict[str, tuple[str, ...]] = {}
        self._questions: Counter[str] = Counter()
        self._servers: list[tuple[socketserver.BaseServer, threading.Thread]] = []

    def start(self) -> Self:
        """Bind and answer from now on.

        Raises:
            OSError: the address and port are taken.
        """
        bound = (self.address, self.port)
        for server in (_UdpServer(bound, _UdpHandler, self), _TcpServer(bound, _TcpHandler, self)):
            # The poll interval bounds how long stopping takes.
            thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
            self._servers.append((server, thread))
            thread.start()
        return self

    def stop(self) -> None:
        """Stop answering."""
        for server, thread in self._servers:
            # Where starting was interrupted, shutdown would wait for a thread that never ran.
            if thread.ident is not None:
                server.shutdown()
                thread.join()
            server.server_close()
        self._servers = []

    def set_record(self, name: str, addresses: Sequence[str]) -> None:
        """Let `name` resolve to these addresses of either version from the next question on."""
        with self._lock:
            self._records[_normalize(name)] = tuple(addresses)

    def remove_record(self, name: str) -> None:
        """Let `name` be unknown from the next question on."""
        with self._lock:
            self._records.pop(_normalize(name), None)

    def count_questions(self, name: str) -> int:
        """How many questions about that name came, of any type."""
        with self._lock:
            return self._questions[_normalize(name)]

    def answer(self, question: bytes, longest: int | None = None) -> bytes:
        """The answer to a DNS message, both in wire format (RFC 1035).

        Args:
            question: the message.
            longest: the length above which the answer is emptied and marked truncated.

        Raises:
            dnslib.DNSError: the message is not DNS.
        """
        # dnslib has no types; nothing of it leaves this method.
        library = cast("Any", dnslib)
        request = library.DNSRecord.parse(question)
        reply = request.reply()
        name = _normalize(str(request.q.qname))
        with self._lock:
            self._questions[name] += 1
            addresses = self._records.get(name)
        if addresses is None:
            reply.header.rcode = library.RCODE.NXDOMAIN
        else:
            for address in addresses:
                record = "AAAA" if ":" in address else "A"
                if request.q.qtype == getattr(library.QTYPE, record):
                    data = getattr(library, record)(address)
                    reply.add_answer(
                        library.RR(request.q.qname, request.q.qtype, rdata=data, ttl=self._ttl)
                    )
        packed: bytes = reply.pack()
        if longest is not None and len(packed) > longest:
            packed = reply.truncate().pack()
        return packed

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _normalize(name: str) -> str:
    return name.rstrip(".").lower()


class _UdpServer(socketserver.UDPServer):
    def __init__(
        self,
        address: tuple[str, int],
        handler: type[socketserver.BaseRequestHandler],
        owner: DnsServer,
    ) -> None:
        self.owner = owner
        super().__init__(address, handler)


class _TcpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(
        self,
        address: tuple[str, int],
        handler: type[socketserver.BaseRequestHandler],
        owner: DnsServer,
    ) -> None:
        self.owner = owner
        super().__init__(address, handler)


class _UdpHandler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        """Answer one datagram; what is not DNS gets no answer."""
        question, connection = cast("tuple[bytes, socket.socket]", self.request)
        owner = cast("_UdpServer", self.server).owner
        with contextlib.suppress(dnslib.DNSError):
            connection.sendto(owner.answer(question, _LONGEST_UDP_ANSWER), self.client_address)


class _TcpHandler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        """Answer the messages of one connection; each is preceded by its length."""
        owner = cast("_TcpServer", self.server).owner
        with contextlib.suppress(dnslib.DNSError):
            while len(prefix := self.rfile.read(2)) == 2:
                answer = owner.answer(self.rfile.read(struct.unpack("!H", prefix)[0]))
                self.wfile.write(struct.pack("!H", len(answer)) + answer)
