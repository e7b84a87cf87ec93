"""Waiting for proxies: who waits, who is let go, and what is said of those who are missing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pulumi_meshwright.convergence import Convergence, NotConvergedError, find_reached


def proxy(
    at: int | None,
    *,
    name: str = "front",
    rejected: int | None = None,
    stands_at: int | None = None,
) -> dict[str, Any]:
    rejection = rejected and {
        "revision": rejected,
        "stands_at_revision": stands_at or rejected,
        "type": "cluster",
        "detail": "no\nsuch thing",
    }
    return {
        "resource": f"arn:aws:appmesh:us-east-1:1:mesh/demo/virtualNode/{name}",
        "peer": "10.0.0.7:4100",
        "acknowledged_revision": at,
        "rejection": rejection,
    }


class Mesh:
    """A mesh's status, which a test changes while others wait for it.

    Attributes:
        asked: How often its status was read.
        patience: For how many seconds at most it was to be asked for, the last time.
    """

    def __init__(self, revision: int, *proxies: dict[str, Any]) -> None:
        self.status: dict[str, Any] | None = {"revision": revision, "proxies": list(proxies)}
        self.asked = 0
        self.patience: float | None = None
        self._asked_again = asyncio.Event()

    async def read(self, mesh: str, patience: float | None) -> dict[str, Any] | None:
        """The status of now."""
        assert mesh == "demo"
        self.asked += 1
        self.patience = patience
        self._asked_again.set()
        return self.status

    async def is_asked_again(self) -> None:
        """Wait until the status is read once more."""
        self._asked_again.clear()
        await self._asked_again.wait()


def test_a_mesh_without_proxies_is_not_waited_for() -> None:
    async def scenario() -> Any:
        return await Convergence(Mesh(3).read, 600).wait("demo", 3)

    assert asyncio.run(scenario()) == {"revision": 3, "proxies": []}


def test_while_the_proxies_of_other_control_planes_are_not_known_it_goes_on() -> None:
    async def scenario() -> None:
        mesh = Mesh(3, proxy(3))
        mesh.status = {"revision": 3, "proxies": [proxy(3)], "incomplete": "the store is gone"}
        await Convergence(mesh.read, 0).wait("demo", 3)

    with pytest.raises(NotConvergedError, match=r"other control planes, .* the store is gone"):
        asyncio.run(scenario())


def test_it_ends_when_the_last_proxy_has_acknowledged() -> None:
    async def scenario() -> list[str]:
        told: list[str] = []
        mesh = Mesh(3, proxy(3), proxy(2, name="late"))
        waiting = asyncio.create_task(Convergence(mesh.read, 600).wait("demo", 3, tell=told.append))
        await mesh.is_asked_again()
        await mesh.is_asked_again()
        mesh.status = {"revision": 3, "proxies": [proxy(3), proxy(3, name="late")]}
        await waiting
        return told

    missing = "revision 3 is missing at virtualNode/late (10.0.0.7:4100)"
    assert asyncio.run(scenario()) == [f"waiting for proxies: mesh 'demo': {missing}"]


def test_a_newer_change_takes_the_waiting_over_and_lets_the_earlier_ones_go() -> None:
    async def scenario() -> tuple[Any, bool]:
        mesh = Mesh(5, proxy(4))
        convergence = Convergence(mesh.read, 600)
        first = asyncio.create_task(convergence.wait("demo", 5))
        await mesh.is_asked_again()
        mesh.status = {"revision": 6, "proxies": [proxy(4)]}
        second = asyncio.create_task(convergence.wait("demo", 6))
        let_go = await first
        still = second.done()
        mesh.status = {"revision": 6, "proxies": [proxy(6)]}
        await second
        return let_go, still

    assert asyncio.run(scenario()) == (None, False)


def test_whoever_comes_late_with_an_earlier_change_need_not_wait() -> None:
    async def scenario() -> Any:
        mesh = Mesh(6, proxy(4))
        convergence = Convergence(mesh.read, 600)
        newest = asyncio.create_task(convergence.wait("demo", 6))
        await mesh.is_asked_again()
        earlier = await convergence.wait("demo", 5)
        convergence.cancel()
        with pytest.raises(NotConvergedError):
            await newest
        return earlier

    assert asyncio.run(scenario()) is None


def test_a_rejection_of_a_change_that_was_taken_over_is_told() -> None:
    async def scenario() -> None:
        mesh = Mesh(5, proxy(4))
        convergence = Convergence(mesh.read, 600)
        first = asyncio.create_task(convergence.wait("demo", 5))
        await mesh.is_asked_again()
        second = asyncio.create_task(convergence.wait("demo", 6))
        await first
        mesh.status = {"revision": 6, "proxies": [proxy(4, rejected=5)]}
        await second

    with pytest.raises(NotConvergedError) as caught:
        asyncio.run(scenario())

    assert str(caught.value) == (
        "mesh 'demo': rejected by virtualNode/front (10.0.0.7:4100): no such thing"
    )


def test_an_old_rejection_is_no_reason_to_give_up() -> None:
    async def scenario() -> Any:
        return await Convergence(Mesh(6, proxy(6, rejected=3)).read, 600).wait("demo", 6)

    assert asyncio.run(scenario()) is not None


def test_time_that_runs_out_is_an_error_with_the_names_of_the_missing() -> None:
    proxies = [proxy(None, name=f"node-{number}") for number in range(7)]

    with pytest.raises(NotConvergedError) as caught:
        asyncio.run(Convergence(Mesh(2, *proxies).read, 0).wait("demo", 2))

    told = str(caught.value)
    assert "after 0 s, revision 2 is missing at virtualNode/node-0 (10.0.0.7:4100), " in told
    assert told.endswith(" and 2 more")


def test_a_control_plane_that_does_not_answer_is_asked_no_longer_than_is_waited() -> None:
    mesh = Mesh(2, proxy(1))

    with pytest.raises(NotConvergedError):
        asyncio.run(Convergence(mesh.read, 600).wait("demo", 2, timeout=0))

    assert mesh.patience == 0


def test_a_control_plane_that_is_behind_is_waited_for_too() -> None:
    with pytest.raises(NotConvergedError, match="the control plane itself, which is at 2"):
        asyncio.run(Convergence(Mesh(2).read, 0).wait("demo", 3))


def test_who_waits_alone_waits_to_the_end_whatever_else_is_waited_for() -> None:
    async def scenario() -> tuple[bool, Any]:
        mesh = Mesh(5, proxy(4))
        convergence = Convergence(mesh.read, 600)
        alone = asyncio.create_task(convergence.wait("demo", 5, alone=True))
        newer = asyncio.create_task(convergence.wait("demo", 6))
        await mesh.is_asked_again()
        await mesh.is_asked_again()
        early = alone.done()
        mesh.status = {"revision": 6, "proxies": [proxy(6)]}
        await newer
        return early, await alone

    assert asyncio.run(scenario()) == (False, {"revision": 6, "proxies": [proxy(6)]})


def test_who_waits_alone_is_told_of_an_earlier_rejection_that_still_stands() -> None:
    mesh = Mesh(5, proxy(1, rejected=2, stands_at=5))

    with pytest.raises(NotConvergedError) as caught:
        asyncio.run(Convergence(mesh.read, 600).wait("demo", 5, alone=True))

    assert str(caught.value) == (
        "mesh 'demo': rejected by virtualNode/front (10.0.0.7:4100): no such thing"
    )


def test_an_earlier_rejection_may_be_mended_by_the_next_change_of_a_program() -> None:
    async def scenario() -> Any:
        mesh = Mesh(3, proxy(1, rejected=2, stands_at=3))
        waiting = asyncio.create_task(Convergence(mesh.read, 600).wait("demo", 3))
        await mesh.is_asked_again()
        mesh.status = {"revision": 4, "proxies": [proxy(4)]}
        return await waiting

    assert asyncio.run(scenario())["revision"] == 4


def test_cancelling_ends_the_waiting_alone_too() -> None:
    async def scenario() -> None:
        mesh = Mesh(2, proxy(1))
        convergence = Convergence(mesh.read, 600)
        waiting = asyncio.create_task(convergence.wait("demo", 2, alone=True))
        await mesh.is_asked_again()
        convergence.cancel()
        await waiting

    with pytest.raises(NotConvergedError, match="cancelled while waiting: mesh 'demo'"):
        asyncio.run(scenario())


def test_a_rejection_of_something_earlier_is_told_of_who_is_missing() -> None:
    mesh = Mesh(3, proxy(1, rejected=2))

    with pytest.raises(NotConvergedError) as caught:
        asyncio.run(Convergence(mesh.read, 0).wait("demo", 3))

    assert str(caught.value) == (
        "mesh 'demo': after 0 s, revision 3 is missing at virtualNode/front (10.0.0.7:4100), which "
        "has rejected revision 2: no such thing"
    )


@pytest.mark.parametrize(
    ("proxies", "reached"), [([], 7), ([proxy(7), proxy(5)], 5), ([proxy(None), proxy(5)], 0)]
)
def test_what_all_have_reached_is_the_lowest_of_what_each_has(
    proxies: list[dict[str, Any]], reached: int
) -> None:
    assert find_reached({"revision": 7, "proxies": proxies}) == reached


def test_proxies_of_what_was_removed_have_nothing_to_wait_for() -> None:
    gone = proxy(None, name="gone")

    async def scenario() -> Any:
        return await Convergence(Mesh(2, gone).read, 0).wait("demo", 2, without=gone["resource"])

    assert asyncio.run(scenario()) is not None


def test_a_mesh_that_is_gone_is_not_waited_for() -> None:
    async def scenario() -> Any:
        mesh = Mesh(1)
        mesh.status = None
        return await Convergence(mesh.read, 600).wait("demo", 2)

    assert asyncio.run(scenario()) is None


def test_cancelling_ends_all_waiting_at_once() -> None:
    async def scenario() -> None:
        mesh = Mesh(2, proxy(1))
        convergence = Convergence(mesh.read, 600)
        waiting = asyncio.create_task(convergence.wait("demo", 2))
        await mesh.is_asked_again()
        convergence.cancel()
        await waiting

    with pytest.raises(NotConvergedError, match="cancelled while waiting: mesh 'demo'"):
        asyncio.run(scenario())
