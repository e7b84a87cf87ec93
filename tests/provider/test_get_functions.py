"""The functions that get a resource, through the real engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import pulumi
import pytest
from pulumi import automation

import pulumi_meshwright as meshwright
from tests.provider.programs import Colors, declare_gateway, errors, exported

if TYPE_CHECKING:
    from pytest_meshwright.control_plane import ControlPlane
    from pytest_meshwright.pulumi_stack import PulumiStack

MakeStack: TypeAlias = "Callable[[Callable[[], None]], PulumiStack]"

IDENTITIES: dict[str, dict[str, str]] = {
    "mesh": {"name": "demo"},
    "virtual_node": {"mesh_name": "demo", "name": "blue"},
    "virtual_router": {"mesh_name": "demo", "name": "color"},
    "route": {"mesh_name": "demo", "virtual_router_name": "color", "name": "route"},
    "virtual_service": {"mesh_name": "demo", "name": "color.demo.local"},
    "virtual_gateway": {"mesh_name": "demo", "name": "edge"},
    "gateway_route": {"mesh_name": "demo", "virtual_gateway_name": "edge", "name": "paint"},
}
"""What `Colors` and `declare_gateway` make, by type, as a program asks for it."""


REGION_REMEDY = (
    "region must be the provider's, 'us-east-1', is 'mars': set meshwright:region, or declare a "
    "Provider for each region"
)


def get_all() -> None:
    """Get all of them, in both forms, and export them."""
    for kind, identity in IDENTITIES.items():
        for form in ("", "_output"):
            get: Callable[..., Any] = getattr(meshwright, f"get_{kind}{form}")
            pulumi.export(f"{kind}{form}", get(**identity))


def described(control_plane: ControlPlane, kind: str) -> Any:
    """What the API itself says of one of them."""
    client: Any = control_plane.client()
    identity = dict(IDENTITIES[kind])
    named = {f"{kind}_name": identity.pop("name")} | identity
    words = {name: name.title().replace("_", "") for name in named}
    asked = {word[0].lower() + word[1:]: named[name] for name, word in words.items()}
    answer = getattr(client, f"describe_{kind}")(**asked)
    return next(value for name, value in answer.items() if name != "ResponseMetadata")


def test_what_others_have_made_is_got_as_the_api_describes_it(
    stack: PulumiStack,
    colors: Colors,
    make_stack: MakeStack,
    meshwright_control_plane: ControlPlane,
) -> None:
    colors.extra.append(declare_gateway)
    stack.up()

    got = exported(make_stack(get_all).up())

    told = {
        name: (each["arn"], each["uid"], each["version"], each["spec"], each["meshOwner"])
        for name, each in got.items()
    }
    live = {kind: described(meshwright_control_plane, kind) for kind in IDENTITIES}
    assert told == {
        f"{kind}{form}": (
            each["metadata"]["arn"],
            each["metadata"]["uid"],
            each["metadata"]["version"],
            each["spec"],
            each["metadata"]["meshOwner"],
        )
        for kind, each in live.items()
        for form in ("", "_output")
    }


def test_what_the_program_makes_itself_is_got_once_it_is_there(
    stack: PulumiStack, colors: Colors
) -> None:
    def declare(mesh: meshwright.Mesh) -> None:
        got = meshwright.get_mesh_output(name=mesh.name)
        same = pulumi.Output.all(got.arn, mesh.arn).apply(lambda arns: arns[0] == arns[1])
        pulumi.export("same", same)

    colors.extra.append(declare)

    assert stack.preview().change_summary == {"create": 6}
    assert exported(stack.up()) == {"same": True}


def test_a_preview_can_not_know_what_its_update_will_make(make_stack: MakeStack) -> None:
    """Java's SDK asks as soon as the names are known, whether or not there is a resource yet."""

    def program() -> None:
        mesh = meshwright.Mesh("demo")
        mesh.name.apply(lambda name: meshwright.get_mesh(name=name))

    with pytest.raises(automation.CommandError) as caught:
        make_stack(program).preview()

    assert "RuntimeError: getMesh: a preview can't know this yet" in str(caught.value)


def test_what_is_got_has_its_names_types_and_tags(
    stack: PulumiStack, colors: Colors, make_stack: MakeStack
) -> None:
    colors.tags = {"team": "ink"}
    stack.up()
    seen: list[Any] = []

    def program() -> None:
        mesh = meshwright.get_mesh(None, "demo")
        route = meshwright.get_route(mesh_name="demo", virtual_router_name="color", name="route")
        seen.extend([mesh.tags, mesh.name, mesh.resource_owner == mesh.mesh_owner])
        http = route.spec.http_route
        assert http is not None
        seen.extend([route.virtual_router_name, http.action.weighted_targets[0].weight])
        seen.append(route.specs == [route.spec])

    make_stack(program).up()

    assert seen == [{"team": "ink"}, "demo", True, "color", 80, True]


def test_what_is_not_there_is_an_error_that_names_it_and_its_mesh(
    stack: PulumiStack, make_stack: MakeStack, meshwright_control_plane: ControlPlane
) -> None:
    stack.up()

    def program() -> None:
        meshwright.get_route(mesh_name="demo", virtual_router_name="color", name="lost")

    with pytest.raises(automation.CommandError) as caught:
        make_stack(program).preview()

    assert (
        f"can't get Route 'demo/color/lost': {meshwright_control_plane.url} answered "
        "NotFoundException: routeName: there is no route 'lost' in virtual router 'color' in "
        "mesh 'demo'"
    ) in errors(str(caught.value))[0]


def test_all_wrong_arguments_are_told_at_once_by_their_names(make_stack: MakeStack) -> None:
    def program() -> None:
        given = {"name": "", "meshOwner": "me", "region": "mars", "mesh": "demo"}
        pulumi.runtime.invoke("meshwright:index:getVirtualNode", given)

    with pytest.raises(automation.CommandError) as caught:
        make_stack(program).preview()

    told = errors(str(caught.value))[0].partition("returned an error: ")[2]
    assert told.split("; ") == [
        "mesh is not an argument of getVirtualNode",
        "did you mean 'meshName'?",
        "meshName is required",
        "meshOwner must have at least 12 characters, has 2",
        "name must have at least 1 characters, has 0",
        REGION_REMEDY,
    ]


def test_arguments_that_a_preview_does_not_know_are_not_asked_with(
    stack: PulumiStack, colors: Colors, meshwright_control_plane: ControlPlane
) -> None:
    """The mesh's uid is known only once it exists; here it is a name that nothing has."""

    def declare(mesh: meshwright.Mesh) -> None:
        pulumi.export("got", meshwright.get_mesh_output(name=mesh.uid).arn)

    colors.extra.append(declare)

    assert stack.preview().change_summary == {"create": 6}
    assert "DescribeMesh" not in {
        record.fields.get("operation") for record in meshwright_control_plane.log_records()
    }


def test_a_provider_of_an_address_that_a_preview_does_not_know_is_not_asked(
    make_stack: MakeStack, colors: Colors, meshwright_control_plane: ControlPlane
) -> None:
    def program() -> None:
        first = meshwright.Mesh("first")
        url = first.uid.apply(lambda _: meshwright_control_plane.url)
        provider = meshwright.Provider("other", endpoint=url)
        options = pulumi.InvokeOutputOptions(provider=provider)
        pulumi.export("arn", meshwright.get_mesh_output(name="first", opts=options).arn)

    stack = make_stack(program)

    stack.preview()
    assert exported(stack.up())["arn"].endswith(":mesh/first")
