"""Control planes on one store with the mesh `demo`, and proxies that are spread over them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final, NamedTuple

from pytest_meshwright.control_plane import MeshStatus
from pytest_meshwright.waiting import wait_until
from tests.controlplane.meshes import node_spec
from tests.controlplane.presence.reconnecting import ReconnectingProxy
from tests.controlplane.relay import Relay
from tests.controlplane.replicas import Replica

TIMEOUT: Final = 60.0
NODES: Final = ("front", "back")


class Cluster(NamedTuple):
    """Replicas with the mesh `demo`, and what the test starts beside them."""

    replicas: list[Replica]
    store: str
    stack: ExitStack

    def balance(self) -> str:
        """The address of a load balancer before the ADS of all of them."""
        return self.stack.enter_context(Relay([each.xds for each in self.replicas])).address

    def balance_api(self) -> str:
        """The URL of a load balancer before the API of all of them."""
        servers = [each.url.removeprefix("http://") for each in self.replicas]
        return f"http://{self.stack.enter_context(Relay(servers)).address}"

    def connect(self, address: str, node: str = "front", **settings: Any) -> ReconnectingProxy:
        """Connect a proxy."""
        proxy = ReconnectingProxy(address, f"mesh/demo/virtualNode/{node}", **settings)
        return self.stack.enter_context(proxy)

    def spread(self, count: int) -> list[ReconnectingProxy]:
        """Connect so many proxies through a load balancer, and wait until they have everything."""
        address = self.balance()
        proxies = [self.connect(address, NODES[n % len(NODES)]) for n in range(count)]
        for replica in self.replicas:
            await_status(replica, lambda status: have_revision(status, status.revision, count))
        return proxies


StartCluster = Callable[..., Cluster]
"""Starts so many replicas with flags; `store` names another store than a table of its own."""


def write(replica: Replica, node: str, port: int) -> int:
    """Create or update a virtual node, and return the mesh's revision."""
    arguments = {"meshName": "demo", "virtualNodeName": node, "spec": node_spec(node, port=port)}
    client = replica.client
    known = {each["virtualNodeName"] for each in list_nodes(client)}
    answer = (client.update_virtual_node if node in known else client.create_virtual_node)(
        **arguments
    )
    headers: dict[str, str] = answer["ResponseMetadata"]["HTTPHeaders"]
    return int(headers["x-meshwright-revision"])


def list_nodes(client: Any) -> list[dict[str, Any]]:
    return client.list_virtual_nodes(meshName="demo")["virtualNodes"]


def await_status(replica: Replica, condition: Callable[[MeshStatus], bool]) -> MeshStatus:
    """Wait until a replica's status is as it should be, and return it."""
    seen: list[MeshStatus] = []

    def find() -> MeshStatus | None:
        seen[:] = [replica.status("demo")]
        return seen[0] if condition(seen[0]) else None

    return wait_until(
        find, what=f"the status of {replica.name}", timeout=TIMEOUT, interval=0.1, seen=lambda: seen
    )


def have_revision(status: MeshStatus, revision: int, count: int) -> bool:
    """Whether so many proxies have acknowledged a revision."""
    acknowledged = [each.acknowledged_revision for each in status.proxies]
    return acknowledged == [revision] * count
