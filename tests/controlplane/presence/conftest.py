"""Several control planes on one store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pytest_meshwright.processes import ProcessGroup
from pytest_meshwright.waiting import wait_until
from tests.controlplane.presence.cluster import NODES, Cluster, StartCluster, write
from tests.controlplane.replicas import start_replica


@pytest.fixture
def start_cluster(new_table: Callable[[], str], tmp_path: Path) -> Iterator[StartCluster]:
    """Starts replicas on a table of DynamoDB Local, or on the store that is named."""
    with ExitStack() as stack:
        group = stack.enter_context(ProcessGroup())
        inner = stack.enter_context(ExitStack())

        def start(count: int, *flags: str | Path, store: str | None = None) -> Cluster:
            url = store or new_table()
            replicas = [
                start_replica(group, tmp_path / f"replica-{n}", url, *flags, name=f"replica-{n}")
                for n in range(count)
            ]
            for replica in replicas:
                inner.callback(replica.client.close)
            replicas[0].client.create_mesh(meshName="demo")
            for name in NODES:
                write(replicas[0], name, port=8080)
            for replica in replicas:  # else it refuses the mesh's proxies for a moment
                wait_until(lambda each=replica: each.find_revision("demo") == 3, what="the mesh")
            return Cluster(replicas, url, inner)

        yield start
