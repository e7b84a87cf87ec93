"""Bad input answers with App Mesh's words, and changes neither what is stored nor what is sent."""

from collections.abc import Iterator
from typing import Any

import httpx
import pulumi
import pytest
from pulumi.automation import CommandError

import pulumi_meshwright as meshwright
from pytest_meshwright.control_plane import ControlPlane
from pytest_meshwright.plugin import MakeStack
from stacks.demo import demo_program
from tests.e2e.conftest import ColorMesh

ROUTE = "/v20190125/meshes/demo/virtualRouter/color/routes"
TEN_MEGABYTES = 10 * 1024 * 1024


def build_route(node: str = "color-blue", weight: Any = 1, **more: Any) -> dict[str, Any]:
    """The body of a CreateRoute request."""
    target = {"virtualNode": node, "weight": weight}
    route = {"match": {"prefix": "/"}, "action": {"weightedTargets": [target]}}
    return {"routeName": "bad", "spec": {"httpRoute": route}, **more}


@pytest.fixture
def unchanged(color_mesh: ColorMesh) -> Iterator[ControlPlane]:
    """The control plane of a running mesh, which must be as it was when the test has ended."""
    control_plane = color_mesh.lab.control_plane

    def read_state() -> tuple[int, int]:
        pushes = control_plane.log_records("push")
        return control_plane.status("demo").revision, len(pushes)

    before = read_state()
    yield control_plane
    assert read_state() == before


def put(control_plane: ControlPlane, **content: Any) -> httpx.Response:
    return httpx.put(control_plane.url + ROUTE, trust_env=False, timeout=30, **content)


def test_what_is_refused_changes_nothing(unchanged: ControlPlane):
    answers = {
        "a weight of 101": put(unchanged, json=build_route(weight=101)),
        "a node that does not exist": put(unchanged, json=build_route(node="color-red")),
        "an unknown field": put(unchanged, json=build_route(colour="blue")),
        "no JSON": put(unchanged, content=b"{routeName: bad"),
        "10 MB": put(unchanged, content=b" " * TEN_MEGABYTES),
    }

    told = {name: (answer.is_client_error, answer.json()) for name, answer in answers.items()}
    assert all(is_refusal for is_refusal, _ in told.values()), told
    assert "weight" in told["a weight of 101"][1]["message"]
    assert "color-red" in told["a node that does not exist"][1]["message"]
    assert "colour" in told["an unknown field"][1]["message"]
    assert "JSON" in told["no JSON"][1]["message"]
    assert str(TEN_MEGABYTES) in told["10 MB"][1]["message"]
    assert {answer["__type"] for _, answer in told.values()} == {
        "BadRequestException",
        "NotFoundException",
    }


def test_a_program_with_a_bad_weight_fails_at_preview_with_the_propertys_path(
    meshwright_pulumi_stack: MakeStack,
):
    stack = meshwright_pulumi_stack(demo_program, {"blueWeight": "101"})

    with pytest.raises(
        CommandError, match=r"spec\.httpRoute\.action\.weightedTargets\[0\]\.weight"
    ):
        stack.preview()


def test_a_program_that_names_a_missing_node_fails_with_the_apis_words(
    meshwright_pulumi_stack: MakeStack,
):
    def program() -> None:
        mesh = meshwright.Mesh("demo", name="demo")
        router = meshwright.VirtualRouter(
            "color",
            name="color",
            mesh_name=mesh.name,
            spec={"listeners": [{"port_mapping": {"port": 8080, "protocol": "http"}}]},
        )
        meshwright.Route(
            "color",
            name="color",
            mesh_name=mesh.name,
            virtual_router_name=router.name,
            spec={
                "http_route": {
                    "match": {"prefix": "/"},
                    "action": {"weighted_targets": [{"virtual_node": "nobody", "weight": 1}]},
                }
            },
        )
        pulumi.export("mesh", mesh.name)

    with pytest.raises(CommandError, match="nobody"):
        meshwright_pulumi_stack(program).up()
