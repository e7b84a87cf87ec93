"""Distribution beside go-control-plane: changes, storms and memory, with simulated proxies.

Both servers have the same mesh and proxies, and take turns. A round is

    the change is asked for --> every proxy that sees it has acknowledged it --> the server is quiet
    '-------------------- time -----------------------'                                      |
    '------------------------------- CPU of the server's process ----------------------------'

Ours is a request to the App Mesh API of `meshwright serve`, which checks, stores, translates and
logs; the peer is given finished resources by a line on its standard input.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks.conversations import Conversation, measure_cpu, measure_memory, wait_until_quiet
from benchmarks.report import Table
from benchmarks.xds_mesh import (
    HOT,
    RARE,
    Size,
    build_graph,
    write_plan,
    write_store,
    write_variants,
)
from benchmarks.xds_servers import Certificate, Ours, Peer, Server
from tools.dev.console import say
from tools.dev.go_programs import prepare_go_program
from tools.dev.paths import CHECKOUT

Dialect = Literal["delta", "sotw"]

_DIALECTS: Sequence[Dialect] = ("delta", "sotw")
_LIMIT_SECONDS = 120.0
_COST_COLUMNS = ("ms", "peer's", "ratio", "CPU µs a push", "peer's", "ratio")


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured.

    Attributes:
        proxies: Numbers of proxies that all see a change.
        few: How many of `many` proxies see the other change.
        many: The number of proxies of everything else.
        services: Numbers of services between which the cost of a change is compared.
        rounds: How often each change is made; the median counts.
    """

    proxies: Sequence[int] = (100, 1000, 5000)
    few: int = 20
    many: int = 1000
    services: Sequence[int] = (10, 100, 1000)
    rounds: int = 7


@dataclass(slots=True)
class _Cost:
    """What rounds took: seconds until the last acknowledgement, and seconds of the server's CPU."""

    seconds: list[float] = field(default_factory=list[float])
    cpu: list[float] = field(default_factory=list[float])
    resources: int = 0

    @property
    def median_seconds(self) -> float:
        return statistics.median(self.seconds)

    @property
    def median_cpu(self) -> float:
        return statistics.median(self.cpu)


@dataclass(frozen=True, slots=True)
class _Side:
    """A server with its fleet of proxies, and the KiB that each of those takes in it."""

    server: Server
    fleet: Conversation
    memory_per_proxy: float

    def change(self, service: str, seeing: int, cost: _Cost) -> None:
        """Change a service and wait until those who see it have acknowledged that."""
        cpu = measure_cpu(self.server.pid)
        self.fleet.ask("mark")
        began = time.time()
        self.server.change(service)
        seen = self.fleet.ask("await", proxies=seeing, seconds=_LIMIT_SECONDS)
        wait_until_quiet(self.server.pid)
        cost.seconds.append(seen["last"] / 1e9 - began)
        cost.cpu.append(measure_cpu(self.server.pid) - cpu)

    def storm(self, *, warm: bool, cost: _Cost) -> None:
        """Reconnect all proxies at once, with nothing or with the versions that they have."""
        self.fleet.ask("disconnect")
        wait_until_quiet(self.server.pid)
        cpu = measure_cpu(self.server.pid)
        began = time.time()
        self.fleet.ask("connect", warm=warm)
        if not warm:
            cost.seconds.append(self._settle() - began)
        wait_until_quiet(self.server.pid)
        cost.cpu.append(measure_cpu(self.server.pid) - cpu)
        cost.resources = self.fleet.ask("count")["resources"]

    def _settle(self) -> float:
        """Wait until all proxies have everything, and return when that was."""
        return self.fleet.ask("settle", seconds=_LIMIT_SECONDS)["last"] / 1e9


def measure(scale: Scale | None = None) -> list[Table]:
    """Measure both servers in turns, and say how ours compares."""
    scale = scale or Scale()
    return [
        _measure_all_affected(scale),
        _measure_few_affected(scale),
        *_measure_connections(scale),
        _measure_growth(scale),
    ]


def _measure_all_affected(scale: Scale) -> Table:
    rows: list[Sequence[str]] = []
    for proxies in scale.proxies:
        for per_node in (10, 1):
            size = Size(100, proxies // per_node, 1, per_node)
            for dialect in _DIALECTS:
                label = f"{proxies:,}, {per_node} a node, {dialect}"
                with _sides(f"all see a change: {label}", size, dialect) as sides:
                    costs = _change_in_turns(sides, HOT, proxies, scale.rounds)
                rows.append((label, *_compare_costs(costs, proxies)))
    return Table("a change that all proxies see", ("proxies", *_COST_COLUMNS), rows)


def _measure_few_affected(scale: Scale) -> Table:
    rows: list[Sequence[str]] = []
    size = Size(100, scale.many, scale.few, 1)
    for dialect in _DIALECTS:
        for told in (True, False):
            label = f"{dialect}, the peer {'is told which' if told else 'sets all'}"
            with _sides(f"few see a change: {label}", size, dialect, told=told) as sides:
                costs = _change_in_turns(sides, RARE, scale.few, scale.rounds)
            rows.append((label, *_compare_costs(costs, scale.few)))
    title = f"a change that {scale.few} of {scale.many:,} proxies see"
    return Table(title, ("dialect", *_COST_COLUMNS), rows)


def _measure_connections(scale: Scale) -> Iterator[Table]:
    storms: list[Sequence[str]] = []
    memory: list[Sequence[str]] = []
    connected: list[tuple[int, Dialect, bool]] = [
        (per_node, dialect, False) for per_node in (10, 1) for dialect in _DIALECTS
    ]
    # As App Mesh's Envoys come: each with a node of its own, over TLS, and with a token.
    connected.append((1, "sotw", True))
    for per_node, dialect, tls in connected:
        size = Size(100, scale.many // per_node, 1, per_node)
        label = f"{per_node} a node, {dialect}{', TLS' if tls else ''}"
        with _sides(f"{scale.many:,} proxies: {label}", size, dialect, tls=tls) as sides:
            used = [f"{side.memory_per_proxy:.0f}" for side in sides]
            memory.append((label, *used))
            for warm in (False, True):
                costs = [_Cost() for _ in sides]
                for _ in range(scale.rounds):
                    for side, cost in zip(sides, costs, strict=True):
                        side.storm(warm=warm, cost=cost)
                what = f"{'up to date' if warm else 'from nothing'}, {label}"
                storms.append((what, *_compare_storms(costs)))
            # Those who were sent nothing are there all the same.
            _change_in_turns(sides, HOT, size.proxies, 1)
    yield Table(
        f"{scale.many:,} proxies that reconnect at once",
        (
            *("proxies", "ms", "peer's", "ratio"),
            *("CPU ms", "peer's", "ratio", "resources sent", "peer's"),
        ),
        storms,
    )
    yield Table(f"memory per proxy, {scale.many:,} connected", ("proxies", "KiB", "peer's"), memory)


def _measure_growth(scale: Scale) -> Table:
    rows: list[Sequence[str]] = []
    first: _Cost | None = None
    for services in scale.services:
        size = Size(services, scale.many // 5, scale.few, 1)
        with _sides(f"{services:,} services", size, "delta") as sides:
            costs = _change_in_turns(sides, RARE, scale.few, scale.rounds * 3)
        first = first or costs[0]
        growth = f"{costs[0].median_cpu / first.median_cpu:.2f}"
        rows.append((f"{services:,}", *_compare_costs(costs, scale.few), growth))
    title = f"a change that {scale.few} of {scale.many // 5} proxies see, as the mesh grows"
    last = f"our CPU, of that at {scale.services[0]:,}"
    return Table(title, ("services", *_COST_COLUMNS, last), rows)


@contextmanager
def _sides(
    what: str, size: Size, dialect: Dialect, *, told: bool = True, tls: bool = False
) -> Iterator[tuple[_Side, _Side]]:
    """Both servers with a mesh, and all proxies connected and up to date."""
    say(f"measuring: {what}")
    graph = build_graph(size)
    with ExitStack() as exits:
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="bench-xds-")))
        plan, variants = folder / "plan.json", folder / "variants.json"
        write_plan(size, graph, plan)
        write_variants(size, graph, variants)
        write_store(graph, folder / "meshwright.db")
        certificate = Certificate.issue(folder) if tls else None
        servers: tuple[Server, Server] = (
            exits.enter_context(Ours(folder, certificate)),
            exits.enter_context(Peer(size, variants, told=told, certificate=certificate)),
        )
        load = prepare_go_program(CHECKOUT / "benchmarks" / "xds-load")
        sides: list[_Side] = []
        for server in servers:
            wait_until_quiet(server.pid)
            before = measure_memory(server.pid)
            flags = ["--address", server.address, "--dialect", dialect, "--plan", plan]
            if certificate is not None:
                flags += ["--ca", certificate.authority, "--token", server.token]
            fleet = exits.enter_context(Conversation([load, *map(str, flags)]))
            fleet.ask("connect")
            fleet.ask("settle", seconds=_LIMIT_SECONDS)
            wait_until_quiet(server.pid)
            used = (measure_memory(server.pid) - before) / size.proxies
            sides.append(_Side(server, fleet, used))
        yield sides[0], sides[1]


def _change_in_turns(sides: Sequence[_Side], service: str, seeing: int, rounds: int) -> list[_Cost]:
    for side in sides:
        side.change(service, seeing, _Cost())
    costs = [_Cost() for _ in sides]
    for _ in range(rounds):
        for side, cost in zip(sides, costs, strict=True):
            side.change(service, seeing, cost)
    return costs


def _compare_costs(costs: Sequence[_Cost], pushes: int) -> Sequence[str]:
    ours, peer = costs
    return (
        *_compare(ours.median_seconds * 1000, peer.median_seconds * 1000),
        *_compare(ours.median_cpu * 1e6 / pushes, peer.median_cpu * 1e6 / pushes),
    )


def _compare_storms(costs: Sequence[_Cost]) -> Sequence[str]:
    ours, peer = costs
    times = ("", "", "")
    if ours.seconds:
        times = _compare(ours.median_seconds * 1000, peer.median_seconds * 1000)
    return (
        *times,
        *_compare(ours.median_cpu * 1000, peer.median_cpu * 1000),
        *(f"{each.resources:,}" for each in costs),
    )


def _compare(ours: float, peer: float) -> tuple[str, str, str]:
    return f"{ours:.1f}", f"{peer:.1f}", f"{ours / peer:.2f}"
