"""What operators ask beside App Mesh's API: whole meshes listed, shown, applied and deleted.

GET    /meshwright/v1/meshes                    every mesh in a line
GET    /meshwright/v1/meshes/NAME               a mesh with all its resources, at one revision
DELETE /meshwright/v1/meshes/NAME?recursive=... the mesh, with what is in it
POST   /meshwright/v1/meshes/NAME/explain       {"from": ..., "url": ...}: where it goes, and why
POST   /meshwright/v1/apply                     {"documents": [...], "prune": ..., "dryRun": ...}
POST   /meshwright/v1/check                     {"kind": ..., "spec": ...}: what is wrong with it

NAME is a mesh of the caller's account, NAME@OWNER one that another account shares with it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import structlog
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from meshwright.access.permissions import Caller
from meshwright.api.admission import author_of, caller_of, request_id_of
from meshwright.api.batches import BatchError, Batches, Outcome, Step
from meshwright.api.bodies import read_body
from meshwright.api.checking import check_spec
from meshwright.api.decisions import no_such
from meshwright.api.errors import ApiError, as_api_error, bad_request, level_of, not_found
from meshwright.api.parsing import json_list, json_object, parse_object
from meshwright.api.status import FindLeftover
from meshwright.api.writing import Writer
from meshwright.graph.findings import Finding
from meshwright.graph.graph import Graph
from meshwright.meshes import Meshes
from meshwright.model.documents import CREATION_ORDER, render_document
from meshwright.model.resources import (
    Kind,
    MeshKey,
    Resource,
    ResourceKey,
    mesh_resource_key,
    parse_mesh_id,
    render_mesh_id,
)
from meshwright.translate.explanation import explain
from meshwright.translate.sent_requests import SentRequest, parse_request

MAX_APPLY_BYTES: Final = 32 * 1024 * 1024
"""The largest batch that is read: a mesh of some ten thousand resources."""

MAX_QUESTION_BYTES: Final = 64 * 1024
"""The largest question about a request that is read."""

REVISION_HEADER: Final = "x-meshwright-revision"

_log = structlog.get_logger("meshwright.api")

FindProblems = Callable[[Graph], Awaitable[Sequence[Finding]]]
CountProxies = Callable[[], Awaitable[Counter[MeshKey]]]


class OperatorApi:
    """The operator's endpoints.

    Args:
        writer: Carries out changes of the meshes that are shown.
        find_problems: The findings of a mesh.
        count_proxies: How many proxies of each mesh are connected.
        find_leftover: Who still asks for a mesh that does not exist, to be said after that.
    """

    def __init__(
        self,
        writer: Writer,
        *,
        find_problems: FindProblems,
        count_proxies: CountProxies,
        find_leftover: FindLeftover,
    ) -> None:
        self._writer = writer
        self._meshes = writer.meshes
        self._find_problems = find_problems
        self._count_proxies = count_proxies
        self._find_leftover = find_leftover

    def routes(self) -> list[Route]:
        """The routes to be served before those of App Mesh's API."""
        one = "/meshwright/v1/meshes/{mesh}"
        return [
            Route(
                "/meshwright/v1/meshes", serve_operation("ListMeshes", self._list), methods=["GET"]
            ),
            Route(one, serve_operation("ShowMesh", self._show), methods=["GET"]),
            Route(one, serve_operation("DeleteWholeMesh", self._delete), methods=["DELETE"]),
            Route(
                f"{one}/explain", serve_operation("ExplainRoute", self._explain), methods=["POST"]
            ),
            Route("/meshwright/v1/apply", serve_operation("Apply", self._apply), methods=["POST"]),
            Route("/meshwright/v1/check", serve_operation("Check", check_spec), methods=["POST"]),
        ]

    async def _list(self, request: Request) -> dict[str, Any]:
        caller = caller_of(request)
        listed = await run_in_threadpool(self._list_meshes)
        proxies = await self._count_proxies()
        return {
            "meshes": [
                _summarize(graph, caller.account_id)
                | {
                    "findings": len(await self._find_problems(graph)),
                    "proxies": proxies[graph.head.mesh],
                }
                for graph in listed
                if caller.may_see(graph.head.mesh, graph.shared_with)
            ]
        }

    def _list_meshes(self) -> list[Graph]:
        keys = sorted(head.mesh for head in self._meshes.store.heads())
        graphs = [self._meshes.catch_up(key) for key in keys]
        return [graph for graph in graphs if graph.mesh is not None]

    async def _show(self, request: Request) -> dict[str, Any]:
        caller = caller_of(request)
        mesh = parse_mesh_id(request.path_params["mesh"], account_id=caller.account_id)
        graph = await require_mesh(self._meshes, caller, "ShowMesh", mesh)
        if graph.mesh is None:
            missing = no_such(mesh_resource_key(mesh))
            raise not_found(missing.message + await self._find_leftover(mesh))
        return {
            "mesh": render_mesh_id(mesh, account_id=caller.account_id),
            "owner": mesh.owner,
            "shared_with": list(graph.shared_with),
            "revision": graph.head.revision,
            "committed_at": graph.head.committed_at,
            "resources": [
                {
                    "kind": resource.key.kind.value,
                    "path": resource.key.path,
                    "arn": resource.arn,
                    "owner": resource.resource_owner,
                    "version": resource.version,
                    "document": render_document(resource, account_id=caller.account_id),
                }
                for resource in _in_creation_order(graph)
            ],
        }

    async def _explain(self, request: Request) -> dict[str, Any]:
        caller = caller_of(request)
        mesh = parse_mesh_id(request.path_params["mesh"], account_id=caller.account_id)
        graph = await require_mesh(self._meshes, caller, "ExplainRoute", mesh)
        body = parse_object(await read_body(request, at_most=MAX_QUESTION_BYTES))
        sent = _parse_question(body)
        if graph.mesh is None:
            raise no_such(mesh_resource_key(mesh))
        node = graph.find(Kind.VIRTUAL_NODE, str(body["from"]))
        if node is None:
            raise no_such(ResourceKey(mesh, Kind.VIRTUAL_NODE, str(body["from"])))
        return {"mesh": mesh.name, "revision": graph.head.revision} | asdict(
            explain(graph, node, sent)
        )

    async def _apply(self, request: Request) -> dict[str, Any]:
        body = parse_object(await read_body(request, at_most=MAX_APPLY_BYTES))
        unknown = body.keys() - {"documents", "prune", "dryRun"}
        if unknown:
            raise bad_request(f"{min(unknown)}: is no field of this request")
        documents = json_list(body.get("documents"))
        if documents is None:
            raise bad_request("documents: must be a list of resources")
        prune, dry_run = _flag("prune", body.get("prune")), _flag("dryRun", body.get("dryRun"))
        caller = caller_of(request)
        for mesh in {_mesh_of(document, caller.account_id) for document in documents}:
            await require_mesh(self._meshes, caller, "Apply", mesh)
        if not dry_run:
            caller.require_write("Apply")
        outcome = await run_in_threadpool(
            Batches(self._writer, author_of(request)).apply,
            documents,
            prune=prune,
            dry_run=dry_run,
        )
        return _render_outcome(outcome, caller.account_id, dry_run=dry_run)

    async def _delete(self, request: Request) -> dict[str, Any]:
        query = request.query_params
        recursive = _flag("recursive", _boolean(query.get("recursive")))
        dry_run = _flag("dryRun", _boolean(query.get("dryRun")))
        caller = caller_of(request)
        mesh = parse_mesh_id(request.path_params["mesh"], account_id=caller.account_id)
        await require_mesh(self._meshes, caller, "DeleteWholeMesh", mesh)
        if not dry_run:
            caller.require_write("DeleteWholeMesh")
        proxies = (await self._count_proxies())[mesh]
        outcome = await run_in_threadpool(
            Batches(self._writer, author_of(request)).delete,
            mesh,
            recursive=recursive,
            dry_run=dry_run,
        )
        rendered = _render_outcome(outcome, caller.account_id, dry_run=dry_run)
        return rendered | {"proxies": proxies}


async def require_mesh(meshes: Meshes, caller: Caller, doing: str, mesh: MeshKey) -> Graph:
    """The mesh as it is, where the caller may see it.

    Raises:
        AccessError: They may not.
        StoreError: The store can't be read.
    """
    graph = meshes.graph(mesh)
    if caller.might_see(mesh):
        graph = await run_in_threadpool(meshes.catch_up, mesh)
    caller.require_mesh(doing, mesh, graph.shared_with)
    return graph


def _mesh_of(document: object, account_id: str) -> MeshKey:
    """The mesh that a document is about, which need not be valid yet."""
    names = json_object(document) or {}
    owner = names.get("meshOwner") or account_id
    return MeshKey(str(owner), str(names.get("meshName")))


def _render_outcome(outcome: Outcome, account_id: str, *, dry_run: bool) -> dict[str, Any]:
    return {
        "mesh": render_mesh_id(outcome.mesh, account_id=account_id),
        "revision": outcome.revision,
        "dryRun": dry_run,
        "unchanged": outcome.unchanged,
        "changes": [_render_step(step, account_id) for step in outcome.steps],
    }


def _render_step(step: Step, account_id: str) -> dict[str, Any]:
    def render(resource: Resource | None) -> dict[str, Any] | None:
        return None if resource is None else render_document(resource, account_id=account_id)

    shown = step.after or step.before
    return {
        "action": step.action,
        "kind": step.key.kind.value,
        "resource": step.key.path,
        "version": shown and shown.version,
        "before": render(step.before),
        "after": render(step.after),
    }


def _parse_question(body: Mapping[str, Any]) -> SentRequest:
    """The request that is asked about."""
    unknown = body.keys() - {"from", "method", "url", "headers"}
    if unknown:
        raise bad_request(f"{min(unknown)}: is no field of this request")
    for name in ("from", "url"):
        if not isinstance(body.get(name), str):
            raise bad_request(f"{name}: must be a string")
    headers = json_object(body.get("headers", {}))
    if headers is None:
        raise bad_request("headers: must be an object of strings")
    method = str(body.get("method", "GET"))
    try:
        lines = [f"{name}: {value}" for name, value in headers.items()]
        return parse_request(method, body["url"], lines)
    except ValueError as error:
        raise bad_request(str(error)) from None


def _boolean(text: str | None) -> bool | str | None:
    return {"true": True, "false": False}.get(text, text) if text is not None else None


def _flag(name: str, value: object) -> bool:
    if value is None:
        return False
    if not isinstance(value, bool):
        raise bad_request(f"{name}: must be true or false, got {value!r}")
    return value


def _summarize(graph: Graph, account_id: str) -> dict[str, Any]:
    counts = Counter(key.kind.value for key in graph.resources)
    return {
        "mesh": render_mesh_id(graph.head.mesh, account_id=account_id),
        "owner": graph.head.mesh.owner,
        "revision": graph.head.revision,
        "committed_at": graph.head.committed_at,
        "resources": {kind.value: counts[kind.value] for kind in CREATION_ORDER[1:]},
    }


def _in_creation_order(graph: Graph) -> Sequence[Resource]:
    keys = sorted(graph.resources, key=lambda key: (CREATION_ORDER.index(key.kind), key))
    return [graph.resources[key] for key in keys]


def serve_operation(
    name: str, answer: Callable[[Request], Awaitable[dict[str, Any]]]
) -> Callable[[Request], Awaitable[JSONResponse]]:
    """An endpoint that answers errors as the API does, and logs each request after its answer."""

    async def serve(request: Request) -> JSONResponse:
        began = time.perf_counter()
        request_id = request_id_of(request)
        facts: dict[str, Any] = {"operation": name, "request_id": request_id}
        facts |= caller_of(request).facts
        status, headers = 200, {"x-amzn-requestid": request_id}
        known: ApiError | None = None
        try:
            content = await answer(request)
            if "changes" in content and not content["dryRun"]:
                facts |= {"mesh": content["mesh"], "revision": content["revision"]}
                headers[REVISION_HEADER] = str(content["revision"])
        except ClientDisconnect:
            status, content = 400, {}
        except BatchError as error:
            known = bad_request(str(error))
            status, content = known.status, _error(known, error)
        except Exception as error:
            known = as_api_error(error)
            if known is None:
                _log.exception("unexpected_error", **facts)
                known = ApiError(
                    "InternalServerErrorException",
                    "unexpected; reported in the control plane's log",
                )
            status, content = known.status, _error(known)
        if known is not None:
            facts |= {"error": known.code, "error_message": known.message}
            headers |= {"x-amzn-errortype": known.code, **known.headers}

        def log() -> None:
            duration = round((time.perf_counter() - began) * 1000, 2)
            level = level_of(known)
            _log.log(level, "api_request", **facts, http_status=status, duration_ms=duration)

        return JSONResponse(content, status, headers, background=BackgroundTask(log))

    return serve


def _error(error: ApiError, batch: BatchError | None = None) -> dict[str, Any]:
    content: dict[str, Any] = {"__type": error.code, "message": error.message}
    if batch is not None:
        content["problems"] = [
            {"document": each.document, "resource": each.resource, "message": each.message}
            for each in batch.problems
        ]
    return content
