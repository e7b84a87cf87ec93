"""Snapshots made again: what has not changed is the same, and nobody who is gone is remembered."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from meshwright.discovery.outside import LiveOutside
from meshwright.graph import Graph
from meshwright.model.resources import Kind, Resource, ResourceKey
from meshwright.store import Change, MeshHead, MeshState
from meshwright.translate import Proxy
from meshwright.translate.lookups import CloudMapService, Credential, Instance, Lookup
from meshwright.xds.resources import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET
from meshwright.xds.snapshots import Snapshots
from tests.controlplane.meshes import DEMO, build_resource, demo_resources, node_spec, route_spec

FRONT = Proxy(ResourceKey(DEMO, Kind.VIRTUAL_NODE, "front"))


@dataclass
class FakeOutside:
    """Knows what a test tells it."""

    instances: dict[str, tuple[Instance, ...]] = field(
        default_factory=dict[str, tuple[Instance, ...]]
    )

    def need(self, key: ResourceKey, lookups: tuple[Lookup, ...]) -> None:
        """Nobody follows anything."""
        del key, lookups

    def find_instances(self, service: CloudMapService) -> Sequence[Instance] | None:
        """What the test says."""
        return self.instances.get(service.service)

    def find_credential(self, arn: str) -> Credential | None:
        """None: no ARN is mapped."""
        del arn


@pytest.fixture
def outside() -> FakeOutside:
    return FakeOutside({"blue": (Instance("10.0.0.1"),), "green": (Instance("10.0.0.2"),)})


@pytest.fixture
def snapshots(outside: FakeOutside) -> Snapshots:
    return Snapshots(cast("LiveOutside", outside))


def found_in_cloud_map(name: str) -> Resource:
    where = {"awsCloudMap": {"namespaceName": "demo", "serviceName": name}}
    spec: dict[str, Any] = {**node_spec(name), "serviceDiscovery": where}
    return build_resource(Kind.VIRTUAL_NODE, name, spec)


def mesh() -> Graph:
    """Front calls color.demo.local, which is blue and green, both in AWS Cloud Map."""
    resources = {each.key: each for each in demo_resources()}
    resources |= {each.key: each for each in map(found_in_cloud_map, ("blue", "green"))}
    return Graph.from_state(MeshState(MeshHead(DEMO, 1, 0.0), tuple(resources.values())))


def reroute(graph: Graph) -> Graph:
    route = build_resource(
        Kind.ROUTE, "split", route_spec({"blue": 1, "green": 1}), parent="color", version=2
    )
    return graph.with_changes(MeshHead(DEMO, 2, 0.0), [Change(route.key, route)])


@pytest.mark.parametrize("type_url", [CLUSTER, ENDPOINT, LISTENER, SECRET])
def test_a_changed_route_leaves_all_that_are_no_routes(snapshots: Snapshots, type_url: str):
    graph = mesh()
    before = snapshots.build(graph, FRONT)

    after = snapshots.build(reroute(graph), FRONT)

    assert after.of_type(type_url) is before.of_type(type_url)


def test_changed_instances_change_the_endpoints_of_their_cluster_alone(
    snapshots: Snapshots, outside: FakeOutside
):
    before = snapshots.build(mesh(), FRONT)

    outside.instances["blue"] = (Instance("10.0.0.3"),)
    after = snapshots.build(mesh(), FRONT)

    changed = {
        (type_url.rpartition(".")[2], name)
        for type_url in (CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET)
        for name, resource in after.of_type(type_url).items()
        if resource is not before.of_type(type_url)[name]
    }
    assert changed == {("ClusterLoadAssignment", "cds_egress_demo_blue_http_8080")}


def test_what_is_not_known_yet_will_come(snapshots: Snapshots, outside: FakeOutside):
    del outside.instances["blue"]

    snapshot = snapshots.build(mesh(), FRONT)

    assert snapshot.pending_of(ENDPOINT) == {"cds_egress_demo_blue_http_8080"}
    assert snapshot.pending_of(SECRET) == frozenset()
    assert list(snapshot.of_type(ENDPOINT)) == ["cds_egress_demo_green_http_8080"]


def test_of_a_forgotten_proxy_nothing_is_remembered(snapshots: Snapshots):
    snapshots.build(mesh(), FRONT)
    snapshots.leave(FRONT, now=10.0)

    is_more = snapshots.forget(before=20.0)
    gc.collect()

    assert not is_more
    assert (snapshots._last, dict(snapshots._looked_up)) == ({}, {})
    assert snapshots._translator._meshes == {}


def test_a_proxy_that_comes_back_soon_gets_the_very_same(snapshots: Snapshots):
    before = snapshots.build(mesh(), FRONT)
    snapshots.leave(FRONT, now=10.0)
    snapshots.forget(before=9.0)

    after = snapshots.build(mesh(), FRONT)

    assert not list(after.find_changed(before))


def test_a_proxy_that_came_back_is_not_forgotten(snapshots: Snapshots):
    snapshots.build(mesh(), FRONT)
    snapshots.leave(FRONT, now=10.0)
    before = snapshots.build(mesh(), FRONT)
    snapshots.forget(before=20.0)

    after = snapshots.build(mesh(), FRONT)

    assert not list(after.find_changed(before))
