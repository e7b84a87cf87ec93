"""ADS over real sockets: streams that proxies misuse, and connections that grow old."""
# pyright: reportAttributeAccessIssue=false, reportUnknownMemberType=false
# xds-protos ships no type stubs.

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc
import pytest
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2

from tests.controlplane.access.serving import TIMEOUT, Server, serving

CLUSTER: Final = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
FRONT: Final = "mesh/demo/virtualNode/front"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A control plane whose connections live for a second, with a virtual node."""
    with serving(tmp_path_factory.mktemp("ads"), "--xds-connection-seconds", "1") as server:
        client = server.client("any", "any")
        client.create_mesh(meshName="demo")
        client.create_virtual_node(meshName="demo", virtualNodeName="front", spec={})
        client.close()
        yield server


@contextmanager
def asking(server: Server) -> Iterator[tuple[Any, Any]]:
    """A stream on which a proxy has got its clusters, and the function that sends requests."""
    requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
    node = base_pb2.Node(id=FRONT)
    requests.put(discovery_pb2.DeltaDiscoveryRequest(type_url=CLUSTER, node=node))
    with grpc.insecure_channel(str(server.records("serving")[0].fields["xds"])) as channel:
        stub = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel)
        stream = stub.DeltaAggregatedResources(iter(requests.get, None), timeout=TIMEOUT)
        next(stream)
        try:
            yield stream, requests.put
        finally:
            requests.put(None)


def test_a_stream_stays_that_of_the_proxy_that_opened_it(server: Server):
    other = base_pb2.Node(id="mesh/demo/virtualNode/back")
    with asking(server) as (stream, send):
        send(discovery_pb2.DeltaDiscoveryRequest(type_url=CLUSTER, node=other))
        with pytest.raises(grpc.RpcError) as caught:
            next(stream)

    error: Any = caught.value
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert f"this stream is for '{FRONT}'" in error.details()


def test_a_flood_of_subscriptions_ends_its_stream(server: Server):
    names = [str(number) for number in range(10_000)]
    flood = discovery_pb2.DeltaDiscoveryRequest(type_url=CLUSTER, resource_names_subscribe=names)
    with asking(server) as (stream, send):
        send(flood)
        with pytest.raises(grpc.RpcError) as caught:
            next(stream)

    error: Any = caught.value
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_connection_ends_at_its_age(server: Server):
    with asking(server) as (stream, _), pytest.raises(grpc.RpcError) as caught:
        next(stream)

    error: Any = caught.value
    assert error.code() == grpc.StatusCode.UNAVAILABLE
