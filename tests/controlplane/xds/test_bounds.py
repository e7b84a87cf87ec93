"""How much a proxy's identity may take, and in what order a stopping server lets proxies go."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import pytest

from meshwright.model.resources import parse_resource_key
from meshwright.xds.bounds import Bounds, TurnedAwayError, Turnstile
from meshwright.xds.server import plan_handover
from tests.controlplane.clock import Clock

FRONT = parse_resource_key("mesh/demo/virtualNode/front", account_id="000000000000")
BACK = parse_resource_key("mesh/demo/virtualNode/back", account_id="000000000000")


def passes(turnstile: Turnstile, identity: str | None = "token a") -> None:
    with turnstile.enter(identity, FRONT):
        pass


def count_until_turned_away(attempt: Callable[[], object]) -> int:
    for count in range(100):
        try:
            attempt()
        except TurnedAwayError:
            return count
    return 100


def test_an_identity_has_so_many_streams_for_one_resource():
    turnstile = Turnstile(Bounds(streams=3))
    with ExitStack() as open_streams:
        opened = count_until_turned_away(
            lambda: open_streams.enter_context(turnstile.enter("token a", FRONT))
        )
        with turnstile.enter("token a", BACK), turnstile.enter("token b", FRONT):
            pass

    assert opened == 3


def test_a_stream_that_has_ended_makes_room():
    clock = Clock()
    turnstile = Turnstile(Bounds(streams=1), clock)
    with turnstile.enter("token a", FRONT):
        clock.now += 1
        with pytest.raises(TurnedAwayError, match="has 1 streams"):
            passes(turnstile)

    passes(turnstile)


def test_all_may_come_at_once_and_then_so_many_a_second():
    clock = Clock()
    turnstile = Turnstile(Bounds(streams=20, connects_per_second=2), clock)
    assert count_until_turned_away(lambda: passes(turnstile)) == 20

    clock.now += 1.5
    assert count_until_turned_away(lambda: passes(turnstile)) == 3


def test_where_nobody_is_asked_nobody_is_counted():
    turnstile = Turnstile(Bounds(streams=1))
    assert count_until_turned_away(lambda: passes(turnstile, None)) == 100


@pytest.mark.parametrize(
    ("streams", "last_at"), [(0, 0.0), (1, 0.0), (101, 1.0), (900, 8.99), (5_000, 8.9982)]
)
def test_a_stopping_server_lets_proxies_go_one_after_another_in_time(streams: int, last_at: float):
    delays = plan_handover(streams, 10.0)

    assert len(delays) == streams
    assert max(delays, default=0.0) == pytest.approx(last_at)
