"""What a preview says before anything is done: the truth, and every wrong field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pulumi import automation

import pulumi_meshwright as meshwright
from tests.provider.programs import Colors, errors

if TYPE_CHECKING:
    from pytest_meshwright.control_plane import ControlPlane
    from pytest_meshwright.pulumi_stack import PulumiStack

PROBLEM = "meshwright:index:{} resource '{}' has a problem: "

TCP_TIMEOUT_OF_HTTP: Any = {
    "port_mapping": {"port": 8080, "protocol": "http"},
    "timeout": {"tcp": {"idle": {"unit": "s", "value": 5}}},
}
MISFIT = "does not fit a listener with protocol http; use timeout.http"
"""What the control plane says of it."""


def test_a_weight_of_101_fails_by_the_property_s_path(stack: PulumiStack, colors: Colors) -> None:
    colors.weight = 101

    with pytest.raises(automation.CommandError) as caught:
        stack.preview()

    assert errors(str(caught.value)) == [
        PROBLEM.format("Route", "route")
        + "spec.httpRoute.action.weightedTargets[0].weight must be at most 100, is 101"
    ]


def test_all_wrong_fields_of_a_resource_are_reported_at_once(
    stack: PulumiStack, colors: Colors
) -> None:
    def declare(mesh: meshwright.Mesh) -> None:
        wrong: Any = {"listeners": [{"port_mapping": {"port": 70000, "protocol": "smtp"}}]}
        meshwright.VirtualRouter("wrong", mesh_name=mesh.name, spec=wrong)

    colors.extra.append(declare)

    with pytest.raises(automation.CommandError) as caught:
        stack.preview()

    at = PROBLEM.format("VirtualRouter", "wrong") + "spec.listeners[0].portMapping."
    assert errors(str(caught.value)) == [
        f"{at}port must be at most 65535, is 70000",
        f"{at}protocol must be one of http, tcp, http2, grpc, is 'smtp'",
    ]


def test_a_field_in_aws_s_spelling_is_reported_as_the_program_wrote_it(
    stack: PulumiStack, colors: Colors
) -> None:
    def declare(mesh: meshwright.Mesh) -> None:
        pool: Any = {"https": [{"max_connections": 0}], "tcp": {}, "tcps": [{}]}
        listener: Any = {"port_mapping": {"port": 80, "protocol": "http"}, "connection_pool": pool}
        meshwright.VirtualNode("wrong", mesh_name=mesh.name, spec={"listeners": [listener]})

    colors.extra.append(declare)

    with pytest.raises(automation.CommandError) as caught:
        stack.preview()

    at = PROBLEM.format("VirtualNode", "wrong") + "spec.listeners[0].connectionPool."
    assert set(errors(str(caught.value))) == {
        f"{at}tcps is AWS's spelling of 'tcp', which is given too: keep one of them",
        f"{at}https[0].maxConnections must be at least 1, is 0",
        f"{at}tcp.maxConnections is required",
        PROBLEM.format("VirtualNode", "wrong")
        + "spec.listeners[0].connectionPool must have exactly one of grpc, http, http2, tcp, "
        "has http, tcp",
    }


def test_rules_beyond_the_model_are_told_at_preview(stack: PulumiStack, colors: Colors) -> None:
    def declare(mesh: meshwright.Mesh) -> None:
        spec: Any = {"listeners": [TCP_TIMEOUT_OF_HTTP]}
        meshwright.VirtualNode("wrong", mesh_name=mesh.name, spec=spec)

    colors.extra.append(declare)

    with pytest.raises(automation.CommandError) as caught:
        stack.preview()

    at = PROBLEM.format("VirtualNode", "wrong") + "spec."
    assert set(errors(str(caught.value))) == {
        f"{at}serviceDiscovery is required where the virtual node has a listener",
        f"{at}listeners[0].timeout.tcp {MISFIT}",
    }


def test_rules_are_told_beside_what_is_wrong_by_the_model_and_what_is_not_known_yet(
    stack: PulumiStack, colors: Colors
) -> None:
    def declare(mesh: meshwright.Mesh) -> None:
        spec: Any = {
            "listeners": [TCP_TIMEOUT_OF_HTTP],
            "service_discovery": {"dns": {"hostname": mesh.uid}},
            "logging": {"access_log": {"file": {"path": ""}}},
        }
        meshwright.VirtualNode("wrong", mesh_name=mesh.name, spec=spec)

    colors.extra.append(declare)

    with pytest.raises(automation.CommandError) as caught:
        stack.preview()

    at = PROBLEM.format("VirtualNode", "wrong") + "spec."
    assert set(errors(str(caught.value))) == {
        f"{at}listeners[0].timeout.tcp {MISFIT}",
        f"{at}logging.accessLog.file.path must have at least 1 characters, has 0",
    }


def test_a_preview_does_without_a_control_plane_that_is_away_and_says_so_once(
    stack: PulumiStack, meshwright_control_plane: ControlPlane
) -> None:
    meshwright_control_plane.stop()

    result = stack.preview()

    assert result.change_summary == {"create": 6}
    diagnostics = result.stdout.partition("Diagnostics:")[2]
    notice = "warning: the control plane's own rules are not checked now: no answer"
    assert diagnostics.count(notice) == 1


def test_values_that_other_resources_will_have_are_no_mistakes(
    stack: PulumiStack, colors: Colors, meshwright_control_plane: ControlPlane
) -> None:
    def declare(mesh: meshwright.Mesh) -> None:
        # The uid is known only once the mesh exists; here it ends up in a name and in a spec.
        meshwright.VirtualNode(
            "unknown",
            mesh_name=mesh.name,
            name=mesh.uid.apply(lambda uid: f"node-{uid}"),
            spec={"service_discovery": {"dns": {"hostname": mesh.uid}}},
        )

    colors.extra.append(declare)

    assert stack.preview().change_summary == {"create": 7}
    stack.up()
    client: Any = meshwright_control_plane.client()
    uid = client.describe_mesh(meshName="demo")["mesh"]["metadata"]["uid"]
    node = client.describe_virtual_node(meshName="demo", virtualNodeName=f"node-{uid}")
    discovery = node["virtualNode"]["spec"]["serviceDiscovery"]
    assert discovery == {"dns": {"hostname": uid}}


def test_an_existing_resource_is_an_error_that_says_how_to_take_it_over(
    stack: PulumiStack, meshwright_control_plane: ControlPlane
) -> None:
    client: Any = meshwright_control_plane.client()
    client.create_mesh(meshName="demo")

    with pytest.raises(automation.CommandError) as caught:
        stack.up()

    assert (
        f"Mesh 'demo' exists already at {meshwright_control_plane.url}: give another name, or "
        "take it over with `pulumi import meshwright:index:Mesh demo demo`"
    ) in errors(str(caught.value))


def test_an_error_of_the_api_is_one_line_without_a_traceback(
    stack: PulumiStack, colors: Colors
) -> None:
    def declare(_: meshwright.Mesh) -> None:
        meshwright.VirtualRouter("lost", mesh_name="nowhere", spec={})

    colors.extra.append(declare)

    with pytest.raises(automation.CommandError) as caught:
        stack.up()

    assert "Traceback" not in str(caught.value)
    lost = [line for line in errors(str(caught.value)) if "lost" in line]
    assert [line.partition(":")[0] for line in lost] == [
        "can't create VirtualRouter 'nowhere/lost'"
    ]
