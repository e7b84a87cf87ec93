"""HTTP/2 without sockets: what a client may do, and what ends a stream or a connection.

`h2`, a client's implementation of its own, speaks for well-behaved clients; bytes do for others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import pytest
from hpack import Encoder

from meshwright.xds.transport.frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    PREFACE,
    ErrorCode,
    FrameType,
    Setting,
    render_frame,
    render_reset,
    render_settings,
    render_window_update,
)
from meshwright.xds.transport.http2 import (
    RECEIVE_WINDOW,
    Http2Connection,
    Http2Stream,
    Request,
    encode_headers,
)

REQUEST = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/service/Method"),
    (":authority", "mesh.example.com"),
    ("content-type", "application/grpc"),
]


@dataclass
class Heard:
    """A stream's listener that remembers what it was told."""

    stream: Http2Stream
    request: Request
    data: list[bytes] = field(default_factory=list[bytes])
    told: list[str] = field(default_factory=list[str])

    def receive(self, data: bytes) -> None:
        """Remember data."""
        self.data.append(data)

    def end(self) -> None:
        """Remember the end."""
        self.told.append("end")

    def lose(self) -> None:
        """Remember that the stream is gone."""
        self.told.append("lose")

    def drain(self) -> None:
        """Remember that nothing waits."""
        self.told.append("drain")


class Served:
    """A connection with a client of `h2` at its other end."""

    def __init__(self, max_streams: int = 10) -> None:
        self.written = b""
        self.heard: list[Heard] = []
        self.closed: list[str] = []
        self.connection = Http2Connection(
            self._write, self._open, self.closed.append, max_streams=max_streams
        )
        self.client = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        )
        self.client.initiate_connection()

    def _write(self, data: bytes) -> None:
        self.written += data

    def _open(self, stream: Http2Stream, request: Request) -> Heard:
        heard = Heard(stream, request)
        self.heard.append(heard)
        return heard

    def exchange(self) -> list[h2.events.Event]:
        """Hand everything over, both ways, until there is no more."""
        events: list[h2.events.Event] = []
        while True:
            sent = self.client.data_to_send()
            self.connection.receive(sent)
            written, self.written = self.written, b""
            events += self.client.receive_data(written)
            if not sent and not written:
                return events

    def open(self, *, end: bool = False) -> int:
        """Open a stream with a request."""
        stream_id = self.client.get_next_available_stream_id()
        self.client.send_headers(stream_id, REQUEST, end_stream=end)
        self.exchange()
        return stream_id


@pytest.fixture
def served() -> Served:
    """A connection past its greetings."""
    served = Served()
    served.exchange()
    return served


def greeted() -> tuple[Http2Connection, list[bytes], list[Heard]]:
    """A connection for a client that breaks rules: what it writes, and what its listeners hear."""
    written: list[bytes] = []
    heard: list[Heard] = []

    def open_stream(stream: Http2Stream, request: Request) -> Heard:
        heard.append(Heard(stream, request))
        return heard[-1]

    connection = Http2Connection(written.append, open_stream, lambda _: None, max_streams=2)
    connection.receive(PREFACE + render_settings({}))
    written.clear()
    return connection, written, heard


def find_frames(data: bytes) -> list[tuple[int, int, bytes]]:
    """Type, stream and content of frames."""
    frames: list[tuple[int, int, bytes]] = []
    while data:
        length = int.from_bytes(data[:3], "big")
        frames.append((data[3], int.from_bytes(data[5:9], "big"), data[9 : 9 + length]))
        data = data[9 + length :]
    return frames


def count_data(events: list[h2.events.Event]) -> int:
    """How many bytes of data a client has got."""
    return sum(len(each.data or b"") for each in events if isinstance(each, h2.events.DataReceived))


def head(stream_id: int, headers: Sequence[tuple[str, str]] = REQUEST, flags: int = 0) -> bytes:
    """A request's HEADERS frame."""
    return render_frame(FrameType.HEADERS, END_HEADERS | flags, stream_id, encode_headers(headers))


def test_a_request_and_its_data_reach_the_listener(served: Served):
    stream_id = served.open()
    served.client.send_data(stream_id, b"hello", end_stream=True)
    served.exchange()

    (heard,) = served.heard
    assert (heard.request.get(":path"), heard.data, heard.told) == (
        "/service/Method",
        [b"hello"],
        ["end"],
    )


def test_headers_data_and_trailers_reach_the_client_in_order(served: Served):
    served.open(end=True)
    stream = served.heard[0].stream
    stream.send_headers([(":status", "200")])
    stream.send(b"answer")
    stream.finish([("grpc-status", "0")])

    kinds = [type(event) for event in served.exchange()]
    assert kinds[:3] == [
        h2.events.ResponseReceived,
        h2.events.DataReceived,
        h2.events.TrailersReceived,
    ]


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_bytes_may_come_in_pieces_of_any_size(size: int):
    served = Served()
    stream_id = served.client.get_next_available_stream_id()
    served.client.send_headers(stream_id, REQUEST)
    served.client.send_data(stream_id, b"hello")
    sent = served.client.data_to_send()
    for start in range(0, len(sent), size):
        served.connection.receive(sent[start : start + size])

    assert served.heard[0].data == [b"hello"]


def test_more_than_the_clients_window_waits_for_it(served: Served):
    stream_id = served.open()
    stream = served.heard[0].stream
    stream.send_headers([(":status", "200")])
    stream.send(b"x" * 100_000)
    got = count_data(served.exchange())
    waited = stream.is_waiting
    served.client.acknowledge_received_data(got, stream_id)
    got += count_data(served.exchange())

    assert (waited, got, stream.is_waiting, served.heard[0].told) == (
        True,
        100_000,
        False,
        ["drain"],
    )


def test_a_client_may_send_more_than_a_window_because_it_is_opened_again(served: Served):
    stream_id = served.open()
    total = 0
    while total < 3 * RECEIVE_WINDOW:
        room = min(served.client.local_flow_control_window(stream_id), 16_384)
        assert room, "the window stays shut"
        served.client.send_data(stream_id, b"x" * room)
        served.exchange()
        total += room

    assert sum(map(len, served.heard[0].data)) == total


def test_what_a_paused_socket_can_not_take_waits(served: Served):
    served.open()
    stream = served.heard[0].stream
    stream.send_headers([(":status", "200")])
    served.connection.pause()
    stream.send(b"later")
    before = [type(each) for each in served.exchange()]
    served.connection.resume()

    assert h2.events.DataReceived not in before
    assert h2.events.DataReceived in [type(each) for each in served.exchange()]


def test_a_ping_is_answered(served: Served):
    served.client.ping(b"12345678")

    assert h2.events.PingAckReceived in [type(each) for each in served.exchange()]


def test_a_client_that_goes_away_from_a_stream_has_it_lost(served: Served):
    stream_id = served.open()
    served.client.reset_stream(stream_id)
    served.exchange()

    assert served.heard[0].told == ["lose"]


def test_later_headers_may_refer_to_the_first_ones(served: Served):
    first, _, third = (served.open() for _ in range(3))  # whose headers h2 sends as indexes

    assert first != third
    assert served.heard[2].request.headers == served.heard[0].request.headers


def test_what_the_same_head_means_depends_on_the_connection(served: Served):
    served.open()
    indexed = Encoder()
    indexed.encode(REQUEST)
    connection, written, heard = greeted()

    # Without the headers before, to which it refers.
    connection.receive(render_frame(FrameType.HEADERS, END_HEADERS, 1, indexed.encode(REQUEST)))

    assert heard == []
    assert find_frames(b"".join(written))[0][0] == FrameType.GOAWAY


def test_a_lost_connection_loses_its_streams(served: Served):
    served.open()
    served.connection.lose()

    assert served.heard[0].told == ["lose"]


def test_after_going_away_no_stream_is_opened():
    connection, written, heard = greeted()
    connection.go_away()
    connection.receive(head(1))

    assert heard == []
    assert (FrameType.RST_STREAM, 1, ErrorCode.REFUSED_STREAM.to_bytes(4, "big")) in find_frames(
        b"".join(written)
    )


def test_a_stream_too_many_is_refused_and_the_others_stay():
    connection, written, heard = greeted()
    connection.receive(head(1) + head(3) + head(5))

    assert [each.stream.stream_id for each in heard] == [1, 3]
    assert find_frames(b"".join(written)) == [
        (FrameType.RST_STREAM, 5, ErrorCode.REFUSED_STREAM.to_bytes(4, "big"))
    ]


def test_a_finished_response_tells_a_client_that_goes_on_to_stop():
    connection, written, heard = greeted()
    connection.receive(head(1))
    heard[0].stream.finish([("grpc-status", "0")])

    assert find_frames(b"".join(written))[-1] == (FrameType.RST_STREAM, 1, bytes(4))
    connection.receive(render_frame(FrameType.DATA, 0, 1, b"under way"))
    assert len(find_frames(b"".join(written))) == 2


FAULTS: dict[str, tuple[bytes, ErrorCode]] = {
    "a frame that is too long": (
        (20_000).to_bytes(3, "big") + b"\0\0" + bytes(4) + bytes(20_000),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    "data on no stream": (render_frame(FrameType.DATA, 0, 0), ErrorCode.PROTOCOL_ERROR),
    "data before headers": (render_frame(FrameType.DATA, 0, 1), ErrorCode.PROTOCOL_ERROR),
    "more padding than content": (
        head(1) + render_frame(FrameType.DATA, 0x8, 1, b"\x05ab"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "headers on a server's stream": (head(2), ErrorCode.PROTOCOL_ERROR),
    "a header block that can't be decoded": (
        render_frame(FrameType.HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff"),
        ErrorCode.COMPRESSION_ERROR,
    ),
    "something amid a header block": (
        render_frame(FrameType.HEADERS, 0, 1, b"") + render_frame(FrameType.PING, 0, 0, bytes(8)),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a continuation of nothing": (
        render_frame(FrameType.CONTINUATION, END_HEADERS, 1),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "headers without end": (
        render_frame(FrameType.HEADERS, 0, 1)
        + b"".join(render_frame(FrameType.CONTINUATION, 0, 1, b"x") for _ in range(10)),
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    "a push": (render_frame(FrameType.PUSH_PROMISE, 0, 1), ErrorCode.PROTOCOL_ERROR),
    "a ping of a wrong size": (
        render_frame(FrameType.PING, 0, 0, b"1"),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    "settings of a wrong size": (
        render_frame(FrameType.SETTINGS, 0, 0, b"1"),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    "an acknowledgement with settings": (
        render_frame(FrameType.SETTINGS, ACK, 0, bytes(6)),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    "a window that is too large": (
        render_settings({Setting.INITIAL_WINDOW_SIZE: 2**31}),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    "frames that are too small": (
        render_settings({Setting.MAX_FRAME_SIZE: 1}),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a window opened by nothing": (render_window_update(0, 0), ErrorCode.PROTOCOL_ERROR),
    "a window opened too far": (
        render_window_update(0, 2**31 - 1),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    "a reset of what never began": (
        render_reset(1, ErrorCode.CANCEL),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "streams that end at once": (
        b"".join(
            head(number) + render_reset(number, ErrorCode.CANCEL) for number in range(1, 2_100, 2)
        ),
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_client_that_breaks_the_protocol_is_told_and_left(name: str):
    sent, code = FAULTS[name]
    connection, written, _ = greeted()
    connection.receive(sent)

    kind, _, content = find_frames(b"".join(written))[-1]
    assert (kind, content[4:8]) == (FrameType.GOAWAY, code.to_bytes(4, "big"))


def test_what_is_no_http2_is_left_at_once():
    closed: list[str] = []
    connection = Http2Connection(
        lambda _: None, lambda *_: pytest.fail("no stream"), closed.append, max_streams=1
    )
    connection.receive(b"GET / HTTP/1.1\r\n")

    assert closed == ["this is no HTTP/2"]


def with_length(*lengths: str, flags: int = 0) -> bytes:
    """A request that says how long it is."""
    return head(1, [*REQUEST, *(("content-length", each) for each in lengths)], flags)


def test_data_of_the_length_that_was_said_is_taken():
    connection, _, heard = greeted()
    connection.receive(
        with_length("3")
        + render_frame(FrameType.DATA, 0, 1, b"x")
        + render_frame(FrameType.DATA, END_STREAM, 1, b"yz")
    )

    assert (b"".join(heard[0].data), heard[0].told) == (b"xyz", ["end"])


STREAM_FAULTS: dict[str, tuple[bytes, ErrorCode]] = {
    "headers without a path": (head(1, REQUEST[:2]), ErrorCode.PROTOCOL_ERROR),
    "a header of connections": (
        head(1, [*REQUEST, ("connection", "close")]),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "data after the end": (
        head(1, flags=END_STREAM) + render_frame(FrameType.DATA, 0, 1, b"x"),
        ErrorCode.STREAM_CLOSED,
    ),
    "trailers that are not the last": (head(1) + head(1), ErrorCode.PROTOCOL_ERROR),
    "a length that is no number": (with_length("-1"), ErrorCode.PROTOCOL_ERROR),
    "two lengths": (with_length("1", "2"), ErrorCode.PROTOCOL_ERROR),
    "a length of nothing": (with_length("1", flags=END_STREAM), ErrorCode.PROTOCOL_ERROR),
    "more data than its length": (
        with_length("1") + render_frame(FrameType.DATA, 0, 1, b"xy"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "less data than its length": (
        with_length("3") + render_frame(FrameType.DATA, END_STREAM, 1, b"xy"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "trailers before its length": (
        with_length("3") + head(1, [("trailer", "end")], END_STREAM),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a stream that depends on itself": (
        render_frame(FrameType.PRIORITY, 0, 1, b"\0\0\0\1\0"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a stream's window opened by nothing": (
        head(1) + render_window_update(1, 0),
        ErrorCode.PROTOCOL_ERROR,
    ),
}


@pytest.mark.parametrize("name", STREAM_FAULTS)
def test_a_stream_that_breaks_the_protocol_ends_and_the_connection_stays(name: str):
    sent, code = STREAM_FAULTS[name]
    connection, written, heard = greeted()
    connection.receive(sent)
    assert (FrameType.RST_STREAM, 1, code.to_bytes(4, "big")) in find_frames(b"".join(written))

    connection.receive(head(3))
    assert heard[-1].stream.stream_id == 3
