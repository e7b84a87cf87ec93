"""Tests of the binomial bounds, checked against exact arithmetic with fractions."""

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_meshwright.shares import binomial_bounds, judge_shares


def tail_below(total: int, chance: Fraction, count: int) -> Fraction:
    """P(X < count), exactly."""
    hits = range(count)
    return sum(
        (comb(total, hit) * chance**hit * (1 - chance) ** (total - hit) for hit in hits),
        Fraction(0),
    )


@given(
    total=st.integers(0, 120),
    percent=st.integers(0, 100),
    false_alarm=st.sampled_from([1e-2, 1e-4, 1e-6]),
)
def test_each_tail_outside_the_bounds_holds_at_most_half_of_the_false_alarms(
    total: int, percent: int, false_alarm: float
):
    chance = Fraction(percent, 100)

    lowest, highest = binomial_bounds(total, percent / 100, false_alarm)

    slack = Fraction(false_alarm) / 2 * (1 + Fraction(1, 10**9))
    assert tail_below(total, chance, lowest) <= slack
    assert tail_below(total, 1 - chance, total - highest) <= slack


@given(total=st.integers(1, 120), percent=st.integers(1, 99))
def test_the_bounds_are_the_narrowest(total: int, percent: int):
    chance = Fraction(percent, 100)

    lowest, highest = binomial_bounds(total, percent / 100, 1e-4)

    half = Fraction(1, 20000) * (1 - Fraction(1, 10**9))
    assert tail_below(total, chance, lowest + 1) > half
    assert tail_below(total, 1 - chance, total - highest + 1) > half


def test_bounds_of_the_demo_are_tight_enough_to_tell_80_from_85():
    lowest, highest = binomial_bounds(2000, 0.8, 1e-6)

    assert (lowest, highest) == (1510, 1685)


@pytest.mark.parametrize(
    ("total", "probability", "false_alarm", "message"),
    [
        (-1, 0.5, 1e-6, "total is -1"),
        (10, 1.5, 1e-6, "probability is 1.5"),
        (10, 0.5, 0.0, "false_alarm is 0.0"),
    ],
)
def test_impossible_arguments_are_named(
    total: int, probability: float, false_alarm: float, message: str
):
    with pytest.raises(ValueError, match=message):
        binomial_bounds(total, probability, false_alarm)


def test_right_shares_are_accepted():
    verdicts = judge_shares({"blue": 80, "green": 20}, {"blue": 1594, "green": 406})

    assert [verdict.ok for verdict in verdicts] == [True, True]


def test_a_wrong_share_is_called_wrong():
    verdicts = judge_shares({"blue": 50, "green": 50}, {"blue": 1594, "green": 406})

    assert [verdict.ok for verdict in verdicts] == [False, False]


def test_one_request_to_a_target_that_nobody_wanted_is_wrong():
    verdicts = judge_shares({"blue": 100}, {"blue": 99, "red": 1})

    assert str(verdicts[1]) == "red: wanted 0.0%, seen 1.0% (1 of 100, accepted 0 to 0): wrong"


def test_a_target_without_weight_must_get_nothing():
    verdicts = judge_shares({"blue": 100, "green": 0}, {"blue": 100})

    assert all(verdict.ok for verdict in verdicts)


def test_weights_that_add_up_to_nothing_are_refused():
    with pytest.raises(ValueError, match="give weights above 0"):
        judge_shares({"blue": 0}, {"blue": 1})
