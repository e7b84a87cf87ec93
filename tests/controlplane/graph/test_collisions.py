"""Which backends of a virtual node collide on a port, and whom that keeps from changing what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from meshwright.graph import Graph
from meshwright.graph.collisions import find_collisions
from meshwright.graph.violations import find_violations
from meshwright.model.resources import Kind, Resource
from meshwright.store import MeshHead, MeshState
from tests.controlplane.meshes import DEMO, build_resource, service_spec

Ports = Mapping[int, str]


def listening(ports: Ports) -> dict[str, Any]:
    """A specification with a listener for each port, with its protocol."""
    mappings = [{"port": port, "protocol": protocol} for port, protocol in ports.items()]
    return {
        "listeners": [{"portMapping": mapping} for mapping in mappings],
        "serviceDiscovery": {"dns": {"hostname": "a.internal"}},
    }


def calling(*services: str) -> Resource:
    """A virtual node with backends."""
    backends = [{"virtualService": {"virtualServiceName": name}} for name in services]
    return build_resource(Kind.VIRTUAL_NODE, "front", {"backends": backends})


def graph_of(caller: Resource, services: Mapping[str, Ports]) -> Graph:
    """A mesh with a caller, and virtual services whose virtual nodes listen on ports."""
    resources = [build_resource(Kind.MESH, "demo", {}), caller]
    for name, ports in services.items():
        resources += [
            build_resource(Kind.VIRTUAL_NODE, name, listening(ports)),
            build_resource(Kind.VIRTUAL_SERVICE, name, service_spec(node=name)),
        ]
    return Graph.from_state(MeshState(MeshHead(DEMO, 1, 1.0), tuple(resources)))


@pytest.mark.parametrize(
    ("first", "second", "mixed"),
    [
        ({80: "http"}, {80: "grpc"}, []),
        ({80: "tcp"}, {81: "http"}, []),
        ({80: "tcp"}, {80: "tcp"}, [False]),
        ({80: "http2"}, {80: "tcp"}, [True]),
        ({80: "tcp"}, {80: "http"}, [True]),
        ({80: "tcp", 81: "http"}, {80: "tcp", 81: "tcp"}, [False, True]),
    ],
)
def test_a_port_with_tcp_on_it_is_for_one_backend(first: Ports, second: Ports, mixed: list[bool]):
    caller = calling("a", "b")
    graph = graph_of(caller, {"a": first, "b": second})

    assert [each.mixed for each in find_collisions(graph, caller)] == mixed


def test_a_third_backend_collides_with_both_of_its_port():
    caller = calling("a", "b", "c")
    ports: dict[str, Ports] = {"a": {80: "http"}, "b": {80: "tcp"}, "c": {80: "tcp"}}
    graph = graph_of(caller, ports)

    found = [(each.first.service.name, each.mixed) for each in find_collisions(graph, caller)]

    assert found == [("a", True), ("b", False), ("a", True)]


def test_a_caller_of_another_account_does_not_keep_a_virtual_service_from_changing():
    caller = replace(calling("a", "b"), resource_owner="999999999999")
    graph = graph_of(caller, {"a": {80: "http"}, "b": {80: "tcp"}})
    service = graph.find(Kind.VIRTUAL_SERVICE, "b")

    assert service is not None
    assert find_violations(graph, service) == []
    assert len(find_violations(graph, caller)) == 1
