"""A proxy without a socket: it keeps what it is sent, and holds the server to the protocol."""
# pyright: reportAttributeAccessIssue=false
# xds-protos ships no type stubs.

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.service.discovery.v3 import discovery_pb2

from meshwright.xds.resources import (
    CLUSTER,
    ENDPOINT,
    LISTENER,
    ROUTE,
    SECRET,
    PackedResource,
    Snapshot,
    encode_bytes,
)
from meshwright.xds.stream import Delta, ProxyStream, Rejection, Response, StateOfTheWorld
from meshwright.xds.wire import Request

DialectName = Literal["delta", "sotw"]
WHOLE = (CLUSTER, LISTENER)


def resource(name: str, version: str) -> PackedResource:
    """A resource whose content is its version; its type does not matter to the stream."""
    content = Cluster(name=name, alt_stat_name=version).SerializeToString()
    return PackedResource.from_any(name, version, encode_bytes(2, content))


def snapshot(
    revision: int,
    *,
    pending: Iterable[tuple[str, str]] = (),
    **contents: Mapping[str, str],
) -> Snapshot:
    """A snapshot from names and versions, such as `clusters={"a": "1"}`, and what will come."""
    types = {
        "clusters": CLUSTER,
        "endpoints": ENDPOINT,
        "listeners": LISTENER,
        "routes": ROUTE,
        "secrets": SECRET,
    }
    return Snapshot(
        revision,
        {
            types[kind]: {name: resource(name, version) for name, version in versions.items()}
            for kind, versions in contents.items()
        },
        frozenset(pending),
    )


@dataclass
class FakeProxy:
    """One stream with its client's end.

    Attributes:
        held: What the proxy has, by type and name: the version.
        unanswered: Responses that it has taken and not acknowledged.
        log: What was sent, as `(type, names changed, names removed)`, in order.
    """

    dialect: DialectName
    stream: ProxyStream
    held: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    names: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    unanswered: list[Response] = field(default_factory=list[Response])
    log: list[tuple[str, list[str], list[str]]] = field(
        default_factory=list[tuple[str, list[str], list[str]]]
    )

    @classmethod
    def start(cls, dialect: DialectName, target: Snapshot) -> FakeProxy:
        """A proxy with a new stream."""
        return cls(
            dialect, ProxyStream(Delta() if dialect == "delta" else StateOfTheWorld(), target)
        )

    def subscribe(self, type_url: str, names: Iterable[str] = (), **more: Any) -> None:
        """Ask for names, or for everything."""
        wanted = self.names.setdefault(type_url, set())
        wanted.update(names)
        asked = tuple(names) if self.dialect == "delta" else tuple(sorted(wanted))
        self.stream.receive(Request(type_url, names=asked, **more))
        self.take()

    def take(self) -> None:
        """Take over what is sent now."""
        for response in self.stream.next_responses():
            assert all(each.type_url != response.type_url for each in self.unanswered), (
                "two responses of one type in flight"
            )
            self.unanswered.append(response)
            self.log.append(
                (
                    response.type_url.rpartition(".")[2],
                    [each.name for each in response.update.changed],
                    list(response.update.removed),
                )
            )
            self._apply(response)

    def _apply(self, response: Response) -> None:
        held = self.held.setdefault(response.type_url, {})
        if self.dialect == "delta":
            message: Any = discovery_pb2.DeltaDiscoveryResponse.FromString(response.data)
            for each in message.resources:
                held[each.name] = each.version
            for name in message.removed_resources:
                held.pop(name, None)
        else:
            message = discovery_pb2.DiscoveryResponse.FromString(response.data)
            sent = [Cluster.FromString(each.value) for each in message.resources]
            if response.type_url in WHOLE:
                held.clear()
            held.update({each.name: each.alt_stat_name for each in sent})
        assert message.nonce == response.nonce
        assert message.type_url == response.type_url

    def acknowledge(self) -> None:
        """Acknowledge the oldest response, and take what follows."""
        self._answer(self.unanswered.pop(0), None)
        self.take()

    def acknowledge_all(self) -> None:
        """Acknowledge until nothing more is sent."""
        while self.unanswered:
            self.acknowledge()

    def reject(self, detail: str = "no good") -> Rejection:
        """Refuse the oldest response, and take what follows."""
        response = self.unanswered.pop(0)
        rejection = self._answer(response, detail)
        assert rejection is not None
        self.take()
        return rejection

    def _answer(self, response: Response, error: str | None) -> Rejection | None:
        names = () if self.dialect == "delta" else tuple(sorted(self.names[response.type_url]))
        return self.stream.receive(
            Request(response.type_url, nonce=response.nonce, error=error, names=names)
        )

    def offer(self, target: Snapshot) -> None:
        """What the proxy should have has changed."""
        self.stream.offer(target)
        self.take()
