"""The mesh of `./dev bench xds`: one service that all nodes call, one that few call, and others."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from meshwright.graph import Graph
from meshwright.model.resources import (
    Kind,
    MeshKey,
    Resource,
    ResourceKey,
    build_arn,
    mesh_resource_key,
)
from meshwright.store import Change, MeshHead, MeshState
from meshwright.store.sqlite import SqliteStore
from meshwright.translate import Proxy, Translator
from meshwright.translate.packing import Resources
from meshwright.xds.resources import CLUSTER, LISTENER, ROUTE

MESH = MeshKey("000000000000", "bench")
HOT, RARE = "hot", "rare"
OTHERS = 8
"""How many other services each node calls."""

WEIGHTS = (50, 40)
"""Of a changed service's first target: the two states between which it goes to and fro."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a mesh is, and who calls what.

    Attributes:
        services: How many virtual services there are; at least `OTHERS` and two.
        nodes: How many virtual nodes call them; all of them call `hot`.
        rare_nodes: How many of them call `rare`.
        proxies_per_node: How many proxies each node has.
    """

    services: int
    nodes: int
    rare_nodes: int
    proxies_per_node: int

    @property
    def proxies(self) -> int:
        """How many proxies there are."""
        return self.nodes * self.proxies_per_node

    @property
    def rare_proxies(self) -> int:
        """How many of them see a change of `rare`."""
        return self.rare_nodes * self.proxies_per_node


def build_graph(size: Size) -> Graph:
    """The mesh as it is before any change."""
    return Graph.from_state(MeshState(MeshHead(MESH, 1, 0.0), tuple(_resources(size))))


def build_changed_graph(graph: Graph, service: str) -> Graph:
    """The mesh with the other weights in a service's route."""
    route = graph.resources[ResourceKey(MESH, Kind.ROUTE, "all", service)]
    changed = replace(route, spec=build_route_spec(WEIGHTS[1]), version=2)
    return graph.with_changes(graph.head, [Change(route.key, changed)])


def build_route_spec(weight: int) -> dict[str, Any]:
    """The route of `hot` or `rare` with a weight for its first target."""
    targets = [
        {"virtualNode": "target-0", "weight": weight},
        {"virtualNode": "target-1", "weight": 100 - weight},
    ]
    return {"httpRoute": {"match": {"prefix": "/"}, "action": {"weightedTargets": targets}}}


def node_ids(size: Size, *, rare: bool = False) -> list[str]:
    """The node ids of the proxies of all nodes, or of those that call `rare`; one for each node."""
    count = size.rare_nodes if rare else size.nodes
    return [f"mesh/{MESH.name}/virtualNode/node-{number}" for number in range(count)]


def write_store(graph: Graph, path: Path) -> None:
    """Put the mesh into a new SQLite store."""
    store = SqliteStore(str(path))
    try:
        store.commit(
            MESH,
            expected_revision=0,
            changes=[Change(key, resource) for key, resource in sorted(graph.resources.items())],
            committed_at=0.0,
        )
    finally:
        store.close()


def write_plan(size: Size, graph: Graph, path: Path) -> None:
    """Write who the proxies are and what they ask for, as the load client reads it."""
    plan: list[dict[str, Any]] = []
    for number, node_id in enumerate(node_ids(size)):
        routes = sorted(_pack(graph, number)[ROUTE])
        names = [[CLUSTER, None], [LISTENER, None], [ROUTE, routes]]
        plan += [{"id": node_id, "names": names}] * size.proxies_per_node
    path.write_text(json.dumps(plan))


def write_variants(size: Size, graph: Graph, path: Path) -> None:
    """Write what each node has, before and after a change of `hot` and of `rare`."""
    variants = [graph, build_changed_graph(graph, HOT), build_changed_graph(graph, RARE)]
    nodes = {
        node_id: [
            {
                type_url: [base64.b64encode(each.any_bytes).decode() for each in packed.values()]
                for type_url, packed in _pack(variant, number).items()
            }
            for variant in variants
        ]
        for number, node_id in enumerate(node_ids(size))
    }
    path.write_text(json.dumps(nodes))


def _pack(graph: Graph, number: int) -> dict[str, Resources]:
    proxy = Proxy(ResourceKey(MESH, Kind.VIRTUAL_NODE, f"node-{number}"))
    packed = Translator().translate(graph, proxy)
    return {CLUSTER: packed.clusters, LISTENER: packed.listeners, ROUTE: packed.routes}


def _resources(size: Size) -> Iterator[Resource]:
    yield _resource(mesh_resource_key(MESH), {})
    others = [f"service-{number}" for number in range(size.services - 2)]
    for name in ("target-0", "target-1", *others):
        yield _resource(ResourceKey(MESH, Kind.VIRTUAL_NODE, name), _node_spec(name, ()))
    for number in range(size.nodes):
        called = {others[(number * OTHERS + step) % len(others)] for step in range(OTHERS)}
        rare = {RARE} if number < size.rare_nodes else set[str]()
        backends = sorted({HOT} | called | rare)
        name = f"node-{number}"
        yield _resource(ResourceKey(MESH, Kind.VIRTUAL_NODE, name), _node_spec(name, backends))
    for service in (HOT, RARE, *others):
        listeners = {"listeners": [{"portMapping": {"port": 8080, "protocol": "http"}}]}
        yield _resource(ResourceKey(MESH, Kind.VIRTUAL_ROUTER, service), listeners)
        if service in (HOT, RARE):
            route = build_route_spec(WEIGHTS[0])
        else:
            action = {"weightedTargets": [{"virtualNode": service, "weight": 1}]}
            route = {"httpRoute": {"match": {"prefix": "/"}, "action": action}}
        yield _resource(ResourceKey(MESH, Kind.ROUTE, "all", service), route)
        provider = {"provider": {"virtualRouter": {"virtualRouterName": service}}}
        yield _resource(ResourceKey(MESH, Kind.VIRTUAL_SERVICE, f"{service}.local"), provider)


def _node_spec(name: str, backends: list[str] | tuple[str, ...]) -> dict[str, Any]:
    return {
        "listeners": [{"portMapping": {"port": 8080, "protocol": "http"}}],
        "serviceDiscovery": {"dns": {"hostname": f"{name}.internal"}},
        "backends": [
            {"virtualService": {"virtualServiceName": f"{each}.local"}} for each in backends
        ],
    }


def _resource(key: ResourceKey, spec: dict[str, Any]) -> Resource:
    return Resource(
        key=key,
        arn=build_arn(key, region="us-east-1"),
        spec=spec,
        uid="uid",
        version=1,
        created_at=0.0,
        last_updated_at=0.0,
        resource_owner=MESH.owner,
    )
