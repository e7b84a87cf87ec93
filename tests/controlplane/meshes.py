"""Specifications and changes of meshes that several tests of the control plane use."""

from __future__ import annotations

from typing import Any

from meshwright.meshes import Meshes
from meshwright.model.resources import (
    Kind,
    MeshKey,
    Resource,
    ResourceKey,
    build_arn,
    mesh_resource_key,
)
from meshwright.store import Change

DEMO = MeshKey("000000000000", "demo")


def node_spec(hostname: str, *, backends: tuple[str, ...] = (), port: int = 8080) -> dict[str, Any]:
    """A virtual node with one HTTP listener, found by DNS."""
    return {
        "listeners": [{"portMapping": {"port": port, "protocol": "http"}}],
        "serviceDiscovery": {"dns": {"hostname": hostname}},
        "backends": [{"virtualService": {"virtualServiceName": name}} for name in backends],
    }


def router_spec(port: int = 8080) -> dict[str, Any]:
    """A virtual router with one HTTP listener."""
    return {"listeners": [{"portMapping": {"port": port, "protocol": "http"}}]}


def route_spec(weights: dict[str, int], *, prefix: str = "/") -> dict[str, Any]:
    """An HTTP route to virtual nodes by weight."""
    targets = [{"virtualNode": name, "weight": weight} for name, weight in weights.items()]
    return {"httpRoute": {"match": {"prefix": prefix}, "action": {"weightedTargets": targets}}}


def service_spec(*, router: str | None = None, node: str | None = None) -> dict[str, Any]:
    """A virtual service provided by a virtual router or a virtual node."""
    if router is not None:
        return {"provider": {"virtualRouter": {"virtualRouterName": router}}}
    if node is not None:
        return {"provider": {"virtualNode": {"virtualNodeName": node}}}
    return {}


def build_resource(
    kind: Kind, name: str, spec: dict[str, Any], *, parent: str = "", version: int = 1
) -> Resource:
    """A stored resource of the mesh `demo`."""
    key = mesh_resource_key(DEMO) if kind is Kind.MESH else ResourceKey(DEMO, kind, name, parent)
    return Resource(
        key=key,
        arn=build_arn(key, region="us-east-1"),
        spec=spec,
        uid="uid",
        version=version,
        created_at=1.0,
        last_updated_at=1.0,
        resource_owner=DEMO.owner,
    )


def demo_resources(weights: dict[str, int] | None = None, version: int = 1) -> tuple[Resource, ...]:
    """Front -> color.demo.local -> router color -> route split -> blue and green."""
    return (
        build_resource(Kind.MESH, "demo", {}),
        build_resource(
            Kind.VIRTUAL_NODE, "front", node_spec("front", backends=("color.demo.local",))
        ),
        build_resource(Kind.VIRTUAL_NODE, "blue", node_spec("blue")),
        build_resource(Kind.VIRTUAL_NODE, "green", node_spec("green")),
        build_resource(Kind.VIRTUAL_ROUTER, "color", router_spec()),
        build_resource(
            Kind.ROUTE,
            "split",
            route_spec(weights or {"blue": 80, "green": 20}),
            parent="color",
            version=version,
        ),
        build_resource(Kind.VIRTUAL_SERVICE, "color.demo.local", service_spec(router="color")),
    )


def commit(meshes: Meshes, *resources: Resource) -> None:
    """Change or add resources of `demo`."""
    changes = [Change(resource.key, resource) for resource in resources]
    meshes.commit(meshes.graph(DEMO), changes, committed_at=2.0)
