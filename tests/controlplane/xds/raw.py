"""ADS streams of bare bytes, for what no well-behaved client sends, reads or leaves out."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2

from tests.controlplane.access.ads import CLUSTER, FRONT
from tests.controlplane.access.serving import TIMEOUT

METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"


class RawStream:
    """A delta stream whose requests and responses are bytes."""

    def __init__(self, channel: grpc.Channel, timeout: float = TIMEOUT) -> None:
        self._requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        requests: Iterator[bytes] = iter(self._requests.get, None)  # pyright: ignore
        self.responses: Any = channel.stream_stream(METHOD, None, None)(requests, timeout=timeout)

    def send(self, data: bytes | None) -> None:
        """Send bytes as a request; None ends this side."""
        self._requests.put(data)


def first_request(node_id: str = FRONT) -> bytes:
    """A proxy's first request: for its clusters."""
    request: Any = discovery_pb2.DeltaDiscoveryRequest  # pyright: ignore
    return request(type_url=CLUSTER, node={"id": node_id}).SerializeToString()
