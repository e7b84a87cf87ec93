"""`POST /meshwright/v1/check`: what is wrong with a specification by itself."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from pytest_meshwright.control_plane import ControlPlane
from tests.controlplane.meshes import node_spec, route_spec


def check(control_plane: ControlPlane, body: Any) -> httpx.Response:
    """Ask."""
    url = f"{control_plane.url}/meshwright/v1/check"
    return httpx.post(url, json=body, trust_env=False, timeout=60)


def problems(control_plane: ControlPlane, kind: str, spec: Any) -> list[dict[str, str]]:
    """The problems of a specification."""
    answer = check(control_plane, {"kind": kind, "spec": spec})
    assert answer.status_code == 200, answer.text
    return answer.json()["problems"]


def test_a_right_specification_has_no_problems(control_plane: ControlPlane):
    assert problems(control_plane, "virtualNode", node_spec("a.local")) == []


def test_what_it_refers_to_need_not_be_there(control_plane: ControlPlane):
    assert problems(control_plane, "route", route_spec({"nowhere": 1})) == []


def test_every_rule_that_is_broken_is_told_by_its_field(control_plane: ControlPlane):
    listener = {
        "portMapping": {"port": 8080, "protocol": "http"},
        "timeout": {"tcp": {"idle": {"unit": "s", "value": 5}}},
    }
    spec = {"listeners": [listener], "logging": {"accessLog": {"file": {"path": "no slash"}}}}

    found = problems(control_plane, "virtualNode", spec)

    assert {each["field"] for each in found} == {
        "spec.serviceDiscovery",
        "spec.listeners[0].timeout.tcp",
    }


def test_the_models_rules_are_told_too(control_plane: ControlPlane):
    spec = {"listeners": [{"portMapping": {"port": 0, "protocol": "http"}}]}

    [found] = problems(control_plane, "virtualNode", spec)

    assert found["field"] == "spec.listeners[0].portMapping.port"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"kind": "node", "spec": {}}, "kind: must be one of mesh, "),
        ({"kind": "mesh"}, "spec: must be an object"),
        ({"kind": "mesh", "spec": {}, "name": "x"}, "name: is no field of this request"),
    ],
)
def test_a_wrong_question_is_refused(control_plane: ControlPlane, body: Any, message: str):
    answer = check(control_plane, body)

    assert answer.status_code == 400
    assert answer.json()["message"].startswith(message)
