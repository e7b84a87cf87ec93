"""A mesh that is edited under continuous load loses no request.

MESHWRIGHT_LOAD_REQUESTS says how many requests there are at least; 50,000 take about a minute.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import pytest

from tests.e2e.behaviour.conftest import Bench, http_listener, make_node, make_service

SERVICES: Final = ("front", "blue", "green")

LEAST_REQUESTS: Final = int(os.environ.get("MESHWRIGHT_LOAD_REQUESTS", "3000"))
EDITS: Final = 20
"""How often each kind of edit is made, at least."""

URL: Final = "http://color.local/"


class Load:
    """Requests of front to color, without a pause, in a thread of their own."""

    def __init__(self, bench: Bench) -> None:
        self.answers: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self._bench = bench
        self._ending = threading.Event()
        self._executor = ThreadPoolExecutor(max_workers=1)
        self._running: Future[None] | None = None

    @property
    def is_enough(self) -> bool:
        """Whether there were as many requests as there should be, or there will be no more."""
        assert self._running is not None
        return (
            self._running.done() or self.answers.total() + self.failures.total() >= LEAST_REQUESTS
        )

    def _run(self) -> None:
        while not self._ending.is_set():
            tally = self._bench.front.call(URL, requests=250)
            self.answers.update(tally.answers)
            self.failures.update(tally.failures)

    def __enter__(self) -> Load:
        self._running = self._executor.submit(self._run)
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._executor.shutdown()
        assert self._running is not None
        self._running.result()


@pytest.fixture(scope="module")
def mesh(bench: Bench) -> Bench:
    """Front calls color, whose router sends to blue."""
    make_node(bench, "blue")
    make_node(bench, "green")
    make_service(bench, "color", http_listener(), "blue", {})
    make_node(bench, "front", "color.local")
    bench.lab.wait_ready()
    bench.wait_acknowledged()
    return bench


def edit_weights(bench: Bench, number: int) -> None:
    """Move traffic between blue and green."""
    blue = number * 7 % 101
    _update_route(bench, {"weightedTargets": [_target("blue", blue), _target("green", 100 - blue)]})


def edit_route(bench: Bench, number: int) -> None:
    """Change the route's timeout and retries, and where it leads."""
    action = {"weightedTargets": [_target(("blue", "green")[number % 2], 1)]}
    policy = {
        "maxRetries": 2 + number % 3,
        "perRetryTimeout": {"value": 5, "unit": "s"},
        "httpRetryEvents": ["gateway-error"],
        "tcpRetryEvents": ["connection-error"],
    }
    timeout = {"perRequest": {"value": 15 + number % 10, "unit": "s"}}
    _update_route(bench, action, retryPolicy=policy, timeout=timeout)


def edit_routes(bench: Bench, number: int) -> None:
    """Add a route before the others, or take it away."""
    names = {"meshName": bench.mesh, "virtualRouterName": "color", "routeName": "added"}
    if number % 2:
        bench.appmesh.delete_route(**names)
        return
    action = {"weightedTargets": [_target("green", 1)]}
    spec = {"priority": 1, "httpRoute": {"match": {"prefix": "/"}, "action": action}}
    bench.appmesh.create_route(**names, spec=spec)


def edit_cluster(bench: Bench, number: int) -> None:
    """Change the outlier detection of blue's clusters, and no listener of front's."""
    detection = {
        "maxServerErrors": 100 + number,
        "interval": {"value": 10, "unit": "s"},
        "baseEjectionDuration": {"value": 10, "unit": "s"},
        "maxEjectionPercent": 0,
    }
    _update_node(bench, "blue", [http_listener(outlierDetection=detection)])


def edit_endpoints(bench: Bench, number: int) -> None:
    """Change the addresses of green's name, which are green's alone or blue's too."""
    addresses = [bench.lab.services[name].addresses.listener for name in ("green", "blue")]
    bench.lab.dns.set_record("green.internal", addresses[: 1 + number % 2])
    kind = ("LOADBALANCER", "ENDPOINTS")[number // 2 % 2]
    _update_node(bench, "green", [http_listener()], response_type=kind)


def edit_provider(bench: Bench, number: int) -> None:
    """Let a node provide the service, or its router again."""
    node = {"virtualNode": {"virtualNodeName": "green"}}
    router = {"virtualRouter": {"virtualRouterName": "color"}}
    bench.appmesh.update_virtual_service(
        meshName=bench.mesh,
        virtualServiceName="color.local",
        spec={"provider": (node, router)[number % 2]},
    )


KINDS: Final[Sequence[Callable[[Bench, int], None]]] = (
    *(edit_weights, edit_route, edit_routes, edit_cluster, edit_endpoints, edit_provider),
)


def test_no_request_fails_while_everything_is_edited(mesh: Bench):
    with Load(mesh) as load:
        for number in _numbers(load):
            for edit in KINDS:
                edit(mesh, number)
        mesh.wait_acknowledged()

    assert load.failures == Counter()
    assert load.answers.total() >= LEAST_REQUESTS
    assert set(load.answers) == {"blue", "green"}


def _numbers(load: Load) -> Iterator[int]:
    """As many as there are edits, and then as many as the load goes on, to an even one."""
    return itertools.takewhile(
        lambda number: number < EDITS or number % 2 or not load.is_enough, itertools.count()
    )


def _target(node: str, weight: int) -> dict[str, Any]:
    return {"virtualNode": node, "weight": weight, "port": 8080}


def _update_route(bench: Bench, action: dict[str, Any], **more: Any) -> None:
    route = {"match": {"prefix": "/"}, "action": action, **more}
    bench.appmesh.update_route(
        meshName=bench.mesh,
        virtualRouterName="color",
        routeName="color",
        spec={"httpRoute": route},
    )


def _update_node(
    bench: Bench, name: str, listeners: list[dict[str, Any]], response_type: str = "LOADBALANCER"
) -> None:
    dns = {"hostname": f"{name}.internal", "responseType": response_type}
    bench.appmesh.update_virtual_node(
        meshName=bench.mesh,
        virtualNodeName=name,
        spec={"listeners": listeners, "serviceDiscovery": {"dns": dns}},
    )
