"""Whom a mesh is shared with, for its owner.

GET    /meshwright/v1/meshes/NAME/shares            the accounts
PUT    /meshwright/v1/meshes/NAME/shares/ACCOUNT    share it with one
DELETE /meshwright/v1/meshes/NAME/shares/ACCOUNT    don't any more

App Mesh left this to AWS Resource Access Manager. Here it is part of the mesh's own state, so that
a write to the mesh and the end of a share can't pass each other, on whichever control plane.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, Literal

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.routing import Route

from meshwright.access.permissions import Caller
from meshwright.api.admission import author_of, caller_of
from meshwright.api.audit import Author
from meshwright.api.decisions import no_such
from meshwright.api.errors import bad_request
from meshwright.api.operator import serve_operation
from meshwright.api.writing import Decision, Writer
from meshwright.graph import Graph
from meshwright.model.resources import MeshKey, is_account_id, mesh_resource_key, parse_mesh_id
from meshwright.store import Change

Operation = Literal["ShareMesh", "UnshareMesh"]


class SharingApi:
    """The endpoints about shares.

    Args:
        writer: Carries out changes.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def routes(self) -> list[Route]:
        """The routes to be served before those of App Mesh's API."""
        every = "/meshwright/v1/meshes/{mesh}/shares"
        one = f"{every}/{{account}}"
        serve = serve_operation
        return [
            Route(every, serve("ListShares", self._list), methods=["GET"]),
            Route(one, serve("ShareMesh", self._share), methods=["PUT"]),
            Route(one, serve("UnshareMesh", self._unshare), methods=["DELETE"]),
        ]

    async def _list(self, request: Request) -> dict[str, Any]:
        mesh = _own_mesh(request, caller_of(request), "ListShares")
        graph = await run_in_threadpool(self._writer.meshes.catch_up, mesh)
        if graph.mesh is None:
            raise no_such(mesh_resource_key(mesh))
        return _render(graph)

    async def _share(self, request: Request) -> dict[str, Any]:
        return await self._change(request, "ShareMesh")

    async def _unshare(self, request: Request) -> dict[str, Any]:
        return await self._change(request, "UnshareMesh")

    async def _change(self, request: Request, operation: Operation) -> dict[str, Any]:
        caller = caller_of(request)
        mesh = _own_mesh(request, caller, operation)
        caller.require_write(operation)
        account = request.path_params["account"]
        if not is_account_id(account):
            raise bad_request(f"account: must be the 12 digits of an account, got {account!r}")
        if account == mesh.owner:
            raise bad_request(f"account: {account} owns the mesh; it is shared with others")
        return await run_in_threadpool(self._write, author_of(request), operation, mesh, account)

    def _write(
        self, author: Author, operation: Operation, mesh: MeshKey, account: str
    ) -> dict[str, Any]:
        def decide(graph: Graph, _: float) -> Decision[dict[str, Any]]:
            existing = graph.mesh
            if existing is None:
                raise no_such(mesh_resource_key(mesh))
            accounts = set(existing.shared_with) - {account}
            if operation == "ShareMesh":
                accounts.add(account)
            changed = replace(existing, shared_with=tuple(sorted(accounts)))
            changes = [] if changed == existing else [Change(changed.key, changed)]
            return Decision(_render(graph.with_changes(graph.head, changes)), changes)

        return self._writer.write(author, operation, mesh, decide).result


def _own_mesh(request: Request, caller: Caller, operation: str) -> MeshKey:
    """The mesh of a path, which must be the caller's own.

    Raises:
        AccessError: It is another account's, or the caller's key is not for it.
    """
    mesh = parse_mesh_id(request.path_params["mesh"], account_id=caller.account_id)
    caller.require_account(operation, mesh.owner)
    caller.require_mesh(operation, mesh, ())
    return mesh


def _render(graph: Graph) -> dict[str, Any]:
    """A mesh's shares: each account, and how many resources it has there, shared with or not."""
    owner, shared_with = graph.head.mesh.owner, graph.shared_with
    owned = Counter(resource.resource_owner for resource in graph.resources.values())
    return {
        "mesh": graph.head.mesh.name,
        "owner": owner,
        "shares": [
            {"account": each, "shared": each in shared_with, "resources": owned[each]}
            for each in sorted({*owned, *shared_with} - {owner})
        ],
    }
