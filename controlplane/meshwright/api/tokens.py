"""Proxies' tokens over HTTP, for operators.

GET    /meshwright/v1/tokens        what was issued and is still good, or was revoked
POST   /meshwright/v1/tokens        {"for": "mesh/demo/virtualNode/front", "seconds": ...}
DELETE /meshwright/v1/tokens/ID     revoke one
POST   /meshwright/v1/token-keys    {"overlapSeconds": ...}: sign with a new key from now on
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.routing import Route

from meshwright.access.permissions import Caller
from meshwright.access.tokens import TokenError, TokenRecord, Tokens
from meshwright.api.admission import caller_of
from meshwright.api.bodies import read_body
from meshwright.api.errors import bad_request, not_found
from meshwright.api.operator import serve_operation
from meshwright.api.parsing import parse_object
from meshwright.model.resources import Kind, ResourceKey, parse_resource_id

SCOPES: Final = (Kind.MESH, Kind.VIRTUAL_NODE, Kind.VIRTUAL_GATEWAY)

_MAX_BYTES: Final = 16 * 1024
_CENTURY: Final = 100 * 365 * 86_400

_log = structlog.get_logger("meshwright.api")


class TokenApi:
    """The endpoints about tokens.

    Args:
        tokens: Issues and revokes them.
        account_id: The owner of meshes that a scope names without one.
    """

    def __init__(self, tokens: Tokens, *, account_id: str) -> None:
        self._tokens = tokens
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
        return {"tokens": [asdict(each) for each in records if caller.may_see(_scope(each).mesh)]}

    async def _issue(self, request: Request) -> dict[str, Any]:
        body = await _read(request, {"for", "seconds"})
        try:
            scope = parse_resource_id(str(body.get("for")), account_id=self._account_id)
        except ValueError as error:
            raise bad_request(f"for: {error}") from None
        if scope.kind not in SCOPES:
            raise bad_request(
                f"for: {scope.path!r} gets no configuration: expected a virtual node, a virtual "
                "gateway or a mesh"
            )
        seconds = _parse_seconds("seconds", body.get("seconds"))
        caller = caller_of(request)
        _require_permitted(caller, "IssueToken", scope)
        token, record = await run_in_threadpool(self._tokens.issue, scope, seconds=seconds)
        _log.info("token_issued", **asdict(record), **caller.facts)
        return {"token": token, **asdict(record)}

    async def _revoke(self, request: Request) -> dict[str, Any]:
        caller = caller_of(request)
        try:
            record = await run_in_threadpool(self._tokens.get, request.path_params["id"])
        except TokenError as error:
            caller.require_write("RevokeToken")
            raise not_found(str(error)) from None
        _require_permitted(caller, "RevokeToken", _scope(record))
        await run_in_threadpool(self._tokens.revoke, record)
        _log.info("token_revoked", token_id=record.token_id, scope=record.scope, **caller.facts)
        return asdict(record) | {"revoked": True}

    async def _rotate(self, request: Request) -> dict[str, Any]:
        body = await _read(request, {"overlapSeconds"})
        seconds = _parse_seconds("overlapSeconds", body.get("overlapSeconds"), least=0)
        if seconds is None:
            raise bad_request("overlapSeconds: is required")
        caller = caller_of(request)
        caller.require_everything("RotateTokenKeys")
        key_id = await run_in_threadpool(self._tokens.rotate, overlap_seconds=seconds)
        _log.info("token_keys_rotated", key_id=key_id, overlap_seconds=seconds, **caller.facts)
        return {"keyId": key_id, "overlapSeconds": seconds}


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


def _scope(record: TokenRecord) -> ResourceKey:
    return parse_resource_id(record.scope, account_id="")


def _require_permitted(caller: Caller, doing: str, scope: ResourceKey) -> None:
    caller.require_mesh(doing, scope.mesh)
    caller.require_write(doing)
