"""One HTTP/2 connection as its server sees it (RFC 9113), without sockets: bytes in, bytes out.

    receive(bytes) --> frames --> streams --> their listeners
                         |                        |
    write(bytes) <-------+------ flow control <---' send, finish

What gRPC does not use is not there: no push, no priorities. Numbers in comments are the RFC's
sections.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

from hpack import Decoder, Encoder
from hpack.exceptions import HPACKError, OversizedHeaderListError

from meshwright.xds.transport.frames import (
    ACK,
    DEFAULT_FRAME_BYTES,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    HEAD_BYTES,
    MAX_FRAME_BYTES,
    MAX_WINDOW,
    PREFACE,
    PRIORITY_FLAG,
    ConnectionFaultError,
    ErrorCode,
    FrameType,
    Setting,
    StreamFaultError,
    render_frame,
    render_goaway,
    render_reset,
    render_settings,
    render_window_update,
    strip_padding,
)
from meshwright.xds.transport.headers import Headers, check_request

RECEIVE_WINDOW: Final = 1024 * 1024
"""How much a peer may send ahead; everything is taken at once, so that it never waits for more."""

_MAX_HEAD_BYTES: Final = 32 * 1024
_MAX_CONTINUATIONS: Final = 8
_RESETS_ALLOWED: Final = 1_000
"""How many streams a peer may begin and end by itself, each of which costs more than it does."""

_REMEMBERED_RESETS: Final = 64


class StreamListener(Protocol):
    """Who is told what a peer sends on its stream."""

    def receive(self, data: bytes) -> None:
        """Take data."""
        ...

    def end(self) -> None:
        """The peer has sent everything."""
        ...

    def lose(self) -> None:
        """The stream is gone, and nothing can be sent on it any more."""
        ...

    def drain(self) -> None:
        """Everything that had to wait for the peer has been sent."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """The request that opens a stream: its headers, pseudo-headers included."""

    headers: Headers

    def get(self, name: str) -> str:
        """A header's value; empty where there is none."""
        return next((value for each, value in self.headers if each == name), "")


class Http2Stream:
    """A stream that a peer has opened."""

    __slots__ = (
        "_connection",
        "_waiting",
        "_waiting_trailers",
        "ended_by_peer",
        "listener",
        "remaining",
        "stream_id",
        "unacknowledged",
        "window",
    )

    def __init__(self, connection: Http2Connection, stream_id: int, window: int) -> None:
        self._connection = connection
        self._waiting: deque[bytes] = deque()
        self._waiting_trailers: bytes | None = None
        self.stream_id = stream_id
        self.window = window
        self.listener: StreamListener | None = None
        self.ended_by_peer = False
        self.unacknowledged = 0
        self.remaining: int | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether something waits for the peer to take it."""
        return bool(self._waiting) or self._connection.is_paused

    @property
    def waiting_bytes(self) -> int:
        """How much waits for the peer to give it room."""
        return sum(map(len, self._waiting))

    def send_headers(self, headers: Sequence[tuple[str, str]]) -> None:
        """Send a response's headers."""
        block = encode_headers(headers)
        self._connection.write(render_frame(FrameType.HEADERS, END_HEADERS, self.stream_id, block))

    def send(self, data: bytes) -> None:
        """Send data, as soon as the peer takes it."""
        connection, size = self._connection, len(data)
        if (
            self._waiting
            or connection.is_paused
            or size > min(self.window, connection.window, connection.frame_bytes)
        ):
            self._waiting.append(data)
            self.pump()
        else:
            self._write(data)

    def _write(self, data: bytes) -> None:
        connection, size = self._connection, len(data)
        self.window -= size
        connection.window -= size
        connection.write(render_frame(FrameType.DATA, 0, self.stream_id, data))

    def discard(self) -> None:
        """Give up what the peer has not taken."""
        self._waiting.clear()

    def go_away(self) -> None:
        """Have the peer open its next stream on another connection."""
        self._connection.go_away()

    def finish(self, trailers: Sequence[tuple[str, str]]) -> None:
        """Send trailers after all data, which ends the stream."""
        self._waiting_trailers = encode_headers(trailers)
        self.pump()

    def pump(self) -> None:
        """Send what waits, as far as the windows of stream and connection allow (5.2)."""
        connection, waiting = self._connection, self._waiting
        while waiting and not connection.is_paused:
            room = min(self.window, connection.window, connection.frame_bytes)
            if room <= 0:
                return
            data = waiting.popleft()
            if len(data) > room:
                waiting.appendleft(data[room:])
                data = data[:room]
            self._write(data)
        if self._waiting_trailers is not None and not waiting:
            connection.write(
                render_frame(
                    FrameType.HEADERS,
                    END_HEADERS | END_STREAM,
                    self.stream_id,
                    self._waiting_trailers,
                )
            )
            connection.finish(self)


class Http2Connection:
    """A connection.

    Args:
        write: Takes bytes for the peer.
        open_stream: Told of a peer's request; gives the stream its listener, and may answer.
        close: Closes the connection after what has been written; told why where it is a fault.
        max_streams: How many streams a peer may have open.
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        open_stream: Callable[[Http2Stream, Request], StreamListener],
        close: Callable[[str], None],
        *,
        max_streams: int,
    ) -> None:
        self._write = write
        self._open_stream = open_stream
        self._close = close
        self._max_streams = max_streams
        self._outgoing: list[bytes] = []
        self._is_corked = False
        self._rest = b""
        self._is_greeted = False
        self._is_closed = False
        self._is_going = False
        self._streams: dict[int, Http2Stream] = {}
        self._last_stream_id = 0
        self._reset_by_us: deque[int] = deque(maxlen=_REMEMBERED_RESETS)
        self._resets_by_peer = 0
        self._head: _Head | None = None
        self._first_head: bytes | None = None
        self._decoder: Decoder | None = None
        self._initial_window = DEFAULT_WINDOW
        self._unacknowledged = 0
        self.window = DEFAULT_WINDOW
        self.frame_bytes = DEFAULT_FRAME_BYTES
        self.is_paused = False
        settings = {
            Setting.MAX_CONCURRENT_STREAMS: max_streams,
            Setting.INITIAL_WINDOW_SIZE: RECEIVE_WINDOW,
            Setting.MAX_HEADER_LIST_SIZE: _MAX_HEAD_BYTES,
        }
        self.write(
            render_settings(settings) + render_window_update(0, RECEIVE_WINDOW - DEFAULT_WINDOW)
        )

    # What the socket does

    def receive(self, data: bytes) -> None:
        """Take bytes of the peer."""
        if self._is_closed:
            return
        self._is_corked = True
        try:
            self._rest = self._take_frames(self._rest + data if self._rest else data)
        except ConnectionFaultError as fault:
            self._fail(fault.code, str(fault))
        finally:
            self._is_corked = False
            self._flush()

    def lose(self) -> None:
        """The connection is gone."""
        self._is_closed = True
        for stream in list(self._streams.values()):
            self._drop(stream)

    def pause(self) -> None:
        """The socket takes no more for now: data waits."""
        self.is_paused = True

    def resume(self) -> None:
        """The socket takes more."""
        self.is_paused = False
        self._pump_all()

    # What its owner does

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    @property
    def waiting_bytes(self) -> int:
        """How much waits for the peer to give its streams room."""
        return sum(stream.waiting_bytes for stream in self._streams.values())

    def ping(self) -> None:
        """Ask the peer for a sign of life."""
        self.write(render_frame(FrameType.PING, 0, 0, b"meshwrig"))

    def go_away(self) -> None:
        """Have the peer open no more streams here (6.8)."""
        if not self._is_going and not self._is_closed:
            self._is_going = True
            self.write(render_goaway(self._last_stream_id, ErrorCode.NO_ERROR))

    def write(self, data: bytes) -> None:
        """Write bytes for the peer; what is written while it is listened to goes out together."""
        if self._is_corked:
            self._outgoing.append(data)
        elif not self._is_closed:
            self._write(data)

    def finish(self, stream: Http2Stream) -> None:
        """Take note that a stream's response is complete; the peer need send no more (8.1)."""
        if not stream.ended_by_peer:
            self.reset(stream, ErrorCode.NO_ERROR)
        else:
            self._streams.pop(stream.stream_id, None)

    def reset(self, stream: Http2Stream, code: ErrorCode) -> None:
        """End a stream at once."""
        if self._streams.pop(stream.stream_id, None) is not None:
            self._reset_by_us.append(stream.stream_id)
            self.write(render_reset(stream.stream_id, code))

    def _flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        if outgoing and not self._is_closed:
            self._write(b"".join(outgoing) if len(outgoing) > 1 else outgoing[0])

    def _fail(self, code: ErrorCode, reason: str) -> None:
        self.write(render_goaway(self._last_stream_id, code, reason))
        self._is_corked = False
        self._flush()
        self.lose()
        self._close(reason)

    def _drop(self, stream: Http2Stream) -> None:
        if self._streams.pop(stream.stream_id, None) is not None and stream.listener is not None:
            stream.listener.lose()

    def _pump_all(self) -> None:
        for stream in list(self._streams.values()):
            self._pump(stream)

    def _pump(self, stream: Http2Stream) -> None:
        was_waiting = stream.is_waiting
        stream.pump()
        if was_waiting and not stream.is_waiting and stream.listener is not None:
            stream.listener.drain()

    # Frames

    def _take_frames(self, buffer: bytes) -> bytes:
        """Take all whole frames, and return what is left."""
        position, end = 0, len(buffer)
        if not self._is_greeted:
            if not PREFACE.startswith(buffer[: len(PREFACE)]):
                raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "this is no HTTP/2")
            if end < len(PREFACE):
                return buffer
            position, self._is_greeted = len(PREFACE), True
        while end - position >= HEAD_BYTES and not self._is_closed:
            length = int.from_bytes(buffer[position : position + 3], "big")
            if length > DEFAULT_FRAME_BYTES:
                raise ConnectionFaultError(ErrorCode.FRAME_SIZE_ERROR, f"{length} bytes at once")
            following = position + HEAD_BYTES + length
            if following > end:
                break
            kind, flags = buffer[position + 3], buffer[position + 4]
            stream_id = int.from_bytes(buffer[position + 5 : position + 9], "big") & MAX_WINDOW
            content = buffer[position + HEAD_BYTES : following]
            position = following
            try:
                self._take_frame(kind, flags, stream_id, content)
            except StreamFaultError as fault:
                self._fail_stream(fault)
        return buffer[position:]

    def _fail_stream(self, fault: StreamFaultError) -> None:
        stream = self._streams.get(fault.stream_id)
        self._reset_by_us.append(fault.stream_id)
        self.write(render_reset(fault.stream_id, fault.code))
        if stream is not None:
            self._drop(stream)

    def _take_frame(self, kind: int, flags: int, stream_id: int, content: bytes) -> None:
        if self._head is not None and (
            kind != FrameType.CONTINUATION or stream_id != self._head.stream_id
        ):
            raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "a header block was interrupted")
        if kind == FrameType.DATA:
            self._take_data(flags, stream_id, content)
        elif kind == FrameType.WINDOW_UPDATE:
            self._take_window_update(stream_id, content)
        elif kind == FrameType.PING:
            self._take_ping(flags, stream_id, content)
        elif kind == FrameType.HEADERS:
            self._take_headers(flags, stream_id, content)
        elif kind == FrameType.CONTINUATION:
            self._take_continuation(flags, content)
        elif kind == FrameType.SETTINGS:
            self._take_settings(flags, stream_id, content)
        elif kind == FrameType.RST_STREAM:
            self._take_reset(stream_id, content)
        elif kind == FrameType.PRIORITY:
            _check_priority(stream_id, content)
        elif kind == FrameType.GOAWAY and stream_id:
            raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "GOAWAY on a stream")
        elif kind == FrameType.PUSH_PROMISE:
            raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "a client can't push")

    def _take_data(self, flags: int, stream_id: int, content: bytes) -> None:
        size = len(content)
        self._unacknowledged += size
        if self._unacknowledged > RECEIVE_WINDOW:
            raise ConnectionFaultError(ErrorCode.FLOW_CONTROL_ERROR, "more than the window")
        if self._unacknowledged > RECEIVE_WINDOW // 2:
            self.write(render_window_update(0, self._unacknowledged))
            self._unacknowledged = 0
        stream = self._find_stream(stream_id, "DATA")
        if stream is None:
            return
        if stream.ended_by_peer:
            raise StreamFaultError(ErrorCode.STREAM_CLOSED, stream_id, "data after its end")
        stream.unacknowledged += size
        if stream.unacknowledged > RECEIVE_WINDOW:
            raise StreamFaultError(ErrorCode.FLOW_CONTROL_ERROR, stream_id, "more than the window")
        if stream.unacknowledged > RECEIVE_WINDOW // 2 and not flags & END_STREAM:
            self.write(render_window_update(stream_id, stream.unacknowledged))
            stream.unacknowledged = 0
        listener = stream.listener
        assert listener is not None
        data = strip_padding(content, flags)
        if stream.remaining is not None:
            self._count_down(stream, len(data), is_last=bool(flags & END_STREAM))
        listener.receive(data)
        if flags & END_STREAM and not stream.ended_by_peer:
            stream.ended_by_peer = True
            listener.end()

    def _count_down(self, stream: Http2Stream, size: int, *, is_last: bool) -> None:
        """Hold a request to the length that it has said it has (8.1.1)."""
        assert stream.remaining is not None
        stream.remaining -= size
        if stream.remaining < 0 or (is_last and stream.remaining):
            raise StreamFaultError(
                ErrorCode.PROTOCOL_ERROR, stream.stream_id, "data of another length than said"
            )

    def _take_headers(self, flags: int, stream_id: int, content: bytes) -> None:
        if not stream_id % 2:
            raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, f"stream {stream_id} of a client")
        block = strip_padding(content, flags)
        if flags & PRIORITY_FLAG:
            _check_priority(stream_id, block[:5])
            block = block[5:]
        self._head = _Head(stream_id, is_last=bool(flags & END_STREAM), block=bytearray(block))
        if flags & END_HEADERS:
            self._take_head()

    def _take_continuation(self, flags: int, content: bytes) -> None:
        head = self._head
        if head is None:
            raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "nothing is to be continued")
        head.block += content
        head.continuations += 1
        if len(head.block) > _MAX_HEAD_BYTES or head.continuations > _MAX_CONTINUATIONS:
            raise ConnectionFaultError(ErrorCode.ENHANCE_YOUR_CALM, "headers without end")
        if flags & END_HEADERS:
            self._take_head()

    def _take_head(self) -> None:
        head, self._head = self._head, None
        assert head is not None
        try:
            headers = self._decode(bytes(head.block))
        except OversizedHeaderListError:
            raise ConnectionFaultError(
                ErrorCode.ENHANCE_YOUR_CALM, f"headers of more than {_MAX_HEAD_BYTES} bytes"
            ) from None
        except (HPACKError, ValueError, IndexError) as error:
            raise ConnectionFaultError(ErrorCode.COMPRESSION_ERROR, str(error)) from None
        stream = self._streams.get(head.stream_id)
        if stream is not None:
            self._take_trailers(stream, head, headers)
        elif head.stream_id > self._last_stream_id:
            self._begin(head, headers)
        elif head.stream_id not in self._reset_by_us:
            raise ConnectionFaultError(ErrorCode.STREAM_CLOSED, "headers on a closed stream")

    def _decode(self, block: bytes) -> Headers:
        """The headers in a block.

        A proxy's connection has one call and so one block, the same as the last time and often as
        those of others: it is the second block that needs to know what the first has left behind.
        """
        if self._first_head is None:
            self._first_head = block
            return _decode_first(block)
        if self._decoder is None:
            self._decoder = Decoder(max_header_list_size=_MAX_HEAD_BYTES)
            _read_block(self._decoder, self._first_head)
        return _read_block(self._decoder, block)

    def _take_trailers(self, stream: Http2Stream, head: _Head, headers: Headers) -> None:
        if stream.ended_by_peer:
            raise StreamFaultError(ErrorCode.STREAM_CLOSED, head.stream_id, "headers after its end")
        if not head.is_last or any(name.startswith(":") for name, _ in headers):
            raise StreamFaultError(ErrorCode.PROTOCOL_ERROR, head.stream_id, "no such trailers")
        if stream.remaining is not None:
            self._count_down(stream, 0, is_last=True)
        stream.ended_by_peer = True
        if stream.listener is not None:
            stream.listener.end()

    def _begin(self, head: _Head, headers: Headers) -> None:
        self._last_stream_id = head.stream_id
        if self._is_going or len(self._streams) >= self._max_streams:
            raise StreamFaultError(ErrorCode.REFUSED_STREAM, head.stream_id, "one too many")
        length = check_request(head.stream_id, headers, is_whole=head.is_last)
        stream = Http2Stream(self, head.stream_id, self._initial_window)
        self._streams[head.stream_id] = stream
        stream.remaining = length
        stream.ended_by_peer = head.is_last
        stream.listener = self._open_stream(stream, Request(headers))
        if head.is_last and head.stream_id in self._streams:
            stream.listener.end()

    def _take_settings(self, flags: int, stream_id: int, content: bytes) -> None:
        if stream_id:
            raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream")
        if len(content) % 6 or (flags & ACK and content):
            raise ConnectionFaultError(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS of a wrong size")
        if flags & ACK:
            return
        for at in range(0, len(content), 6):
            self._take_setting(
                int.from_bytes(content[at : at + 2], "big"),
                int.from_bytes(content[at + 2 : at + 6], "big"),
            )
        self.write(render_frame(FrameType.SETTINGS, ACK, 0))
        self._pump_all()

    def _take_setting(self, setting: int, value: int) -> None:
        if setting == Setting.INITIAL_WINDOW_SIZE:
            if value > MAX_WINDOW:
                raise ConnectionFaultError(ErrorCode.FLOW_CONTROL_ERROR, f"a window of {value}")
            for stream in self._streams.values():
                stream.window += value - self._initial_window
                if stream.window > MAX_WINDOW:
                    raise ConnectionFaultError(ErrorCode.FLOW_CONTROL_ERROR, "a window too large")
            self._initial_window = value
        elif setting == Setting.MAX_FRAME_SIZE:
            if not DEFAULT_FRAME_BYTES <= value <= MAX_FRAME_BYTES:
                raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, f"frames of {value} bytes")
            self.frame_bytes = value
        elif setting == Setting.ENABLE_PUSH and value > 1:
            raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, f"ENABLE_PUSH is {value}")

    def _take_window_update(self, stream_id: int, content: bytes) -> None:
        if len(content) != 4:
            raise ConnectionFaultError(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE of a wrong size")
        increment = int.from_bytes(content, "big") & MAX_WINDOW
        if not stream_id:
            self.window += increment
            if not increment or self.window > MAX_WINDOW:
                code = ErrorCode.FLOW_CONTROL_ERROR if increment else ErrorCode.PROTOCOL_ERROR
                raise ConnectionFaultError(code, f"a window opened by {increment}")
            self._pump_all()
            return
        stream = self._streams.get(stream_id)
        if stream is None:
            self._require_begun(stream_id, "WINDOW_UPDATE")
            return
        stream.window += increment
        if not increment or stream.window > MAX_WINDOW:
            code = ErrorCode.FLOW_CONTROL_ERROR if increment else ErrorCode.PROTOCOL_ERROR
            raise StreamFaultError(code, stream_id, f"a window opened by {increment}")
        self._pump(stream)

    def _take_ping(self, flags: int, stream_id: int, content: bytes) -> None:
        if stream_id:
            raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "PING on a stream")
        if len(content) != 8:
            raise ConnectionFaultError(ErrorCode.FRAME_SIZE_ERROR, "PING of a wrong size")
        if not flags & ACK:
            self.write(render_frame(FrameType.PING, ACK, 0, content))

    def _take_reset(self, stream_id: int, content: bytes) -> None:
        if len(content) != 4:
            raise ConnectionFaultError(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM of a wrong size")
        self._require_begun(stream_id, "RST_STREAM")
        self._resets_by_peer += 1
        if self._resets_by_peer > _RESETS_ALLOWED:
            raise ConnectionFaultError(ErrorCode.ENHANCE_YOUR_CALM, "streams that end at once")
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._drop(stream)

    def _find_stream(self, stream_id: int, frame: str) -> Http2Stream | None:
        """An open stream; None for one of which the peer may not know yet that it is closed."""
        stream = self._streams.get(stream_id)
        if stream is None:
            self._require_begun(stream_id, frame)
            if stream_id not in self._reset_by_us:
                raise StreamFaultError(ErrorCode.STREAM_CLOSED, stream_id, f"{frame} after its end")
        return stream

    def _require_begun(self, stream_id: int, frame: str) -> None:
        if not 0 < stream_id <= self._last_stream_id or not stream_id % 2:
            raise ConnectionFaultError(
                ErrorCode.PROTOCOL_ERROR, f"{frame} on stream {stream_id}, which is not open"
            )


@dataclass(slots=True)
class _Head:
    """A header block that is under way."""

    stream_id: int
    is_last: bool
    block: bytearray
    continuations: int = 0


def _check_priority(stream_id: int, content: bytes) -> None:
    """Priorities are not followed, but have to be well formed (6.3)."""
    if not stream_id:
        raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "PRIORITY of no stream")
    if len(content) != 5:
        raise StreamFaultError(ErrorCode.FRAME_SIZE_ERROR, stream_id, "PRIORITY of a wrong size")
    if int.from_bytes(content[:4], "big") & MAX_WINDOW == stream_id:
        raise StreamFaultError(ErrorCode.PROTOCOL_ERROR, stream_id, "depends on itself")


@lru_cache(maxsize=1024)
def _decode_first(block: bytes) -> Headers:
    """The headers in a connection's first block."""
    return _read_block(Decoder(max_header_list_size=_MAX_HEAD_BYTES), block)


def _read_block(decoder: Decoder, block: bytes) -> Headers:
    return tuple(
        (bytes(name).decode("latin-1"), bytes(value).decode("latin-1"))
        for name, value in decoder.decode(block, raw=True)
    )


_ENCODER: Final = Encoder()


def encode_headers(headers: Sequence[tuple[str, str]]) -> bytes:
    """A header block that leaves the peer's table as it is, so that all connections may share it.

    Sensitive is what HPACK calls fields that never enter the table (RFC 7541, 6.2.3).
    """
    return _ENCODER.encode([(name, value, True) for name, value in headers])
