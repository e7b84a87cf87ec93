"""Proxies' tokens over HTTP, for operators.

GET    /meshwright/v1/tokens        what was issued and is still good, or was revoked
POST   /meshwright/v1/tokens        {"for": "mesh/demo/virtualNode/front", "seconds": ...}
DELETE /meshwright/v1/tokens/ID     revoke one
POST   /meshwright/v1/token-keys    {"overlapSeconds": ...}: sign with a new key from now on
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Any, Final

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.routing import Route

from meshwright.access.permissions import Caller
from meshwright.access.tokens import TokenError, TokenRecord, Tokens
from meshwright.api.admission import author_of, caller_of
from meshwright.api.audit import render_mesh
from meshwright.api.bodies import read_body
from meshwright.api.errors import ApiError, bad_request, not_found
from meshwright.api.operator import serve_operation
from meshwright.api.parsing import parse_object
from meshwright.api.writing import Writer
from meshwright.model.resources import Kind, ResourceId, parse_resource_id

SCOPES: Final = (Kind.MESH, Kind.VIRTUAL_NODE, Kind.VIRTUAL_GATEWAY)

_MAX_BYTES: Final = 16 * 1024
_CENTURY: Final = 100 * 365 * 86_400

_log = structlog.get_logger("meshwright.api")


class TokenApi:
    """The endpoints about tokens.

    Args:
        tokens: Issues and revokes them.
        writer: Has each request carried out once, and written down.
        account_id: The server's account, whose keys may rotate what signs all tokens.
    """

    def __init__(self, tokens: Tokens, writer: Writer, *, account_id: str) -> None:
        self._tokens = tokens
        self._writer = writer
        self._meshes = writer.meshes
        self._account_id = account_id

    def routes(self) -> list[Route]:
        """The routes to be served before those of App Mesh's API."""
        tokens, keys = "/meshwright/v1/tokens", "/meshwright/v1/token-keys"
        serve = serve_operation
        return [
            Route(tokens, serve("ListTokens", self._list), methods=["GET"]),
            Route(tokens, serve("IssueToken", self._issue), methods=["POST"]),
            Route(f"{tokens}/{{id}}", serve("RevokeToken", self._revoke), methods=["DELETE"]),
            Route(keys, serve("RotateTokenKeys", self._rotate), methods=["POST"]),
        ]

    async def _list(self, request: Request) -> dict[str, Any]:
        caller = caller_of(request)
        records = await run_in_threadpool(self._tokens.list_records)
        return {"tokens": [asdict(each) for each in records if self._may_see(caller, each)]}

    def _may_see(self, caller: Caller, record: TokenRecord) -> bool:
        mesh = _scope(record).key.mesh
        return caller.may_see(mesh, self._meshes.graph(mesh).shared_with)

    async def _issue(self, request: Request) -> dict[str, Any]:
        body = await _read(request, {"for", "seconds"})
        caller = caller_of(request)
        try:
            scope = parse_resource_id(str(body.get("for")), account_id=caller.account_id)
        except ValueError as error:
            raise bad_request(f"for: {error}") from None
        if scope.key.kind not in SCOPES:
            raise bad_request(
                f"for: {scope.key.path!r} gets no configuration: expected a virtual node, a "
                "virtual gateway or a mesh"
            )
        seconds = _parse_seconds("seconds", body.get("seconds"))
        self._require_permitted(caller, "IssueToken", scope)
        scope = self._require_owned(caller, scope)
        author = author_of(request)

        def recording(record: TokenRecord) -> AbstractContextManager[None]:
            what = _describe(record) | {"before": None, "after": asdict(record)}
            return self._writer.once(author, "IssueToken", what)

        token, record = await run_in_threadpool(
            self._tokens.issue, scope, seconds=seconds, recording=recording
        )
        _log.info("token_issued", **asdict(record), **caller.facts)
        return {"token": token, **asdict(record)}

    async def _revoke(self, request: Request) -> dict[str, Any]:
        caller = caller_of(request)
        try:
            record = await run_in_threadpool(self._tokens.get, request.path_params["id"])
        except TokenError as error:
            caller.require_write("RevokeToken")
            raise not_found(str(error)) from None
        self._require_permitted(caller, "RevokeToken", _scope(record))
        revoked = asdict(record) | {"revoked": True}
        what = _describe(record) | {"before": asdict(record), "after": revoked}
        author = author_of(request)

        def revoke() -> None:
            with self._writer.once(author, "RevokeToken", what):
                self._tokens.revoke(record)

        await run_in_threadpool(revoke)
        _log.info("token_revoked", token_id=record.token_id, scope=record.scope, **caller.facts)
        return revoked

    async def _rotate(self, request: Request) -> dict[str, Any]:
        body = await _read(request, {"overlapSeconds"})
        seconds = _parse_seconds("overlapSeconds", body.get("overlapSeconds"), least=0)
        if seconds is None:
            raise bad_request("overlapSeconds: is required")
        caller = caller_of(request)
        caller.require_everything("RotateTokenKeys")
        caller.require_account("RotateTokenKeys", self._account_id)
        author = author_of(request)

        def recording(key_id: str) -> AbstractContextManager[None]:
            after = {"key_id": key_id, "overlap_seconds": seconds}
            return self._writer.once(author, "RotateTokenKeys", {"before": None, "after": after})

        key_id = await run_in_threadpool(
            self._tokens.rotate, overlap_seconds=seconds, recording=recording
        )
        _log.info("token_keys_rotated", key_id=key_id, overlap_seconds=seconds, **caller.facts)
        return {"keyId": key_id, "overlapSeconds": seconds}

    def _require_permitted(self, caller: Caller, doing: str, scope: ResourceId) -> None:
        """Check that the caller may write to a scope's mesh, and acts for the scope's account."""
        mesh = scope.key.mesh
        caller.require_mesh(doing, mesh, self._meshes.graph(mesh).shared_with)
        caller.require_write(doing)
        caller.require_account(doing, scope.account_id)

    def _require_owned(self, caller: Caller, scope: ResourceId) -> ResourceId:
        """The scope, of the account that the resource is of.

        Raises:
            ApiError: The caller's account does not own the resource.
        """
        key = scope.key
        owner = self._meshes.find_owner(key)
        if key.kind is Kind.MESH or owner is None:
            return scope
        if caller.key is not None and owner != scope.account_id:
            raise ApiError(
                "ForbiddenException",
                f"for: {key} is account {owner}'s: only that account can have tokens for it",
            )
        return ResourceId(owner, key)


async def _read(request: Request, known: set[str]) -> dict[str, Any]:
    body = parse_object(await read_body(request, at_most=_MAX_BYTES))
    unknown = body.keys() - known
    if unknown:
        raise bad_request(f"{min(unknown)}: is no field of this request")
    return body


def _parse_seconds(name: str, value: object, *, least: float = 1) -> float | None:
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not least <= float(str(value)) <= _CENTURY:
        raise bad_request(f"{name}: must be a number from {least:g} on, a century at most")
    return float(str(value))


def _describe(record: TokenRecord) -> dict[str, Any]:
    """What the audit log tells of a token, beside what it was and is."""
    mesh = _scope(record).key.mesh
    return {**render_mesh(mesh), "token": record.token_id, "arn": record.scope}


def _scope(record: TokenRecord) -> ResourceId:
    return parse_resource_id(record.scope, account_id="")
