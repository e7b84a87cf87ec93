"""ADS over real sockets: streams that proxies misuse, connections that grow old, and bursts."""
# pyright: reportAttributeAccessIssue=false, reportUnknownMemberType=false
# xds-protos ships no type stubs.

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import pytest
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2

from meshwright.meshes import Meshes
from meshwright.xds.refusals import Refusal
from meshwright.xds.server import XdsServer
from tests.controlplane.access.ads import CLUSTER, FRONT, ads_address, asking, make_demo
from tests.controlplane.access.serving import Server, serving
from tests.controlplane.meshes import DEMO, node_spec
from tests.controlplane.xds.distributing import build_distribution, fail_at
from tests.controlplane.xds.raw import RawStream, first_request


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A control plane whose connections live for a second, with a virtual node."""
    with serving(tmp_path_factory.mktemp("ads"), "--xds-connection-seconds", "1") as server:
        make_demo(server)
        yield server


def test_a_stream_stays_that_of_the_proxy_that_opened_it(server: Server):
    other = base_pb2.Node(id="mesh/demo/virtualNode/back")
    with asking(ads_address(server), secure=False) as stream:
        stream.send(discovery_pb2.DeltaDiscoveryRequest(type_url=CLUSTER, node=other))
        error = stream.expect_end()

    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert f"this stream is for '{FRONT}'" in error.details()


def test_a_flood_of_subscriptions_ends_its_stream(server: Server):
    names = [str(number) for number in range(10_000)]
    flood = discovery_pb2.DeltaDiscoveryRequest(type_url=CLUSTER, resource_names_subscribe=names)
    with asking(ads_address(server), secure=False) as stream:
        stream.send(flood)
        error = stream.expect_end()

    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_connection_ends_at_its_age(server: Server):
    with asking(ads_address(server), secure=False) as stream:
        error = stream.expect_end()

    assert error.code() == grpc.StatusCode.UNAVAILABLE


def test_a_proxy_whose_configuration_cannot_be_built_is_told_and_shown_why(
    meshes: Meshes, monkeypatch: pytest.MonkeyPatch
):
    async def test() -> tuple[Any, list[Refusal]]:
        distribution = build_distribution(meshes)
        fail_at(distribution, 1, monkeypatch)
        server = XdsServer(distribution, account_id=DEMO.owner)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            await server.listen(listener)
            error = await asyncio.to_thread(knock, listener.getsockname()[1])
            refusals = distribution.refusals(DEMO)
            await server.stop(0)
        return error, refusals

    error, [refusal] = asyncio.run(asyncio.wait_for(test(), 60))

    assert error.code() == grpc.StatusCode.INTERNAL
    assert "could not build the configuration: KeyError: 'lost'" in error.details()
    assert refusal.reason == error.details()


def knock(port: int) -> Any:
    """Ask for the clusters of `front`, and return the error that the stream ends with."""
    with asking(f"127.0.0.1:{port}", secure=False) as stream:
        return stream.expect_end()


def test_a_later_request_that_is_none_ends_its_stream_and_nothing_else(server: Server):
    with grpc.insecure_channel(ads_address(server)) as channel:
        stream = RawStream(channel)
        stream.send(first_request())
        next(stream.responses)
        stream.send(b"\xff")
        with pytest.raises(grpc.RpcError) as caught:
            list(stream.responses)
        stream.send(None)

    error: Any = caught.value
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "never retrieved" not in server.stderr()
    reasons = [each.fields["reason"] for each in server.records("proxy_refused")]
    assert "the bytes are no envoy.service.discovery.v3.DeltaDiscoveryRequest" in reasons


def test_changes_are_gathered_for_as_long_as_the_operator_says(tmp_path: Path):
    pace = ("--xds-quiet-seconds", "2", "--xds-merge-seconds", "60")
    with serving(tmp_path, *pace) as server, closing(server.client("any", "any")) as client:
        make_demo(server)
        with asking(ads_address(server), secure=False) as stream:
            nonce = next(stream.responses).nonce
            stream.send(discovery_pb2.DeltaDiscoveryRequest(type_url=CLUSTER, response_nonce=nonce))
            for port in (8081, 8082, 8083):
                spec = node_spec("front.internal", port=port)
                client.update_virtual_node(meshName="demo", virtualNodeName="front", spec=spec)
            told = next(stream.responses)

    assert [each.name for each in told.resources] == ["cds_ingress_demo_front_http_8083"]
