"""Reading a request's body within a bound, before anything is parsed."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

from meshwright.api.errors import bad_request

MAX_DRAINED_BYTES: Final = 64 * 1024 * 1024
"""How much of a larger body is thrown away so that its sender gets to read the answer."""


async def read_body(request: Request, *, at_most: int) -> bytes:
    """The body of a request.

    Args:
        request: The request.
        at_most: How many bytes it may have.

    Raises:
        ApiError: BadRequestException where it is larger.
        ClientDisconnect: The sender went away.
    """
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= at_most:
            chunks.append(chunk)
        elif size > MAX_DRAINED_BYTES:
            break
    if size > at_most:
        raise bad_request(
            f"body: must have at most {at_most} bytes, got "
            f"{request.headers.get('content-length', f'at least {size}')}"
        )
    return b"".join(chunks)
