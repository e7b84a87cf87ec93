"""HTTP/2's frames: their types, flags and errors, and how they are written (RFC 9113)."""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client sends first (3.4)."""

_HEAD: Final = Struct(">BHBBL")
"""A frame's head (4.1): its length in three bytes, its type, flags and stream."""

HEAD_BYTES: Final = _HEAD.size

MAX_WINDOW: Final = 2**31 - 1
DEFAULT_WINDOW: Final = 65_535
DEFAULT_FRAME_BYTES: Final = 16_384
MAX_FRAME_BYTES: Final = 2**24 - 1

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITY_FLAG: Final = 0x20


class FrameType(IntEnum):
    """The types of frames (6)."""

    DATA = 0x0
    HEADERS = 0x1
    PRIORITY = 0x2
    RST_STREAM = 0x3
    SETTINGS = 0x4
    PUSH_PROMISE = 0x5
    PING = 0x6
    GOAWAY = 0x7
    WINDOW_UPDATE = 0x8
    CONTINUATION = 0x9


class Setting(IntEnum):
    """The settings that matter here (6.5.2)."""

    HEADER_TABLE_SIZE = 0x1
    ENABLE_PUSH = 0x2
    MAX_CONCURRENT_STREAMS = 0x3
    INITIAL_WINDOW_SIZE = 0x4
    MAX_FRAME_SIZE = 0x5
    MAX_HEADER_LIST_SIZE = 0x6


class ErrorCode(IntEnum):
    """Why a stream or a connection ends (7)."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class ConnectionFaultError(Exception):
    """A peer that breaks the protocol so that its connection has to end (5.4.1)."""

    def __init__(self, code: ErrorCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class StreamFaultError(Exception):
    """A peer that breaks the protocol so that one of its streams has to end (5.4.2)."""

    def __init__(self, code: ErrorCode, stream_id: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.stream_id = stream_id


def render_frame(kind: int, flags: int, stream_id: int, content: bytes = b"") -> bytes:
    """A frame; the content may be no longer than the peer takes."""
    size = len(content)
    return _HEAD.pack(size >> 16, size & 0xFFFF, kind, flags, stream_id) + content


def render_settings(settings: dict[Setting, int]) -> bytes:
    """A SETTINGS frame."""
    content = b"".join(
        setting.to_bytes(2, "big") + value.to_bytes(4, "big") for setting, value in settings.items()
    )
    return render_frame(FrameType.SETTINGS, 0, 0, content)


def render_window_update(stream_id: int, increment: int) -> bytes:
    """A WINDOW_UPDATE frame."""
    return render_frame(FrameType.WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4, "big"))


def render_reset(stream_id: int, code: ErrorCode) -> bytes:
    """A RST_STREAM frame."""
    return render_frame(FrameType.RST_STREAM, 0, stream_id, code.to_bytes(4, "big"))


def render_goaway(last_stream_id: int, code: ErrorCode, reason: str = "") -> bytes:
    """A GOAWAY frame."""
    content = last_stream_id.to_bytes(4, "big") + code.to_bytes(4, "big") + reason.encode()
    return render_frame(FrameType.GOAWAY, 0, 0, content)


def strip_padding(content: bytes, flags: int) -> bytes:
    """A frame's content without its padding (6.1).

    Raises:
        ConnectionFaultError: It is padded with more than it has.
    """
    if not flags & PADDED:
        return content
    if not content or content[0] >= len(content):
        raise ConnectionFaultError(ErrorCode.PROTOCOL_ERROR, "more padding than content")
    return content[1 : len(content) - content[0]]
