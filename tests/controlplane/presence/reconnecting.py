"""A proxy of the tests' own that connects again whenever its stream ends, as Envoy does."""
# pyright: reportAttributeAccessIssue=false
# xds-protos ships no type stubs.

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

import grpc
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2

from meshwright.xds.resources import CLUSTER, LISTENER, ROUTE
from tests.controlplane.operator.test_waiting import route_names

_PAUSE_SECONDS = 0.05

Mood = Literal["acknowledge", "hold", "refuse once"]


class Received(NamedTuple):
    """A response: on which of the proxy's streams it came, its type and what it held."""

    stream: int
    type_url: str
    names: list[str]


@dataclass
class ReconnectingProxy:
    """A proxy over delta ADS.

    Attributes:
        address: Where it connects, again and again.
        node_id: What it says that it is.
        metadata: What it shows.
        mood: What becomes of the responses that come next.
        held: What it has accepted: versions by type and name.
        received: All responses that held something.
        streams: How many streams it has opened.
    """

    address: str
    node_id: str
    metadata: tuple[tuple[str, str], ...] = ()
    mood: Mood = "acknowledge"
    held: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    received: list[Received] = field(default_factory=list[Received])
    streams: int = 0
    _stopping: threading.Event = field(default_factory=threading.Event)
    _answers: queue.SimpleQueue[Any] = field(default_factory=queue.SimpleQueue[Any])
    _kept: list[Any] = field(default_factory=list[Any])
    _stream: Any = None
    _thread: threading.Thread = field(init=False)

    def acknowledge_now(self) -> None:
        """Accept what was held back, and whatever comes."""
        self.mood = "acknowledge"
        while self._kept:
            self._accept(self._kept.pop(0))

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        if self._stream is not None:
            self._stream.cancel()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            # A pool of its own, so that each channel is a connection.
            options = [("grpc.use_local_subchannel_pool", 1)]
            with grpc.insecure_channel(self.address, options) as channel:
                try:
                    self._exchange(channel)
                except grpc.RpcError:
                    self._stopping.wait(_PAUSE_SECONDS)
                finally:
                    self._answers.put(None)

    def _exchange(self, channel: Any) -> None:
        self._answers = queue.SimpleQueue()
        self._kept.clear()
        for kind in (CLUSTER, LISTENER):
            self._ask(kind, node={"id": self.node_id})
        if self.held.get(ROUTE):
            self._ask(ROUTE, resource_names_subscribe=list(self.held[ROUTE]))
        stub: Any = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel)
        answers = iter(self._answers.get, None)
        self._stream = stub.DeltaAggregatedResources(answers, metadata=self.metadata)
        self.streams += 1
        if self._stopping.is_set():
            self._stream.cancel()
        for response in self._stream:
            names = sorted(each.name for each in response.resources)
            if names or response.removed_resources:
                self.received.append(Received(self.streams, response.type_url, names))
            if self.mood == "hold":
                self._kept.append(response)
            elif self.mood == "refuse once":
                self.mood = "acknowledge"  # what is put back in its place
                self._answer(response, error_detail={"message": "no such thing"})
            else:
                self._accept(response)

    def _ask(self, kind: str, **more: Any) -> None:
        held = self.held.get(kind, {})
        self._answers.put(
            discovery_pb2.DeltaDiscoveryRequest(
                type_url=kind, initial_resource_versions=held, **more
            )
        )

    def _answer(self, response: Any, **more: Any) -> None:
        self._answers.put(
            discovery_pb2.DeltaDiscoveryRequest(
                type_url=response.type_url, response_nonce=response.nonce, **more
            )
        )

    def _accept(self, response: Any) -> None:
        self._answer(response)
        held = self.held.setdefault(response.type_url, {})
        held.update({each.name: each.version for each in response.resources})
        for name in response.removed_resources:
            held.pop(name, None)
        if response.type_url == LISTENER:
            self._subscribe(route_names(response))

    def _subscribe(self, names: Iterable[str]) -> None:
        new = [name for name in names if name not in self.held.get(ROUTE, {})]
        if new:
            self._answers.put(
                discovery_pb2.DeltaDiscoveryRequest(type_url=ROUTE, resource_names_subscribe=new)
            )
