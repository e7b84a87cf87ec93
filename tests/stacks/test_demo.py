"""The demo's program: what it declares, and that its settings reach the control plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stacks.demo import ACCESS_LOG_FORMAT, demo_program
from tests.components.graph import run
from tests.provider.programs import changes

if TYPE_CHECKING:
    from pytest_meshwright.control_plane import ControlPlane
    from pytest_meshwright.plugin import MakeStack


def route_weights(client: Any) -> dict[str, int]:
    """The weights by virtual node, as the control plane has them."""
    answer = client.describe_route(meshName="demo", virtualRouterName="color", routeName="color")
    targets = answer["route"]["spec"]["httpRoute"]["action"]["weightedTargets"]
    return {target["virtualNode"]: target["weight"] for target in targets}


def test_the_weights_are_80_and_20_until_a_setting_changes_them(
    meshwright_pulumi_stack: MakeStack, meshwright_control_plane: ControlPlane
) -> None:
    client = meshwright_control_plane.client()
    stack = meshwright_pulumi_stack(demo_program)

    stack.up()
    assert route_weights(client) == {"color-blue": 80, "color-green": 20}

    stack.set_config("blueWeight", "50")
    # Only the route: neither the provider nor a node is touched by a weight.
    assert changes(stack.up()) == {"update": 1}
    assert route_weights(client) == {"color-blue": 50, "color-green": 50}

    stack.destroy()
    assert client.list_meshes()["meshes"] == []


def test_front_may_call_color_and_nothing_else() -> None:
    spec = run(demo_program).inputs("VirtualNode", "front")["spec"]

    backend = {"virtualService": {"virtualServiceName": "color.demo.local"}}
    assert spec["backends"] == [backend]


def test_the_names_follow_the_settings() -> None:
    graph = run(
        demo_program,
        {"project:meshName": "test-7", "project:dnsSuffix": "lab", "project:port": "81"},
    )

    spec = graph.inputs("VirtualNode", "front")["spec"]
    assert graph.inputs("Mesh", "demo")["name"] == "test-7"
    assert spec["serviceDiscovery"] == {"dns": {"hostname": "front.lab"}}
    assert spec["listeners"] == [{"portMapping": {"port": 81, "protocol": "http"}}]


def test_a_weight_of_0_is_a_weight() -> None:
    graph = run(demo_program, {"project:blueWeight": "0"})

    action = graph.inputs("Route", "color")["spec"]["httpRoute"]["action"]
    assert [target["weight"] for target in action["weightedTargets"]] == [0, 100]


def test_access_logs_tell_which_configuration_a_request_followed() -> None:
    # App Mesh's bounds of JsonKey and JsonValue are 100 characters.
    assert ACCESS_LOG_FORMAT["route_version"] == "%METADATA(ROUTE:meshwright:version)%"
    assert max(len(value) for value in ACCESS_LOG_FORMAT.values()) <= 100
