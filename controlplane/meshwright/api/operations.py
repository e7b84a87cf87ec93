"""What each operation does: create, describe, update, list and delete, the same for all kinds.

Operations are named in the model as verb and kind (`CreateVirtualNode`, `ListRoutes`), so one
handler a verb serves all seven kinds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from meshwright.access.permissions import Caller
from meshwright.api.audit import Author
from meshwright.api.decisions import (
    MAX_TAGS,
    Origin,
    check_tag_keys,
    create_resource,
    find_refusal,
    no_such,
    require_effective,
    require_parents,
    require_unused,
    require_within_quotas,
    update_resource,
)
from meshwright.api.errors import ApiError, bad_request, conflict, not_found
from meshwright.api.ownership import require_admitted, require_ownership
from meshwright.api.pagination import PageTokens
from meshwright.api.serialization import render_output
from meshwright.api.writing import Decision, Writer
from meshwright.graph.graph import Graph
from meshwright.model.resources import (
    Kind,
    MeshKey,
    Resource,
    ResourceId,
    ResourceKey,
    key_from_names,
    parse_resource_id,
)
from meshwright.model.service import load_service_model
from meshwright.store import Change, StoredAnswer

Parameters = Mapping[str, Any]

_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Answer:
    """What an operation answers.

    Attributes:
        body: The answer as JSON text.
        mesh: The mesh that was written to, or None for a read.
        revision: That mesh's revision with the write in it.
    """

    body: str
    mesh: str | None = None
    revision: int | None = None


class Operations:
    """The operations of the API, as one author asks for them.

    Args:
        writer: Carries out what they write.
        tokens: Makes and reads the tokens of further pages.
        author: Who asks; meshes without an owner in the request are those of the author's account.
        caller: What they may see.
    """

    def __init__(self, writer: Writer, tokens: PageTokens, author: Author, caller: Caller) -> None:
        self._writer = writer
        self._meshes = writer.meshes
        self._tokens = tokens
        self._author = author
        self._caller = caller
        self._account_id = author.account_id

    def call(self, operation: str, parameters: Parameters) -> Answer:
        """Carry out an operation with valid parameters.

        Raises:
            ApiError: One of the operation's exceptions, or it is one of a later model.
        """
        require_effective(parameters)
        match operation:
            case "TagResource":
                return self._tag(parameters)
            case "UntagResource":
                return self._untag(parameters)
            case "ListTagsForResource":
                return self._list_tags(parameters)
            case _:
                verb, kind = _split(operation)
        match verb:
            case "Describe":
                resource = self._get(self._key(kind, parameters))
                return Answer(_render(operation, {kind.value: _render_data(resource)}))
            case "List" if kind is Kind.MESH:
                return self._list_meshes(parameters)
            case "List":
                return self._list(operation, kind, parameters)
            case "Create" | "Update" | "Delete":
                return self._write(operation, verb, kind, parameters)
            case _:
                raise _unknown(operation)

    # Reading

    def _mesh_key(self, parameters: Parameters) -> MeshKey:
        return MeshKey(parameters.get("meshOwner", self._account_id), parameters["meshName"])

    def _key(self, kind: Kind, parameters: Parameters) -> ResourceKey:
        return key_from_names(self._mesh_key(parameters), kind, parameters)

    def _get(self, key: ResourceKey, field: str | None = None) -> Resource:
        resource = self._meshes.store.find(key)
        if resource is None:
            require_parents(self._meshes.catch_up(key.mesh), key, field)
            raise no_such(key, field)
        return resource

    def _list_meshes(self, parameters: Parameters) -> Answer:
        """A page of the meshes that the caller may see, as full as if there were no others.

        Its `nextToken` tells nothing of another: it is there where there is one more to be seen.
        """

        def may_see(mesh: Resource) -> bool:
            return self._caller.may_see(mesh.key.mesh, mesh.shared_with)

        def read(after: str, limit: int) -> Sequence[Resource]:
            found: list[Resource] = []
            while len(found) < limit:
                missing = limit - len(found)
                looked = self._meshes.store.list(None, Kind.MESH, after=after, limit=missing)
                found += filter(may_see, looked)
                if len(looked) < missing:
                    break
                after = _sort_key(looked[-1])
            return found

        return self._page("ListMeshes", [""], parameters, read)

    def _list(self, operation: str, kind: Kind, parameters: Parameters) -> Answer:
        mesh, parent = self._mesh_key(parameters), ""
        if kind.parent not in (None, Kind.MESH):
            parent = parameters[kind.parent.name_member]
        require_parents(self._meshes.catch_up(mesh), ResourceKey(mesh, kind, "", parent))

        def read(after: str, limit: int) -> Sequence[Resource]:
            return self._meshes.store.list(mesh, kind, parent=parent, after=after, limit=limit)

        return self._page(operation, [*mesh, parent], parameters, read)

    def _page(
        self,
        operation: str,
        within: Sequence[str],
        parameters: Parameters,
        read: Callable[[str, int], Sequence[Resource]],
    ) -> Answer:
        """A page of a list.

        Args:
            operation: The operation.
            within: What the listed resources are in, to which its tokens are bound.
            parameters: The operation's parameters.
            read: Up to so many resources, after a sort key.
        """
        listed = [operation, *within]
        token = parameters.get("nextToken")
        after = self._tokens.parse(listed, token) if token is not None else ""
        limit: int = parameters.get("limit", _PAGE)
        found = read(after, limit + 1)
        page = found[:limit]
        result: dict[str, Any] = {_plural(operation): [_render_ref(each) for each in page]}
        if len(found) > limit:
            result["nextToken"] = self._tokens.render(listed, _sort_key(page[-1]))
        return Answer(_render(operation, result))

    # Writing

    def _write(self, operation: str, verb: str, kind: Kind, parameters: Parameters) -> Answer:
        key = self._key(kind, parameters)
        token = self._token(operation, parameters)

        def decide(graph: Graph, now: float) -> Decision[str]:
            require_admitted(graph, self._author)
            kept = self._find_kept_answer(operation, token)
            if kept is not None:
                return Decision(kept)
            change = self._decide(verb, graph, key, parameters, now)
            resource = change.resource or graph.resources[key]
            status = "DELETED" if change.resource is None else "ACTIVE"
            body = _render(operation, {kind.value: _render_data(resource, status)})
            changes = [] if resource is change.resource is graph.resources.get(key) else [change]
            return Decision(body, changes, replace(token, body=body) if token else None)

        written = self._writer.write(self._author, operation, key.mesh, decide)
        return Answer(written.result, key.mesh.name, written.revision)

    def _decide(
        self, verb: str, graph: Graph, key: ResourceKey, parameters: Parameters, now: float
    ) -> Change:
        """The change that a write asks for, checked against the mesh as it is."""
        require_parents(graph, key)
        existing = graph.resources.get(key)
        if verb == "Create":
            if existing is not None:
                raise conflict(f"{key.kind.name_member}: {key} already exists: {existing.arn}")
            require_ownership(graph, self._author, "create", key)
            origin = Origin(self._account_id, self._writer.region, now)
            return self._checked(graph, Change(key, create_resource(key, parameters, origin)))
        if existing is None:
            raise no_such(key)
        require_ownership(graph, self._author, "delete" if verb == "Delete" else "update", key)
        if verb == "Delete":
            require_unused(graph, key)
            return Change(key, None)
        updated = update_resource(existing, parameters.get("spec", {}), now)
        change = Change(key, updated)
        return change if updated is existing else self._checked(graph, change)

    def _checked(self, graph: Graph, change: Change) -> Change:
        """The change, where the mesh with it breaks no rule and exceeds no quota."""
        if change.resource is not None:
            after = graph.with_changes(graph.head, [change])
            refusal = find_refusal(after, change.resource)
            if refusal is not None:
                raise refusal
            require_within_quotas(self._writer.quotas, graph, after, change.resource, self._meshes)
        return change

    def _token(self, operation: str, parameters: Parameters) -> StoredAnswer | None:
        token = parameters.get("clientToken")
        if token is None:
            return None
        request = {name: value for name, value in parameters.items() if name != "clientToken"}
        text = json.dumps([operation, request], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        return StoredAnswer(f"{self._account_id}/{token}", digest, "")

    def _find_kept_answer(self, operation: str, token: StoredAnswer | None) -> str | None:
        kept = self._meshes.store.find_answer(token.token) if token else None
        if kept is None or token is None:
            return None
        if kept.request_digest != token.request_digest:
            raise conflict(
                f"clientToken: was used before with another request than this {operation}; "
                "give each request a token of its own"
            )
        return kept.body

    # Tags

    def _tagged(self, parameters: Parameters) -> ResourceId:
        try:
            return parse_resource_id(parameters["resourceArn"], account_id=self._account_id)
        except ValueError as error:
            raise bad_request(f"resourceArn: {error}") from None

    def _list_tags(self, parameters: Parameters) -> Answer:
        resource = self._get(self._tagged(parameters).key, "resourceArn")
        _require_own_arn(resource, parameters)
        listed = ["ListTagsForResource", resource.arn]
        token = parameters.get("nextToken")
        after = self._tokens.parse(listed, token) if token is not None else ""
        tags: list[tuple[str, str]] = [tag for tag in sorted(resource.tags) if tag[0] > after]
        limit: int = parameters.get("limit", MAX_TAGS)
        result: dict[str, Any] = {
            "tags": [{"key": name, "value": value} for name, value in tags[:limit]]
        }
        if len(tags) > limit:
            result["nextToken"] = self._tokens.render(listed, tags[limit - 1][0])
        return Answer(_render("ListTagsForResource", result))

    def _tag(self, parameters: Parameters) -> Answer:
        given = {tag["key"]: tag["value"] for tag in parameters["tags"]}
        check_tag_keys([tag["key"] for tag in parameters["tags"]])
        return self._retag("TagResource", parameters, lambda tags: tags | given)

    def _untag(self, parameters: Parameters) -> Answer:
        gone = set(parameters["tagKeys"])
        return self._retag(
            "UntagResource",
            parameters,
            lambda tags: {name: value for name, value in tags.items() if name not in gone},
        )

    def _retag(
        self,
        operation: str,
        parameters: Parameters,
        change: Callable[[dict[str, str]], dict[str, str]],
    ) -> Answer:
        key = self._tagged(parameters).key

        def decide(graph: Graph, _: float) -> Decision[str]:
            require_admitted(graph, self._author)
            require_parents(graph, key, "resourceArn")
            existing = graph.resources.get(key)
            if existing is None:
                raise no_such(key, "resourceArn")
            _require_own_arn(existing, parameters)
            require_ownership(graph, self._author, "tag", key)
            tags = change(dict(existing.tags))
            if len(tags) > MAX_TAGS:
                raise ApiError(
                    "TooManyTagsException",
                    f"tags: a resource has at most {MAX_TAGS} tags, and {key} would have "
                    f"{len(tags)}; none was added",
                )
            retagged = replace(existing, tags=tuple(tags.items()))
            changes = [] if retagged == existing else [Change(key, retagged)]
            return Decision(_render(operation, {}), changes)

        return Answer(self._writer.write(self._author, operation, key.mesh, decide).result)


def _split(operation: str) -> tuple[str, Kind]:
    """A verb and a kind from an operation's name: `ListRoutes` is List and route."""
    for verb in ("Create", "Describe", "Update", "Delete", "List"):
        if operation.startswith(verb):
            noun = operation.removeprefix(verb)
            if verb == "List":
                noun = "Mesh" if noun == "Meshes" else noun.removesuffix("s")
            with suppress(ValueError):
                return verb, Kind(noun[0].lower() + noun[1:])
    raise _unknown(operation)


def _unknown(operation: str) -> ApiError:
    return ApiError(
        "UnknownOperationException", f"{operation} is not carried out by this version of meshwright"
    )


def _sort_key(resource: Resource) -> str:
    """What the store's lists are sorted by."""
    key = resource.key
    return f"{key.name}/{key.mesh.owner}" if key.kind is Kind.MESH else key.name


def _require_own_arn(resource: Resource, parameters: Parameters) -> None:
    """Check that an ARN's account is the resource's, so that nobody's is taken for another's."""
    text: str = parameters["resourceArn"]
    said, own = (parse_resource_id(each, account_id="").account_id for each in (text, resource.arn))
    if text.startswith("arn:") and said != own:
        raise not_found(f"resourceArn: {resource.key} is not account {said}'s: {resource.arn}")


def _plural(operation: str) -> str:
    noun = operation.removeprefix("List")
    return noun[0].lower() + noun[1:]


def _render(operation: str, result: Mapping[str, Any]) -> str:
    return render_output(load_service_model().operation_model(operation), result)


def _names(resource: Resource) -> dict[str, Any]:
    key = resource.key
    names = {"meshName": key.mesh.name, key.kind.name_member: key.name}
    if key.kind.parent not in (None, Kind.MESH):
        names[key.kind.parent.name_member] = key.parent
    return names


def _metadata(resource: Resource) -> dict[str, Any]:
    return {
        "arn": resource.arn,
        "createdAt": resource.created_at,
        "lastUpdatedAt": resource.last_updated_at,
        "meshOwner": resource.key.mesh.owner,
        "resourceOwner": resource.resource_owner,
        "uid": resource.uid,
        "version": resource.version,
    }


def _render_data(resource: Resource, status: str = "ACTIVE") -> dict[str, Any]:
    return {
        **_names(resource),
        "spec": resource.spec,
        "metadata": _metadata(resource),
        "status": {"status": status},
    }


def _render_ref(resource: Resource) -> dict[str, Any]:
    return {**_names(resource), **_metadata(resource)}
