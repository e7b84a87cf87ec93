"""Control planes that are killed while they write: what was acknowledged is there, once."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from meshwright.model.resources import Resource, ResourceKey
from meshwright.store import open_store
from meshwright.store.dynamodb_table import error_code
from pytest_meshwright.addresses import AddressBlock
from pytest_meshwright.control_plane import ControlPlane
from pytest_meshwright.errors import HarnessError
from pytest_meshwright.processes import ProcessGroup
from tests.controlplane.meshes import DEMO, node_spec
from tests.controlplane.restarting import restartable

# Twice 20 kills among writes and twice 5 at the start.
KILLS = 50
ROUNDS = 20
ROUNDS_TO_A_KILL_AT_THE_START = 4
WRITERS = 4
NAMES_EACH = 3
TIMEOUT = 120.0


@dataclass
class Traffic:
    """What writers and killers tell each other."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    alive: set[int] = field(default_factory=set[int])
    acknowledged: int = 0
    kills: int = 0
    stopping: bool = False
    failures: list[str] = field(default_factory=list[str])

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so, or a failure."""
        with self.changed:
            if not self.changed.wait_for(lambda: condition() or self.failures, TIMEOUT):
                self.failures.append(f"nothing moves after {self.acknowledged} writes")

    @contextlib.contextmanager
    def telling(self) -> Iterator[None]:
        """Change something and wake who waits for it; an error becomes a failure."""
        with self.changed:
            yield
            self.changed.notify_all()

    def run(self, work: Callable[[], None]) -> threading.Thread:
        """Work in a thread; whatever it raises is a failure."""

        def guarded() -> None:
            try:
                work()
            except Exception as error:
                with self.telling():
                    self.failures.append(repr(error))

        thread = threading.Thread(target=guarded, daemon=True)
        thread.start()
        return thread


class Writer:
    """Creates, updates and deletes nodes of its own, and knows how they must be.

    A request whose answer does not come is sent again with the same client token, to any control
    plane, until it is answered: it must have been carried out once.
    """

    def __init__(self, number: int, clients: Sequence[Any], traffic: Traffic) -> None:
        self.clients = clients
        self.traffic = traffic
        self.random = random.Random(number)
        self.asked_again = False
        self.nodes: dict[str, dict[str, Any] | None] = {
            f"node-{number}-{n}": None for n in range(NAMES_EACH)
        }

    def write(self) -> None:
        """Write until told to stop."""
        while not self.traffic.stopping and not self.traffic.failures:
            name = self.random.choice([*self.nodes])
            node = self.nodes[name]
            spec = node_spec(f"host-{uuid.uuid4()}")
            if node is None:
                self.nodes[name] = self.put("create_virtual_node", name, spec)
                self.require(self.nodes[name], version=1)
            elif self.random.random() < 0.7:
                self.nodes[name] = self.put("update_virtual_node", name, spec)
                metadata = node["metadata"]
                self.require(self.nodes[name], version=metadata["version"] + 1, uid=metadata["uid"])
            else:
                self.delete(name)
                self.nodes[name] = None
            with self.traffic.telling():
                self.traffic.acknowledged += 1

    def require(self, node: Any, **expected: Any) -> None:
        """Check what an answer says of a node."""
        got = {name: node["metadata"][name] for name in expected}
        assert got == expected, f"{node['virtualNodeName']}: {got}, not {expected}"

    def put(self, operation: str, name: str, spec: Any) -> dict[str, Any]:
        """Create or update a node, once; the node as answered."""
        token = str(uuid.uuid4())
        node = self.ask(operation, virtualNodeName=name, spec=spec, clientToken=token)
        assert node["spec"] == spec
        return node

    def delete(self, name: str) -> None:
        """Delete a node; the first of several attempts may have been carried out."""
        try:
            self.ask("delete_virtual_node", virtualNodeName=name)
        except ClientError as error:
            if error_code(error) != "NotFoundException" or not self.asked_again:
                raise

    def ask(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Ask until there is an answer; the node in it."""
        self.asked_again = False
        while True:
            self.traffic.wait_for(lambda: bool(self.traffic.alive))
            assert not self.traffic.failures
            alive = sorted(self.traffic.alive)
            client = self.clients[self.random.choice(alive or [0])]
            with contextlib.suppress(BotoCoreError):
                answer = getattr(client, operation)(meshName=DEMO.name, **parameters)
                # botocore takes a body that is cut off at its beginning for an empty one.
                if answer["virtualNode"]:
                    return answer["virtualNode"]
            self.asked_again = True


def kill_again_and_again(number: int, control_plane: ControlPlane, traffic: Traffic) -> None:
    """Kill a control plane among writes, and every fourth time once more while it starts."""
    moments = random.Random(number)
    for turn in range(ROUNDS):
        goal = traffic.acknowledged + moments.randrange(12)
        traffic.wait_for(lambda goal=goal: traffic.acknowledged >= goal)
        # A moment within a write: writes take some 10 ms.
        threading.Event().wait(moments.random() * 0.02)
        with traffic.telling():
            traffic.alive.discard(number)
        control_plane.kill()
        traffic.kills += 1
        if turn % ROUNDS_TO_A_KILL_AT_THE_START == 0:
            start_and_kill(control_plane, moments)
            traffic.kills += 1
        if traffic.failures:
            return
        control_plane.start()
        with traffic.telling():
            traffic.alive.add(number)


def start_and_kill(control_plane: ControlPlane, moments: random.Random) -> None:
    earlier = control_plane.process

    def kill_the_next() -> None:
        while control_plane.process is earlier:
            threading.Event().wait(0.001)
        threading.Event().wait(moments.random())
        control_plane.kill()

    killer = threading.Thread(target=kill_the_next)
    killer.start()
    with contextlib.suppress(HarnessError):
        control_plane.start()
    killer.join()


@pytest.fixture
def control_planes(tmp_path: Path) -> Iterator[Sequence[ControlPlane]]:
    """Two control planes on one SQLite file."""
    with AddressBlock() as block, ProcessGroup() as group:
        first = restartable(tmp_path / "first", group, block, 3).start()
        (tmp_path / "second").mkdir()
        (tmp_path / "second" / first.store.name).symlink_to(first.store)
        yield [first, restartable(tmp_path / "second", group, block, 4).start()]


def test_acknowledged_writes_survive_kills(control_planes: Sequence[ControlPlane]) -> None:
    traffic = Traffic(alive={0, 1})
    clients = [each.client() for each in control_planes]
    clients[0].create_mesh(meshName=DEMO.name)
    writers = [Writer(number, clients, traffic) for number in range(WRITERS)]
    writing = [traffic.run(writer.write) for writer in writers]
    killing = [
        traffic.run(lambda n=n, plane=plane: kill_again_and_again(n, plane, traffic))
        for n, plane in enumerate(control_planes)
    ]
    for thread in killing:
        thread.join()
    with traffic.telling():
        traffic.stopping = True
    for thread in writing:
        thread.join()
    assert traffic.failures == []
    assert traffic.kills >= KILLS
    for client in clients:
        for name, expected in (pair for writer in writers for pair in writer.nodes.items()):
            assert find_node(client, name) == expected, name
        client.close()
    for plane in control_planes:
        plane.stop()
        assert [str(each) for each in plane.log_records() if each.level == "error"] == []
    require_whole(control_planes[0].store)
    print(f"{traffic.kills} kills, {traffic.acknowledged} writes")  # noqa: T201 - for -s


def find_node(client: Any, name: str) -> dict[str, Any] | None:
    try:
        answer = client.describe_virtual_node(meshName=DEMO.name, virtualNodeName=name)
    except client.exceptions.NotFoundException:
        return None
    return answer["virtualNode"]


def require_whole(file: Path) -> None:
    """Check that nothing is half-applied: what the changes lead to is what is there."""
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with closing(open_store(f"sqlite:///{file}")) as store:
        state = store.load(DEMO)
        followed = store.changes(DEMO, after=max(0, state.head.revision - 1000))
    assert followed is not None
    assert followed[0] == state.head
    last: dict[ResourceKey, Resource | None] = {each.key: each.resource for each in followed[1]}
    there = {each.key: each for each in state.resources}
    assert {key: there.get(key) for key in last} == last
