"""Two clients at one moment, each through a control plane of its own, on both stores."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from meshwright.store.dynamodb_table import error_code
from pytest_meshwright.processes import ProcessGroup
from tests.controlplane.meshes import node_spec, route_spec, router_spec
from tests.controlplane.replicas import start_replica

ROUNDS = 10
NODE = {"meshName": "demo", "virtualNodeName": "node"}


@pytest.fixture(scope="module", params=["sqlite", "dynamodb"])
def clients(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sequence[Any]]:
    """A client of each of two control planes on one store, of each engine in turn."""
    folder = tmp_path_factory.mktemp("store")
    store = f"sqlite:///{folder}/mesh.db"
    with pytest.MonkeyPatch.context() as patch, ProcessGroup() as group:
        if request.param == "dynamodb":
            endpoint = request.getfixturevalue("dynamodb_endpoint")
            store = f"dynamodb://concurrency?region=us-east-1&endpoint={endpoint}"
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
                patch.setenv(name, "meshwright")
        replicas = [start_replica(group, folder / f"replica-{n}", store) for n in range(2)]
        replicas[0].client.create_mesh(meshName="demo")
        yield [replica.client for replica in replicas]
        for replica in replicas:
            replica.client.close()
            assert replica.process.stop() == 0
            assert replica.errors() == []


@pytest.fixture
def node(clients: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """A virtual node that is deleted in the end, if it is still there."""
    yield clients[0].create_virtual_node(**NODE, spec=node_spec("first"))["virtualNode"]
    attempt(clients[0].delete_virtual_node, **NODE)


def attempt(operation: Callable[..., Any], **parameters: Any) -> str:
    """Make a call; the exception's name, or nothing where it is carried out."""
    try:
        operation(**parameters)
    except ClientError as error:
        return error_code(error)
    return ""


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What calls come to that begin at the same moment."""
    barrier = threading.Barrier(len(calls))

    def call(each: Callable[[], Any]) -> Any:
        barrier.wait()
        return each()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls))


def test_no_update_is_lost(clients: Sequence[Any], node: dict[str, Any]):
    def update(client: Any, hostname: str) -> Any:
        answer = client.update_virtual_node(**NODE, spec=node_spec(hostname))["virtualNode"]
        assert answer["spec"] == node_spec(hostname)
        return answer

    answers = [
        answer
        for turn in range(ROUNDS)
        for answer in at_once(
            *(
                lambda client=client, name=f"{turn}-{number}": update(client, name)
                for number, client in enumerate(clients)
            )
        )
    ]

    by_version = {each["metadata"]["version"]: each for each in answers}
    assert sorted(by_version) == list(range(2, 2 + 2 * ROUNDS))
    assert {each["metadata"]["uid"] for each in answers} == {node["metadata"]["uid"]}
    for client in clients:
        assert client.describe_virtual_node(**NODE)["virtualNode"] == by_version[1 + 2 * ROUNDS]


def test_what_is_deleted_meanwhile_is_not_made_again_by_an_update(clients: Sequence[Any]):
    first, second = clients
    outcomes: list[tuple[str, str]] = []
    for turn in range(ROUNDS):
        first.create_virtual_node(**NODE, spec=node_spec("first"))
        updated, deleted = at_once(
            lambda name=str(turn): attempt(first.update_virtual_node, **NODE, spec=node_spec(name)),
            lambda: attempt(second.delete_virtual_node, **NODE),
        )
        outcomes.append((updated, deleted))
        assert attempt(first.describe_virtual_node, **NODE) == "NotFoundException"

    assert set(outcomes) <= {("", ""), ("NotFoundException", "")}


def test_a_target_and_the_route_to_it_do_not_pass_each_other(clients: Sequence[Any]):
    first, second = clients
    route = {"meshName": "demo", "virtualRouterName": "router", "routeName": "all"}
    first.create_virtual_router(meshName="demo", virtualRouterName="router", spec=router_spec())
    outcomes: list[tuple[str, str]] = []
    for _ in range(ROUNDS):
        attempt(first.create_virtual_node, **NODE, spec=node_spec("node"))
        made, deleted = at_once(
            lambda: attempt(first.create_route, **route, spec=route_spec({"node": 1})),
            lambda: attempt(second.delete_virtual_node, **NODE),
        )
        outcomes.append((made, deleted))
        attempt(first.delete_route, **route)

    assert set(outcomes) <= {("", "ResourceInUseException"), ("NotFoundException", "")}
    attempt(first.delete_virtual_node, **NODE)


def test_of_two_that_create_one_thing_one_does(clients: Sequence[Any]):
    outcomes = [
        sorted(
            at_once(
                *(
                    lambda client=client, name=f"service-{turn}": attempt(
                        client.create_virtual_service,
                        meshName="demo",
                        virtualServiceName=name,
                        spec={},
                    )
                    for client in clients
                )
            )
        )
        for turn in range(ROUNDS)
    ]

    assert outcomes == [["", "ConflictException"]] * ROUNDS
