"""Updates that something comes between: throttling, lost answers, a killed server, refusals."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from pulumi import automation

import pulumi_meshwright as meshwright
from tests.provider.fronts import Fault, Refusal, fronting
from tests.provider.programs import Colors, changes, errors

if TYPE_CHECKING:
    from pytest_meshwright.control_plane import ControlPlane
    from pytest_meshwright.pulumi_stack import PulumiStack


REFUSAL = Refusal(400, "BadRequestException")
"""What is not asked again."""


def is_write(method: str, path: str) -> bool:
    """Whether a request makes or changes a resource."""
    return method == "PUT" and path.startswith("/v20190125/meshes")


@pytest.mark.parametrize(
    "fault",
    [
        Refusal(429, "TooManyRequestsException"),
        Refusal(503, "ServiceUnavailableException"),
        Refusal(500, "InternalServerErrorException"),
        "lose the answer",
        "answer 500 nevertheless",
    ],
    ids=str,
)
def test_what_did_not_get_through_is_asked_again_and_done_once(
    stack: PulumiStack,
    colors: Colors,
    meshwright_control_plane: ControlPlane,
    fault: Fault,
) -> None:
    tries: Counter[tuple[str, str]] = Counter()

    def fail_first_tries(method: str, path: str) -> Fault | None:
        tries[method, path] += 1
        return fault if is_write(method, path) and tries[method, path] == 1 else None

    with fronting(meshwright_control_plane.url, fail_first_tries) as front:
        stack.set_config("meshwright:endpoint", front.url)
        result = stack.up()
        colors.weight = 50
        tries.clear()
        updated = stack.up()

    assert (changes(result), changes(updated)) == ({"create": 6}, {"update": 1})
    assert f"asking {front.url} again" in result.stdout
    assert colors.live_route(meshwright_control_plane)["metadata"]["version"] == 2


def test_an_update_goes_on_when_a_killed_control_plane_is_back(
    stack: PulumiStack, colors: Colors, meshwright_control_plane: ControlPlane
) -> None:
    starter = threading.Thread(target=meshwright_control_plane.start)
    writes = 0

    def kill_at_the_third_write(method: str, path: str) -> None:
        nonlocal writes
        if not is_write(method, path):
            return
        writes += 1
        if writes == 3:
            meshwright_control_plane.kill()
        elif writes == 6:
            starter.start()  # by then some have found nobody

    with fronting(meshwright_control_plane.url, kill_at_the_third_write) as front:
        stack.set_config("meshwright:endpoint", front.url)
        result = stack.up()
        starter.join()

    assert changes(result) == {"create": 6}
    assert stack.preview().change_summary == {"same": 6}
    assert colors.live_route(meshwright_control_plane)["metadata"]["version"] == 1


def test_the_next_update_goes_on_where_a_failed_one_has_stopped(
    stack: PulumiStack, colors: Colors, meshwright_control_plane: ControlPlane
) -> None:
    def refuse_routes(method: str, path: str) -> Fault | None:
        refused = method == "PUT" and path.endswith("/routes")
        return REFUSAL if refused else None

    with fronting(meshwright_control_plane.url, refuse_routes) as front:
        stack.set_config("meshwright:endpoint", front.url)
        with pytest.raises(automation.CommandError) as caught:
            stack.up()
        front.meddle = lambda *_: None
        result = stack.up()
        after = stack.preview(refresh=True).change_summary

    assert f"can't create Route 'demo/color/route': {front.url} answered" in str(caught.value)
    assert "create" in changes(result)
    assert changes(result).keys() <= {"create", "update"}
    assert after == {"same": 6}
    assert colors.live_route(meshwright_control_plane)["metadata"]["version"] == 1


def test_a_failed_change_is_tried_again_by_the_next_update(
    stack: PulumiStack, colors: Colors, meshwright_control_plane: ControlPlane
) -> None:
    stack.up()

    def refuse_changes(method: str, path: str) -> Fault | None:
        return REFUSAL if is_write(method, path) else None

    colors.weight = 50
    with fronting(meshwright_control_plane.url, refuse_changes) as front:
        stack.set_config("meshwright:endpoint", front.url)
        with pytest.raises(automation.CommandError, match="can't update Route 'demo/color/route'"):
            stack.up()
        front.meddle = lambda *_: None
        assert changes(stack.up()) == {"update": 1}

    live = colors.live_route(meshwright_control_plane)["spec"]
    assert live["httpRoute"]["action"]["weightedTargets"][0]["weight"] == 50


def test_a_mistake_that_the_control_plane_finds_is_mended_by_the_next_update(
    stack: PulumiStack, colors: Colors, meshwright_control_plane: ControlPlane
) -> None:
    # What a resource refers to is held against the mesh when it is made.
    target = {"virtual_node_name": "nowhere"}

    def declare(mesh: meshwright.Mesh) -> None:
        spec: Any = {"provider": {"virtual_node": target}}
        meshwright.VirtualService("lost.local", mesh_name=mesh.name, spec=spec)

    colors.extra.append(declare)
    with pytest.raises(automation.CommandError) as caught:
        stack.up()
    target["virtual_node_name"] = "blue"

    result = stack.up()

    [error] = [each for each in errors(str(caught.value)) if "'demo/lost.local'" in each]
    assert "spec.provider.virtualNode.virtualNodeName" in error
    assert changes(result).keys() <= {"create", "update"}
    assert stack.preview(refresh=True).change_summary == {"same": 7}
    client: Any = meshwright_control_plane.client()
    assert client.describe_virtual_service(meshName="demo", virtualServiceName="lost.local")
