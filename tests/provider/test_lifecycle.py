"""Resources through the real engine: made, left alone, changed, replaced and removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi
from pulumi import automation

import pulumi_meshwright as meshwright
from tests.provider.programs import Colors, changes, resources

if TYPE_CHECKING:
    from pytest_meshwright.control_plane import ControlPlane
    from pytest_meshwright.pulumi_stack import PulumiStack


def test_up_makes_all_five_types(
    stack: PulumiStack, colors: Colors, meshwright_control_plane: ControlPlane
) -> None:
    assert changes(stack.up()) == {"create": 6}

    client: Any = meshwright_control_plane.client()
    assert [item["meshName"] for item in client.list_meshes()["meshes"]] == ["demo"]
    listed = client.list_virtual_services(meshName="demo")["virtualServices"]
    assert [item["virtualServiceName"] for item in listed] == ["color.demo.local"]
    assert colors.live_route(meshwright_control_plane)["spec"] == {
        "httpRoute": {
            "action": {"weightedTargets": [{"virtualNode": "blue", "weight": 80}]},
            "match": {"prefix": "/"},
        }
    }


def test_without_a_change_neither_refresh_nor_preview_sees_one(stack: PulumiStack) -> None:
    stack.up()

    assert changes(stack.refresh()) == {}
    assert stack.preview().change_summary == {"same": 6}


def test_another_weight_updates_the_route_only(
    stack: PulumiStack, colors: Colors, meshwright_control_plane: ControlPlane
) -> None:
    stack.up()
    colors.weight = 50

    assert changes(stack.up()) == {"update": 1}
    live = colors.live_route(meshwright_control_plane)
    assert live["spec"]["httpRoute"]["action"]["weightedTargets"][0]["weight"] == 50


def test_another_name_replaces_the_resource_and_what_hangs_from_it(
    stack: PulumiStack, colors: Colors, meshwright_control_plane: ControlPlane
) -> None:
    stack.up()
    colors.router_name = "hue"

    # The router and its route are made anew, and the service is led to them in between.
    assert changes(stack.up()) == {"replace": 2, "update": 1}
    client: Any = meshwright_control_plane.client()
    listed = client.list_virtual_routers(meshName="demo")["virtualRouters"]
    assert [item["virtualRouterName"] for item in listed] == ["hue"]


def test_destroy_leaves_nothing_and_accepts_what_is_gone_already(
    stack: PulumiStack, meshwright_control_plane: ControlPlane
) -> None:
    stack.up()
    client: Any = meshwright_control_plane.client()
    client.delete_virtual_service(meshName="demo", virtualServiceName="color.demo.local")

    assert changes(stack.destroy()) == {"delete": 6}
    assert client.list_meshes()["meshes"] == []


def test_tags_are_set_changed_and_removed(
    stack: PulumiStack, colors: Colors, meshwright_control_plane: ControlPlane
) -> None:
    colors.tags = {"team": "paint", "stage": "test"}
    stack.up()
    colors.tags = {"team": "ink"}
    stack.up()

    client: Any = meshwright_control_plane.client()
    mesh = client.describe_mesh(meshName="demo")["mesh"]["metadata"]
    tags = client.list_tags_for_resource(resourceArn=mesh["arn"])["tags"]
    assert (tags, mesh["version"]) == ([{"key": "team", "value": "ink"}], 1)


def test_default_tags_are_merged_with_a_resource_s_own(
    stack: PulumiStack, colors: Colors, meshwright_control_plane: ControlPlane
) -> None:
    colors.tags = {"team": "ink"}
    stack.stack.set_config(
        "meshwright:defaultTags.tags.team", automation.ConfigValue("paint"), path=True
    )
    stack.stack.set_config(
        "meshwright:defaultTags.tags.stage", automation.ConfigValue("test"), path=True
    )
    stack.up()
    client: Any = meshwright_control_plane.client()

    def tags() -> list[dict[str, str]]:
        answers = [
            client.list_tags_for_resource(resourceArn=arn)["tags"]
            for arn in (
                client.describe_mesh(meshName="demo")["mesh"]["metadata"]["arn"],
                colors.live_route(meshwright_control_plane)["metadata"]["arn"],
            )
        ]
        return [{tag["key"]: tag["value"] for tag in answer} for answer in answers]

    assert tags() == [{"team": "ink", "stage": "test"}, {"team": "paint", "stage": "test"}]
    assert changes(stack.refresh()) == {}
    assert stack.preview().change_summary == {"same": 6}
    stack.stack.remove_config("meshwright:defaultTags")
    stack.set_config("meshwright:defaultTags", '{"tags": {"team": "glue"}}')
    assert changes(stack.up()) == {"update": 5}
    assert tags() == [{"team": "ink"}, {"team": "glue"}]


def test_an_update_that_waits_for_proxies_ends_where_none_is_connected(
    stack: PulumiStack, colors: Colors
) -> None:
    stack.set_config("meshwright:waitForConvergence", "true")
    assert changes(stack.up()) == {"create": 6}
    colors.weight = 50

    assert changes(stack.up()) == {"update": 1}
    assert changes(stack.destroy()) == {"delete": 6}


def test_a_field_whose_changes_are_ignored_is_left_to_others(
    stack: PulumiStack, colors: Colors, meshwright_control_plane: ControlPlane
) -> None:
    """A weight that something else shifts; its path is written as errors write it."""
    weights: list[int] = [1, 2]
    path = "spec.httpRoute.action.weightedTargets[0].weight"

    def declare(mesh: meshwright.Mesh) -> None:
        target = {"virtual_node": "blue", "weight": weights[0]}
        action: Any = {"weighted_targets": [target]}
        meshwright.Route(
            "shifted",
            mesh_name=mesh.name,
            virtual_router_name="color",
            spec={"http_route": {"match": {"prefix": "/shifted"}, "action": action}},
            opts=pulumi.ResourceOptions(ignore_changes=[path]),
        )

    stack.up()
    colors.extra.append(declare)
    stack.up()
    client: Any = meshwright_control_plane.client()
    shifted = {"meshName": "demo", "virtualRouterName": "color", "routeName": "shifted"}
    spec = client.describe_route(**shifted)["route"]["spec"]
    spec["httpRoute"]["action"]["weightedTargets"][0]["weight"] = 50
    client.update_route(**shifted, spec=spec)
    weights.pop(0)

    assert changes(stack.refresh()) == {"update": 1}
    assert changes(stack.up()) == {}
    assert client.describe_route(**shifted)["route"]["spec"] == spec


def test_destroying_a_target_removes_first_what_depends_on_it(
    stack: PulumiStack, meshwright_control_plane: ControlPlane
) -> None:
    stack.up()
    urns = {item["urn"].rpartition("::")[2]: item["urn"] for item in resources(stack)}
    removed: list[str] = []

    def watch(event: automation.EngineEvent) -> None:
        done = event.res_outputs_event
        if done and done.metadata.op == automation.OpType.DELETE:
            removed.append(done.metadata.urn.rpartition("::")[2])

    stack.destroy(target=[urns["router"]], target_dependents=True, on_event=watch)

    assert (sorted(removed), removed[-1]) == (["route", "router", "service"], "router")
    client: Any = meshwright_control_plane.client()
    nodes = client.list_virtual_nodes(meshName="demo")["virtualNodes"]
    assert [node["virtualNodeName"] for node in nodes] == ["blue"]
