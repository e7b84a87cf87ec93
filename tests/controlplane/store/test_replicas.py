"""Several control planes on one DynamoDB table see each other's writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_meshwright.processes import ProcessGroup
from pytest_meshwright.waiting import wait_until
from tests.controlplane.meshes import node_spec
from tests.controlplane.replicas import Replica, start_replica


@pytest.fixture
def replicas(new_table: Callable[[], str], tmp_path: Path) -> Iterator[list[Replica]]:
    """Two control planes on one table, which the first of them makes."""
    store = new_table()
    with ProcessGroup() as group:
        replicas = [start_replica(group, tmp_path / f"replica-{n}", store) for n in range(2)]
        yield replicas
        for replica in replicas:
            replica.client.close()
            assert replica.process.stop() == 0
            assert replica.errors() == []


def test_a_write_through_one_is_read_through_the_other_at_once(replicas: list[Replica]) -> None:
    first, second = replicas
    first.client.create_mesh(meshName="demo")
    for n in range(5):
        name = f"node-{n}"
        first.client.create_virtual_node(
            meshName="demo", virtualNodeName=name, spec=node_spec(name)
        )
        described = second.client.describe_virtual_node(meshName="demo", virtualNodeName=name)
        assert described["virtualNode"]["spec"] == node_spec(name)
        first, second = second, first


def test_concurrent_writes_through_both_are_all_carried_out(replicas: list[Replica]) -> None:
    replicas[0].client.create_mesh(meshName="demo")
    names = [f"node-{n}" for n in range(24)]

    def create(index: int) -> None:
        replicas[index % 2].client.create_virtual_node(
            meshName="demo", virtualNodeName=names[index], spec=node_spec(names[index])
        )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(create, range(len(names))))
    for replica in replicas:
        listed = replica.client.list_virtual_nodes(meshName="demo")["virtualNodes"]
        assert [each["virtualNodeName"] for each in listed] == sorted(names)
        wait_until(lambda each=replica: each.find_revision("demo") == 25, what="all", timeout=30)


def test_one_request_sent_to_both_is_carried_out_once(replicas: list[Replica]) -> None:
    replicas[0].client.create_mesh(meshName="demo")

    def create(replica: Replica) -> str:
        answer = replica.client.create_virtual_node(
            meshName="demo", virtualNodeName="front", spec=node_spec("front"), clientToken="once"
        )
        return answer["virtualNode"]["metadata"]["uid"]

    with ThreadPoolExecutor(4) as pool:
        uids = set(pool.map(create, replicas * 4))
    assert len(uids) == 1
