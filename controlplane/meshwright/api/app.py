"""The HTTP application: the App Mesh API, the mesh's status, `/healthz` and `/metrics`.

A request that was admitted (see `admission`) goes through, in this order: the route, the body's
bound (before anything is parsed), the parser, what the caller may do, the validator, the operation,
the serializer; then its log line is written.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

import structlog
from botocore.model import OperationModel
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Match, Route, request_response
from starlette.types import Receive, Scope, Send

from meshwright.access.permissions import find_mesh
from meshwright.api.admission import (
    MAX_BODY_BYTES,
    author_of,
    caller_of,
    request_id_of,
)
from meshwright.api.bodies import read_body
from meshwright.api.errors import ApiError, as_api_error, level_of
from meshwright.api.operations import Answer, Operations
from meshwright.api.operator import OperatorApi
from meshwright.api.pagination import PageTokens
from meshwright.api.parsing import parse_parameters
from meshwright.api.routing import find_operation, known_methods
from meshwright.api.serialization import JSON_HEADERS
from meshwright.api.sharing import SharingApi
from meshwright.api.status import StatusApi
from meshwright.api.tokens import TokenApi
from meshwright.api.validation import validate
from meshwright.api.writing import Writer
from meshwright.meshes import Meshes
from meshwright.model.resources import is_account_id

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""Source: https://prometheus.io/docs/instrumenting/exposition_formats/"""

REVISION_HEADER: Final = "x-meshwright-revision"

_THREADS: Final = 40
"""How many operations are carried out at once; they wait for the store, or for each other."""

_log = structlog.get_logger("meshwright.api")

_T = TypeVar("_T")


def build_app(
    writer: Writer,
    status: StatusApi,
    operator: OperatorApi,
    sharing: SharingApi,
    proxy_tokens: TokenApi,
    render_metrics: Callable[[], bytes],
) -> Starlette:
    """The application.

    Args:
        writer: Carries out what the API's operations write.
        status: The status of meshes.
        operator: What operators ask beside App Mesh's API.
        sharing: Whom meshes are shared with.
        proxy_tokens: What they ask about proxies' tokens.
        render_metrics: What Prometheus is told, in its text format.
    """

    async def serve_operation(request: Request) -> Response:
        operations = Operations(writer, tokens, author_of(request), caller_of(request))
        return await _Exchange(request, operations, writer.meshes, threads).respond()

    def serve_health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def serve_metrics(_: Request) -> Response:
        return Response(render_metrics(), media_type=METRICS_TYPE)

    tokens = PageTokens(writer.meshes.store.secret())
    threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="operation")

    methods = ["GET", "PUT", "POST", "DELETE", "PATCH"]
    return Starlette(
        routes=[
            # First, since routes are tried in turn and this one is asked for most.
            Route("/v20190125/{path:path}", serve_operation, methods=methods),
            Route("/healthz", serve_health),
            Route("/metrics", serve_metrics),
            *status.routes(),
            *operator.routes(),
            *sharing.routes(),
            *proxy_tokens.routes(),
            _Everything(serve_operation),  # to be told what there is
        ]
    )


class _Everything(BaseRoute):
    """The route of whatever comes; one of Starlette's is closed to line breaks and rare methods.

    Args:
        endpoint: Answers the requests.
    """

    def __init__(self, endpoint: Callable[[Request], Awaitable[Response]]) -> None:
        self._app = request_response(endpoint)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """That it takes a request."""
        return (Match.FULL if scope["type"] == "http" else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self._app(scope, receive, send)


class _Exchange:
    """One request to the API and its answer, with what its log line tells."""

    def __init__(
        self,
        request: Request,
        operations: Operations,
        meshes: Meshes,
        threads: ThreadPoolExecutor,
    ) -> None:
        self._request = request
        self._threads = threads
        self._caller = caller_of(request)
        self._operations = operations
        self._meshes = meshes
        self._began = time.perf_counter()
        self._level = level_of(None)
        self._facts: dict[str, Any] = {
            "request_id": request_id_of(request),
            **self._caller.facts,
        }

    async def respond(self) -> Response:
        try:
            answer = await self._answer()
        except ClientDisconnect:
            return self._finish(400, "{}", {})
        except Exception as error:
            known = as_api_error(error)
            if known is not None:
                return self._finish_error(known)
            _log.exception("unexpected_error", **self._facts)
            return self._finish_error(
                ApiError(
                    "InternalServerErrorException",
                    "an unexpected error, reported in the control plane's log under request_id "
                    f"{self._facts['request_id']}",
                )
            )
        headers: dict[str, str] = {}
        if answer.revision is not None:
            self._facts |= {"mesh": answer.mesh, "revision": answer.revision}
            headers[REVISION_HEADER] = str(answer.revision)
        return self._finish(200, answer.body, headers)

    async def _answer(self) -> Answer:
        operation, path_values = self._route()
        self._facts["operation"] = operation.name
        body = await read_body(self._request, at_most=MAX_BODY_BYTES)
        parameters = parse_parameters(operation, path_values, self._request.query_params, body)
        if "meshName" in parameters:
            self._facts["mesh"] = parameters["meshName"]
        await self._require_permitted(operation.name, parameters)
        if operation.input_shape is not None:
            validate(operation.input_shape, parameters)
        return await self._run(partial(self._operations.call, operation.name, parameters))

    async def _run(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _require_permitted(self, operation: str, parameters: Mapping[str, Any]) -> None:
        mesh = find_mesh(parameters, self._caller.account_id)
        shared_with: Sequence[str] = ()
        # Parameters are not valid yet, and what has no such owner is shared with nobody.
        if mesh is not None and self._caller.needs_share(mesh) and is_account_id(mesh.owner):
            shared_with = (await self._run(partial(self._meshes.catch_up, mesh))).shared_with
        self._caller.require(operation, mesh, shared_with)

    def _route(self) -> tuple[OperationModel, Mapping[str, str]]:
        method = self._request.method
        raw_path = self._request.scope["raw_path"].decode("ascii", "replace").partition("?")[0]
        match = find_operation(method, raw_path)
        if match is None:
            methods = known_methods(raw_path)
            hint = (
                f"this path takes {', '.join(methods)}"
                if methods
                else "the App Mesh API's paths begin with /v20190125/"
            )
            raise ApiError(
                "UnknownOperationException", f"no operation is {method} {raw_path}: {hint}"
            )
        return match

    def _finish_error(self, error: ApiError) -> Response:
        self._level = level_of(error)
        self._facts |= {"error": error.code, "error_message": error.message}
        body = JSONResponse({"__type": error.code, "message": error.message}).body
        headers = {"x-amzn-errortype": error.code, **error.headers}
        return self._finish(error.status, bytes(body), headers)

    def _finish(self, status: int, body: str | bytes, headers: Mapping[str, str]) -> Response:
        # A coroutine, since Starlette would run a plain function in a thread.
        async def log() -> None:
            facts = self._facts | {
                "http_status": status,
                "duration_ms": round((time.perf_counter() - self._began) * 1000, 2),
            }
            _log.log(self._level, "api_request", **facts)

        return Response(
            body,
            status_code=status,
            headers={
                **JSON_HEADERS,
                **headers,
                "x-amzn-requestid": self._facts["request_id"],
            },
            background=BackgroundTask(log),
        )
