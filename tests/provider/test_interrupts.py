"""Ctrl-C while the provider waits: the engine ends at once, and its state goes on being of use."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from pulumi import automation

import pulumi_meshwright as meshwright
from pytest_meshwright.reaper import find_marked
from tests.provider.fronts import Fault, fronting
from tests.provider.programs import Colors, changes, declare_backend, errors, pending, resources

if TYPE_CHECKING:
    from pytest_meshwright.control_plane import ControlPlane
    from pytest_meshwright.pulumi_stack import PulumiStack
    from tests.controlplane.presence.reconnecting import ReconnectingProxy

MakeStack: TypeAlias = "Callable[[Callable[[], object]], PulumiStack]"

MARK = "MESHWRIGHT_INTERRUPT_TEST"
NEVER = "100000"
"""Seconds: what ends before a test's own time is up was not waited for to its end."""


class Interrupt:
    """Sends SIGINT to the engine's CLI when it prints a certain text.

    Attributes:
        text: What it waits for.
        mark: By which the CLI is found among all processes.
        sent: Whether it has.
    """

    def __init__(self, text: str, mark: str) -> None:
        self.text = text
        self.mark = mark
        self.sent = False

    def __call__(self, line: str) -> None:
        """Look at a line of the engine's output."""
        if self.sent or self.text not in line:
            return
        [cli] = [each for each in find_marked(self.mark, MARK) if " up --yes " in each.command]
        os.kill(cli.pid, signal.SIGINT)
        self.sent = True


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A mark on all processes of this test."""
    monkeypatch.setenv(MARK, request.node.nodeid)
    return str(request.node.nodeid)


def test_waiting_for_proxies_ends_and_the_next_update_goes_on_from_there(
    mark: str, make_stack: MakeStack, proxy: ReconnectingProxy
) -> None:
    stack = make_stack(declare_backend)
    stack.set_config("meshwright:waitForConvergence", "true")
    stack.set_config("meshwright:convergenceTimeout", NEVER)
    proxy.mood = "hold"
    interrupt = Interrupt("is missing at virtualNode/front", mark)

    with pytest.raises(automation.CommandError) as caught:
        stack.up(on_output=interrupt)

    assert "cancelled while waiting: mesh 'demo': revision" in str(caught.value)
    assert pending(stack) == []
    proxy.acknowledge_now()
    # What had been made and not arrived is looked at again, what had not been made is made.
    assert sum(changes(stack.up()).values()) >= 1
    assert stack.preview().change_summary == {"same": 3}


def test_asking_a_control_plane_that_is_away_ends_and_the_next_update_goes_on_from_there(
    mark: str, make_stack: MakeStack, mesh_with_front: None, meshwright_control_plane: ControlPlane
) -> None:
    stack = make_stack(declare_backend)
    interrupt = Interrupt("again for up to 60 s", mark)
    meshwright_control_plane.kill()

    with pytest.raises(automation.CommandError) as caught:
        stack.up(on_output=interrupt)

    assert "cancelled while waiting: no answer from the control plane" in str(caught.value)
    assert pending(stack) == []
    meshwright_control_plane.start()
    stack.up()
    assert stack.preview().change_summary == {"same": 3}


def test_an_update_whose_control_plane_is_killed_in_the_middle_ends_and_the_next_one_goes_on(
    mark: str, stack: PulumiStack, colors: Colors, meshwright_control_plane: ControlPlane
) -> None:
    writes = 0

    def kill_at_the_third_write(method: str, _: str) -> None:
        nonlocal writes
        writes += method == "PUT"
        if writes == 3:
            meshwright_control_plane.kill()

    interrupt = Interrupt("again for up to 60 s", mark)
    with fronting(meshwright_control_plane.url, kill_at_the_third_write) as front:
        stack.set_config("meshwright:endpoint", front.url)
        with pytest.raises(automation.CommandError):
            stack.up(on_output=interrupt)
        assert pending(stack) == []
        made = len(resources(stack))
        meshwright_control_plane.start()
        result = stack.up()
        after = stack.preview(refresh=True).change_summary

    assert made > 1
    assert "create" in changes(result)
    assert after == {"same": 6}
    assert colors.live_route(meshwright_control_plane)["metadata"]["version"] == 1


def test_a_create_that_ends_without_its_answer_is_finished_by_the_next_update(
    mark: str, stack: PulumiStack, meshwright_control_plane: ControlPlane
) -> None:
    def lose_nodes(method: str, path: str) -> Fault | None:
        return "lose the answer" if method == "PUT" and path.endswith("/virtualNodes") else None

    interrupt = Interrupt("again for up to 60 s", mark)
    with fronting(meshwright_control_plane.url, lose_nodes) as front:
        stack.set_config("meshwright:endpoint", front.url)
        with pytest.raises(automation.CommandError) as caught:
            stack.up(on_output=interrupt)
        front.meddle = lambda *_: None
        result = stack.up()
        after = stack.preview(refresh=True).change_summary

    assert "it may have been made: the next `pulumi up` finds out" in str(caught.value)
    assert changes(result)["update"] == 1
    assert after == {"same": 6}
    client: Any = meshwright_control_plane.client()
    node = client.describe_virtual_node(meshName="demo", virtualNodeName="blue")["virtualNode"]
    assert node["metadata"]["version"] == 1


def test_a_function_that_waits_ends_too(
    mark: str, make_stack: MakeStack, mesh_with_front: None
) -> None:
    def program() -> None:
        meshwright.wait_for_convergence("demo", revision=10**6, timeout=float(NEVER))

    interrupt = Interrupt("revision 1000000 is missing", mark)

    with pytest.raises(automation.CommandError) as caught:
        make_stack(program).up(on_output=interrupt)

    assert interrupt.sent
    assert errors(str(caught.value)) == ["update canceled"]
