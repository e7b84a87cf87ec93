"""TCP listeners and routes as real Envoys carry them out, with applications that are not HTTP."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import trustme

from pytest_meshwright.shares import judge_shares
from pytest_meshwright.waiting import wait_until
from tests.e2e.behaviour.conftest import Bench, http_listener
from tests.e2e.behaviour.servers import LineClient, LineServer, ScriptedServer, ask_once

SERVICES = ("front", "api")
TCP_BACKENDS = ("first.local", "second.local")

BRIEFLY = {"value": 100, "unit": "ms"}
SECOND = {"value": 1, "unit": "s"}
HTTP_PORT = 9608
HOSTS_PORT = 9620


def tcp_listener(port: int, **settings: Any) -> dict[str, Any]:
    """A listener with protocol tcp."""
    return {"portMapping": {"port": port, "protocol": "tcp"}, **settings}


LISTENERS = {
    "heavy": tcp_listener(9601),
    "light": tcp_listener(9602),
    "never": tcp_listener(9603),
    "idle": tcp_listener(9604, timeout={"tcp": {"idle": BRIEFLY}}),
    "pool": tcp_listener(9605, connectionPool={"tcp": {"maxConnections": 1}}),
    "first": tcp_listener(9606),
    "second": tcp_listener(9607),
}
"""The TCP listeners of the virtual node `api`, by the application behind each."""

WEIGHTED, IDLE_ROUTE, SHARED = 9701, 9702, 9703
"""Ports of virtual routers that are not those of their targets."""


def target(listener: str, weight: int = 1) -> dict[str, Any]:
    return {
        "virtualNode": "api",
        "weight": weight,
        "port": LISTENERS[listener]["portMapping"]["port"],
    }


@pytest.fixture(scope="module")
def mesh(
    bench: Bench, authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    """Front calls services of all kinds of TCP; api is behind them all, and hosts without Envoy."""
    issued = authority.issue_cert("api.internal")
    folder = tmp_path_factory.mktemp("certificates")
    chain, key, trust = (folder / name for name in ("chain.pem", "key.pem", "authority.pem"))
    issued.cert_chain_pems[0].write_to_path(chain)
    issued.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(trust)
    certificate = {"file": {"certificateChain": str(chain), "privateKey": str(key)}}
    listeners = LISTENERS | {
        "second": {**LISTENERS["second"], "tls": {"mode": "STRICT", "certificate": certificate}}
    }
    bench.appmesh.create_virtual_node(
        meshName=bench.mesh,
        virtualNodeName="api",
        spec={
            "listeners": [*listeners.values(), http_listener(HTTP_PORT)],
            "serviceDiscovery": {"dns": {"hostname": "api.internal"}},
        },
    )
    make_service(
        bench, "weighted", {WEIGHTED: [target("heavy", 3), target("light"), target("never", 0)]}
    )
    make_service(bench, "idle-route", {IDLE_ROUTE: [target("heavy")]}, timeout={"idle": BRIEFLY})
    make_service(bench, "ports", {9604: [target("idle")], 9605: [target("pool")]}, web=HTTP_PORT)
    make_service(bench, "first", {SHARED: [target("first")]})
    make_service(bench, "second", {SHARED: [target("second")]})
    make_hosts(bench, "checked", 9621, healthCheck=CHECK)
    make_hosts(bench, "watched", 9622, outlierDetection=OUTLIERS)
    validation = {"trust": {"file": {"certificateChain": str(trust)}}}
    policies: dict[str, Any] = {"second": {"clientPolicy": {"tls": {"validation": validation}}}}
    names = ["weighted", "idle-route", "ports", "first", "second", "checked", "watched"]
    log = {"path": "/dev/stdout", "format": {"text": "%UPSTREAM_CLUSTER% %BYTES_SENT%"}}
    bench.appmesh.create_virtual_node(
        meshName=bench.mesh,
        virtualNodeName="front",
        spec={
            "backends": [
                {
                    "virtualService": {
                        "virtualServiceName": f"{name}.local",
                        **policies.get(name, {}),
                    }
                }
                for name in names
            ],
            "logging": {"accessLog": {"file": log}},
        },
    )
    bench.wait_acknowledged()
    address = bench.lab.services["api"].addresses.application
    with ExitStack() as servers:
        for name, listener in LISTENERS.items():
            port = listener["portMapping"]["port"]
            servers.enter_context(LineServer(name, address, port, greets=name == "first"))
        servers.enter_context(ScriptedServer("web", address, HTTP_PORT))
        yield bench


CHECK = {
    "protocol": "tcp",
    "intervalMillis": 5000,
    "timeoutMillis": 2000,
    "healthyThreshold": 2,
    "unhealthyThreshold": 2,
}
OUTLIERS = {
    "maxServerErrors": 1,
    "interval": SECOND,
    "baseEjectionDuration": {"value": 300, "unit": "s"},
    "maxEjectionPercent": 50,
}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who signs api's certificate."""
    return trustme.CA()


def make_service(
    bench: Bench, name: str, targets: dict[int, list[Any]], *, web: int | None = None, **rule: Any
) -> None:
    """The virtual service NAME.local, whose router has a TCP route for each of its ports.

    Args:
        bench: The bench.
        name: The name.
        targets: The weighted targets of each port.
        web: A port for HTTP beside them, and that of its target.
        rule: What the routes say beside match and action.
    """
    mesh, create = bench.mesh, bench.appmesh
    listeners = [tcp_listener(port) for port in targets]
    listeners += [http_listener(web)] if web is not None else []
    create.create_virtual_router(
        meshName=mesh, virtualRouterName=name, spec={"listeners": listeners}
    )

    def create_route(kind: str, port: int, match: Any, action: Any) -> None:
        spec = {kind: {"match": {"port": port, **match}, "action": action, **rule}}
        create.create_route(
            meshName=mesh, virtualRouterName=name, routeName=f"{name}-{port}", spec=spec
        )

    for port, weighted in targets.items():
        create_route("tcpRoute", port, {}, {"weightedTargets": weighted})
    if web is not None:
        weighted = [{"virtualNode": "api", "weight": 1, "port": web}]
        create_route("httpRoute", web, {"prefix": "/"}, {"weightedTargets": weighted})
    create.create_virtual_service(
        meshName=mesh,
        virtualServiceName=f"{name}.local",
        spec={"provider": {"virtualRouter": {"virtualRouterName": name}}},
    )


def make_hosts(bench: Bench, name: str, port: int, **settings: Any) -> None:
    """A virtual service NAME.local of two hosts, each address of whose name is an endpoint."""
    addresses = [bench.lab.addresses.reserve_service().listener for _ in range(2)]
    bench.hosts[name] = addresses
    bench.lab.dns.set_record(f"{name}.internal", addresses)
    dns = {"hostname": f"{name}.internal", "responseType": "ENDPOINTS"}
    bench.appmesh.create_virtual_node(
        meshName=bench.mesh,
        virtualNodeName=name,
        spec={
            "listeners": [tcp_listener(port, **settings)],
            "serviceDiscovery": {"dns": dns},
        },
    )
    bench.appmesh.create_virtual_service(
        meshName=bench.mesh,
        virtualServiceName=f"{name}.local",
        spec={"provider": {"virtualNode": {"virtualNodeName": name}}},
    )


def door(mesh: Bench, port: int) -> tuple[str, int]:
    """Where front's Envoy takes the connections for a port."""
    return mesh.front.addresses.listener, port


def own_door(mesh: Bench, name: str) -> tuple[str, int]:
    """Where it takes those for a service that has an address to itself."""
    return mesh.front.service_addresses[f"{name}.local"], SHARED


def test_connections_go_by_weight_and_never_to_a_weight_of_0(mesh: Bench):
    answers = Counter(ask_once(door(mesh, WEIGHTED)) for _ in range(300))

    verdicts = judge_shares({"heavy": 3, "light": 1, "never": 0}, answers)
    assert all(verdict.ok for verdict in verdicts), list(map(str, verdicts))


def test_each_port_of_a_router_has_its_route(mesh: Bench):
    assert [ask_once(door(mesh, port)) for port in (9604, 9605)] == ["idle", "pool"]


def test_a_service_takes_requests_beside_connections(mesh: Bench):
    assert mesh.answerer(f"ports.local:{HTTP_PORT}") == "web"


def idle_seconds(mesh: Bench, port: int) -> float:
    """How long a connection on which nothing is said stays open after one exchange."""
    with LineClient(door(mesh, port)) as client:
        assert client.ask("x")
        begin = time.monotonic()
        assert client.read() == ""
        return time.monotonic() - begin


@pytest.mark.parametrize("port", [IDLE_ROUTE, 9604], ids=["route", "listener"])
def test_a_connection_that_is_idle_too_long_is_closed(mesh: Bench, port: int):
    # The lower bound alone could be met by a connection that is closed at once.
    assert 0.05 < idle_seconds(mesh, port) < 10


def test_a_full_connection_pool_turns_connections_away(mesh: Bench):
    with LineClient(door(mesh, 9605)) as first:
        assert first.ask("x") == "pool x"

        assert ask_once(door(mesh, 9605)) == ""


def test_a_server_may_speak_first(mesh: Bench):
    with LineClient(own_door(mesh, "first")) as client:
        assert client.read() == "first"


def test_services_on_one_port_are_told_apart_by_their_own_addresses(mesh: Bench):
    with LineClient(own_door(mesh, "second")) as client:
        answer = client.ask("x")

    assert answer == "second x"


def test_proxies_speak_tls_for_an_application_that_does_not(mesh: Bench):
    assert ask_once(own_door(mesh, "second")) == "second"

    handshakes = mesh.front.envoy.admin.read_stats("api_tcp_9607.ssl.handshake")
    assert sum(handshakes.values()) >= 1


def test_a_host_that_fails_its_health_check_gets_no_connection(mesh: Bench):
    with LineServer("good", mesh.hosts["checked"][1], 9621):
        # Envoy gathers changes of health for a second before it balances by them.
        wait_until(
            lambda: {ask_once(door(mesh, 9621)) for _ in range(20)} == {"good"},
            what="20 connections in a row that the missing host gets none of",
            timeout=60,
        )


def test_a_host_that_refuses_connections_is_left_out(mesh: Bench):
    with LineServer("good", mesh.hosts["watched"][1], 9622):
        wait_until(
            lambda: {ask_once(door(mesh, 9622)) for _ in range(20)} == {"good"},
            what="20 connections in a row that the refusing host gets none of",
            timeout=60,
        )


def test_connections_stand_in_the_access_log(mesh: Bench):
    ask_once(door(mesh, IDLE_ROUTE))

    line = "cds_egress_demo_api_tcp_9601 8\n"
    wait_until(
        lambda: line in mesh.front.envoy.stdout.read_text(),
        what=f"the line {line!r}",
        seen=mesh.front.envoy.stdout.read_text,
    )
