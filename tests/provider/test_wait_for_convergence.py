"""Waiting for proxies, by the function `wait_for_convergence`, through the real engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi
import pytest
from pulumi import automation

import pulumi_meshwright as meshwright
from tests.provider.programs import MISSING, Late, declare_backend, errors, exported

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_meshwright.control_plane import ControlPlane
    from pytest_meshwright.pulumi_stack import PulumiStack
    from tests.controlplane.presence.reconnecting import ReconnectingProxy


PATIENT = 120.0
"""Seconds for what is expected to come."""


class Waiting:
    """A program that makes a virtual node's backend, and waits until its proxies have it.

    Attributes:
        timeout: For how many seconds it waits.
        seen: What it was told.
    """

    def __init__(self) -> None:
        self.timeout = PATIENT
        self.seen: list[meshwright.WaitForConvergenceResult] = []

    def __call__(self) -> None:
        """Declare the resources, and wait."""
        service = declare_backend()
        reached = meshwright.wait_for_convergence_output(
            mesh_name="demo",
            timeout=self.timeout,
            opts=pulumi.InvokeOutputOptions(depends_on=[service]),
        )
        pulumi.export("proxies", reached.proxies)
        pulumi.export("revision", reached.revision)


@pytest.fixture
def waiting(mesh_with_front: None) -> Waiting:
    """The program's knobs."""
    return Waiting()


@pytest.fixture
def stack(waiting: Waiting, make_stack: Callable[[Callable[[], None]], PulumiStack]) -> PulumiStack:
    """A stack of it."""
    return make_stack(waiting)


def revision_of(control_plane: ControlPlane) -> int:
    """The mesh's revision."""
    return control_plane.status("demo").revision


def test_where_no_proxy_is_connected_the_mesh_is_as_far_as_it_is(
    stack: PulumiStack, meshwright_control_plane: ControlPlane
) -> None:
    told = exported(stack.up())

    assert told == {"proxies": 0, "revision": revision_of(meshwright_control_plane)}


def test_a_proxy_that_acknowledges_late_is_waited_for(
    stack: PulumiStack, meshwright_control_plane: ControlPlane, proxy: ReconnectingProxy
) -> None:
    late = Late(proxy)

    told = exported(stack.up(on_output=late))

    assert late.missed
    assert told == {"proxies": 1, "revision": revision_of(meshwright_control_plane)}


def test_time_that_runs_out_is_an_error_that_names_the_proxies(
    stack: PulumiStack, waiting: Waiting, proxy: ReconnectingProxy
) -> None:
    waiting.timeout = 0.1
    proxy.mood = "hold"
    with pytest.raises(automation.CommandError) as caught:
        stack.up()

    told = errors(str(caught.value))[0]
    assert "mesh 'demo': after 0.1 s, revision " in told
    assert MISSING in told


@pytest.mark.meshwright_allow("rejection", reason="the proxy is told to reject")
def test_a_proxy_that_rejects_is_an_error_with_its_reason(
    stack: PulumiStack, proxy: ReconnectingProxy
) -> None:
    proxy.mood = "refuse once"
    with pytest.raises(automation.CommandError) as caught:
        stack.up()

    told = errors(str(caught.value))[0]
    assert "mesh 'demo': rejected by virtualNode/front (" in told
    assert told.endswith("): no such thing")


def test_a_preview_waits_for_nothing_and_tells_what_has_been_reached(
    make_stack: Callable[[Callable[[], None]], PulumiStack],
    meshwright_control_plane: ControlPlane,
    proxy: ReconnectingProxy,
) -> None:
    seen: list[Any] = []

    def program() -> None:
        reached = meshwright.wait_for_convergence("demo", revision=10**6, timeout=PATIENT)
        seen.append((reached.proxies, reached.revision))

    make_stack(program).preview()

    assert seen == [(1, revision_of(meshwright_control_plane))]


def test_a_mesh_that_is_not_there_is_an_error_that_names_it(
    make_stack: Callable[[Callable[[], None]], PulumiStack], meshwright_control_plane: ControlPlane
) -> None:
    with pytest.raises(automation.CommandError) as caught:
        make_stack(lambda: pulumi.export("x", meshwright.wait_for_convergence("lost"))).up()

    told = errors(str(caught.value))[0]
    assert told.endswith(f"there is no mesh 'lost' at {meshwright_control_plane.url}")
