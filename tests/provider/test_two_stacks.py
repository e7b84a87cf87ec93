"""Two stacks on one mesh: each sees to its own, and neither takes away what the other stands on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from pulumi import automation

import pulumi_meshwright as meshwright
from tests.provider.programs import Colors, changes, errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_meshwright.control_plane import ControlPlane
    from pytest_meshwright.pulumi_stack import PulumiStack


class Team:
    """A team's program: a virtual node, and a route to it in the other stack's router."""

    prefix = "/team"

    def __call__(self) -> None:
        """Declare the resources."""
        node = meshwright.VirtualNode(
            "team",
            mesh_name="demo",
            spec={
                "listeners": [{"port_mapping": {"port": 8080, "protocol": "http"}}],
                "service_discovery": {"dns": {"hostname": "team.local"}},
            },
        )
        meshwright.Route(
            "team",
            mesh_name="demo",
            virtual_router_name="color",
            spec={
                "http_route": {
                    "match": {"prefix": self.prefix},
                    "action": {"weighted_targets": [{"virtual_node": node.name, "weight": 1}]},
                }
            },
        )


@pytest.fixture
def team() -> Team:
    """The team's program."""
    return Team()


@pytest.fixture
def other(team: Team, make_stack: Callable[[Callable[[], None]], PulumiStack]) -> PulumiStack:
    """The team's stack."""
    return make_stack(team)


def test_stacks_change_one_mesh_at_the_same_time(
    stack: PulumiStack,
    colors: Colors,
    other: PulumiStack,
    team: Team,
    meshwright_control_plane: ControlPlane,
) -> None:
    stack.up()
    assert changes(other.up()) == {"create": 3}
    colors.weight, team.prefix = 50, "/group"

    with ThreadPoolExecutor() as pool:
        running = [pool.submit(each.up) for each in (stack, other)]
    updated = [changes(each.result()) for each in running]

    assert updated == [{"update": 1}, {"update": 1}]
    assert [changes(each.refresh()) for each in (stack, other)] == [{}, {}]
    client: Any = meshwright_control_plane.client()
    listed = client.list_routes(meshName="demo", virtualRouterName="color")["routes"]
    assert sorted(route["routeName"] for route in listed) == ["route", "team"]


def test_a_stack_does_not_take_away_what_another_stands_on(
    stack: PulumiStack, other: PulumiStack, meshwright_control_plane: ControlPlane
) -> None:
    stack.up()
    other.up()

    with pytest.raises(automation.CommandError) as caught:
        stack.destroy()

    [error] = [each for each in errors(str(caught.value)) if "can't delete" in each]
    assert "VirtualRouter 'demo/color'" in error
    assert error.endswith("remove what refers to it first")
    assert changes(other.destroy()) == {"delete": 3}
    assert "delete" in changes(stack.destroy())
    client: Any = meshwright_control_plane.client()
    assert client.list_meshes()["meshes"] == []
