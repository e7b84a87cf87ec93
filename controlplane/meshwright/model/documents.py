"""Meshes as files: YAML or JSON documents in the shapes of the AWS CLI's `--cli-input-json`.

meshName: demo
---
meshName: demo
virtualNodeName: front
spec: {...}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, cast

import yaml

from meshwright.model.resources import Kind, Resource

CREATION_ORDER: Final = (
    Kind.MESH,
    Kind.VIRTUAL_NODE,
    Kind.VIRTUAL_ROUTER,
    Kind.ROUTE,
    Kind.VIRTUAL_SERVICE,
    Kind.VIRTUAL_GATEWAY,
    Kind.GATEWAY_ROUTE,
)
"""An order in which resources can be made one by one: what others refer to comes first."""

_MOST_SPECIFIC_FIRST = (
    Kind.ROUTE,
    Kind.GATEWAY_ROUTE,
    Kind.VIRTUAL_NODE,
    Kind.VIRTUAL_SERVICE,
    Kind.VIRTUAL_ROUTER,
    Kind.VIRTUAL_GATEWAY,
    Kind.MESH,
)


class DocumentError(ValueError):
    """A file holds something that is no resource; the message says where and what."""


@dataclass(frozen=True, slots=True)
class Document:
    """One resource as a file declares it.

    Attributes:
        kind: Its kind, told by the names that it has.
        parameters: The parameters of the operation that creates it.
    """

    kind: Kind
    parameters: Mapping[str, Any]


def parse_documents(text: str) -> tuple[Document, ...]:
    """The resources of a YAML or JSON text, in its order.

    Raises:
        DocumentError: The text is no YAML, or one of its documents is no resource.
    """
    try:
        loaded: list[object] = list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        raise DocumentError(f"not valid YAML: {error}") from None
    except RecursionError:
        raise DocumentError("nests too deeply") from None
    documents: list[Document] = []
    for position, each in enumerate(loaded, start=1):
        if each is not None:
            try:
                documents.append(parse_document(each))
            except DocumentError as error:
                raise DocumentError(f"document {position}: {error}") from None
    return tuple(documents)


def render_document(resource: Resource, *, account_id: str) -> dict[str, Any]:
    """A resource as the parameters of the operation that creates it.

    Args:
        resource: The resource.
        account_id: The account whose meshes need no `meshOwner`.
    """
    key = resource.key
    document: dict[str, Any] = {"meshName": key.mesh.name}
    if key.mesh.owner != account_id:
        document["meshOwner"] = key.mesh.owner
    if key.kind.parent not in (None, Kind.MESH):
        document[key.kind.parent.name_member] = key.parent
    if key.kind is not Kind.MESH:
        document[key.kind.name_member] = key.name
    if resource.spec or key.kind is not Kind.MESH:
        document["spec"] = resource.spec
    if resource.tags:
        document["tags"] = [{"key": name, "value": value} for name, value in resource.tags]
    return document


def parse_document(document: object) -> Document:
    """One document, as YAML or JSON gives it, as the resource that it declares.

    Raises:
        DocumentError: It is no resource; the message tells the field.
    """
    if not isinstance(document, dict):
        raise DocumentError("is no object with a meshName")
    parameters = cast("dict[str, Any]", document)
    for kind in _MOST_SPECIFIC_FIRST:
        if kind.name_member in parameters:
            if "meshName" not in parameters:
                raise DocumentError(f"meshName: is required for a {kind.label} too")
            if kind is Kind.MESH:
                _require_no_misspelt_name(parameters)
            return Document(kind, parameters)
    raise DocumentError(
        "names no resource: expected meshName and, for anything in the mesh, a name such as "
        "virtualNodeName"
    )


def _require_no_misspelt_name(parameters: Mapping[str, Any]) -> None:
    """Check that what looks like a mesh, for want of another name, is not something in it."""
    names = [kind.name_member for kind in Kind]
    for member in parameters:
        close = get_close_matches(str(member), names, n=1, cutoff=0.8)
        if close and member not in names:
            raise DocumentError(f"{member}: names no resource; did you mean {close[0]}?")
