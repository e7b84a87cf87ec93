"""Retries, timeouts, outliers, health checks and connection pools, as real Envoys act on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from pytest_meshwright.waiting import wait_until
from tests.e2e.behaviour.conftest import Bench, http_listener, make_service
from tests.e2e.behaviour.servers import Reply, ScriptedServer

SERVICES = ("front", "api")

SECOND = {"value": 1, "unit": "s"}
BRIEFLY = {"value": 100, "unit": "ms"}
NEVER = {"maxRetries": 0, "perRetryTimeout": SECOND}

LISTENERS = {
    "plain": http_listener(9001),
    "retrying": http_listener(9002),
    "slow-route": http_listener(9003),
    "slow-listener": http_listener(9004, timeout={"http": {"perRequest": BRIEFLY}}),
    "pool": http_listener(
        9005, connectionPool={"http": {"maxConnections": 1, "maxPendingRequests": 1}}
    ),
    "idle-route": http_listener(9006),
    "idle-listener": http_listener(9007, timeout={"http": {"idle": BRIEFLY}}),
}
"""Listeners of the virtual node `api`, each behind a virtual service of its name."""

RULES: dict[str, dict[str, Any]] = {
    "retrying": {
        "retryPolicy": {
            "maxRetries": 1,
            "perRetryTimeout": SECOND,
            "httpRetryEvents": ["gateway-error"],
        }
    },
    "slow-route": {"timeout": {"perRequest": BRIEFLY}, "retryPolicy": NEVER},
    "slow-listener": {"retryPolicy": NEVER},
    "pool": {"retryPolicy": NEVER},
    "idle-route": {"timeout": {"idle": BRIEFLY}, "retryPolicy": NEVER},
    "idle-listener": {"retryPolicy": NEVER},
}
"""What their routes say beside match and action."""

HOSTS_PORT, CHECK_PORT = 9100, 9101
"""Where the hosts of the virtual nodes `watched` and `checked` listen, which have no Envoy."""


@pytest.fixture(scope="module")
def mesh(bench: Bench) -> Bench:
    """Front calls a service for each listener of api, and two of three hosts each."""
    create = bench.appmesh
    create.create_virtual_node(
        meshName=bench.mesh,
        virtualNodeName="api",
        spec={
            "listeners": list(LISTENERS.values()),
            "serviceDiscovery": {"dns": {"hostname": "api.internal"}},
        },
    )
    for name, listener in LISTENERS.items():
        mapping = listener["portMapping"]
        make_service(bench, name, {"portMapping": mapping}, "api", RULES.get(name, {}))
    outliers = {
        "maxServerErrors": 2,
        "interval": SECOND,
        "baseEjectionDuration": {"value": 300, "unit": "s"},
        "maxEjectionPercent": 50,
    }
    make_hosts(bench, "watched", outlierDetection=outliers)
    check = {
        "protocol": "http",
        "path": "/ping",
        "port": CHECK_PORT,
        "intervalMillis": 5000,
        "timeoutMillis": 2000,
        "healthyThreshold": 2,
        "unhealthyThreshold": 2,
    }
    make_hosts(bench, "checked", healthCheck=check)
    backends = [f"{name}.local" for name in (*LISTENERS, "watched", "checked")]
    create.create_virtual_node(
        meshName=bench.mesh,
        virtualNodeName="front",
        spec={"backends": [{"virtualService": {"virtualServiceName": each}} for each in backends]},
    )
    bench.wait_acknowledged()
    return bench


def make_hosts(bench: Bench, name: str, **settings: Any) -> None:
    """A virtual node of three hosts, each address of whose name is an endpoint."""
    addresses = [bench.lab.addresses.reserve_service().listener for _ in range(3)]
    bench.hosts[name] = addresses
    bench.lab.dns.set_record(f"{name}.internal", addresses)
    listener = http_listener(HOSTS_PORT, **settings)
    dns = {"hostname": f"{name}.internal", "responseType": "ENDPOINTS"}
    bench.appmesh.create_virtual_node(
        meshName=bench.mesh,
        virtualNodeName=name,
        spec={"listeners": [listener], "serviceDiscovery": {"dns": dns}},
    )
    make_service(
        bench, name, {"portMapping": listener["portMapping"]}, name, {"retryPolicy": NEVER}
    )


@pytest.fixture
def application(mesh: Bench) -> Callable[..., Any]:
    """Makes the application behind one of api's listeners."""

    @contextmanager
    def start(name: str, script: Callable[[int, str], Reply]) -> Iterator[ScriptedServer]:
        address = mesh.lab.services["api"].addresses.application
        port = LISTENERS[name]["portMapping"]["port"]
        with ScriptedServer(name, address, port, script) as server:
            yield server

    return start


def failing_pings(_: int, path: str) -> Reply:
    """A script that fails health checks only."""
    return Reply(503 if path == "/ping" else 200)


def failing(times: int, status: int) -> Callable[[int, str], Reply]:
    """A script that fails the first requests."""
    return lambda number, _: Reply(status if number <= times else 200)


def test_without_a_retry_policy_503_is_tried_twice_more(mesh: Bench, application: Any):
    with application("plain", failing(2, 503)) as server:
        assert mesh.answerer("plain.local") == "plain"
        assert len(server.paths) == 3


def test_without_a_retry_policy_500_is_not_tried_again(mesh: Bench, application: Any):
    with application("plain", failing(1, 500)):
        assert mesh.answerer("plain.local") == "500"


def test_a_retry_policy_names_what_is_tried_again(mesh: Bench, application: Any):
    with application("retrying", failing(1, 502)):
        assert mesh.answerer("retrying.local") == "retrying"


def test_a_retry_policy_leaves_other_errors_alone(mesh: Bench, application: Any):
    with application("retrying", failing(1, 500)) as server:
        assert mesh.answerer("retrying.local") == "500"
        assert len(server.paths) == 1


def test_a_retry_policy_bounds_the_retries(mesh: Bench, application: Any):
    with application("retrying", failing(9, 502)) as server:
        assert mesh.answerer("retrying.local") == "502"
        assert len(server.paths) == 2


@pytest.mark.parametrize("name", ["slow-route", "slow-listener", "idle-route", "idle-listener"])
def test_a_request_that_takes_too_long_is_given_up(mesh: Bench, application: Any, name: str):
    with application(name, lambda *_: Reply(seconds=10)):
        assert mesh.answerer(f"{name}.local") in ("504", "408")


def test_a_full_connection_pool_turns_requests_away(mesh: Bench, application: Any):
    with (
        application("pool", lambda *_: Reply(seconds=0.2)),
        ThreadPoolExecutor(8) as crowd,
    ):
        answers = list(crowd.map(lambda _: mesh.answerer("pool.local"), range(8)))

    stats = mesh.lab.services["api"].envoy.admin.read_stats("pending_overflow")
    assert "503" in answers
    assert sum(stats.values()) == answers.count("503")


def test_a_host_that_fails_in_a_row_is_left_out(mesh: Bench):
    bad, *good = mesh.hosts["watched"]
    with (
        ScriptedServer("bad", bad, HOSTS_PORT, lambda *_: Reply(500)),
        ScriptedServer("good", good[0], HOSTS_PORT),
        ScriptedServer("good", good[1], HOSTS_PORT),
    ):
        wait_until(
            lambda: (
                mesh.answerer("watched.local")
                and mesh.front.envoy.admin.read_stats("watched.*ejections_active").popitem()[1]
            ),
            what="the ejection of the host that fails",
        )

        answers = {mesh.answerer("watched.local") for _ in range(20)}

    assert answers == {"good"}


def test_a_host_that_fails_its_health_check_gets_nothing(mesh: Bench):
    bad, *good = mesh.hosts["checked"]
    with ExitStack() as servers:
        servers.enter_context(ScriptedServer("bad", bad, HOSTS_PORT))
        servers.enter_context(ScriptedServer("bad", bad, CHECK_PORT, failing_pings))
        for host in good:
            servers.enter_context(ScriptedServer("good", host, HOSTS_PORT))
            servers.enter_context(ScriptedServer("good", host, CHECK_PORT))
        # Envoy gathers changes of health for a second before it balances by them.
        wait_until(
            lambda: {mesh.answerer("checked.local") for _ in range(20)} == {"good"},
            what="20 requests in a row that the failing host gets none of",
            timeout=30,
        )
