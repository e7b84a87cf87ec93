"""A distribution without sockets: its proxies, and changes of the mesh `demo`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from meshwright.discovery.cloud_map import CloudMap, DiscoveryError
from meshwright.discovery.credentials import Credentials
from meshwright.discovery.outside import LiveOutside
from meshwright.graph import Graph
from meshwright.meshes import Meshes
from meshwright.model.resources import Kind, Resource, ResourceKey
from meshwright.translate import Interception, Proxy
from meshwright.translate.lookups import CloudMapService, Instance
from meshwright.xds.connection import Connection
from meshwright.xds.distribution import Distribution, Pace
from meshwright.xds.proxy_status import ProxyStatus
from meshwright.xds.resources import CLUSTER, LISTENER, ROUTE, Snapshot
from meshwright.xds.stream import Delta, Response
from meshwright.xds.wire import Node, Request
from tests.controlplane.meshes import DEMO, build_resource, route_spec


def split(weights: dict[str, int], version: int) -> Resource:
    spec = route_spec(weights)
    return build_resource(Kind.ROUTE, "split", spec, parent="color", version=version)


@dataclass
class Client:
    """A proxy that accepts everything, unless told to refuse."""

    distribution: Distribution
    name: str
    refuse: Callable[[Response], bool] = lambda _: False
    sent: list[tuple[str, list[str]]] = field(default_factory=list[tuple[str, list[str]]])
    closed: list[str] = field(default_factory=list[str])
    connection: Connection = field(init=False)

    def __post_init__(self) -> None:
        key = ResourceKey(DEMO, Kind.VIRTUAL_NODE, self.name)
        node_id = f"mesh/demo/virtualNode/{self.name}"
        self.connection = self.distribution.connect(
            Proxy(key, Interception.EXPLICIT),
            Node(node_id, {}, "1.40.0"),
            "here",
            Delta(),
            wake=self.exchange,
            close=self.closed.append,
        )
        for request in (
            Request(CLUSTER),
            Request(LISTENER),
            Request(ROUTE, names=("rds_ingress_http_8080", "rds_egress_http_15001")),
        ):
            self.distribution.receive(self.connection, request)
            self.exchange()

    def exchange(self) -> None:
        """Take and answer until nothing more comes."""
        while responses := self.connection.stream.next_responses():
            for response in responses:
                names = [each.name for each in response.update.changed]
                self.sent.append((response.type_url.rpartition(".")[2], names))
                error = "no good" if self.refuse(response) else None
                self.distribution.receive(
                    self.connection,
                    Request(response.type_url, nonce=response.nonce, error=error),
                )

    @property
    def status(self) -> ProxyStatus:
        """What the status says of it."""
        return self.distribution.describe(self.connection)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 10))


def build_distribution(
    meshes: Meshes,
    pace: Pace | None = None,
    outside: LiveOutside | None = None,
    *,
    remembered_seconds: float = 60.0,
) -> Distribution:
    """A distribution of meshes that, unless told otherwise, need nothing from outside."""
    outside = outside or LiveOutside(CloudMap(nobody), Credentials(dict))
    return Distribution(meshes, outside, pace, remembered_seconds=remembered_seconds)


def nobody(service: CloudMapService) -> list[Instance]:
    raise DiscoveryError(f"{service} is not there")


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def refuses_version_2(response: Response) -> bool:
    return any(b"version\x12\x03\x1a\x012" in each.any_bytes for each in response.update.changed)


def fail_at(distribution: Distribution, revision: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no configuration be built of a mesh's revision."""
    build = distribution._builder.build

    def build_or_fail(graph: Graph, proxy: Proxy) -> Snapshot:
        if graph.head.revision == revision:
            raise KeyError("lost")
        return build(graph, proxy)

    monkeypatch.setattr(distribution._builder, "build", build_or_fail)
