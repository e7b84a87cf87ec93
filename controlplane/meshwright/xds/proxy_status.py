"""What the status tells of a connected proxy, and who is told when it may tell something else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from meshwright.model.resources import MeshKey
    from meshwright.xds.connection import Connection

STANDS_AT: Final = "stands_at_revision"
"""The member of a rejection that tells the newest revision in which it still stands, where nothing
else is offered to the proxy until its mesh is changed."""


class ProxyStatus(NamedTuple):
    """A connected proxy. Moments are in seconds since the epoch, by its control plane's clock.

    Attributes:
        resource: The ARN of its virtual node or virtual gateway.
        node_id: What it calls itself.
        peer: Where it comes from.
        envoy_version: Its Envoy's version.
        connected_at: When it came.
        acknowledged_at: When it last acknowledged all of a configuration; of another control
            plane's proxy, as that has last told of it.
        acknowledged_revision: The mesh's newest revision of which it has acknowledged all that it
            should have; None before it has any.
        is_current: Whether it has everything that its control plane has for it.
        lag: For how many seconds there has been something else that it should have; 0 if current.
        rejection: What it last refused, until it has accepted something later: `type`,
            `resources`, `detail`, `revision` and `at`. Where its configuration could not even be
            built, that is told in its place, with the type `configuration`. Has `STANDS_AT` where
            the proxy is held back by it.
    """

    resource: str
    node_id: str
    peer: str
    envoy_version: str
    connected_at: float
    acknowledged_at: float | None
    acknowledged_revision: int | None
    is_current: bool
    lag: float
    rejection: dict[str, Any] | None


class Observer(Protocol):
    """Told, in the event loop, whatever changes the status of proxies. It must not wait."""

    def arrived(self, connection: Connection) -> None:
        """A proxy has connected."""
        ...

    def changed(self, connection: Connection) -> None:
        """It may have another status now."""
        ...

    def left(self, connection: Connection) -> None:
        """It has disconnected."""
        ...

    def refused(self, mesh: MeshKey) -> None:
        """A proxy of a mesh was not let in, or sent away."""
        ...

    def advanced(self, mesh: MeshKey) -> None:
        """A mesh's later revision has been offered to all whom it concerns."""
        ...
