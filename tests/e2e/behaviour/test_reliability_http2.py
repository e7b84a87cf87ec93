"""Retries, timeouts and connection pools of HTTP/2 and gRPC, as real Envoys act on them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from tests.e2e.behaviour.conftest import Bench, call_grpc
from tests.e2e.behaviour.servers import EchoingGrpcServer, Http2Server, Reply, ScriptedServer

SERVICES = ("front", "api")
GATEWAYS = ("pool-http", "pool-http2", "pool-grpc")

SECOND = {"value": 1, "unit": "s"}
BRIEFLY = {"value": 100, "unit": "ms"}
NEVER = {"maxRetries": 0, "perRetryTimeout": SECOND}
ONCE = {"maxRetries": 1, "perRetryTimeout": SECOND}

CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "retrying": ({}, {"retryPolicy": {**ONCE, "httpRetryEvents": ["gateway-error"]}}),
    "slow-route": ({}, {"timeout": {"perRequest": BRIEFLY}, "retryPolicy": NEVER}),
    "idle-route": ({}, {"timeout": {"idle": BRIEFLY}, "retryPolicy": NEVER}),
    "slow-listener": ({"timeout": {"perRequest": BRIEFLY}}, {"retryPolicy": NEVER}),
    "idle-listener": ({"timeout": {"idle": BRIEFLY}}, {"retryPolicy": NEVER}),
    "plain": ({}, {"retryPolicy": NEVER}),
    "pool": ({"connectionPool": {"maxRequests": 1}}, {"retryPolicy": NEVER}),
}
"""What a listener of `api` and the route to it say; settings of the listener's own protocol."""

GRPC_CASES = {
    **CASES,
    "gateway-error": ({}, {"retryPolicy": {**ONCE, "httpRetryEvents": ["gateway-error"]}}),
    "cancelled": ({}, {"retryPolicy": {**ONCE, "grpcRetryEvents": ["cancelled"]}}),
}
PORTS = {
    **{("http2", name): 9600 + number for number, name in enumerate(CASES)},
    **{("grpc", name): 9620 + number for number, name in enumerate(GRPC_CASES)},
}
HALF = {"http": ScriptedServer, "http2": Http2Server, "grpc": EchoingGrpcServer}
"""Protocols of virtual nodes with two addresses, of which only one has a server."""

HOSTS_PORT = 9650

POOLS = {
    "http": {"maxConnections": 1, "maxPendingRequests": 1},
    "http2": {"maxRequests": 1},
    "grpc": {"maxRequests": 1},
}
"""The connection pools of gateways."""

SLOW = ("slow-route", "idle-route", "slow-listener", "idle-listener")


@pytest.fixture(scope="module")
def mesh(bench: Bench) -> Bench:
    """Front calls a service for each listener of api."""
    create, name = bench.appmesh, bench.mesh
    listeners: list[dict[str, Any]] = []
    for (protocol, case), port in PORTS.items():
        settings, _ = GRPC_CASES[case]
        listeners.append(
            {
                "portMapping": {"port": port, "protocol": protocol},
                **{member: {protocol: value} for member, value in settings.items()},
            }
        )
    create.create_virtual_node(
        meshName=name,
        virtualNodeName="api",
        spec={
            "listeners": listeners,
            "serviceDiscovery": {"dns": {"hostname": "api.internal"}},
        },
    )
    for (protocol, case), port in PORTS.items():
        make_service(bench, f"{protocol}-{case}", "api", protocol, port, GRPC_CASES[case][1])
    for protocol in HALF:
        make_half(bench, protocol)
    for protocol, pool in POOLS.items():
        make_gateway(bench, protocol, pool)
    services = [f"half-{protocol}.local" for protocol in HALF]
    services += [f"{protocol}-{case}.local" for protocol, case in PORTS]
    create.create_virtual_node(
        meshName=name,
        virtualNodeName="front",
        spec={"backends": [{"virtualService": {"virtualServiceName": each}} for each in services]},
    )
    bench.wait_acknowledged()
    for name in ("front", *GATEWAYS):
        bench.lab.services[name].envoy.wait_ready()
    return bench


def make_gateway(bench: Bench, protocol: str, pool: dict[str, int]) -> None:
    """A gateway with a connection pool, in front of a service without one."""
    listener = {
        "portMapping": {"port": 8080, "protocol": protocol},
        "connectionPool": {protocol: pool},
    }
    name = f"pool-{protocol}"
    bench.appmesh.create_virtual_gateway(
        meshName=bench.mesh, virtualGatewayName=name, spec={"listeners": [listener]}
    )
    service = "grpc-plain.local" if protocol == "grpc" else "http2-plain.local"
    rule = {
        "match": {} if protocol == "grpc" else {"prefix": "/"},
        "action": {"target": {"virtualService": {"virtualServiceName": service}}},
    }
    bench.appmesh.create_gateway_route(
        meshName=bench.mesh,
        virtualGatewayName=name,
        gatewayRouteName="all",
        spec={f"{protocol}Route": rule},
    )


def make_half(bench: Bench, protocol: str) -> None:
    """A virtual node without an Envoy, of whose two hosts only the second is there."""
    name = f"half-{protocol}"
    hosts = [bench.lab.addresses.reserve_service().listener for _ in range(2)]
    bench.hosts[protocol] = hosts
    bench.lab.dns.set_record(f"{name}.internal", hosts)
    dns = {"hostname": f"{name}.internal", "responseType": "ENDPOINTS"}
    listener = {"portMapping": {"port": HOSTS_PORT, "protocol": protocol}}
    bench.appmesh.create_virtual_node(
        meshName=bench.mesh,
        virtualNodeName=name,
        spec={"listeners": [listener], "serviceDiscovery": {"dns": dns}},
    )
    again = {**ONCE, "maxRetries": 5, "tcpRetryEvents": ["connection-error"]}
    make_service(bench, name, name, protocol, HOSTS_PORT, {"retryPolicy": again})


def make_service(
    bench: Bench, name: str, node: str, protocol: str, port: int, rule: dict[str, Any]
) -> None:
    """The virtual service NAME.local, with a route to a listener of a virtual node."""
    target = {"virtualNode": node, "weight": 1, "port": port}
    match = {} if protocol == "grpc" else {"prefix": "/"}
    action = {"weightedTargets": [target]}
    bench.appmesh.create_virtual_router(
        meshName=bench.mesh,
        virtualRouterName=name,
        spec={"listeners": [{"portMapping": {"port": port, "protocol": protocol}}]},
    )
    bench.appmesh.create_route(
        meshName=bench.mesh,
        virtualRouterName=name,
        routeName=name,
        spec={f"{protocol}Route": {"match": match, "action": action, **rule}},
    )
    bench.appmesh.create_virtual_service(
        meshName=bench.mesh,
        virtualServiceName=f"{name}.local",
        spec={"provider": {"virtualRouter": {"virtualRouterName": name}}},
    )


Script = Callable[[int, str], Reply]


def serve_http2(mesh: Bench, case: str, script: Script) -> Http2Server:
    """The application behind a listener for HTTP/2."""
    address = mesh.lab.services["api"].addresses.application
    return Http2Server(case, address, PORTS["http2", case], script)


def serve_grpc(mesh: Bench, case: str, script: Script) -> EchoingGrpcServer:
    """The application behind a listener for gRPC."""
    address = mesh.lab.services["api"].addresses.application
    return EchoingGrpcServer(case, address, PORTS["grpc", case], script)


def call(mesh: Bench, case: str) -> grpc.StatusCode:
    """How a gRPC call ends."""
    try:
        call_grpc(mesh, f"grpc-{case}.local", "/any/Method", {})
    except grpc.RpcError as error:
        return error.code()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
    return grpc.StatusCode.OK


def test_an_http2_route_names_what_is_tried_again(mesh: Bench):
    with serve_http2(mesh, "retrying", lambda number, _: Reply(502 if number == 1 else 200)):
        assert mesh.answerer("http2-retrying.local") == "retrying"


def test_an_http2_route_leaves_other_errors_alone(mesh: Bench):
    with serve_http2(mesh, "retrying", lambda *_: Reply(500)) as server:
        assert mesh.answerer("http2-retrying.local") == "500"
        assert len(server.paths) == 1


@pytest.mark.parametrize("case", SLOW)
def test_an_http2_request_that_takes_too_long_is_given_up(mesh: Bench, case: str):
    with serve_http2(mesh, case, lambda *_: Reply(seconds=10)):
        assert mesh.answerer(f"http2-{case}.local") in ("504", "408")


def test_a_full_pool_turns_http2_requests_away(mesh: Bench):
    with serve_http2(mesh, "pool", lambda *_: Reply(seconds=0.5)), ThreadPoolExecutor(8) as crowd:
        answers = list(crowd.map(lambda _: mesh.answerer("http2-pool.local"), range(8)))

    assert set(answers) == {"pool", "503"}


@pytest.mark.parametrize("protocol", ["http", "http2"])
def test_a_gateways_full_pool_turns_requests_away(mesh: Bench, protocol: str):
    url = f"http://{mesh.lab.services[f'pool-{protocol}'].ingress}/"
    with serve_http2(mesh, "plain", lambda *_: Reply(seconds=0.5)), ThreadPoolExecutor(8) as crowd:
        answers = set(crowd.map(lambda _: mesh.outside.get(url).status_code, range(8)))

    assert answers == {200, 503}


def test_a_gateways_full_pool_turns_grpc_calls_away(mesh: Bench):
    edge = str(mesh.lab.services["pool-grpc"].ingress)
    options = [("grpc.enable_http_proxy", 0)]

    with (
        serve_grpc(mesh, "plain", lambda *_: Reply(0, seconds=0.5)),
        ThreadPoolExecutor(8) as crowd,
        grpc.insecure_channel(edge, options=options) as channel,
    ):

        def end(_: int) -> bool:
            exchange: Any = channel.unary_unary
            try:
                exchange("/any/Method")(b"", timeout=10)
            except grpc.RpcError:
                return False
            return True

        ends = set(crowd.map(end, range(8)))

    assert ends == {True, False}


@pytest.mark.parametrize("protocol", HALF)
def test_a_connection_that_fails_is_tried_again(mesh: Bench, protocol: str):
    _, alive = mesh.hosts[protocol]
    with HALF[protocol]("alive", alive, HOSTS_PORT):
        if protocol == "grpc":
            answers = {
                call_grpc(mesh, "half-grpc.local", "/any/Method", {}).partition(" ")[0]
                for _ in range(12)
            }
        else:
            answers = {mesh.answerer(f"half-{protocol}.local") for _ in range(12)}

    assert answers == {"alive"}


def test_a_grpc_route_names_the_codes_that_are_tried_again(mesh: Bench):
    with serve_grpc(mesh, "cancelled", lambda number, _: Reply(1 if number == 1 else 0)):
        assert call(mesh, "cancelled") is grpc.StatusCode.OK


def test_a_grpc_route_names_the_http_errors_that_are_tried_again(mesh: Bench):
    address = mesh.lab.services["api"].addresses.application
    port = PORTS["grpc", "gateway-error"]
    # No gRPC server answers so, but what stands between may.
    with Http2Server("proxy", address, port, lambda *_: Reply(502)) as server:
        call(mesh, "gateway-error")

        assert len(server.paths) == 2


def test_a_grpc_route_leaves_other_codes_alone(mesh: Bench):
    with serve_grpc(mesh, "cancelled", lambda *_: Reply(10)) as server:
        assert call(mesh, "cancelled") is grpc.StatusCode.ABORTED
        assert len(server.paths) == 1


@pytest.mark.parametrize("case", SLOW)
def test_a_grpc_call_that_takes_too_long_is_given_up(mesh: Bench, case: str):
    with serve_grpc(mesh, case, lambda *_: Reply(0, seconds=10)):
        assert call(mesh, case) in (
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.DEADLINE_EXCEEDED,
            grpc.StatusCode.UNKNOWN,
        )


def test_a_full_pool_turns_grpc_calls_away(mesh: Bench):
    with (
        serve_grpc(mesh, "pool", lambda *_: Reply(0, seconds=0.5)),
        ThreadPoolExecutor(8) as crowd,
    ):
        ends = set(crowd.map(lambda _: call(mesh, "pool"), range(8)))

    assert ends == {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
