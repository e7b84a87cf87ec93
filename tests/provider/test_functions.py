"""The functions without an engine: their arguments checked, and their names in the SDK."""

from __future__ import annotations

import inspect
from typing import Any

import pulumi_aws.appmesh as aws
import pytest

import pulumi_meshwright as ours
from provider.codegen.python_sdk import snake_case
from pulumi_meshwright.check import check_arguments
from pulumi_meshwright.functions import functions
from pulumi_meshwright.model import kinds
from pulumi_meshwright.values import wrap

EXPLAIN = {"meshName": "demo", "from": "front", "url": "http://color.local/"}
WAIT = {"meshName": "demo"}


def failures(name: str, arguments: dict[str, Any]) -> list[str]:
    """What is wrong with the arguments of a function, by property path."""
    function = functions()[f"meshwright:index:{name}"]
    given = {key: wrap(value) for key, value in arguments.items()}
    return [f"{each.path} {each.reason}" for each in check_arguments(function, given)]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("explainRoute", EXPLAIN | {"method": "POST", "headers": {"user": "7"}}),
        ("waitForConvergence", WAIT | {"revision": 0, "timeout": 1.5, "meshOwner": "1" * 12}),
        ("getMesh", {"name": "demo", "region": "eu-west-1", "tags": {"team": "ink"}}),
    ],
)
def test_right_arguments_have_no_failures(name: str, arguments: dict[str, Any]) -> None:
    assert failures(name, arguments) == []


@pytest.mark.parametrize(
    ("name", "arguments", "wrong"),
    [
        ("getRoute", {}, ["meshName is required", "name is required"]),
        ("explainRoute", EXPLAIN | {"url": 7}, ["url must be a string, not 7"]),
        ("explainRoute", EXPLAIN | {"from": ""}, ["from must have at least 1 characters, has 0"]),
        ("explainRoute", EXPLAIN | {"headers": "a"}, ["headers must be a map of strings, not 'a'"]),
        (
            "explainRoute",
            EXPLAIN | {"headers": {"user": 7}},
            ['headers["user"] must be a string, not 7'],
        ),
        (
            "explainRoute",
            EXPLAIN | {"header": {}},
            ["header is not an argument of explainRoute; did you mean 'headers'?"],
        ),
        (
            "waitForConvergence",
            WAIT | {"revision": 1.5},
            ["revision must be a whole number, not 1.5"],
        ),
        ("waitForConvergence", WAIT | {"timeout": -1}, ["timeout must be at least 0, is -1"]),
        ("waitForConvergence", WAIT | {"timeout": True}, ["timeout must be a number, not true"]),
    ],
)
def test_a_wrong_argument_is_told_by_its_path(
    name: str, arguments: dict[str, Any], wrong: list[str]
) -> None:
    assert failures(name, arguments)[: len(wrong)] == wrong


def test_a_secret_argument_is_never_repeated() -> None:
    function = functions()["meshwright:index:waitForConvergence"]
    secret = {"meshName": wrap("demo"), "timeout": wrap(-42).with_secret(True)}

    assert [each.reason for each in check_arguments(function, secret)] == [
        "must be at least 0, is a secret value"
    ]


def test_the_sdk_tells_what_is_missing_before_it_asks() -> None:
    with pytest.raises(TypeError, match="explainRoute: 'from_' is required"):
        ours.explain_route(mesh_name="demo", url="http://color.local/")


@pytest.mark.parametrize("kind", [snake_case(name) for name in kinds()])
@pytest.mark.parametrize("form", ["", "_output"])
def test_a_call_of_aws_s_function_is_a_call_of_ours(kind: str, form: str) -> None:
    name = f"get_{kind}{form}"
    theirs = inspect.signature(getattr(aws, name)).parameters
    here = inspect.signature(getattr(ours.appmesh, name)).parameters

    assert theirs.keys() <= here.keys()


@pytest.mark.parametrize("kind", kinds())
def test_what_aws_s_function_gives_ours_gives_too(kind: str) -> None:
    theirs = properties_of(getattr(aws, f"Get{kind}Result"))

    assert theirs <= properties_of(getattr(ours.appmesh, f"Get{kind}Result"))
    assert issubclass(
        getattr(ours.appmesh, f"AwaitableGet{kind}Result"),
        getattr(ours.appmesh, f"Get{kind}Result"),
    )


def properties_of(result: type) -> set[str]:
    """The names of a result's values."""
    return {name for name, value in vars(result).items() if isinstance(value, property)}
