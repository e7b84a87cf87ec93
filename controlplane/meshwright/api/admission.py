"""What every request goes through before the API sees it, except `/healthz` and `/metrics`.

    concurrent requests -> what the head claims -> the body, in time -> the signature
        -> the key's rate -> a replay?

Each step costs more than the one before it, and none parses what was sent.
"""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import anyio
import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from meshwright.access.canonical import RequestHead
from meshwright.access.errors import AccessError
from meshwright.access.guard import Guard
from meshwright.access.permissions import Caller
from meshwright.api.audit import Author
from meshwright.api.bodies import MAX_DRAINED_BYTES, read_body
from meshwright.api.errors import ApiError, as_api_error
from meshwright.api.routing import find_operation
from meshwright.rates import LeakyBuckets
from meshwright.store import SpentSignature, StoreError

MAX_BODY_BYTES: Final = 1024 * 1024
"""The largest body that is read; the largest specification that the model allows is well below."""

OPEN_PATHS: Final = frozenset({"/healthz", "/metrics"})
"""What load balancers and supervisors may ask without a key, however busy it is."""

BURST_SECONDS: Final = 10
"""A stack of hundreds of resources comes all at once, and then nothing for hours."""

_FIRST_ERROR: Final = 300

_log = structlog.get_logger("meshwright.api")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is taken on at once, and how long a client may take.

    Attributes:
        concurrent_requests: How many requests are served at the same time.
        request_seconds: Within how many seconds a request's head, and then its body, must arrive.
        requests_per_second: How many requests an access key may go on making, once as many as it
            may make in `BURST_SECONDS` came at once.
    """

    concurrent_requests: int = 128
    request_seconds: float = 20.0
    requests_per_second: float = 1_000.0


def caller_of(request: HTTPConnection) -> Caller:
    """Who makes a request that was admitted."""
    caller: Caller = request.scope["state"]["caller"]
    return caller


def request_id_of(request: HTTPConnection) -> str:
    """The id of a request that was admitted, as its answer and its log line tell it."""
    return str(request.scope["state"]["request_id"])


def author_of(request: HTTPConnection) -> Author:
    """What the audit log tells of who made a request that was admitted."""
    caller = caller_of(request)
    return Author(
        account_id=caller.account_id,
        access_key_id=caller.key.access_key_id if caller.key else None,
        address=request.client.host if request.client else None,
        forwarded_for=request.headers.get("x-forwarded-for"),
        user_agent=request.headers.get("user-agent"),
        request_id=request_id_of(request),
        signature=request.scope["state"]["signature"],
    )


class Admission:
    """The door of the API, as a layer around its application.

    Args:
        app: The application.
        guard: Tells who calls.
        limits: How much is taken on.
        large_bodies: The most bytes that a body may have, for paths that take more than others.
        unspend: Has the store forget the signature of a write whose answer nobody was there for.
    """

    def __init__(
        self,
        app: ASGIApp,
        guard: Guard,
        limits: Limits,
        *,
        large_bodies: Mapping[str, int],
        unspend: Callable[[SpentSignature], None],
    ) -> None:
        self._app = app
        self._guard = guard
        self._limits = limits
        self._large_bodies = large_bodies
        self._unspend = unspend
        self._under_way = 0
        self._buckets = LeakyBuckets[str](
            max(1.0, limits.requests_per_second * BURST_SECONDS), limits.requests_per_second
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, as ASGI has it."""
        if scope["type"] != "http" or (scope["path"] in OPEN_PATHS and not _is_write(scope)):
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        incoming = _Incoming(receive, self._limits.request_seconds)
        self._under_way += 1
        try:
            await self._admit(scope, incoming, send)
        except (AccessError, ApiError) as error:
            facts = _claimed_facts(scope) | {
                "duration_ms": round((time.perf_counter() - began) * 1000, 2)
            }
            response = render_refusal(as_api_error(error), facts)
            await response(scope, receive, send)
        except ClientDisconnect:
            pass
        finally:
            self._under_way -= 1

    async def _admit(self, scope: Scope, incoming: _Incoming, send: Send) -> None:
        if self._under_way > self._limits.concurrent_requests:
            raise ApiError(
                "ServiceUnavailableException",
                f"more than {self._limits.concurrent_requests} requests at once; try again",
            )
        _require_one_length(scope)
        head = _render_head(scope)
        try:
            candidate = self._guard.check_head(head)
        except AccessError:
            await incoming.discard()  # so that the sender gets to read the answer
            raise
        body = None
        if candidate is not None:
            at_most = self._large_bodies.get(scope["path"], MAX_BODY_BYTES)
            body = await read_body(Request(scope, incoming.receive), at_most=at_most)
        caller = self._guard.identify(candidate, body or b"")
        if caller.key is not None:
            self._require_rate(caller.key.access_key_id)
        is_write = _is_write(scope)
        signature = None
        if candidate is not None and is_write:
            signature = self._guard.build_signature(candidate)
        told = {"caller": caller, "request_id": str(uuid.uuid4()), "signature": signature}
        # A copy, so that nothing of one request is seen by another on the same connection.
        scope = {**scope, "state": {**scope.get("state", {}), **told}}
        inner = incoming.receive if body is None else incoming.replay(body)
        if candidate is None or not is_write:
            await self._app(scope, inner, send)
            return
        with self._guard.once(candidate) as spend:

            async def watch_and_send(message: Message) -> None:
                # An answer that nobody is there to read leaves the way free for a retry.
                if _is_success(message):
                    if not await incoming.is_gone():
                        spend()
                    elif signature is not None:
                        await run_in_threadpool(self._free, signature)
                await send(message)

            await self._app(scope, inner, watch_and_send)

    def _require_rate(self, access_key_id: str) -> None:
        wait = self._buckets.find_wait(access_key_id)
        if wait:
            raise ApiError(
                "TooManyRequestsException",
                f"access key {access_key_id} makes more than "
                f"{self._limits.requests_per_second:g} requests a second; try again",
                {"retry-after": str(math.ceil(wait))},
            )

    def _free(self, signature: SpentSignature) -> None:
        try:
            self._unspend(signature)
        except StoreError as error:
            _log.warning("signature_stays_spent", reason=str(error))


class _Incoming:
    """What a client sends, with a time limit on its body."""

    def __init__(self, receive: Receive, seconds: float) -> None:
        self._receive = receive
        self._seconds = seconds
        self._until = asyncio.get_running_loop().time() + seconds
        self._is_complete = False

    async def receive(self) -> Message:
        """The next part of the body, or the news that the client has gone.

        Raises:
            ApiError: RequestTimeoutException where the body takes too long.
        """
        if self._is_complete:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            raise ApiError(
                "RequestTimeoutException",
                f"body: did not arrive within {self._seconds:g} seconds",
            ) from None
        self._is_complete = not message.get("more_body", False)
        return message

    def replay(self, body: bytes) -> Receive:
        """Receive a body that was read already, and then what comes after it."""
        pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            return pending.pop() if pending else await self.receive()

        return receive

    async def discard(self) -> None:
        """Throw away the body, within bounds.

        Raises:
            ApiError: RequestTimeoutException where it takes too long.
        """
        size = 0
        while not self._is_complete and size <= MAX_DRAINED_BYTES:
            size += len((await self.receive()).get("body", b""))

    async def is_gone(self) -> bool:
        """Whether the client has closed the connection by now."""
        message: Message = {}
        with anyio.CancelScope() as scope:
            scope.cancel()
            message = await self._receive()
        return message.get("type") == "http.disconnect"


def render_refusal(error: ApiError, facts: Mapping[str, Any]) -> JSONResponse:
    """The answer to a request that was not let in; it is logged as any other."""
    request_id = str(uuid.uuid4())
    headers = {"x-amzn-errortype": error.code, "x-amzn-requestid": request_id}
    headers |= error.headers
    _log.info(
        "api_request",
        **facts,
        request_id=request_id,
        error=error.code,
        error_message=error.message,
        http_status=error.status,
    )
    return JSONResponse({"__type": error.code, "message": error.message}, error.status, headers)


def _require_one_length(scope: Scope) -> None:
    """Refuse a body of two lengths, of which whoever is in between may have taken the other one.

    Source: RFC 9112, 6.1: such a message may be an attempt at request smuggling, and its connection
    is to be closed.
    """
    names = {name for name, _ in scope["headers"]}
    if {b"content-length", b"transfer-encoding"} <= names:
        raise ApiError(
            "BadRequestException",
            "Content-Length: may not stand beside Transfer-Encoding",
            {"connection": "close"},
        )


def _is_write(scope: Scope) -> bool:
    return scope["method"] not in ("GET", "HEAD")


def _is_success(message: Message) -> bool:
    return message["type"] == "http.response.start" and message["status"] < _FIRST_ERROR


def _render_head(scope: Scope) -> RequestHead:
    return RequestHead(
        method=scope["method"],
        path=scope["raw_path"].decode("ascii", "replace").partition("?")[0],
        query=scope["query_string"].decode("ascii", "replace"),
        headers=[
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
        ],
    )


def _claimed_facts(scope: Scope) -> dict[str, Any]:
    """What the log tells of a request that was not let in."""
    head = _render_head(scope)
    match = find_operation(head.method, head.path)
    return {"operation": match.operation.name if match else f"{head.method} {head.path}"[:200]}
