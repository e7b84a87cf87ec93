"""`HOST:PORT`, as options say where something is served."""

from __future__ import annotations


def find_host_and_port(text: str) -> tuple[str, int] | None:
    """The parts of `HOST:PORT` or `[IPV6]:PORT`; None where it is neither."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        return None
    return host, int(port)
