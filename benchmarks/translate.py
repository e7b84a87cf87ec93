"""The translation's cost: one proxy at a time, and after a change of one route, as meshes grow.

There is no peer to measure beside: what counts is whether the figures stay as the mesh grows, so
that all sizes take turns in each round.
"""

from __future__ import annotations

import gc
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Any

from benchmarks.report import Table
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
from meshwright.translate import Proxy, ProxyResources, Translator, translate

SIZES = (10, 100, 1000, 5000)
BACKENDS = 10
_MESH = MeshKey("000000000000", "bench")


@dataclass(frozen=True, slots=True)
class _Cost:
    """What a piece of work took: median seconds, and what it left allocated."""

    seconds: float
    kibibytes: float
    blocks: int


@dataclass(frozen=True, slots=True)
class _Subject:
    """A mesh of one size: services 0 to n, each called by the ten nodes before it."""

    services: int
    graph: Graph
    proxy: Proxy
    change: Change

    def translate(self) -> ProxyResources:
        """One proxy with ten backends, from nothing."""
        return translate(self.graph, self.proxy)

    def translate_again(self) -> Callable[[], ProxyResources]:
        """One proxy that was translated before, after the change; each call undoes the last."""
        translator, turns = Translator(), cycle((self.take_over(), self.graph))
        translator.translate(self.graph, self.proxy)
        return lambda: translator.translate(next(turns), self.proxy)

    def recompute(self) -> Callable[[], list[ProxyResources]]:
        """The proxies that can see the change, translated before; each call undoes the last."""
        translator, turns = Translator(), cycle((self.take_over(), self.graph))

        def translate_all(graph: Graph) -> list[ProxyResources]:
            seeing = graph.proxies_seeing([self.change.key])
            return [translator.translate(graph, Proxy(key)) for key in sorted(seeing)]

        translate_all(self.graph)
        return lambda: translate_all(next(turns))

    def take_over(self) -> Graph:
        """The graph after the change of one route."""
        return self.graph.with_changes(self.graph.head, [self.change])


def measure(sizes: Sequence[int] = SIZES, rounds: int = 30) -> list[Table]:
    """Measure meshes of these many services, and say how the largest compares with the smallest.

    Args:
        sizes: How many services each mesh has; at least `BACKENDS`.
        rounds: How often each is measured; the median counts.
    """
    subjects = [_build(size) for size in sizes]
    return [
        _tabulate(
            f"one proxy with {BACKENDS} backends", subjects, rounds, lambda each: each.translate
        ),
        _tabulate(
            "one route changed: a proxy that sees it, translated again",
            subjects,
            rounds,
            lambda each: each.translate_again(),
        ),
        _tabulate("one route changed: the graph", subjects, rounds, lambda each: each.take_over),
        _tabulate(
            "one route changed: all proxies that see it, translated again",
            subjects,
            rounds,
            lambda each: each.recompute(),
        ),
        Table(
            "who is recomputed after one route changed",
            ("services", "proxies in the mesh", "recomputed"),
            [
                (f"{each.services:,}", f"{each.services:,}", f"{len(each.recompute()()):,}")
                for each in subjects
            ],
        ),
    ]


def _tabulate(
    title: str,
    subjects: Sequence[_Subject],
    rounds: int,
    work_of: Callable[[_Subject], Callable[[], object]],
) -> Table:
    works = [work_of(subject) for subject in subjects]
    costs = _measure_in_turns(works, rounds)
    rows = [
        (
            f"{subject.services:,}",
            f"{cost.seconds * 1000:.3f}",
            f"{cost.seconds / costs[0].seconds:.2f}",
            f"{cost.kibibytes:.1f}",
            f"{cost.blocks:,}",
        )
        for subject, cost in zip(subjects, costs, strict=True)
    ]
    first = f"of that at {subjects[0].services:,}"
    return Table(title, ("services", "ms (median)", first, "KiB", "blocks"), rows)


def _measure_in_turns(works: Sequence[Callable[[], object]], rounds: int) -> list[_Cost]:
    seconds: list[list[float]] = [[] for _ in works]
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for taken, work in zip(seconds, works, strict=True):
                start = time.perf_counter()
                work()
                taken.append(time.perf_counter() - start)
    finally:
        gc.enable()
    return [
        _Cost(statistics.median(taken), *_measure_allocations(work))
        for taken, work in zip(seconds, works, strict=True)
    ]


def _measure_allocations(work: Callable[[], object]) -> tuple[float, int]:
    work()
    tracemalloc.start()
    try:
        kept = work()
        statistics_ = tracemalloc.take_snapshot().statistics("filename")
        del kept
    finally:
        tracemalloc.stop()
    return (
        sum(each.size for each in statistics_) / 1024,
        sum(each.count for each in statistics_),
    )


def _build(services: int) -> _Subject:
    graph = Graph.from_state(MeshState(MeshHead(_MESH, 1, 0.0), tuple(_resources(services))))
    middle = services // 2
    route = graph.resources[ResourceKey(_MESH, Kind.ROUTE, "all", f"service-{middle}")]
    rule = route.spec["httpRoute"]
    changed = replace(route, spec={"httpRoute": {**rule, "match": {"prefix": "/new"}}}, version=2)
    caller = ResourceKey(_MESH, Kind.VIRTUAL_NODE, f"service-{middle}")
    return _Subject(services, graph, Proxy(caller), Change(route.key, changed))


def _resources(services: int) -> Iterator[Resource]:
    yield _resource(mesh_resource_key(_MESH), {})
    port = {"portMapping": {"port": 8080, "protocol": "http"}}
    for number in range(services):
        name = f"service-{number}"
        called = [f"service-{(number + step) % services}.local" for step in range(BACKENDS)]
        node: dict[str, Any] = {
            "listeners": [port],
            "serviceDiscovery": {"dns": {"hostname": f"{name}.internal"}},
            "backends": [{"virtualService": {"virtualServiceName": each}} for each in called],
        }
        targets = [{"virtualNode": name, "weight": 1}]
        rule = {"match": {"prefix": "/"}, "action": {"weightedTargets": targets}}
        provider = {"virtualRouter": {"virtualRouterName": name}}
        yield _resource(ResourceKey(_MESH, Kind.VIRTUAL_NODE, name), node)
        yield _resource(ResourceKey(_MESH, Kind.VIRTUAL_ROUTER, name), {"listeners": [port]})
        yield _resource(ResourceKey(_MESH, Kind.ROUTE, "all", name), {"httpRoute": rule})
        service = ResourceKey(_MESH, Kind.VIRTUAL_SERVICE, f"{name}.local")
        yield _resource(service, {"provider": provider})


def _resource(key: ResourceKey, spec: dict[str, Any]) -> Resource:
    return Resource(
        key=key,
        arn=build_arn(key, region="us-east-1"),
        spec=spec,
        uid="uid",
        version=1,
        created_at=0.0,
        last_updated_at=0.0,
        resource_owner=_MESH.owner,
    )
