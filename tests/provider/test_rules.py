"""What of a specification is held to the control plane's rules while something is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest

from pulumi_meshwright.model import kinds
from pulumi_meshwright.rules import Remainder
from pulumi_meshwright.values import UNKNOWN

PORT: Any = {"port": 80, "protocol": "http"}


@pytest.mark.parametrize(
    ("spec", "wrong", "left"),
    [
        pytest.param({"listeners": [{"portMapping": PORT}]}, set(), "all", id="nothing"),
        pytest.param(
            {"listeners": [{"portMapping": PORT, "timeout": {"http": {}}}]},
            {"spec.listeners[0].timeout.http"},
            {"listeners": [{"portMapping": PORT}]},
            id="a choice without its one field",
        ),
        pytest.param(
            {"listeners": [{"portMapping": PORT}], "backends": [{}, {}]},
            {"spec.backends[1]"},
            {"listeners": [{"portMapping": PORT}]},
            id="a list with a wrong item",
        ),
        pytest.param(
            {"listeners": [{"portMapping": {"port": 80}}], "backends": []},
            {"spec.listeners[0].portMapping.protocol"},
            {"backends": []},
            id="an object without what it requires",
        ),
        pytest.param(
            {"serviceDiscovery": {"dns": {"hostname": UNKNOWN}}, "backends": []},
            set(),
            {"backends": []},
            id="what is not known yet",
        ),
        pytest.param({"listener": []}, {"spec.listener"}, {}, id="what the model does not know"),
        pytest.param(UNKNOWN, set(), None, id="everything"),
    ],
)
def test_what_is_wrong_or_unknown_is_left_out_and_what_can_not_be_without_it(
    spec: Any, wrong: set[str], left: Any
) -> None:
    remainder = Remainder(frozenset(wrong))

    assert remainder.take(kinds()["VirtualNode"].spec, spec, "spec") == (
        spec if left == "all" else left
    )


def test_a_misspelt_field_may_explain_the_lack_of_the_right_one() -> None:
    remainder = Remainder(frozenset({"spec.htpRoute"}))
    remainder.take(kinds()["Route"].spec, {"htpRoute": {}}, "spec")

    assert remainder.explains("spec")


@pytest.mark.parametrize(
    ("field", "follows"),
    [
        ("spec.serviceDiscovery", True),
        ("spec.serviceDiscovery.dns", True),
        ("spec", True),
        ("spec.listeners[0].timeout", False),
    ],
)
def test_what_may_follow_from_something_left_out_is_known(field: str, follows: bool) -> None:
    spec: Any = {"serviceDiscovery": {"dns": {"hostname": ""}}, "backends": []}
    remainder = Remainder(frozenset({"spec.serviceDiscovery.dns.hostname"}))
    remainder.take(kinds()["VirtualNode"].spec, spec, "spec")

    assert remainder.explains(field) == follows
