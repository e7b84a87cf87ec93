"""Several control planes on one DynamoDB table see each other's writes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config

from pytest_meshwright.control_plane import LogRecord
from pytest_meshwright.processes import ChildProcess, ProcessGroup
from pytest_meshwright.waiting import wait_until
from tests.controlplane.meshes import node_spec


@dataclass
class Replica:
    """A `meshwright serve` on a given store.

    Attributes:
        process: The process.
        client: A boto3 client of its API.
        url: Where its API is.
    """

    process: ChildProcess
    client: Any
    url: str

    def find_revision(self, mesh: str) -> int | None:
        """The revision that it has of a mesh without having been asked for it through the API."""
        page = f"{self.url}/meshwright/v1/meshes/{mesh}/status"
        answer = httpx.get(page, trust_env=False, timeout=10)
        return answer.json()["revision"] if answer.status_code == httpx.codes.OK else None

    def errors(self) -> list[str]:
        """The errors in its log."""
        records = map(LogRecord.parse, self.process.stderr.read_text().splitlines())
        return [str(record) for record in records if record.level == "error"]


def start_replica(group: ProcessGroup, folder: Path, store: str) -> Replica:
    options = ["--api", "127.0.0.1:0", "--xds", "127.0.0.1:0", "--log-format", "json"]
    executable = Path(sys.executable).with_name("meshwright")
    process = group.start(
        "control-plane", [executable, "serve", *options, "--store", store], folder
    )

    def find_address() -> str | None:
        process.require_running()
        records = map(LogRecord.parse, process.stderr.read_text().splitlines())
        return next((str(each.fields["api"]) for each in records if each.event == "serving"), None)

    url = f"http://{wait_until(find_address, what='a control plane to serve', timeout=60)}"
    session: Any = boto3.session.Session("meshwright", "meshwright", region_name="us-east-1")
    config = Config(proxies={}, retries={"total_max_attempts": 1})
    return Replica(process, session.client("appmesh", endpoint_url=url, config=config), url)


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


def test_a_write_through_one_reaches_the_other(replicas: list[Replica]) -> None:
    """Without being asked: the other one follows the store, as its proxies need."""
    first, second = replicas
    first.client.create_mesh(meshName="demo")
    wait_until(lambda: second.find_revision("demo") == 1, what="the mesh", timeout=30)
    second.client.create_virtual_node(
        meshName="demo", virtualNodeName="front", spec=node_spec("front")
    )
    wait_until(lambda: first.find_revision("demo") == 2, what="the node", timeout=30)


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
