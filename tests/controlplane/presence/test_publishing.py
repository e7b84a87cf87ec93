"""What one replica tells of its proxies is what another one reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import structlog

from meshwright.meshes import Meshes
from meshwright.model.resources import Kind, ResourceKey
from meshwright.presence.entries import (
    BEAT_SECONDS,
    REPLICAS,
    Heartbeat,
    Standing,
    proxies_collection,
    render_heartbeat,
)
from meshwright.presence.publishing import Publisher
from meshwright.presence.reading import OtherReplicas, ReplicaProxy
from meshwright.store import StoreError
from meshwright.store.sqlite import SqliteStore
from meshwright.xds.distribution import Distribution
from tests.controlplane.meshes import DEMO, build_resource, commit, demo_resources, node_spec
from tests.controlplane.xds.distributing import (
    Client,
    build_distribution,
    refuses_version_2,
    split,
)

PROXIES = proxies_collection(DEMO)


class WatchedStore(SqliteStore):
    """A store with a clock of the test's own, which may fail, and counts what is asked of it."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.time = 1_000.0
        self.is_broken = False
        self.written: list[tuple[str, Mapping[str, str | None]]] = []
        self.read: list[str] = []

    def now(self) -> float:
        """The test's time."""
        return self.time

    def entries(self, collection: str) -> Mapping[str, str]:
        """The entries, noted as read."""
        self.read.append(collection)
        return super().entries(collection)

    def write_entries(self, collection: str, contents: Mapping[str, str | None]) -> None:
        """Write them, and note that."""
        if self.is_broken:
            raise StoreError("out of order")
        super().write_entries(collection, contents)
        self.written.append((collection, contents))


@dataclass
class Scene:
    """One replica with its proxies, and another that looks at them.

    Attributes:
        store: What they share.
        meshes: The first one's meshes.
    """

    store: WatchedStore
    meshes: Meshes
    distribution: Distribution = field(init=False)
    others: OtherReplicas = field(init=False)

    @asynccontextmanager
    async def publishing(self) -> AsyncGenerator[None]:
        """Have the first replica publish what becomes of its proxies."""
        self.distribution = build_distribution(self.meshes)
        publisher = Publisher(self.store, self.distribution, "first", "machine:1")
        self.others = OtherReplicas(self.store, "second")
        task = asyncio.create_task(publisher.run())
        try:
            yield
        finally:
            publisher.close()
            await task

    def seen(self) -> list[ReplicaProxy]:
        """What the other replica sees."""
        return self.others.read(DEMO).proxies

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so."""
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    store = WatchedStore(str(tmp_path / "store.db"))
    meshes = Meshes(store)
    commit(meshes, *demo_resources())
    yield Scene(store, meshes)
    store.close()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))


def test_others_see_who_is_connected_and_which_revision_they_have(scene: Scene):
    async def test() -> None:
        async with scene.publishing():
            front = Client(scene.distribution, "front")
            await scene.until(lambda: bool(scene.seen()))
            [(replica, status)] = scene.seen()

            assert (replica, status) == ("first", front.status)
            assert scene.others.count() == {DEMO: 1}

    run(test)


def test_others_see_a_revision_also_where_it_concerned_nobody(scene: Scene):
    async def test() -> None:
        async with scene.publishing():
            Client(scene.distribution, "front")
            await scene.until(lambda: bool(scene.seen()))
            commit(scene.meshes, build_resource(Kind.VIRTUAL_NODE, "lone", node_spec("lone")))
            await scene.until(lambda: scene.seen()[0].status.acknowledged_revision == 2)

    run(test)


def test_others_never_see_a_revision_that_was_not_acknowledged(scene: Scene):
    """The mesh goes on while a proxy has not acknowledged: it stays where it was."""

    async def test() -> None:
        async with scene.publishing():
            front, blue = Client(scene.distribution, "front"), Client(scene.distribution, "blue")
            await scene.until(lambda: len(scene.seen()) == 2)
            front.connection.wake = lambda: None
            commit(scene.meshes, split({"blue": 1}, 2))
            await scene.until(lambda: scene.seen()[0].status.acknowledged_revision == 2)
            scene.store.time += 7
            [of_blue, of_front] = (each.status for each in scene.seen())

            assert of_blue.resource == blue.connection.arn
            assert (of_blue.acknowledged_revision, of_blue.lag) == (2, 0)
            assert (of_front.acknowledged_revision, of_front.is_current) == (1, False)
            assert of_front.lag >= 7

            front.exchange()
            await scene.until(lambda: scene.seen()[1].status.acknowledged_revision == 2)

    run(test)


def test_others_see_a_rejection(scene: Scene):
    async def test() -> None:
        async with scene.publishing():
            Client(scene.distribution, "front", refuses_version_2)
            await scene.until(lambda: bool(scene.seen()))
            commit(scene.meshes, split({"blue": 1}, 2))
            await scene.until(lambda: scene.seen()[0].status.rejection is not None)
            status = scene.seen()[0].status

            assert status.rejection is not None
            assert status.rejection["detail"] == "no good"
            assert status.acknowledged_revision == 1

    run(test)


def test_others_see_what_proxies_need_and_cannot_get(scene: Scene):
    """And see no more of it when it is there, or when nobody needs it any more."""

    async def test() -> None:
        async with scene.publishing():
            Client(scene.distribution, "blue")
            front = Client(scene.distribution, "front")
            where = {"awsCloudMap": {"namespaceName": "demo", "serviceName": "green"}}
            spec = node_spec("green") | {"serviceDiscovery": where}
            commit(scene.meshes, build_resource(Kind.VIRTUAL_NODE, "green", spec))
            await scene.until(lambda: bool(scene.others.read(DEMO).findings))
            [finding] = scene.others.read(DEMO).findings
            assert finding == scene.distribution.find_unmet_needs(DEMO)[0]
            assert (finding.code, finding.resource) == ("DiscoveryFailed", front.connection.arn)

            scene.distribution.disconnect(front.connection)
            await scene.until(lambda: not scene.others.read(DEMO).findings)

    run(test)


def test_a_proxy_that_leaves_is_gone_and_nothing_is_left_of_the_last(scene: Scene):
    async def test() -> None:
        async with scene.publishing():
            front, blue = Client(scene.distribution, "front"), Client(scene.distribution, "blue")
            await scene.until(lambda: len(scene.seen()) == 2)
            scene.distribution.disconnect(front.connection)
            await scene.until(lambda: len(scene.seen()) == 1)
            scene.distribution.disconnect(blue.connection)
            await scene.until(lambda: not scene.store.entries(REPLICAS))

            assert scene.store.entries(PROXIES) == {}

            Client(scene.distribution, "green")
            await scene.until(lambda: len(scene.seen()) == 1)

    run(test)


def test_a_replica_that_stops_leaves_nothing_behind(scene: Scene):
    async def test() -> None:
        async with scene.publishing():
            Client(scene.distribution, "front")
            await scene.until(lambda: bool(scene.seen()))

        assert scene.store.entries(REPLICAS) == {}
        assert scene.store.entries(PROXIES) == {}

    run(test)


def test_without_proxies_nothing_is_written_whatever_becomes_of_the_mesh(scene: Scene):
    async def test() -> None:
        async with scene.publishing():
            commit(scene.meshes, split({"blue": 1}, 2))
            await scene.until(lambda: scene.distribution.revision(DEMO) == 2)

        assert scene.store.written == []

    run(test)


def knock(scene: Scene, reason: str = "no token") -> None:
    """Have a proxy of `front` be refused."""
    key = ResourceKey(DEMO, Kind.VIRTUAL_NODE, "front")
    scene.distribution.refuse(key, "front", "here", reason)


def refusals(scene: Scene) -> list[str]:
    """The reasons that the other replica sees."""
    return [each.refusal.reason for each in scene.others.read(DEMO).refusals]


def test_others_see_who_was_refused_also_where_nobody_is_connected(scene: Scene):
    async def test() -> None:
        async with scene.publishing():
            knock(scene)
            await scene.until(lambda: bool(refusals(scene)))
            [(replica, refusal)] = scene.others.read(DEMO).refusals

            assert (replica, refusal) == ("first", scene.distribution.refusals(DEMO)[0])
            assert (scene.seen(), scene.others.count()) == ([], {DEMO: 0})

        assert (scene.store.entries(REPLICAS), scene.store.entries(PROXIES)) == ({}, {})

    run(test)


def test_of_a_proxy_that_knocks_again_others_are_told_with_a_heartbeat(scene: Scene):
    async def test() -> None:
        async with scene.publishing():
            knock(scene)
            await scene.until(lambda: refusals(scene) == ["no token"])
            scene.store.written.clear()
            knock(scene, "expired")
            Client(scene.distribution, "blue")
            await scene.until(lambda: bool(scene.seen()))
            assert refusals(scene) == ["no token"]

            scene.store.time += BEAT_SECONDS
            await scene.until(lambda: refusals(scene) == ["expired", "no token"])

    run(test)


def test_others_see_no_refusal_any_more_once_the_proxy_was_let_in(scene: Scene):
    async def test() -> None:
        async with scene.publishing():
            knock(scene)
            await scene.until(lambda: bool(refusals(scene)))
            front = Client(scene.distribution, "front")
            scene.store.time += BEAT_SECONDS
            await scene.until(lambda: bool(scene.seen()))
            assert refusals(scene) == []

            scene.distribution.disconnect(front.connection)
            await scene.until(lambda: not scene.store.entries(REPLICAS))

        assert scene.store.entries(PROXIES) == {}

    run(test)


def written_parts(scene: Scene) -> set[str]:
    """The parts with rows that have been written."""
    return {name for where, names in scene.store.written if where == PROXIES for name in names}


def test_of_many_proxies_only_what_changed_is_written(scene: Scene):
    async def test() -> None:
        async with scene.publishing():
            blue = [Client(scene.distribution, "blue") for _ in range(30)]
            front = Client(scene.distribution, "front", refuses_version_2)
            await scene.until(lambda: len(scene.seen()) == len(blue) + 1)
            scene.store.written.clear()
            commit(scene.meshes, split({"blue": 1}, 2))
            await scene.until(lambda: scene.seen()[-1].status.rejection is not None)

            assert scene.seen()[-1].status.rejection == front.status.rejection
            assert len(written_parts(scene)) == 1

    run(test)


def test_of_proxies_that_have_acknowledged_already_nothing_but_the_revision_is_written(
    scene: Scene,
):
    async def test() -> None:
        async with scene.publishing():
            Client(scene.distribution, "front")
            await scene.until(lambda: len(scene.seen()) == 1)
            scene.store.written.clear()
            commit(scene.meshes, split({"blue": 1}, 2))
            await scene.until(lambda: scene.seen()[0].status.acknowledged_revision == 2)

            assert scene.seen()[0].status.is_current
            assert written_parts(scene) == set()

    run(test)


def test_rows_that_are_the_same_as_before_are_not_read_again(scene: Scene):
    async def test() -> None:
        async with scene.publishing():
            Client(scene.distribution, "front")
            await scene.until(lambda: bool(scene.seen()))
            scene.seen()
            scene.store.read.clear()
            for _ in range(3):
                scene.seen()

            assert scene.store.read == [REPLICAS] * 3

    run(test)


def test_a_replica_that_falls_silent_is_not_believed_any_more(scene: Scene):
    heartbeat = Heartbeat("old", "machine:9", scene.store.time, {DEMO: Standing(1, 1, 1)})
    scene.store.write_entries(REPLICAS, render_heartbeat("killed", heartbeat))
    others = OtherReplicas(scene.store, "second")

    scene.store.time += 14
    assert others.count() == {DEMO: 1}
    scene.store.time += 2
    assert others.count() == {}


def test_a_replica_that_was_killed_is_not_believed_once_another_has_its_address(scene: Scene):
    async def test() -> None:
        for address in ("machine:1", "machine:2"):
            beat = Heartbeat(address, address, scene.store.time, {DEMO: Standing(1, 1, 1)})
            scene.store.write_entries(REPLICAS, render_heartbeat(address[-1], beat))
        others = OtherReplicas(scene.store, "second")
        assert others.count() == {DEMO: 2}

        distribution = build_distribution(scene.meshes)
        Publisher(scene.store, distribution, "again", "machine:1").retire_predecessor()
        assert others.count() == {DEMO: 1}

    run(test)


def test_what_a_killed_replica_left_behind_is_removed_by_the_next(scene: Scene):
    async def test() -> None:
        left = render_heartbeat(
            "killed", Heartbeat("old", "machine:9", 1.0, {DEMO: Standing(1, 1, 1)})
        )
        fresh = render_heartbeat(
            "alive", Heartbeat("new", "machine:8", 999.0, {DEMO: Standing(1, 1, 1)})
        )
        scene.store.write_entries(REPLICAS, {**left, **fresh})
        scene.store.write_entries(PROXIES, {"killed/0": "[]", "alive/0": "[]"})
        async with scene.publishing():
            Client(scene.distribution, "front")
            await scene.until(lambda: bool(scene.seen()))

        assert scene.store.entries(REPLICAS) == fresh
        assert scene.store.entries(PROXIES) == {"alive/0": "[]"}

    run(test)


def test_after_an_outage_of_the_store_everything_is_told_again(scene: Scene):
    async def test() -> None:
        with structlog.testing.capture_logs() as logs:
            async with scene.publishing():
                Client(scene.distribution, "front")
                await scene.until(lambda: bool(scene.seen()))
                scene.store.is_broken = True
                Client(scene.distribution, "blue")
                await scene.until(lambda: any(each["log_level"] == "warning" for each in logs))
                scene.store.is_broken = False
                await scene.until(lambda: len(scene.seen()) == 2)

        [warning] = [each for each in logs if each["log_level"] == "warning"]
        assert (warning["event"], warning["error"]) == ("proxies_not_published", "out of order")

    run(test)


def test_after_a_long_silence_everything_is_told_again(scene: Scene):
    """The process was suspended, and others have removed what it had written."""

    async def test() -> None:
        async with scene.publishing():
            Client(scene.distribution, "front")
            await scene.until(lambda: bool(scene.seen()))
            scene.store.write_entries(PROXIES, dict.fromkeys(scene.store.entries(PROXIES)))
            scene.store.write_entries(REPLICAS, dict.fromkeys(scene.store.entries(REPLICAS)))
            scene.store.time += 100
            await scene.until(lambda: bool(scene.seen()))

    run(test)
