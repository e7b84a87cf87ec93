"""Real Envoys behind a load balancer, before several control planes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pytest_meshwright.addresses import AddressBlock
from pytest_meshwright.envoy import Envoy
from pytest_meshwright.envoy_bootstrap import Endpoint, ProxySettings, build_bootstrap
from pytest_meshwright.processes import ProcessGroup
from pytest_meshwright.waiting import wait_until
from tests.controlplane.presence.cluster import (
    TIMEOUT,
    StartCluster,
    await_status,
    have_revision,
    write,
)

NAMES = ("front", "back", "front")
UPDATES = (
    r"^(cluster_manager\.cds|listener_manager\.lds|http\..*\.rds\..*)\.update_(success|rejected)$"
)


class Envoys:
    """Envoys for the nodes of `NAMES`, some speaking delta and some state of the world."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack = stack
        self._folder = folder
        self._group = stack.enter_context(ProcessGroup())
        self._block = stack.enter_context(AddressBlock())
        self.all: list[Envoy] = []

    def start(self, address: str) -> None:
        """Start them, and wait until they serve."""
        for number, node in enumerate(NAMES):
            settings = ProxySettings(
                node_id=f"mesh/demo/virtualNode/{node}",
                cluster=node,
                addresses=self._block.reserve_service(),
                control_plane=Endpoint.parse(address),
                delta=number != 1,
            )
            bootstrap = build_bootstrap(settings)
            envoy = Envoy(f"{node}-{number}", bootstrap, folder=self._folder, group=self._group)
            self.all.append(self._stack.enter_context(envoy))
        for envoy in self.all:
            envoy.wait_ready(timeout=TIMEOUT)

    def count_updates(self) -> list[dict[str, int]]:
        """How often each was sent clusters, listeners and routes, by its own counters."""
        return [envoy.admin.read_stats(UPDATES) for envoy in self.all]

    def ports(self) -> list[set[int]]:
        """On which ports each listens."""
        return [{each.port for each in envoy.admin.read_listeners().values()} for envoy in self.all]


@pytest.fixture
def envoys(tmp_path: Path) -> Iterator[Envoys]:
    with ExitStack() as stack:
        yield Envoys(stack, tmp_path / "envoys")


def test_envoys_of_a_killed_replica_go_on_at_another_and_are_sent_nothing_again(
    start_cluster: StartCluster, envoys: Envoys
) -> None:
    cluster = start_cluster(2)
    survivor, killed = cluster.replicas
    envoys.start(cluster.balance())
    before = await_status(survivor, lambda status: have_revision(status, 3, len(NAMES)))
    updates = envoys.count_updates()

    killed.process.kill()
    await_status(
        survivor,
        lambda status: (
            have_revision(status, 3, len(NAMES))
            and {each.replica for each in status.proxies} == {survivor.name}
        ),
    )

    assert {each.replica for each in before.proxies} == {survivor.name, killed.name}
    assert envoys.count_updates() == updates

    revision = write(survivor, "front", port=9090)
    await_status(survivor, lambda status: have_revision(status, revision, len(NAMES)))
    wait_until(
        lambda: [9090 in ports for ports in envoys.ports()] == [True, False, True],
        what="the Envoys to listen anew",
        timeout=TIMEOUT,
    )
    assert survivor.errors() == []
