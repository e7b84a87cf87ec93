"""Leaky buckets: how much comes at once, how fast it goes on, and how long to wait."""

from __future__ import annotations

from meshwright.rates import LeakyBuckets
from tests.controlplane.clock import Clock


def test_as_many_as_it_holds_come_at_once_and_the_next_is_told_how_long_to_wait():
    buckets = LeakyBuckets[str](3, 0.5, Clock())

    assert [buckets.find_wait("a") for _ in range(5)] == [0, 0, 0, 2, 2]


def test_it_empties_at_its_rate():
    clock = Clock()
    buckets = LeakyBuckets[str](3, 0.5, clock)
    for _ in range(3):
        buckets.find_wait("a")
    clock.now += 4.0

    assert [buckets.find_wait("a") for _ in range(3)] == [0, 0, 2]


def test_each_has_a_bucket_of_its_own():
    buckets = LeakyBuckets[str](1, 0.5, Clock())

    assert [buckets.find_wait(who) for who in ("a", "b", "a")] == [0, 0, 2]


def test_those_with_an_empty_bucket_are_forgotten():
    clock = Clock()
    buckets = LeakyBuckets[int](1, 1.0, clock)
    for who in range(10_000):
        buckets.find_wait(who)
    clock.now += 2.0
    buckets.find_wait(10_000)

    assert len(buckets._filled) == 1
