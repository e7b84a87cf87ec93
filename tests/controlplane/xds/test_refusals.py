"""What is remembered of proxies that were refused."""

from __future__ import annotations

import pytest

from meshwright.model.resources import Kind, ResourceKey
from meshwright.xds.refusals import KEPT, Refusals
from tests.controlplane.clock import Clock
from tests.controlplane.meshes import DEMO

FRONT = ResourceKey(DEMO, Kind.VIRTUAL_NODE, "front")
BACK = ResourceKey(DEMO, Kind.VIRTUAL_NODE, "back")


@pytest.fixture
def clock() -> Clock:
    """The refusals' clock."""
    return Clock()


@pytest.fixture
def refusals(clock: Clock) -> Refusals:
    """Refusals without any."""
    return Refusals(clock)


def test_a_proxy_that_tries_again_is_counted(refusals: Refusals, clock: Clock):
    refusals.note(FRONT, "a", "ipv4:10.0.0.1:1000", "no token")
    clock.now += 30
    refusals.note(FRONT, "a", "ipv4:10.0.0.1:1001", "no token")

    (told,) = refusals.latest(DEMO)
    assert (told.count, told.peer) == (2, "ipv4:10.0.0.1:1001")
    assert told.at - told.first_at == 30


def test_hosts_and_reasons_are_told_apart_the_latest_first(refusals: Refusals):
    refusals.note(FRONT, "a", "ipv4:10.0.0.1:1000", "no token")
    refusals.note(FRONT, "a", "ipv4:10.0.0.2:1000", "no token")
    refusals.note(FRONT, "a", "ipv4:10.0.0.1:1000", "expired")

    assert [each.peer for each in refusals.latest(DEMO)] == [
        *("ipv4:10.0.0.1:1000", "ipv4:10.0.0.2:1000", "ipv4:10.0.0.1:1000")
    ]


def test_a_proxy_that_is_let_in_is_forgiven_and_others_are_not(refusals: Refusals):
    refusals.note(FRONT, "a", "ipv4:10.0.0.1:1000", "no token")
    refusals.note(FRONT, "a", "ipv4:10.0.0.2:1000", "no token")
    refusals.note(BACK, "b", "ipv4:10.0.0.1:1000", "no token")

    refusals.forgive(FRONT, "ipv4:10.0.0.1:2000")

    told = {(each.node_id, each.peer) for each in refusals.latest(DEMO)}
    assert told == {("a", "ipv4:10.0.0.2:1000"), ("b", "ipv4:10.0.0.1:1000")}


def test_who_does_not_come_again_is_forgotten(refusals: Refusals, clock: Clock):
    refusals.note(FRONT, "a", "ipv4:10.0.0.1:1000", "no token")
    clock.now += 301

    assert refusals.latest(DEMO) == []


def test_only_so_many_are_kept(refusals: Refusals):
    for number in range(KEPT + 1):
        refusals.note(FRONT, str(number), f"ipv4:10.0.0.{number}:1", "no token")

    assert [each.node_id for each in refusals.latest(DEMO)] == [
        str(number) for number in range(KEPT, 0, -1)
    ]
