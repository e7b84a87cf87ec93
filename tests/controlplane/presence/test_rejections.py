"""What a proxy has rejected at one replica is known to the others, and after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from meshwright.meshes import Meshes
from meshwright.model.resources import Kind, ResourceKey
from meshwright.presence.rejections import (
    REJECTIONS,
    KeptRejection,
    Rejections,
    parse_kept,
    render_kept,
)
from meshwright.store import Change, StoreError
from meshwright.store.sqlite import SqliteStore
from meshwright.translate import Interception, Proxy
from meshwright.xds.distribution import Distribution
from meshwright.xds.resources import CLUSTER, ENDPOINT, SECRET
from tests.controlplane.meshes import DEMO, commit, demo_resources
from tests.controlplane.xds.distributing import (
    Client,
    build_distribution,
    refuses_version_2,
    split,
    until,
)
from tests.controlplane.xds.proxies import snapshot

FRONT = ResourceKey(DEMO, Kind.VIRTUAL_NODE, "front")


class BreakableStore(SqliteStore):
    """A store that may fail."""

    is_broken = False

    stamp: str | None = None

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.reads = 0

    def entries(self, collection: str) -> Mapping[str, str]:
        """The entries, counted."""
        self.reads += 1
        return super().entries(collection)

    def entries_stamp(self) -> Any:
        """What a test says."""
        return self.stamp

    def put_entry(self, collection: str, name: str, content: str) -> None:
        """Keep it, or fail."""
        if self.is_broken:
            raise StoreError("out of order")
        super().put_entry(collection, name, content)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[BreakableStore]:
    """A store with the mesh `demo`."""
    store = BreakableStore(str(tmp_path / "store.db"))
    commit(Meshes(store), *demo_resources())
    yield store
    store.close()


@asynccontextmanager
async def replica(
    store: BreakableStore, clock: Callable[[], float] = lambda: 0.0
) -> AsyncGenerator[tuple[Meshes, Distribution]]:
    """A control plane on a store, from its start to its end."""
    meshes = Meshes(store)
    meshes.catch_up_all()
    distribution = build_distribution(meshes)
    rejections = Rejections(store, distribution, clock)
    await rejections.load()
    task = asyncio.create_task(rejections.run())
    try:
        yield meshes, distribution
    finally:
        task.cancel()


def kept(store: BreakableStore) -> list[KeptRejection]:
    """What is in the store."""
    return [parse_kept(text) for text in store.entries(REJECTIONS).values()]


async def reject(meshes: Meshes, distribution: Distribution, store: BreakableStore) -> Client:
    """Have a proxy of `front` reject revision 2, and wait until that is in the store."""
    front = Client(distribution, "front", refuses_version_2)
    commit(meshes, split({"blue": 1}, 2))
    await until(lambda: bool(kept(store)))
    return front


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))


def test_after_a_restart_a_new_proxy_gets_the_last_good_configuration(store: BreakableStore):
    async def test() -> None:
        async with replica(store) as (meshes, distribution):
            first = await reject(meshes, distribution, store)
            good = first.connection.stream.target.contents()
        async with replica(store) as (_, distribution):
            new = Client(distribution, "front", refuses_version_2)
            status = new.status

            assert new.connection.stream.target.contents() == good
            assert (status.acknowledged_revision, status.is_current) == (1, False)
            assert status.rejection is not None
            assert (status.rejection["revision"], status.rejection["detail"]) == (2, "no good")

    run(test)


def test_a_proxy_that_came_to_another_replica_before_that_knew_gets_it_as_well(
    store: BreakableStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("meshwright.presence.rejections.LOOK_SECONDS", 0.05)

    async def test() -> None:
        async with replica(store) as (meshes, first), replica(store) as (others, second):
            front = Client(first, "front", refuses_version_2)
            good = front.connection.stream.target.contents()
            commit(meshes, split({"blue": 1}, 2))
            await asyncio.to_thread(others.catch_up_all)
            new = Client(second, "front", refuses_version_2)

            await until(lambda: new.connection.stream.target.contents() == good)

    run(test)


def test_nothing_is_kept_any_more_once_something_later_was_accepted(store: BreakableStore):
    """Also where another process accepts it than has seen the rejection."""

    async def test() -> None:
        async with replica(store) as (meshes, distribution):
            await reject(meshes, distribution, store)
        async with replica(store) as (meshes, distribution):
            new = Client(distribution, "front", refuses_version_2)
            commit(meshes, split({"green": 1}, 3))
            await until(lambda: not kept(store))

            assert new.status.is_current

    run(test)


def test_what_could_not_be_written_is_written_later(
    store: BreakableStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("meshwright.presence.rejections.LOOK_SECONDS", 0.05)

    async def test() -> None:
        store.is_broken = True
        async with replica(store) as (meshes, distribution):
            Client(distribution, "front", refuses_version_2)
            with structlog.testing.capture_logs() as lines:
                commit(meshes, split({"blue": 1}, 2))
                await until(lambda: any(each["event"] == "rejections_not_kept" for each in lines))
                store.is_broken = False
                await until(lambda: bool(kept(store)))

    run(test)


def test_what_cannot_be_read_keeps_nobody_from_what_can(store: BreakableStore):
    async def test() -> None:
        async with replica(store) as (meshes, distribution):
            first = await reject(meshes, distribution, store)
            good = first.connection.stream.target.contents()
        store.put_entry(REJECTIONS, "0", "no such thing")
        async with replica(store) as (_, distribution):
            new = Client(distribution, "front", refuses_version_2)

            assert new.connection.stream.target.contents() == good

    run(test)


def test_what_is_too_large_for_the_store_is_left_out(
    store: BreakableStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("meshwright.presence.rejections._MAX_CHARACTERS", 10)

    async def test() -> None:
        async with replica(store) as (meshes, distribution):
            Client(distribution, "front", refuses_version_2)
            with structlog.testing.capture_logs() as lines:
                commit(meshes, split({"blue": 1}, 2))
                await until(
                    lambda: any(each["event"] == "rejection_too_large_to_keep" for each in lines)
                )
            assert kept(store) == []

    run(test)


def test_it_is_read_again_only_when_there_may_be_something_new(store: BreakableStore):
    async def test() -> list[int]:
        rejections = Rejections(store, build_distribution(Meshes(store)), lambda: 0.0)
        seen: list[int] = []
        for stamp in ("a", "a", "b"):
            store.stamp = stamp
            await rejections.load()
            seen.append(store.reads)
        return seen

    assert asyncio.run(test()) == [1, 1, 2]


def test_of_a_node_that_is_gone_nothing_is_kept_for_long(
    store: BreakableStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("meshwright.presence.rejections.LOOK_SECONDS", 0.05)

    async def test() -> None:
        async with replica(store) as (meshes, distribution):
            front = await reject(meshes, distribution, store)
            at = kept(store)[0].rejection["at"]
            distribution.disconnect(front.connection)
        async with replica(store, lambda: at + 3601) as (meshes, distribution):
            assert len(kept(store)) == 1
            meshes.commit(meshes.graph(DEMO), [Change(FRONT, None)], committed_at=3.0)

            await until(lambda: not kept(store))

    run(test)


def test_it_comes_back_as_it_was_and_secrets_stay_here():
    good = snapshot(
        7,
        pending=[(ENDPOINT, "b")],
        clusters={"a": "1"},
        endpoints={"a": "1"},
        secrets={"key": "swordfish"},
    )
    proxy = Proxy(FRONT, Interception.EXPLICIT, "127.0.0.2", None, (("color.local", "127.0.0.3"),))
    rejection = {"type": "Cluster", "resources": ["a"], "detail": "no", "revision": 8, "at": 1.5}
    rejected = (frozenset([(CLUSTER, "a", "2"), (CLUSTER, "b", "3")]),)

    back = parse_kept(render_kept(KeptRejection(proxy, rejection, rejected, good)))

    assert back[:3] == (proxy, rejection, rejected)
    assert back.good.revision == 7
    assert back.good.of_type(CLUSTER) == good.of_type(CLUSTER)
    assert back.good.of_type(ENDPOINT) == good.of_type(ENDPOINT)
    assert back.good.of_type(SECRET) == {}
    assert back.good.pending == {(ENDPOINT, "b"), (SECRET, "key")}
