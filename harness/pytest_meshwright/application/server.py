"""The application's HTTP side.

any path        answers with its own name, the path and the headers that arrived, as JSON
GET  /_stats    how many requests it served
POST /_calls    sends requests through its proxy and answers with a tally
POST /_probe    starts to send requests at a steady rate; DELETE /_probe stops that and
                answers with one record per request; GET /_probe answers with those so far
"""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pytest_meshwright.application.calls import CallOrder, run_calls
from pytest_meshwright.application.probe import Probe

Handler = Callable[[Request], Awaitable[Response]]


def build_application(name: str) -> Starlette:
    """The ASGI application that calls itself `name`."""
    desk = _Desk(name)
    return Starlette(
        routes=[
            Route("/_stats", desk.stats, methods=["GET"]),
            Route("/_calls", desk.calls, methods=["POST"]),
            Route("/_probe", desk.start_probe, methods=["POST"]),
            Route("/_probe", desk.read_probe, methods=["GET"]),
            Route("/_probe", desk.stop_probe, methods=["DELETE"]),
            Route("/{path:path}", desk.answer, methods=_METHODS),
        ]
    )


_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class _Desk:
    """What one application knows of itself, and its answers."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._served = 0
        self._probe: Probe | None = None

    async def answer(self, request: Request) -> Response:
        self._served += 1
        return JSONResponse(
            {
                "service": self._name,
                "method": request.method,
                "path": request.url.path,
                "headers": dict(request.headers),
            }
        )

    async def stats(self, request: Request) -> Response:
        del request
        return JSONResponse({"service": self._name, "served": self._served})

    async def calls(self, request: Request) -> Response:
        try:
            order: dict[str, Any] = await request.json()
            tally = await run_calls(CallOrder(**order))
        except (ValueError, TypeError) as error:
            return JSONResponse({"message": str(error)}, 400)
        return JSONResponse(tally.render())

    async def start_probe(self, request: Request) -> Response:
        if self._probe is not None:
            return JSONResponse({"message": "a probe runs already; DELETE /_probe first"}, 409)
        try:
            order: dict[str, Any] = await request.json()
            self._probe = Probe(**order)
        except (ValueError, TypeError) as error:
            return JSONResponse({"message": str(error)}, 400)
        self._probe.start()
        return JSONResponse({}, 201)

    async def read_probe(self, request: Request) -> Response:
        del request
        if self._probe is None:
            return _no_probe()
        return JSONResponse({"records": self._probe.records})

    async def stop_probe(self, request: Request) -> Response:
        del request
        if self._probe is None:
            return _no_probe()
        probe, self._probe = self._probe, None
        await probe.stop()
        return JSONResponse({"records": probe.records})


def _no_probe() -> Response:
    return JSONResponse({"message": "no probe runs; POST /_probe first"}, 404)
