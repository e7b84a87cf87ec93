"""`explain_route`, by which a program asserts its own routing, through the real engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi
import pytest
from pulumi import automation

import pulumi_meshwright as meshwright
from tests.provider.programs import errors, exported

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_meshwright.control_plane import ControlPlane
    from pytest_meshwright.pulumi_stack import PulumiStack

NODE: Any = {
    "listeners": [{"port_mapping": {"port": 8080, "protocol": "http"}}],
    "service_discovery": {"dns": {"hostname": "green.demo.local"}},
}
FRONT: Any = {"backends": [{"virtual_service": {"virtual_service_name": "color.demo.local"}}]}


class Asserting:
    """A program whose route splits between two nodes, and that asserts how.

    Attributes:
        blue: The weight that it declares; the other node has the rest of 100.
        asserted: The share in per cent that it asserts.
        path: The path that the route takes.
        seen: The answers that it was given.
    """

    def __init__(self) -> None:
        self.blue = 80
        self.asserted = 80
        self.path = "/"
        self.seen: list[meshwright.ExplainRouteResult] = []

    def __call__(self) -> None:
        """Declare the resources, and ask."""
        mesh = meshwright.Mesh("demo")
        nodes = {
            name: meshwright.VirtualNode(name, mesh_name=mesh.name, spec=NODE)
            for name in ("blue", "green")
        }
        router = meshwright.VirtualRouter(
            "color",
            mesh_name=mesh.name,
            spec={"listeners": [{"port_mapping": {"port": 8080, "protocol": "http"}}]},
        )
        weights = {"blue": self.blue, "green": 100 - self.blue}
        targets: Any = [
            {"virtual_node": nodes[name].name, "weight": each} for name, each in weights.items()
        ]
        route = meshwright.Route(
            "route",
            mesh_name=mesh.name,
            virtual_router_name=router.name,
            spec={
                "http_route": {
                    "match": {"prefix": self.path},
                    "action": {"weighted_targets": targets},
                }
            },
        )
        service = meshwright.VirtualService(
            "color.demo.local",
            mesh_name=mesh.name,
            spec={"provider": {"virtual_router": {"virtual_router_name": router.name}}},
        )
        front = meshwright.VirtualNode("front", mesh_name=mesh.name, spec=FRONT)
        answer = meshwright.explain_route_output(
            mesh_name=mesh.name,
            from_=front.name,
            url=pulumi.Output.concat("http://", service.name, ":8080/paint?x=1"),
            headers={"user": "7"},
            opts=pulumi.InvokeOutputOptions(depends_on=[route]),
        )
        pulumi.export("blue", answer.apply(self.check))

    def check(self, answer: meshwright.ExplainRouteResult) -> float:
        """Fail unless the answer is what is asserted."""
        self.seen.append(answer)
        shares = {target.virtual_node: round(100 * target.share) for target in answer.targets}
        if shares.get("blue") != self.asserted:
            raise ValueError(f"blue shall get {self.asserted} %, gets {shares}")
        return shares["blue"]


@pytest.fixture
def asserting() -> Asserting:
    """The program's knobs."""
    return Asserting()


@pytest.fixture
def stack(asserting: Asserting, make_stack: Callable[[Callable[[], None]], PulumiStack]) -> Any:
    """A stack of it."""
    return make_stack(asserting)


def test_a_program_asserts_its_weights_when_they_are_there_and_not_before(
    stack: PulumiStack, asserting: Asserting
) -> None:
    stack.preview()
    assert asserting.seen == []

    assert exported(stack.up()) == {"blue": 80}
    [answer] = asserting.seen
    assert answer.routed
    assert (answer.route or "").endswith("/virtualRouter/color/route/route")
    assert "virtual router 'color'" in [step.text.partition("by ")[2] for step in answer.steps]

    # A change of weights is not held against those of before it.
    asserting.blue = asserting.asserted = 30
    assert stack.preview().change_summary == {"same": 7, "update": 1}
    assert exported(stack.up()) == {"blue": 30}
    assert len(asserting.seen) == 2


def test_a_preview_that_changes_nothing_asserts_what_is_there(
    stack: PulumiStack, asserting: Asserting
) -> None:
    stack.up()

    assert stack.preview().change_summary == {"same": 8}
    assert len(asserting.seen) == 2


def test_an_assertion_that_does_not_hold_fails_the_update(
    stack: PulumiStack, asserting: Asserting
) -> None:
    asserting.asserted = 50

    with pytest.raises(automation.CommandError) as caught:
        stack.up()

    assert "ValueError: blue shall get 50 %, gets {'blue': 80, 'green': 20}" in str(caught.value)


def test_a_request_that_no_route_takes_is_an_answer_with_its_reasons(
    stack: PulumiStack, asserting: Asserting
) -> None:
    asserting.path = "/elsewhere"

    with pytest.raises(automation.CommandError):
        stack.up()

    [answer] = asserting.seen
    assert (answer.routed, answer.route, answer.targets) == (False, None, [])
    assert answer.steps[-1].text == "no route takes it: Envoy answers 404"
    assert any(step.source == "spec.httpRoute.match" for step in answer.steps)


def test_a_virtual_node_that_is_not_there_is_an_error_that_names_it_and_its_mesh(
    make_stack: Callable[[Callable[[], None]], PulumiStack], meshwright_control_plane: ControlPlane
) -> None:
    client: Any = meshwright_control_plane.client()
    client.create_mesh(meshName="demo")

    def program() -> None:
        meshwright.explain_route(mesh_name="demo", from_="front", url="http://color.demo.local/")

    with pytest.raises(automation.CommandError) as caught:
        make_stack(program).up()

    assert "there is no virtual node 'front' in mesh 'demo'" in errors(str(caught.value))[0]
