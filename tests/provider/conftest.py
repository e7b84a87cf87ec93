"""Stacks of programs against a control plane of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.controlplane.presence.reconnecting import ReconnectingProxy
from tests.provider.programs import Colors

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from pytest_meshwright.control_plane import ControlPlane
    from pytest_meshwright.plugin import MakeStack
    from pytest_meshwright.pulumi_stack import PulumiStack


@pytest.fixture
def make_stack(meshwright_pulumi_stack: MakeStack) -> Callable[[Callable[[], None]], PulumiStack]:
    """Makes a stack of a program."""
    return meshwright_pulumi_stack


@pytest.fixture
def colors() -> Colors:
    """The program's knobs; see `Colors`."""
    return Colors()


@pytest.fixture
def stack(colors: Colors, make_stack: Callable[[Callable[[], None]], PulumiStack]) -> PulumiStack:
    """A stack of `colors` against the test's control plane."""
    return make_stack(colors)


@pytest.fixture
def mesh_with_front(meshwright_control_plane: ControlPlane) -> None:
    """The mesh `demo`, made by hand, with a node `front` that is to call what is not there yet."""
    client: Any = meshwright_control_plane.client()
    client.create_mesh(meshName="demo")
    backends = [{"virtualService": {"virtualServiceName": "back.local"}}]
    spec = {"backends": backends}
    client.create_virtual_node(meshName="demo", virtualNodeName="front", spec=spec)


@pytest.fixture
def proxy(
    mesh_with_front: None, meshwright_control_plane: ControlPlane
) -> Generator[ReconnectingProxy]:
    """A proxy of `front`, which has acknowledged what there is for it."""
    address = str(meshwright_control_plane.xds)
    with ReconnectingProxy(address, "mesh/demo/virtualNode/front") as proxy:
        meshwright_control_plane.wait_acknowledged("demo", proxies=1, timeout=60)
        yield proxy
