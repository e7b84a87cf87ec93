"""The command line in this process, talking to the real control plane of the API's tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import yaml
from typer.testing import CliRunner

from meshwright.cli import app
from pytest_meshwright.control_plane import ControlPlane
from tests.controlplane.meshes import node_spec, route_spec, router_spec, service_spec


class Outcome(NamedTuple):
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(control_plane: ControlPlane) -> Run:
    """Runs a command against the control plane; `given` is its standard input."""

    def command(*arguments: str, given: str | None = None, **environment: str) -> Outcome:
        outcome = CliRunner().invoke(
            app,
            arguments,
            input=given,
            env={"MESHWRIGHT_ENDPOINT": control_plane.url, **environment},
        )
        return Outcome(outcome.exit_code, outcome.stdout, outcome.stderr)

    return command


def documents(mesh: str) -> list[dict[str, Any]]:
    """Front -> color -> router -> blue and green, in an order in which they can't be made."""
    return [
        {
            "meshName": mesh,
            "virtualServiceName": "color.local",
            "spec": service_spec(router="color"),
        },
        {
            "meshName": mesh,
            "virtualRouterName": "color",
            "routeName": "split",
            "spec": route_spec({"blue": 80, "green": 20}),
        },
        {
            "meshName": mesh,
            "virtualRouterName": "color",
            "spec": router_spec(),
            "tags": [{"key": "team", "value": "colors"}],
        },
        *(
            {"meshName": mesh, "virtualNodeName": name, "spec": node_spec(f"{name}.local")}
            for name in ("blue", "green")
        ),
        {
            "meshName": mesh,
            "virtualNodeName": "front",
            "spec": node_spec("front.local", backends=("color.local",)),
        },
        {"meshName": mesh},
    ]


def as_yaml(content: list[dict[str, Any]]) -> str:
    """Documents as a file holds them."""
    return yaml.safe_dump_all(content)


def named(content: list[dict[str, Any]], **names: str) -> dict[str, Any]:
    """The document that has given names and no route's."""
    return next(
        each
        for each in content
        if all(each.get(member) == name for member, name in names.items())
        and "routeName" not in each
    )
