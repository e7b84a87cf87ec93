"""The App Mesh API: how many requests a second, and how long the slowest take, as meshes grow.

Ours on both stores beside moto's `appmesh`, which keeps what it is told in memory, and checks no
signature and little else. Each server has one mesh of one size; all take turns in each round, so
that what else the machine does falls on all alike.

A mesh is made of virtual nodes, virtual routers and routes in equal parts, which is what moto has;
all nodes name one backend, as they do where everybody calls the same service.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks.api_servers import Engine, run_servers
from benchmarks.http_load import CONNECTIONS, KEY, Load, Timings
from benchmarks.report import Table
from meshwright.operator.client import Connection
from tools.dev.console import progress

SIZES: Final = (10, 1_000, 10_000)
MESH: Final = "bench"

_AT_ONCE: Final = 90
"""How many resources a batch holds: what DynamoDB takes in one transaction."""

_BATCHES: Final = {"describe": 60, "update": 60, "list": 12, "create": 12}
"""How many requests of each operation a server gets in a round."""

Request = tuple[str, dict[str, Any]]
"""An operation and its parameters."""


@dataclass(frozen=True, slots=True)
class _Subject:
    """A server with a mesh of one size, and how it did so far, by operation."""

    engine: Engine
    size: int
    load: Load
    endpoint: str
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    timings: dict[str, list[Timings]] = field(default_factory=dict[str, list[Timings]])

    def send(self, requests: Sequence[Request]) -> Timings:
        """Make requests ready, and then send them."""
        return self.load.send([self.load.build(*each) for each in requests])

    def measure(self, operation: str) -> None:
        """Send a batch of an operation and keep how it went; the mesh has its size afterwards."""
        requests = [
            _BUILDERS[operation](self.size, number)
            for number in itertools.islice(self.numbers, _BATCHES[operation])
        ]
        self.timings.setdefault(operation, []).append(self.send(requests))
        if operation == "create":
            self.send([_undo(*each) for each in requests])


def measure(sizes: Sequence[int] = SIZES, rounds: int = 20) -> list[Table]:
    """Measure meshes of these many resources on every server.

    Args:
        sizes: How many resources each mesh has, itself included; the first is what the others
            are compared with.
        rounds: How often each server gets a batch of each operation.
    """
    with TemporaryDirectory() as folder, ExitStack() as stack:
        with progress("starting the servers"):
            servers = stack.enter_context(run_servers(sizes, Path(folder)))
        subjects = [
            _Subject(each.engine, each.size, stack.enter_context(Load(each.address)), each.endpoint)
            for each in servers
        ]
        for subject in subjects:
            _fill(subject)
        title = f"{rounds} rounds of {sum(_BATCHES.values())} requests to each of {len(subjects)}"
        with progress(title) as tick:
            # One round more, since what a server does for the first time is not what it does daily.
            for _ in range(rounds + 1):
                for subject, operation in itertools.product(subjects, _BATCHES):
                    subject.measure(operation)
                    tick()
        for timings in (each.timings for each in subjects):
            for operation in _BATCHES:
                del timings[operation][0]
    return [_tabulate(operation, subjects) for operation in _BATCHES]


# What is measured


def _node(number: int, version: int = 0) -> Request:
    spec = {
        "listeners": [{"portMapping": {"port": 8080, "protocol": "http"}}],
        "serviceDiscovery": {"dns": {"hostname": f"node-{number}.v{version}.internal"}},
        "backends": [{"virtualService": {"virtualServiceName": "shared.local"}}],
    }
    names = {"meshName": MESH, "virtualNodeName": f"node-{number}"}
    return "VirtualNode", {**names, "spec": spec}


def _router(number: int, version: int = 0) -> Request:
    mapping = {"port": 8080 + version % 1000, "protocol": "http"}
    names = {"meshName": MESH, "virtualRouterName": f"router-{number}"}
    return "VirtualRouter", {**names, "spec": {"listeners": [{"portMapping": mapping}]}}


def _route(router: int, version: int = 0, name: str = "all", target: int | None = None) -> Request:
    targets = [{"virtualNode": f"node-{router if target is None else target}", "weight": 1}]
    rule = {"match": {"prefix": f"/v{version}"}, "action": {"weightedTargets": targets}}
    names = {"meshName": MESH, "virtualRouterName": f"router-{router}", "routeName": name}
    return "Route", {**names, "spec": {"httpRoute": rule}}


def _thirds(size: int) -> int:
    """How many there are of each kind in a mesh of a size."""
    return (size - 1) // 3


def _any(size: int, number: int) -> Request:
    """One resource of a mesh after the other, in leaps, with a specification that it had never."""
    build = (_node, _router, _route)[number % 3]
    return build(number * 7919 % _thirds(size), number)


def _describe(size: int, number: int) -> Request:
    kind, parameters = _any(size, number)
    return f"Describe{kind}", {name: parameters[name] for name in parameters if name != "spec"}


def _update(size: int, number: int) -> Request:
    kind, parameters = _any(size, number)
    return f"Update{kind}", parameters


def _list(size: int, number: int) -> Request:
    del size
    kind = ("VirtualNode", "VirtualRouter")[number % 2]
    return f"List{kind}s", {"meshName": MESH, "limit": 100}


def _create(size: int, number: int) -> Request:
    new = _thirds(size) + number
    route = partial(_route, number % _thirds(size), name=f"new-{number}")
    kind, parameters = (
        _node(new) if number % 3 == 0 else _router(new) if number % 3 == 1 else route()
    )
    return f"Create{kind}", parameters


def _undo(operation: str, parameters: dict[str, Any]) -> Request:
    named = {name: parameters[name] for name in parameters if name != "spec"}
    return operation.replace("Create", "Delete"), named


_BUILDERS: Final[dict[str, Callable[[int, int], Request]]] = {
    "describe": _describe,
    "update": _update,
    "list": _list,
    "create": _create,
}


# Before and after


def _fill(subject: _Subject) -> None:
    """Make the mesh: in batches where the server takes them, else with a request each."""
    numbers = range(_thirds(subject.size))
    with progress(f"{subject.engine.name}: making {subject.size:,} resources") as tick:
        subject.send([("CreateMesh", {"meshName": MESH})])
        if subject.engine.takes_batches:
            connection = Connection(subject.endpoint, KEY)
            documents = [
                build(number)[1] for number in numbers for build in (_node, _router, _route)
            ]
            for batch in _cut(documents):
                connection.apply(list(batch), prune=False, dry_run=False)
                tick()
        else:
            for build in (_node, _router, _route):
                for batch in _cut(numbers):
                    made = (build(number) for number in batch)
                    subject.send([(f"Create{kind}", parameters) for kind, parameters in made])
                    tick()


def _cut(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), _AT_ONCE):
        yield items[start : start + _AT_ONCE]


def _tabulate(operation: str, subjects: Sequence[_Subject]) -> Table:
    smallest = min(subject.size for subject in subjects)
    first = {each.engine: each for each in subjects if each.size == smallest}
    rows: list[tuple[str, ...]] = []
    for subject in subjects:
        timings = subject.timings[operation]
        latencies = [latency for each in timings for latency in each.latencies]
        slower = _median(timings) / _median(first[subject.engine].timings[operation])
        rows.append(
            (
                subject.engine.name,
                f"{subject.size:,}",
                f"{len(timings[0].latencies) / _median(timings):,.0f}",
                f"{statistics.median(latencies) * 1000:.2f}",
                f"{statistics.quantiles(latencies, n=100)[-1] * 1000:.2f}",
                f"{slower:.2f}",
            )
        )
    columns = (
        "server",
        "resources",
        "requests/s",
        "median ms",
        "p99 ms",
        f"time of {smallest:,}'s",
    )
    return Table(f"{operation}, {CONNECTIONS} at once", columns, rows)


def _median(timings: Sequence[Timings]) -> float:
    return statistics.median(each.seconds for each in timings)
