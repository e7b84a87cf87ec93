"""The time that control planes share, whatever their machines' clocks say."""

from __future__ import annotations

import time
from typing import Any

from meshwright.store.dynamodb import DynamoDbStore
from meshwright.store.dynamodb_clock import ServerClock


def test_an_answer_sets_a_wrong_clock(dynamodb_store: DynamoDbStore, dynamodb: Any) -> None:
    clock = ServerClock(dynamodb, clock=lambda: 0.0)
    before = clock.now()
    dynamodb.list_tables()
    # Both are on this machine, whose clock is DynamoDB Local's too.
    assert before < 60
    assert abs(clock.now() - time.time()) < 60
    assert abs(dynamodb_store.now() - time.time()) < 60


def test_between_answers_time_goes_on(dynamodb: Any) -> None:
    moments = iter([0.0, 10.0, 17.0])
    clock = ServerClock(dynamodb, clock=lambda: 100.0, elapsed=lambda: next(moments))
    assert (clock.now(), clock.now()) == (110.0, 117.0)
