"""`POST /meshwright/v1/meshes/NAME/explain`: where a request would go, as a program asks it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from pytest_meshwright.control_plane import ControlPlane
from tests.controlplane.operator.conftest import Run, as_yaml, documents


@pytest.fixture
def applied(mesh: str, run: Run) -> str:
    """A mesh whose front sends 80 % to blue and 20 % to green."""
    run("mesh", "apply", "-f", "-", given=as_yaml(documents(mesh)))
    return mesh


def ask(control_plane: ControlPlane, mesh: str, **question: Any) -> tuple[int, dict[str, Any]]:
    """The status and the content of the answer."""
    request = urllib.request.Request(
        f"{control_plane.url}/meshwright/v1/meshes/{mesh}/explain",
        data=json.dumps(question).encode(),
        headers={"content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_the_route_and_the_shares_of_its_targets_are_told(
    control_plane: ControlPlane, applied: str
):
    _, answer = ask(control_plane, applied, **{"from": "front"}, url="http://color.local/x")

    assert answer["routed"]
    assert answer["route"].endswith(f":mesh/{applied}/virtualRouter/color/route/split")
    assert [(each["virtual_node"], each["share"]) for each in answer["targets"]] == [
        ("blue", 0.8),
        ("green", 0.2),
    ]
    assert answer["targets"][0] | {"share": 0} == {
        "virtual_node": "blue",
        "share": 0,
        "port": 8080,
        "protocol": "http",
        "tls": False,
    }


def test_a_request_that_goes_nowhere_has_no_targets_and_says_why(
    control_plane: ControlPlane, applied: str
):
    _, answer = ask(control_plane, applied, **{"from": "front"}, url="http://nobody.local/")

    assert (answer["routed"], answer["route"], answer["targets"]) == (False, "", [])
    assert answer["steps"][-1]["text"].endswith("keeps it in: Envoy answers 404")


@pytest.mark.parametrize(
    ("question", "status", "message"),
    [
        ({"from": "front"}, 400, "url: must be a string"),
        ({"from": "front", "url": "nonsense"}, 400, "url 'nonsense': expected http://HOST/PATH"),
        ({"from": "front", "url": "http://a/", "x": 1}, 400, "x: is no field of this request"),
        ({"from": "front", "url": "http://a/", "headers": []}, 400, "headers: must be an object"),
        ({"from": "nobody", "url": "http://a/"}, 404, "there is no virtual node 'nobody'"),
    ],
)
def test_a_wrong_question_says_what_is_wrong(
    control_plane: ControlPlane, applied: str, question: Any, status: int, message: str
):
    answered, content = ask(control_plane, applied, **question)

    assert answered == status
    assert message in content["message"]


def test_a_mesh_that_is_not_there_is_not_found(control_plane: ControlPlane):
    status, content = ask(control_plane, "nowhere", **{"from": "front"}, url="http://a/")

    assert (status, content["__type"]) == (404, "NotFoundException")
