"""The status of a mesh over HTTP, which is asked for again and again by those who wait.

GET /meshwright/v1/meshes/NAME/status    findings, and the proxies of all replicas

So that it does not fill the log, only refusals are logged.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from meshwright.access.errors import AccessError
from meshwright.access.permissions import Caller
from meshwright.api.admission import caller_of, render_refusal
from meshwright.api.errors import as_api_error
from meshwright.meshes import Meshes
from meshwright.model.resources import MeshKey, parse_mesh_id, render_mesh_id
from meshwright.store import StoreError
from meshwright.turns import work_in_turns

_OPERATION: Final = "DescribeMeshStatus"

_to_json: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode

ReadStatus = Callable[[MeshKey], Awaitable[Mapping[str, Any] | None]]
FindLeftover = Callable[[MeshKey], Awaitable[str]]


class StatusApi:
    """The endpoint.

    Args:
        meshes: Whom meshes are shared with.
        read_status: The status of a mesh, after the mesh was brought up to date; None where it
            does not exist.
        find_leftover: Who still asks for a mesh that does not exist, to be said after that.
    """

    def __init__(
        self, meshes: Meshes, read_status: ReadStatus, find_leftover: FindLeftover
    ) -> None:
        self._meshes = meshes
        self._read_status = read_status
        self._find_leftover = find_leftover

    def routes(self) -> list[Route]:
        """The routes to be served before those of App Mesh's API."""
        return [Route("/meshwright/v1/meshes/{mesh}/status", self._serve, methods=["GET"])]

    async def _serve(self, request: Request) -> Response:
        name, caller = request.path_params["mesh"], caller_of(request)
        try:
            mesh = parse_mesh_id(name, account_id=caller.account_id)
            found = await self._find(caller, mesh)
        except (AccessError, StoreError) as error:
            refusal = as_api_error(error)
            assert refusal is not None
            return render_refusal(refusal, {"operation": _OPERATION, **caller.facts})
        if found is None:
            leftover = await self._find_leftover(mesh)
            return JSONResponse(
                {"message": f"there is no mesh {name!r}{leftover}"}, status_code=404
            )
        shown = {"mesh": render_mesh_id(mesh, account_id=caller.account_id)}
        return Response(await render_json({**found, **shown}), media_type="application/json")

    async def _find(self, caller: Caller, mesh: MeshKey) -> Mapping[str, Any] | None:
        if not caller.might_see(mesh):
            caller.require_mesh(_OPERATION, mesh, ())
        found = await self._read_status(mesh)
        caller.require_mesh(_OPERATION, mesh, self._meshes.graph(mesh).shared_with)
        return found


async def render_json(content: Mapping[str, Any]) -> str:
    """An object as JSON; of its lists, which may be very long, a part in each turn of the loop."""
    members: list[str] = []
    for name, value in content.items():
        if isinstance(value, list):
            entries = await work_in_turns(_to_json, cast("list[object]", value))
            text = f"[{','.join(entries)}]"
        else:
            text = _to_json(value)
        members.append(f"{_to_json(name)}:{text}")
    return f"{{{','.join(members)}}}"
