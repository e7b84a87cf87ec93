"""A mesh with one resource of every type, and requests about it.

service "service" -> router "router" -> route "route" -> node "node"
gateway "gateway" -> gateway route "gateway-route" -> service "service"
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from botocore import xform_name

from meshwright.model.resources import Kind
from tests.controlplane.api.operations import input_shape, noun, split
from tests.controlplane.meshes import node_spec, route_spec, router_spec, service_spec

NAMES: Final = {
    Kind.VIRTUAL_NODE: "node",
    Kind.VIRTUAL_ROUTER: "router",
    Kind.ROUTE: "route",
    Kind.VIRTUAL_SERVICE: "service",
    Kind.VIRTUAL_GATEWAY: "gateway",
    Kind.GATEWAY_ROUTE: "gateway-route",
}
"""What there is in the mesh, in the order in which it can be made."""


def gateway_route_spec() -> dict[str, Any]:
    """A gateway route to the mesh's service."""
    target = {"virtualService": {"virtualServiceName": "service"}}
    return {"httpRoute": {"match": {"prefix": "/"}, "action": {"target": target}}}


SPECS: Final[Mapping[Kind, dict[str, Any]]] = {
    Kind.MESH: {},
    Kind.VIRTUAL_NODE: node_spec("node", backends=("service",)),
    Kind.VIRTUAL_ROUTER: router_spec(),
    Kind.ROUTE: route_spec({"node": 1}),
    Kind.VIRTUAL_SERVICE: service_spec(router="router"),
    Kind.VIRTUAL_GATEWAY: router_spec(),  # which has the same form
    Kind.GATEWAY_ROUTE: gateway_route_spec(),
}


def kind_of(operation: str) -> Kind:
    """The kind of what an operation is about; tag operations are about the virtual node."""
    return split(operation)[1] or Kind.VIRTUAL_NODE


def parameters_of(operation: str, mesh: str) -> dict[str, Any]:
    """Parameters that fit the model and the mesh, all that the model has but those of pages."""
    names = {kind.name_member: name for kind, name in NAMES.items()} | {"meshName": mesh}
    values: dict[str, Any] = names | {
        "spec": SPECS[kind_of(operation)],
        "resourceArn": f"mesh/{mesh}/virtualNode/node",
        "tags": [{"key": "team", "value": "a"}],
        "tagKeys": ["team"],
    }
    return {name: values[name] for name in input_shape(operation).members if name in values}


def ask(client: Any, operation: str, mesh: str, changed: Mapping[str, Any] | None = None) -> Any:
    """Ask for an operation about what is in the mesh, but for changed parameters."""
    parameters = parameters_of(operation, mesh) | dict(changed or {})
    return getattr(client, xform_name(operation))(**parameters)


def furnish(client: Any, mesh: str) -> None:
    """Make everything in a mesh that there is."""
    for kind in NAMES:
        ask(client, f"Create{noun(kind)}", mesh)
