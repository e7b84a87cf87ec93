"""What was made or changed by other hands: seen by a refresh, taken over by an import."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi
import pytest
from pulumi import automation

import pulumi_meshwright as meshwright
from tests.provider.programs import Colors, changes

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_meshwright.control_plane import ControlPlane
    from pytest_meshwright.pulumi_stack import PulumiStack

NAMES = {"meshName": "demo", "virtualRouterName": "color", "routeName": "route"}


def test_a_change_by_hand_is_seen_by_refresh_and_undone_by_up(
    stack: PulumiStack, colors: Colors, meshwright_control_plane: ControlPlane
) -> None:
    stack.up()
    client: Any = meshwright_control_plane.client()
    spec = colors.live_route(meshwright_control_plane)["spec"]
    spec["httpRoute"]["action"]["weightedTargets"][0]["weight"] = 1
    client.update_route(**NAMES, spec=spec)

    assert changes(stack.refresh()) == {"update": 1}
    assert changes(stack.up()) == {"update": 1}
    live = colors.live_route(meshwright_control_plane)["spec"]
    assert live["httpRoute"]["action"]["weightedTargets"][0]["weight"] == 80


def test_a_removal_by_hand_is_seen_by_refresh_and_undone_by_up(
    stack: PulumiStack, colors: Colors, meshwright_control_plane: ControlPlane
) -> None:
    stack.up()
    client: Any = meshwright_control_plane.client()
    client.delete_route(**NAMES)

    assert changes(stack.refresh()) == {"delete": 1}
    assert changes(stack.up()) == {"create": 1}
    assert colors.live_route(meshwright_control_plane)["metadata"]["version"] == 1


def test_import_takes_over_all_five_types_without_a_change(
    stack: PulumiStack, colors: Colors, make_stack: Callable[[Callable[[], None]], PulumiStack]
) -> None:
    stack.up()
    colors.imported = True
    other = make_stack(colors)

    # The stack itself is the sixth.
    assert changes(other.up()) == {"create": 1, "import": 5}
    colors.imported = False
    assert other.preview().change_summary == {"same": 6}


def test_an_import_that_differs_from_what_is_there_is_updated_as_the_preview_said(
    stack: PulumiStack,
    colors: Colors,
    make_stack: Callable[[Callable[[], None]], PulumiStack],
    meshwright_control_plane: ControlPlane,
) -> None:
    stack.up()
    colors.imported, colors.weight = True, 7

    other = make_stack(colors)
    foreseen = other.preview().change_summary
    other.up()

    live = colors.live_route(meshwright_control_plane)["spec"]
    weight = live["httpRoute"]["action"]["weightedTargets"][0]["weight"]
    assert (foreseen, weight) == ({"create": 1, "import": 5, "update": 1}, 7)


def test_an_import_of_a_wrong_id_says_how_ids_are_written(
    make_stack: Callable[[Callable[[], None]], PulumiStack],
) -> None:
    def program() -> None:
        meshwright.Route(
            "route",
            mesh_name="demo",
            virtual_router_name="color",
            spec={},
            opts=pulumi.ResourceOptions(import_="demo/route"),
        )

    with pytest.raises(automation.CommandError) as caught:
        make_stack(program).up()

    assert "'demo/route' is not the id of a Route: write it as MESH/ROUTER/ROUTE" in str(
        caught.value
    )


@pytest.mark.parametrize(
    "declare",
    [
        pytest.param(
            lambda: meshwright.Mesh("demo", opts=pulumi.ResourceOptions(import_="demo")),
            id="import",
        ),
        pytest.param(lambda: meshwright.Mesh.get("demo", "demo"), id="get"),
    ],
)
def test_what_is_not_there_can_be_neither_imported_nor_read(
    make_stack: Callable[[Callable[[], None]], PulumiStack], declare: Callable[[], meshwright.Mesh]
) -> None:
    def program() -> None:
        declare()

    with pytest.raises(automation.CommandError, match="resource 'demo' does not exist"):
        make_stack(program).up()
