"""Tests of the demo's measurements."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from pytest_meshwright.control_plane import LogRecord
from tools.demo.measures import (
    account_for,
    add_counts,
    find_answered_at,
    find_first_followed,
    render_delay,
    split_evenly,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def answer(second: int, operation: str = "UpdateRoute", status: int = 200) -> LogRecord:
    fields: dict[str, Any] = {"operation": operation, "http_status": status}
    return LogRecord(NOON + timedelta(seconds=second), "info", "api_request", fields)


def line(second: int, version: int | str | None) -> str:
    start = (NOON + timedelta(seconds=second)).isoformat()
    return json.dumps({"start_time": start, "route_version": version})


def test_a_log_with_each_line_once_is_right():
    assert account_for("front", 2, ["a", "b"]).ok


def test_a_line_that_is_missing_is_lost():
    account = account_for("front", 3, ["a", "b"])

    assert (account.lost, account.twice, account.ok) == (1, 0, False)


def test_a_line_that_came_twice_does_not_make_up_for_one_that_is_lost():
    account = account_for("front", 3, ["a", "b", "b"])

    assert (account.lost, account.twice, account.ok) == (1, 1, False)


def test_a_line_that_came_twice_is_wrong():
    assert not account_for("front", 2, ["a", "b", "b"]).ok


def test_the_last_successful_answer_of_the_operation_counts():
    records = [answer(1), answer(2), answer(3, status=400), answer(4, "DescribeRoute")]

    assert find_answered_at(records, "UpdateRoute") == NOON + timedelta(seconds=2)


def test_an_operation_that_was_not_called_has_no_answer():
    assert find_answered_at([answer(1)], "DeleteRoute") is None


def test_the_first_request_is_the_one_that_began_first_not_the_one_that_ended_first():
    lines = [line(1, 1), line(4, 2), line(3, "2"), line(5, None)]

    assert find_first_followed(lines, 2) == NOON + timedelta(seconds=3)


def test_a_line_under_way_is_passed_over():
    assert find_first_followed([line(1, 1), '{"start_ti'], 2) is None


def test_a_delay_is_told_in_milliseconds():
    assert render_delay(NOON, NOON + timedelta(microseconds=17_240)) == "17.2 ms after it"


def test_what_happened_before_is_told_as_that():
    assert render_delay(NOON, NOON - timedelta(milliseconds=3)) == "3.0 ms before it"


def test_requests_are_split_into_parts_that_add_up():
    assert split_evenly(7, 3) == [3, 2, 2]


def test_there_are_no_empty_parts():
    assert split_evenly(2, 20) == [1, 1]


def test_counts_of_several_tallies_add_up():
    assert add_counts([{"blue": 1}, {"blue": 2, "green": 3}]) == {"blue": 3, "green": 3}
