"""A mesh that is edited under continuous load loses no request.

MESHWRIGHT_LOAD_REQUESTS says how many requests there are at least: 50,000 in CI, which take about a
minute, and fewer elsewhere.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest
import trustme

from pytest_meshwright.applications import Application
from pytest_meshwright.envoy_bootstrap import Endpoint
from pytest_meshwright.waiting import wait_until
from tests.e2e.behaviour.conftest import Bench, http_listener, make_node, make_service

SERVICES: Final = ("front", "blue", "green")
GATEWAYS: Final = ("edge",)
NODES: Final = ("blue", "green")

LEAST_REQUESTS: Final = int(
    os.environ.get(
        "MESHWRIGHT_LOAD_REQUESTS", "50000" if os.environ.get("CI") == "true" else "3000"
    )
)
EDITS: Final = 20
"""How often each kind of edit is made, at least."""

WARMING: Final = r"^(cluster_manager\.warming_clusters|listener_manager\.total_listeners_warming)$"
"""Envoy's count of what it has accepted and does not use yet."""


class Load:
    """Requests of an application, without a pause, in a thread of their own."""

    def __init__(self, application: Application, url: str) -> None:
        self.answers: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self._application = application
        self._url = url
        self._ending = threading.Event()
        self._executor = ThreadPoolExecutor(max_workers=1)
        self._running: Future[None] | None = None

    @property
    def total(self) -> int:
        """How many requests there were."""
        return self.answers.total() + self.failures.total()

    @property
    def has_ended(self) -> bool:
        """Whether there will be no more, because something went wrong."""
        return self._running is not None and self._running.done()

    def _run(self) -> None:
        while not self._ending.is_set():
            tally = self._application.call(self._url, requests=250, concurrency=4)
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


class Editor:
    """Changes the mesh, in one way for each of its methods, whose names begin with `edit_`.

    Blue and green take TLS and plain text alike (PERMISSIVE), but for what `edit_tls` does.
    """

    def __init__(self, bench: Bench, folder: Path) -> None:
        self._bench = bench
        self._folder = folder
        self._names = {"meshName": bench.mesh}
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / "authority.pem")
        for number in range(2):
            issued = authority.issue_cert(*(f"{node}.internal" for node in NODES))
            issued.cert_chain_pems[0].write_to_path(folder / f"{number}.pem")
            issued.private_key_pem.write_to_path(folder / f"{number}.key")

    @property
    def kinds(self) -> Sequence[Callable[[int], None]]:
        """All kinds of edits; each takes the number of its turn, and the even ones undo nothing."""
        return [getattr(self, name) for name in vars(Editor) if name.startswith("edit_")]

    # Routes

    def edit_weights(self, number: int) -> None:
        """Move traffic between blue and green."""
        blue = number * 7 % 101
        self._update_route(
            {"weightedTargets": [_target("blue", blue), _target("green", 100 - blue)]}
        )

    def edit_route(self, number: int) -> None:
        """Change the route's timeout and retries, and where it leads."""
        action = {"weightedTargets": [_target(("blue", "green")[number % 2], 1)]}
        policy = {
            "maxRetries": 2 + number % 3,
            "perRetryTimeout": {"value": 5, "unit": "s"},
            "httpRetryEvents": ["gateway-error", "stream-error"],
            "tcpRetryEvents": ["connection-error"],
        }
        timeout = {"perRequest": {"value": 15 + number % 10, "unit": "s"}}
        self._update_route(action, retryPolicy=policy, timeout=timeout)

    def edit_routes(self, number: int) -> None:
        """Add a route before the others, or take it away."""
        names = {**self._names, "virtualRouterName": "color", "routeName": "added"}
        if number % 2:
            self._bench.appmesh.delete_route(**names)
            return
        action = {"weightedTargets": [_target("green", 1)]}
        spec = {"priority": 1, "httpRoute": {"match": {"prefix": "/"}, "action": action}}
        self._bench.appmesh.create_route(**names, spec=spec)

    def edit_provider(self, number: int) -> None:
        """Let a node provide the service, or its router again."""
        node = {"virtualNode": {"virtualNodeName": "green"}}
        router = {"virtualRouter": {"virtualRouterName": "color"}}
        self._bench.appmesh.update_virtual_service(
            **self._names,
            virtualServiceName="color.local",
            spec={"provider": (node, router)[number % 2]},
        )

    # Gateway routes

    def edit_gateway_route(self, number: int) -> None:
        """Change what the gateway makes of a path."""
        prefix = {"defaultPrefix": ("ENABLED", "DISABLED")[number % 2]}
        self._bench.appmesh.update_gateway_route(
            **self._gateway_route("all"), spec=gateway_route(rewrite={"prefix": prefix})
        )

    def edit_gateway_routes(self, number: int) -> None:
        """Add a gateway route before the other, or take it away."""
        names = self._gateway_route("added")
        if number % 2:
            self._bench.appmesh.delete_gateway_route(**names)
        else:
            self._bench.appmesh.create_gateway_route(**names, spec=gateway_route(priority=1))

    def edit_gateway(self, number: int) -> None:
        """Change the gateway's listener: its pool, and with it the chain of its filters."""
        pool = {"http": {"maxConnections": 1_000 + number, "maxPendingRequests": 1_000}}
        self._update_gateway(
            listeners=[http_listener(connectionPool=pool)],
            logging={"accessLog": access_log(number)},
        )

    # Nodes

    def edit_outliers(self, number: int) -> None:
        """Change the outlier detection of blue's clusters, and no listener of front's."""
        detection = {
            "maxServerErrors": 100 + number,
            "interval": {"value": 10, "unit": "s"},
            "baseEjectionDuration": {"value": 10, "unit": "s"},
            "maxEjectionPercent": 0,
        }
        self._update_node("blue", outlierDetection=detection)

    def edit_pool(self, number: int) -> None:
        """Change how many connections and requests blue takes."""
        pool = {"http": {"maxConnections": 100 + number, "maxPendingRequests": 100 + number}}
        self._update_node("blue", connectionPool=pool)

    def edit_timeouts(self, number: int) -> None:
        """Change how long blue's requests may take, and its connections be idle."""
        per_request = {"value": 15 + number, "unit": "s"}
        idle = {"value": 60 + number, "unit": "s"}
        self._update_node("blue", timeout={"http": {"perRequest": per_request, "idle": idle}})

    def edit_health_check(self, number: int) -> None:
        """Change how green's health is checked, or check it no more."""
        check = {
            "protocol": "http",
            "path": "/",
            "intervalMillis": 5_000 + number,
            "timeoutMillis": 2_000,
            "healthyThreshold": 2,
            "unhealthyThreshold": 2,
        }
        if number % 4 < 2:
            self._update_node("green", healthCheck=check)
        else:
            self._update_node("green")

    def edit_endpoints(self, number: int) -> None:
        """Change the addresses of green's name, which are green's alone or blue's too."""
        addresses = [
            self._bench.lab.services[name].addresses.listener for name in ("green", "blue")
        ]
        self._bench.lab.dns.set_record("green.internal", addresses[: 1 + number % 2])
        kind = ("LOADBALANCER", "ENDPOINTS")[number // 2 % 2]
        self._update_node("green", response_type=kind)

    def edit_logging(self, number: int) -> None:
        """Change what front writes into its access log, and with it all its listeners."""
        self._update_front(logging={"accessLog": access_log(number)})

    # TLS

    def edit_certificate(self, number: int) -> None:
        """Let blue show another certificate."""
        self._update_node("blue", tls=self._tls("PERMISSIVE", number))

    def edit_client_policy(self, number: int) -> None:
        """Let front speak TLS to its backends, by names that change, or plain text."""
        names = [f"{node}.internal" for node in (*NODES, "other")[: 2 + number % 2]]
        self._update_front(policy=self._policy(*names) if number % 4 < 2 else None)

    def edit_tls(self, number: int) -> None:
        """Ask for TLS and leave it again, each step when the last is in use by all proxies."""
        if number % 5:
            return
        policy = self._policy(*(f"{node}.internal" for node in NODES))
        self._update_front(policy)
        self._update_gateway(policy)
        self.settle()
        for mode in ("STRICT", "PERMISSIVE"):
            for node in NODES:
                self._update_node(node, tls=self._tls(mode, number))
            self.settle()
        self._update_front()
        self._update_gateway()

    def reset_node(self, name: str) -> None:
        """Let a node be as it is between the edits of it."""
        self._update_node(name)

    def settle(self) -> None:
        """Wait until every proxy uses the mesh as it is."""
        self._bench.wait_acknowledged()
        for service in self._bench.lab.services.values():
            wait_until(
                lambda service=service: not any(service.envoy.admin.read_stats(WARMING).values()),
                what=f"{service.name} to use what it has acknowledged",
                timeout=30,
            )

    # What they are made of

    def _update_route(self, action: dict[str, Any], **more: Any) -> None:
        self._bench.appmesh.update_route(
            **self._names,
            virtualRouterName="color",
            routeName="color",
            spec={"httpRoute": {"match": {"prefix": "/"}, "action": action, **more}},
        )

    def _update_node(self, name: str, response_type: str = "LOADBALANCER", **listener: Any) -> None:
        """Let a node have the settings of its listener that are given, and no others."""
        dns = {"hostname": f"{name}.internal", "responseType": response_type}
        settings = {"tls": self._tls("PERMISSIVE"), **listener}
        self._bench.appmesh.update_virtual_node(
            **self._names,
            virtualNodeName=name,
            spec={"listeners": [http_listener(**settings)], "serviceDiscovery": {"dns": dns}},
        )

    def _update_front(self, policy: dict[str, Any] | None = None, **more: Any) -> None:
        backend: dict[str, Any] = {"virtualServiceName": "color.local"}
        if policy is not None:
            backend["clientPolicy"] = policy
        self._bench.appmesh.update_virtual_node(
            **self._names,
            virtualNodeName="front",
            spec={
                "listeners": [http_listener()],
                "serviceDiscovery": {"dns": {"hostname": "front.internal"}},
                "backends": [{"virtualService": backend}],
                **more,
            },
        )

    def _update_gateway(self, policy: dict[str, Any] | None = None, **more: Any) -> None:
        """Let the gateway have the settings that are given, and no others."""
        spec: dict[str, Any] = {"listeners": [http_listener()], **more}
        if policy is not None:
            spec["backendDefaults"] = {"clientPolicy": policy}
        self._bench.appmesh.update_virtual_gateway(
            **self._names, virtualGatewayName="edge", spec=spec
        )

    def _gateway_route(self, name: str) -> dict[str, str]:
        return {**self._names, "virtualGatewayName": "edge", "gatewayRouteName": name}

    def _tls(self, mode: str, number: int = 0) -> dict[str, Any]:
        """TLS of a listener, with one of the two certificates."""
        files = {"certificateChain": f"{number % 2}.pem", "privateKey": f"{number % 2}.key"}
        files = {name: str(self._folder / file) for name, file in files.items()}
        return {"mode": mode, "certificate": {"file": files}}

    def _policy(self, *names: str) -> dict[str, Any]:
        """A client policy that wants TLS and one of these names."""
        trust = {"file": {"certificateChain": str(self._folder / "authority.pem")}}
        validation = {"trust": trust, "subjectAlternativeNames": {"match": {"exact": [*names]}}}
        return {"tls": {"enforce": True, "validation": validation}}


def gateway_route(**more: Any) -> dict[str, Any]:
    """A gateway route of all requests to color."""
    target = {"virtualService": {"virtualServiceName": "color.local"}}
    priority = more.pop("priority", None)
    route = {"httpRoute": {"match": {"prefix": "/"}, "action": {"target": target, **more}}}
    return route if priority is None else {"priority": priority, **route}


def access_log(number: int) -> dict[str, Any]:
    """An access log whose format changes."""
    return {"file": {"path": "/dev/null", "format": {"text": f"{number} %START_TIME%\n"}}}


def _target(node: str, weight: int) -> dict[str, Any]:
    return {"virtualNode": node, "weight": weight, "port": 8080}


@pytest.fixture(scope="module")
def editor(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Editor:
    """Front and a gateway call color, whose router sends to blue."""
    editor = Editor(bench, tmp_path_factory.mktemp("certificates"))
    for node in NODES:
        make_node(bench, node)
        editor.reset_node(node)
    make_service(bench, "color", http_listener(), "blue", {})
    make_node(bench, "front", "color.local")
    bench.appmesh.create_virtual_gateway(
        meshName=bench.mesh, virtualGatewayName="edge", spec={"listeners": [http_listener()]}
    )
    bench.appmesh.create_gateway_route(
        meshName=bench.mesh,
        virtualGatewayName="edge",
        gatewayRouteName="all",
        spec=gateway_route(),
    )
    bench.lab.wait_ready()
    editor.settle()
    return editor


@pytest.fixture
def client(bench: Bench) -> Iterator[Application]:
    """An application that is in no mesh."""
    address = bench.lab.addresses.reserve_service().application
    client = Application(
        "client", Endpoint(address, 8080), folder=bench.lab.folder, group=bench.lab.group
    )
    with client:
        yield client.wait_ready()


def test_no_request_fails_while_everything_is_edited(
    bench: Bench, editor: Editor, client: Application
):
    inside = Load(bench.front.application, "http://color.local/")
    outside = Load(client, f"http://{bench.lab.services['edge'].ingress}/")
    with inside, outside:
        for number in _numbers(inside, outside):
            for edit in editor.kinds:
                edit(number)
        editor.settle()

    assert inside.failures == outside.failures == Counter()
    assert inside.total + outside.total >= LEAST_REQUESTS
    assert set(inside.answers) == set(outside.answers) == set(NODES)


def _numbers(*loads: Load) -> Iterator[int]:
    """As many as there are edits, and then as many as the load goes on, to an even one."""

    def is_enough() -> bool:
        total = sum(load.total for load in loads)
        return total >= LEAST_REQUESTS or any(load.has_ended for load in loads)

    return itertools.takewhile(
        lambda number: number < EDITS or number % 2 or not is_enough(), itertools.count()
    )
