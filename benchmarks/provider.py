"""The Pulumi provider's cost: 500 resources beside as many of a provider that makes nothing.

Both are declared by programs of the same shape, with the same specifications, references and
outputs, and go through the real engine with its state in a folder. What the engine and Pulumi's SDK
cost is in both, so that what is more is ours: the types of the SDK, the plugin, the control plane.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count as count_up
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pulumi

import pulumi_meshwright as meshwright
from benchmarks import nothing_provider
from benchmarks.report import Table
from pytest_meshwright.control_plane import ControlPlane
from pytest_meshwright.processes import ProcessGroup
from pytest_meshwright.pulumi_stack import PulumiStack

RESOURCES = 500
_LISTENERS = [{"port_mapping": {"port": 8080, "protocol": "http"}}]

Declare = Callable[[str, str, Mapping[str, Any]], Any]
"""Declares one resource: its type's name (`Route`), its name, and its properties."""

Say = Callable[[str], None]


class Nothing(pulumi.CustomResource):
    """A resource of the provider that makes nothing."""

    def __init__(self, kind: str, name: str, properties: Mapping[str, Any]) -> None:
        token = f"{nothing_provider.PACKAGE}:index:{kind}"
        opts = pulumi.ResourceOptions(version=nothing_provider.VERSION)
        outputs = dict.fromkeys(nothing_provider.OUTPUTS)
        super().__init__(token, name, {"name": name, **properties, **outputs}, opts)

    name: pulumi.Output[str]
    """Its name, as an output that others refer to."""


def declare_nothing(kind: str, name: str, properties: Mapping[str, Any]) -> Nothing:
    """Declare a resource that nobody makes."""
    return Nothing(kind, name, properties)


def declare_meshwright(kind: str, name: str, properties: Mapping[str, Any]) -> Any:
    """Declare a resource of a mesh."""
    return getattr(meshwright, kind)(name, name=name, **properties)


@dataclass(frozen=True, slots=True)
class _Subject:
    """A provider and what each round of it took: seconds by step."""

    title: str
    declare: Declare
    rounds: list[dict[str, float]] = field(default_factory=list[dict[str, float]])

    def times(self, step: str) -> list[float]:
        """What a step took, round by round."""
        return [taken[step] for taken in self.rounds]


def measure(resources: int = RESOURCES, rounds: int = 3, say: Say = print) -> list[Table]:
    """Measure both providers in turns.

    Args:
        resources: How many resources each program declares; at least 1.
        rounds: How often each step is measured; the medians count.
        say: Told what is being done, since a round takes a minute.

    Raises:
        RuntimeError: The engine did something else than it was to be timed at.
    """
    nothing = _Subject("a provider that makes nothing", declare_nothing)
    ours = _Subject("Meshwright", declare_meshwright)
    with TemporaryDirectory() as folder, ProcessGroup() as group:
        root = Path(folder)
        with _nothing_on_path(root), ControlPlane(folder=root, group=group) as control_plane:

            def run(subject: _Subject, count: int, name: str) -> dict[str, float]:
                stack = PulumiStack(
                    lambda: declare_resources(count, subject.declare),
                    folder=root / name / subject.declare.__name__,
                    config={"meshwright:endpoint": control_plane.url},
                    # Plugins start from compiled files, as pip leaves them.
                    environment={"PYTHONDONTWRITEBYTECODE": ""},
                )
                return _time_steps(stack, count)

            for subject in (nothing, ours):
                run(subject, 1, "before")  # so that there are compiled files
            for number in range(rounds):
                # In turns, and each first in every other round: what else runs here hits both.
                for subject in (nothing, ours) if number % 2 == 0 else (ours, nothing):
                    what = f"{resources} resources of {subject.title}"
                    say(f"round {number + 1} of {rounds}: {what}")
                    subject.rounds.append(run(subject, resources, str(number)))
    return [_tabulate(resources, nothing, ours)]


def declare_resources(count: int, declare: Declare) -> None:
    """Declare a mesh with services in it, each with its router, its route and its virtual node."""
    for _ in islice(_declare_without_end(declare), count):
        pass


def _declare_without_end(declare: Declare) -> Iterator[None]:
    mesh = declare("Mesh", "bench", {})
    yield
    for number in count_up():
        node = declare(
            "VirtualNode",
            f"node-{number}",
            {
                "mesh_name": mesh.name,
                "spec": {
                    "listeners": _LISTENERS,
                    "service_discovery": {"dns": {"hostname": f"node-{number}.internal"}},
                },
            },
        )
        yield
        router = declare(
            "VirtualRouter",
            f"router-{number}",
            {"mesh_name": mesh.name, "spec": {"listeners": _LISTENERS}},
        )
        yield
        targets = [{"virtual_node": node.name, "weight": 1}]
        rule = {"match": {"prefix": "/"}, "action": {"weighted_targets": targets}}
        declare(
            "Route",
            f"route-{number}",
            {
                "mesh_name": mesh.name,
                "virtual_router_name": router.name,
                "spec": {"http_route": rule},
            },
        )
        yield
        provider = {"virtual_router": {"virtual_router_name": router.name}}
        declare(
            "VirtualService",
            f"service-{number}.local",
            {"mesh_name": mesh.name, "spec": {"provider": provider}},
        )
        yield


def _time_steps(stack: PulumiStack, resources: int) -> dict[str, float]:
    steps: dict[str, Callable[[], Any]] = {
        "up": lambda: stack.up().summary.resource_changes,
        "no-op preview": lambda: stack.preview().change_summary,
        "destroy": lambda: stack.destroy().summary.resource_changes,
    }
    everything = resources + 1  # the engine counts the stack as well
    wanted = ({"create": everything}, {"same": everything}, {"delete": everything})
    taken: dict[str, float] = {}
    for (step, carry_out), expected in zip(steps.items(), wanted, strict=True):
        start = time.perf_counter()
        done = carry_out()
        taken[step] = time.perf_counter() - start
        if done != expected:
            raise RuntimeError(f"{step} was to do {expected}, did {done}")
    return taken


def _tabulate(resources: int, nothing: _Subject, ours: _Subject) -> Table:
    def row(step: str) -> tuple[str, ...]:
        pairs = list(zip(nothing.times(step), ours.times(step), strict=True))
        more = statistics.median(own - theirs for theirs, own in pairs)
        return (
            step,
            f"{statistics.median(nothing.times(step)):.2f}",
            f"{statistics.median(ours.times(step)):.2f}",
            f"{statistics.median(own / theirs for theirs, own in pairs):.2f}",
            f"{more / resources * 1000:.1f}",
        )

    return Table(
        f"{resources} resources",
        ("step", "makes nothing, s", "Meshwright, s", "ratio", "more, ms a resource"),
        [row(step) for step in nothing.rounds[0]],
    )


@contextmanager
def _nothing_on_path(folder: Path) -> Iterator[None]:
    """The peer's plugin as an executable where the engine looks for it."""
    plugin = folder / "plugins" / f"pulumi-resource-{nothing_provider.PACKAGE}"
    plugin.parent.mkdir()
    plugin.write_text(f'#!/bin/sh\nexec {sys.executable} {nothing_provider.__file__} "$@"\n')
    plugin.chmod(0o755)
    before = os.environ.get("PATH", os.defpath)
    os.environ["PATH"] = os.pathsep.join([str(plugin.parent), before])
    try:
        yield
    finally:
        os.environ["PATH"] = before
