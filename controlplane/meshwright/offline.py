"""What can be told of a mesh in a file without a control plane: its proxies and its routing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from meshwright.api.decisions import find_standing_refusal
from meshwright.api.errors import ApiError
from meshwright.api.validation import validate
from meshwright.graph import Graph
from meshwright.graph.graph import PROXY_KINDS
from meshwright.model.documents import Document, DocumentError, parse_documents
from meshwright.model.mounts import AUTHORITIES_FILE
from meshwright.model.resources import (
    Kind,
    MeshKey,
    Resource,
    build_arn,
    key_from_names,
)
from meshwright.model.service import load_service_model
from meshwright.store import MeshHead, MeshState
from meshwright.translate import parse_proxy, translate
from meshwright.translate.explanation import Explanation, explain
from meshwright.translate.sent_requests import SentRequest
from meshwright.translate.static import MountedCredential, StaticSettings, render_static

OFFLINE_ACCOUNT = "000000000000"
OFFLINE_REGION = "us-east-1"


def load_graph(text: str) -> Graph:
    """The graph of the one mesh that a YAML or JSON text declares.

    Raises:
        ValueError: The text declares no mesh, several, or one that no control plane could hold.
    """
    documents = parse_documents(text)
    names = {document.parameters["meshName"] for document in documents}
    if len(names) != 1:
        raise DocumentError(f"expected resources of one mesh, got those of {sorted(names)}")
    for document in documents:
        _validate(document)
    resources = tuple(_build_resource(document) for document in documents)
    mesh = MeshKey(OFFLINE_ACCOUNT, names.pop())
    graph = Graph.from_state(MeshState(MeshHead(mesh, 1, 0.0), resources))
    for resource in resources:
        refusal = find_standing_refusal(graph, resource)
        if refusal is not None:
            raise DocumentError(f"{resource.key}: {refusal.message}")
    return graph


def render_proxy(
    graph: Graph,
    node: str,
    listener_address: str | None,
    application_address: str | None,
    service_addresses: Mapping[str, str] | None = None,
    static: StaticSettings | None = None,
) -> str:
    """A proxy's whole configuration as YAML.

    Args:
        graph: The mesh.
        node: The name of the virtual node or virtual gateway.
        listener_address: Where it binds the declared ports; None where traffic is redirected.
        application_address: Where its application listens; None is loopback.
        service_addresses: Where its application finds virtual services that take TCP.
        static: Where its certificates are.

    Raises:
        ValueError: The mesh has no such virtual node, or names a certificate that `static` does
            not know.
    """
    resource = _get_proxied(graph, node)
    surroundings: dict[str, Any] = {"service_addresses": service_addresses or {}}
    if application_address is not None:
        surroundings["application_address"] = application_address
    if listener_address is not None:
        surroundings |= {"interception": "explicit", "listener_address": listener_address}
    proxy = parse_proxy(resource.arn, {"meshwright": surroundings}, account_id=OFFLINE_ACCOUNT)
    settings = replace(static or StaticSettings(), node_id=resource.arn)
    return yaml.safe_dump(render_static(translate(graph, proxy), settings), sort_keys=False)


def mount_credential(folder: Path) -> MountedCredential:
    """A certificate of a folder, which is there on this machine too.

    Raises:
        OSError: The folder's authorities can't be read.
    """
    return MountedCredential(str(folder), (folder / AUTHORITIES_FILE).read_bytes())


def explain_request(graph: Graph, caller: str, request: SentRequest) -> Explanation:
    """Why a request that a virtual node's application sends goes where it goes.

    Args:
        graph: The mesh.
        caller: The name of the virtual node.
        request: The request.

    Raises:
        ValueError: The mesh has no such virtual node.
    """
    node = _get_proxied(graph, caller)
    if node.key.kind is not Kind.VIRTUAL_NODE:
        raise DocumentError(f"{node.key} has no application that could send a request")
    return explain(graph, node, request)


def _get_proxied(graph: Graph, name: str) -> Resource:
    """The virtual node or virtual gateway of a name."""
    for kind in (Kind.VIRTUAL_NODE, Kind.VIRTUAL_GATEWAY):
        resource = graph.find(kind, name)
        if resource is not None:
            return resource
    names = sorted(key.name for key in graph.resources if key.kind in PROXY_KINDS)
    raise DocumentError(
        f"there is no virtual node or virtual gateway {name!r}; there are: "
        f"{', '.join(names) or 'none'}"
    )


def _validate(document: Document) -> None:
    kind = document.kind.value
    operation = load_service_model().operation_model(f"Create{kind[0].upper()}{kind[1:]}")
    if operation.input_shape is not None:
        try:
            validate(operation.input_shape, document.parameters)
        except ApiError as error:
            raise DocumentError(error.message) from None


def _build_resource(document: Document) -> Resource:
    mesh = MeshKey(OFFLINE_ACCOUNT, document.parameters["meshName"])
    key = key_from_names(mesh, document.kind, document.parameters)
    return Resource(
        key=key,
        arn=build_arn(key, region=OFFLINE_REGION),
        spec=document.parameters.get("spec", {}),
        uid="",
        version=1,
        created_at=0.0,
        last_updated_at=0.0,
        resource_owner=OFFLINE_ACCOUNT,
    )
