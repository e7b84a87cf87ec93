"""What is translated again: equal to what is translated anew, the same where nothing changed."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from meshwright.graph import Graph
from meshwright.graph.graph import PROXY_KINDS
from meshwright.model.resources import Kind, Resource, ResourceKey
from meshwright.store import Change, MeshHead, MeshState
from meshwright.translate import Interception, Proxy, ProxyResources, Translator, translate
from meshwright.translate.packing import PackedResource, pack_resource
from tests.controlplane.meshes import (
    DEMO,
    build_resource,
    demo_resources,
    node_spec,
    route_spec,
    router_spec,
    service_spec,
)
from tests.controlplane.translate.edited import histories

EDITS = 12
EXAMPLES = 200

KINDS = ("clusters", "listeners", "routes", "secrets")


def proxy_of(name: str, interception: Interception = Interception.TRANSPARENT) -> Proxy:
    return Proxy(ResourceKey(DEMO, Kind.VIRTUAL_NODE, name), interception)


def in_order(resources: ProxyResources) -> list[Any]:
    """Everything about a proxy's resources, the order of each kind too."""
    return [
        *(list(getattr(resources, kind).items()) for kind in KINDS),
        resources.lookups,
    ]


def every(resources: ProxyResources) -> list[PackedResource]:
    return [each for kind in KINDS for each in getattr(resources, kind).values()]


@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(histories(EDITS), st.data())
def test_what_is_translated_again_is_what_would_be_translated_anew(
    history: list[Graph], data: st.DataObject
):
    translator = Translator()
    for graph in history:
        keys = sorted(key for key in graph.resources if key.kind in PROXY_KINDS)
        proxies = [
            Proxy(key, interception) for key in keys for interception in sorted(Interception)
        ]
        for proxy in proxies:
            if data.draw(st.integers(0, 3)) == 0:
                continue  # it does not see each graph
            again = translator.translate(graph, proxy)

            assert in_order(again) == in_order(translate(graph, proxy))
            for resource in every(again):
                # Put together from serialized parts, it is what protobuf would have written.
                assert pack_resource(resource.unpack()) == resource
            if data.draw(st.integers(0, 9)) == 0:
                translator.forget(proxy)


def mesh(*more: Resource) -> Graph:
    """Front calls color.demo.local, which is blue and green, and plain.demo.local, which is red."""
    backends = ("color.demo.local", "plain.demo.local")
    resources = (
        *demo_resources(),
        build_resource(Kind.VIRTUAL_NODE, "front", node_spec("front", backends=backends)),
        build_resource(Kind.VIRTUAL_NODE, "red", node_spec("red")),
        build_resource(Kind.VIRTUAL_ROUTER, "plain", router_spec()),
        build_resource(Kind.ROUTE, "all", route_spec({"red": 1}), parent="plain"),
        build_resource(Kind.VIRTUAL_SERVICE, "plain.demo.local", service_spec(router="plain")),
        *more,
    )
    distinct = {each.key: each for each in resources}
    return Graph.from_state(MeshState(MeshHead(DEMO, 1, 0.0), tuple(distinct.values())))


def change(graph: Graph, *resources: Resource) -> Graph:
    head = MeshHead(DEMO, graph.head.revision + 1, 0.0)
    return graph.with_changes(head, [Change(each.key, each) for each in resources])


def split(weights: dict[str, int]) -> Resource:
    return build_resource(Kind.ROUTE, "split", route_spec(weights), parent="color", version=2)


@pytest.fixture
def translator() -> Translator:
    return Translator()


@pytest.mark.parametrize("kind", ["clusters", "listeners", "secrets", "lookups"])
def test_a_changed_route_leaves_what_is_no_route(translator: Translator, kind: str):
    graph = mesh()
    before = translator.translate(graph, proxy_of("front"))

    after = translator.translate(change(graph, split({"blue": 1, "green": 1})), proxy_of("front"))

    assert getattr(after, kind) is getattr(before, kind)


def test_a_changed_route_leaves_the_route_configurations_that_it_is_not_in(
    translator: Translator,
):
    graph = mesh()
    before = translator.translate(graph, proxy_of("front")).routes

    after = translator.translate(
        change(graph, split({"blue": 1, "green": 1})), proxy_of("front")
    ).routes

    assert {name for name in after if after[name] is not before[name]} == {"rds_egress_http_15001"}


def test_a_changed_endpoint_leaves_the_clusters_of_the_others(translator: Translator):
    graph = mesh()
    before = translator.translate(graph, proxy_of("front")).clusters
    moved = build_resource(Kind.VIRTUAL_NODE, "blue", node_spec("elsewhere"), version=2)

    after = translator.translate(change(graph, moved), proxy_of("front")).clusters

    changed = {name for name in after if after[name] is not before[name]}
    assert changed == {"cds_egress_demo_blue_http_8080"}


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_out_the_same_is_the_same(translator: Translator, kind: str):
    graph = mesh()
    before = translator.translate(graph, proxy_of("front"))
    tagged = [replace(each, tags=(("a", "b"),)) for each in graph.resources.values()]

    after = translator.translate(change(graph, *tagged), proxy_of("front"))

    assert getattr(after, kind) is getattr(before, kind)


def test_proxies_share_the_clusters_of_what_they_reach(translator: Translator):
    other = build_resource(
        Kind.VIRTUAL_NODE, "other", node_spec("other", backends=("color.demo.local",))
    )
    graph = mesh(other)
    name = "cds_egress_demo_blue_http_8080"

    front = translator.translate(graph, proxy_of("front")).clusters[name]

    assert translator.translate(graph, proxy_of("other")).clusters[name] is front


def test_proxies_share_clusters_under_equal_client_policies(translator: Translator):
    trust = {"file": {"certificateChain": "/ca.pem"}}

    def build_caller(name: str) -> Resource:
        spec = node_spec(name, backends=("color.demo.local",))
        policy = {"clientPolicy": {"tls": {"validation": {"trust": dict(trust)}}}}
        return build_resource(Kind.VIRTUAL_NODE, name, spec | {"backendDefaults": policy})

    graph = mesh(build_caller("front"), build_caller("other"))
    name = "cds_egress_demo_blue_http_8080"

    front = translator.translate(graph, proxy_of("front")).clusters[name]

    assert translator.translate(graph, proxy_of("other")).clusters[name] is front


def test_of_a_forgotten_proxy_nothing_is_remembered(translator: Translator):
    translator.translate(mesh(), proxy_of("front"))

    translator.forget(proxy_of("front"))

    assert translator._meshes == {}


def test_what_only_a_forgotten_proxy_had_is_forgotten_with_it(translator: Translator):
    graph = mesh(
        build_resource(
            Kind.VIRTUAL_NODE, "other", node_spec("other", backends=("color.demo.local",))
        )
    )
    translator.translate(graph, proxy_of("front"))
    translator.translate(graph, proxy_of("other"))

    translator.forget(proxy_of("front"))
    gc.collect()

    memory = translator._meshes[DEMO]
    assert {key.name for key in memory._services} == {"color.demo.local"}
    assert {cluster for cluster, _ in memory._endpoints} == {
        "cds_egress_demo_blue_http_8080",
        "cds_egress_demo_green_http_8080",
    }


def test_what_a_proxy_no_longer_reaches_is_forgotten(translator: Translator):
    graph = mesh()
    translator.translate(graph, proxy_of("front"))
    alone = build_resource(Kind.VIRTUAL_NODE, "front", node_spec("front"), version=2)

    translator.translate(change(graph, alone), proxy_of("front"))
    gc.collect()

    memory = translator._meshes[DEMO]
    assert (list(memory._services), list(memory._endpoints)) == ([], [])


def test_an_unknown_resource_leaves_nothing_behind(translator: Translator):
    with pytest.raises(KeyError):
        translator.translate(mesh(), proxy_of("nobody"))

    assert translator._meshes == {}
