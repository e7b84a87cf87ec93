"""The demo's mesh for end-to-end tests: front calls color, which is blue or green."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import pytest

from pytest_meshwright.lab import Lab, Service
from pytest_meshwright.plugin import MakeStack
from pytest_meshwright.pulumi_stack import PulumiStack
from stacks.demo import demo_program

NAMES = ("front", "color-blue", "color-green")
COLOR_URL = "http://color.demo.local/"


@dataclass(frozen=True, slots=True)
class ColorMesh:
    """The demo's mesh, running: made by Pulumi, acknowledged by all three proxies."""

    lab: Lab
    stack: PulumiStack

    @property
    def front(self) -> Service:
        """The service that calls color."""
        return self.lab.services["front"]

    def change_weights(self, blue: int) -> int:
        """`pulumi up` with another weight until every proxy has it; the route's new version."""
        self.stack.set_config("blueWeight", str(blue))
        outputs = self.stack.up().outputs
        self.lab.control_plane.wait_acknowledged("demo", proxies=len(NAMES))
        return int(outputs["routeVersion"].value)


StartMesh = Callable[..., ColorMesh]


@pytest.fixture
def start_mesh(meshwright_lab: Lab, meshwright_pulumi_stack: MakeStack) -> StartMesh:
    """Starts the mesh with 80 % blue; the proxies named speak state of the world, others delta."""

    def start(*, state_of_the_world: Collection[str] = ()) -> ColorMesh:
        for name in NAMES:
            meshwright_lab.add_service(
                name,
                mesh="demo",
                hostname=f"{name}.demo.local",
                delta=name not in state_of_the_world,
            )
        stack = meshwright_pulumi_stack(demo_program, {"blueWeight": "80"})
        stack.up()
        meshwright_lab.wait_ready()
        proxies = len(meshwright_lab.services)
        meshwright_lab.control_plane.wait_acknowledged("demo", proxies=proxies)
        return ColorMesh(meshwright_lab, stack)

    return start


@pytest.fixture
def color_mesh(start_mesh: StartMesh) -> ColorMesh:
    """The demo's mesh with 80 % blue and 20 % green, its proxies speaking delta xDS."""
    return start_mesh()
