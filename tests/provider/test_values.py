"""Property values to plain data and back: nothing lost, secrets kept."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from pulumi.provider.experimental.property_value import PropertyValue

from pulumi_meshwright.model import Kind
from pulumi_meshwright.values import COMPUTED, UNKNOWN, is_known, plain, plain_map, wrap, wrap_like
from tests.provider.specs import kinds_and_specs


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(kinds_and_specs())
def test_plain_data_comes_back_as_it_was(drawn: tuple[Kind, Any]) -> None:
    assert plain(wrap(drawn[1])) == drawn[1]


def test_a_value_not_known_yet_stays_so() -> None:
    value = PropertyValue({"a": PropertyValue([COMPUTED])})

    assert plain(value) == {"a": [UNKNOWN]}
    assert not is_known(plain(value))


def test_members_that_are_null_are_left_out() -> None:
    assert plain_map({"a": PropertyValue.null(), "b": wrap("x")}) == {"b": "x"}


def test_a_new_value_is_secret_where_the_earlier_one_was() -> None:
    earlier = PropertyValue({"open": wrap("a"), "closed": wrap("b").with_secret(True)})

    value = wrap_like({"open": "c", "closed": "d"}, earlier)

    assert value == PropertyValue({"open": wrap("c"), "closed": wrap("d").with_secret(True)})


def test_a_list_with_a_secret_item_becomes_secret_as_a_whole() -> None:
    earlier = PropertyValue([wrap("a"), wrap("b").with_secret(True)])

    assert wrap_like(["b", "a"], earlier).is_secret
