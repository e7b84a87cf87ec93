"""What a mesh refuses of TCP because no proxy could carry it out."""

from __future__ import annotations

from typing import Any

import pytest

from meshwright.graph import Graph
from meshwright.graph.violations import find_violations
from meshwright.model.resources import Kind, Resource
from meshwright.store import MeshHead, MeshState
from tests.controlplane.meshes import DEMO, build_resource, service_spec

TO_DB = {"action": {"weightedTargets": [{"virtualNode": "db", "weight": 1}]}}
TO_SERVICE = {
    "match": {"prefix": "/"},
    "action": {"target": {"virtualService": {"virtualServiceName": "db.local"}}},
}


def tcp_listeners(port: int) -> dict[str, Any]:
    return {"listeners": [{"portMapping": {"port": port, "protocol": "tcp"}}]}


GATEWAY = {"listeners": [{"portMapping": {"port": 80, "protocol": "http"}}]}


@pytest.mark.parametrize(
    ("resource", "message"),
    [
        (
            build_resource(Kind.VIRTUAL_ROUTER, "other", tcp_listeners(15001)),
            "must not be 15001, on which the proxy itself listens",
        ),
        (
            build_resource(Kind.ROUTE, "r", {"tcpRoute": TO_DB}, parent="bare"),
            "needs a listener with protocol tcp in virtual router 'bare', which has none",
        ),
        (
            build_resource(Kind.GATEWAY_ROUTE, "r", {"httpRoute": TO_SERVICE}, parent="edge"),
            "must not be virtual service 'db.local', which takes nothing but TCP",
        ),
    ],
    ids=["a port of the proxy", "no listener", "a gateway in front"],
)
def test_what_no_proxy_could_carry_out_is_refused(resource: Resource, message: str):
    node = {**tcp_listeners(5432), "serviceDiscovery": {"dns": {"hostname": "db.internal"}}}
    resources = (
        build_resource(Kind.MESH, "demo", {}),
        build_resource(Kind.VIRTUAL_NODE, "db", node),
        build_resource(Kind.VIRTUAL_ROUTER, "bare", {}),
        build_resource(Kind.VIRTUAL_GATEWAY, "edge", GATEWAY),
        build_resource(Kind.VIRTUAL_SERVICE, "db.local", service_spec(router="db")),
        build_resource(Kind.VIRTUAL_ROUTER, "db", tcp_listeners(5432)),
        resource,
    )
    graph = Graph.from_state(MeshState(MeshHead(DEMO, 1, 1.0), resources))

    assert [each.message for each in find_violations(graph, resource)] == [message]
