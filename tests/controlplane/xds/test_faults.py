"""Proxies that misbehave, and servers that go: what others see of it, by real servers."""

from __future__ import annotations

import os
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from envoy.service.discovery.v3 import discovery_pb2
from h2.events import TrailersReceived

from pytest_meshwright.addresses import AddressBlock
from pytest_meshwright.processes import ProcessGroup
from pytest_meshwright.waiting import wait_until
from tests.controlplane.access.ads import CLUSTER, Asking, ads_address, asking, make_demo
from tests.controlplane.access.serving import TIMEOUT, Server, serving
from tests.controlplane.meshes import node_spec, service_spec
from tests.controlplane.restarting import restartable
from tests.controlplane.xds.frames import connect_frames
from tests.controlplane.xds.raw import RawStream, first_request

PATIENCE = 2.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A control plane of little patience."""
    folder = tmp_path_factory.mktemp("faults")
    with serving(folder, "--xds-patience-seconds", str(PATIENCE)) as server:
        client = server.client("any", "any")
        make_mesh(client)
        client.close()
        yield server


@pytest.fixture
def appmesh(server: Server) -> Iterator[Any]:
    """A boto3 client of it."""
    client = server.client("any", "any")
    yield client
    client.close()


def test_a_stream_without_a_first_request_is_ended(server: Server):
    with grpc.insecure_channel(ads_address(server)) as channel:
        stream = RawStream(channel)
        with pytest.raises(grpc.RpcError) as caught:
            next(stream.responses)
        stream.send(None)

    error: Any = caught.value
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert error.details() == "the first request did not come"


def test_a_request_that_is_too_large_ends_its_stream(server: Server):
    with grpc.insecure_channel(ads_address(server)) as channel:
        stream = RawStream(channel)
        stream.send(bytes(4 * 1024 * 1024 + 1))
        with pytest.raises(grpc.RpcError) as caught:
            next(stream.responses)
        stream.send(None)

    error: Any = caught.value
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_pings_without_data_are_answered_and_not_punished(server: Server):
    """Envoy pings every 10 s; gRPC's default is to end a connection at the third within 5 minutes.

    The frames are those of RFC 9113: SETTINGS, then PING, each answered by one with the flag ACK.
    """
    host, _, port = ads_address(server).rpartition(":")
    acknowledgement = bytes.fromhex("000008 06 01 00000000") + b"12345678"
    received = b""
    with socket.create_connection((host, int(port)), timeout=TIMEOUT) as connection:
        connection.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000 04 00 00000000")
        )
        for count in range(1, 11):
            connection.sendall(bytes.fromhex("000008 06 00 00000000") + b"12345678")
            while received.count(acknowledgement) < count:
                part = connection.recv(65536)
                assert part, f"the connection was ended after {count} pings: {received!r}"
                received += part


def test_a_stopping_server_tells_its_proxies_to_connect_again(tmp_path: Path):
    with serving(tmp_path) as server, ExitStack() as streams:
        make_demo(server)
        opened = [
            streams.enter_context(asking(ads_address(server), secure=False)) for _ in range(3)
        ]
        for each in opened:
            next(each.responses)
        os.kill(server.pid, signal.SIGTERM)
        errors = [each.expect_end() for each in opened]

    assert {error.code() for error in errors} == {grpc.StatusCode.UNAVAILABLE}
    assert {error.details() for error in errors} == {
        "this control plane is stopping: connect again"
    }


def test_a_proxy_that_never_acknowledges_holds_nobody_up(server: Server, appmesh: Any):
    with (
        asking(ads_address(server), secure=False) as silent,
        asking(ads_address(server), secure=False) as good,
    ):
        next(silent.responses)
        answer(good, next(good.responses))
        set_backend(appmesh, "one")
        assert names_in(next(good.responses)) == {"cds_egress_demo_one_http_8080"}


def test_what_is_rejected_is_not_sent_again_and_what_comes_after_is(server: Server, appmesh: Any):
    with asking(ads_address(server), secure=False) as stream:
        answer(stream, next(stream.responses))
        set_backend(appmesh, "two")
        answer(stream, next(stream.responses), error="no, thanks")
        wait_until(lambda: server.records("proxy_rejected"), what="the rejection in the log")
        set_backend(appmesh, "three")
        sent: set[str] = set()
        while "cds_egress_demo_three_http_8080" not in sent:
            response = next(stream.responses)
            answer(stream, response)
            sent |= names_in(response)

    assert "cds_egress_demo_two_http_8080" not in sent


def test_a_proxy_that_rejects_everything_is_sent_nothing_twice_and_others_go_on(
    server: Server, appmesh: Any
):
    sent: list[frozenset[tuple[str, str]]] = []
    with (
        asking(ads_address(server), secure=False) as bad,
        asking(ads_address(server), secure=False) as good,
    ):
        # What the first of them has acknowledged is kept for both, who are alike.
        answer(good, next(good.responses))
        for name in ("one", "two", "three"):
            answer(bad, first := next(bad.responses), error="not with me")
            sent.append(versions_in(first))
            set_backend(appmesh, name)
            answer_until(good, f"cds_egress_demo_{name}_http_8080")
        assert "not with me" in find_rejections(server)
        bad.send(None)
        sent += [versions_in(response) for response in bad.responses]

    assert max(Counter(sent).values()) == 1, sent


def test_a_proxy_that_reads_nothing_holds_nobody_up_and_is_given_up(server: Server, appmesh: Any):
    """It gives the server no room to send, a window of 0 bytes (RFC 9113, 6.9.2), and then some."""
    set_backend(appmesh, "one")
    with (
        connect_frames(ads_address(server), window=0) as slow,
        asking(ads_address(server), secure=False) as good,
    ):
        number = slow.open_stream(first_request())
        answer(good, next(good.responses))
        for name in ("two", "three"):
            set_backend(appmesh, name)
            answer_until(good, f"cds_egress_demo_{name}_http_8080")
        wait_until(lambda: find_refusals(server), what="it to be given up", timeout=TIMEOUT)
        slow.take(number, 65535)
        trailers = next(each for each in slow.events() if isinstance(each, TrailersReceived))

    assert dict(trailers.headers or ())[b"grpc-status"] == b"4"
    assert "Traceback" not in server.stderr()


def find_refusals(server: Server) -> list[str]:
    """The reasons for which streams were ended because nothing was taken from them."""
    reasons = [str(each.fields["reason"]) for each in server.records("proxy_refused")]
    return [each for each in reasons if each == f"a response was not taken within {PATIENCE:g} s"]


def answer_until(stream: Asking, name: str) -> None:
    """Acknowledge what comes until a resource has come."""
    while True:
        response = next(stream.responses)
        answer(stream, response)
        if name in names_in(response):
            return


def find_rejections(server: Server) -> set[str]:
    """What the mesh's status says that proxies have said when they rejected something."""
    page = f"{server.url()}/meshwright/v1/meshes/demo/status"
    proxies = httpx.get(page, trust_env=False, timeout=TIMEOUT).json()["proxies"]
    return {each["rejection"]["detail"] for each in proxies if each["rejection"]}


def test_a_server_killed_in_mid_push_sends_what_is_missing_once_it_is_back(tmp_path: Path):
    """A proxy has got its first clusters, and has not acknowledged them when others are added."""
    with (
        AddressBlock() as block,
        ProcessGroup() as group,
        restartable(tmp_path, group, block) as control_plane,
    ):
        client: Any = control_plane.client()
        make_mesh(client)
        with asking(str(control_plane.xds), secure=False) as stream:
            held = {each.name: each.version for each in next(stream.responses).resources}
            set_backend(client, "one")
            control_plane.kill()
            assert stream.expect_end().code() == grpc.StatusCode.UNAVAILABLE
        control_plane.start()
        with asking(str(control_plane.xds), secure=False, held=held) as stream:
            assert names_in(next(stream.responses)) == {"cds_egress_demo_one_http_8080"}
        client.close()


def make_mesh(client: Any) -> None:
    """Make `front`, and three nodes with a service each that it may call."""
    client.create_mesh(meshName="demo")
    client.create_virtual_node(meshName="demo", virtualNodeName="front", spec={})
    for name in ("one", "two", "three"):
        client.create_virtual_node(
            meshName="demo", virtualNodeName=name, spec=node_spec(f"{name}.internal")
        )
        client.create_virtual_service(
            meshName="demo", virtualServiceName=f"{name}.local", spec=service_spec(node=name)
        )


def set_backend(client: Any, name: str) -> None:
    """Let `front` call the service of a node, and no other."""
    spec = {"backends": [{"virtualService": {"virtualServiceName": f"{name}.local"}}]}
    client.update_virtual_node(meshName="demo", virtualNodeName="front", spec=spec)


def answer(stream: Asking, response: Any, error: str = "") -> None:
    """Acknowledge a response, or reject it."""
    request: Any = discovery_pb2.DeltaDiscoveryRequest  # pyright: ignore
    fields = {"error_detail": {"code": 3, "message": error}} if error else {}
    stream.send(request(type_url=CLUSTER, response_nonce=response.nonce, **fields))


def versions_in(response: Any) -> frozenset[tuple[str, str]]:
    """The resources that a response holds, each with its version."""
    return frozenset((each.name, each.version) for each in response.resources)


def names_in(response: Any) -> set[str]:
    """The resources that a response holds."""
    return {each.name for each in response.resources}
