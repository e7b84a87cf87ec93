"""What the lifecycle does beyond the engine's sight: lost answers, and secrets in the state."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pulumi_meshwright.api import Api, ApiError
from pulumi_meshwright.model import kinds
from pulumi_meshwright.resources import (
    CREATING,
    Found,
    ResourceError,
    Resources,
    UncertainError,
    render_preview,
    render_update_preview,
)
from pulumi_meshwright.settings import Settings
from pulumi_meshwright.values import UNKNOWN, plain_map, wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from pytest_meshwright.control_plane import ControlPlane

MESH = kinds()["Mesh"]
ALLOW_ALL: Any = {"egressFilter": {"type": "ALLOW_ALL"}}
DROP_ALL: Any = {"egressFilter": {"type": "DROP_ALL"}}


class LosesTheFirstAnswer(Api):
    """An API whose answer to the first create is lost: it was carried out nevertheless."""

    async def call(self, operation: str, parameters: Any, **options: Any) -> dict[str, Any]:
        """Carry out a create twice, as a second try after a lost answer does."""
        if operation.startswith("Create"):
            await super().call(operation, parameters, **options)
        return await super().call(operation, parameters, **options)


def create(api: Api, spec: Any) -> Any:
    """Create mesh `demo`."""

    async def run() -> Any:
        try:
            inputs = {"name": wrap("demo"), "spec": wrap(spec)}
            return await Resources(api).create(MESH, "demo", inputs)
        finally:
            api.close()

    return asyncio.run(run())


def test_what_an_earlier_try_made_is_ours(meshwright_control_plane: ControlPlane) -> None:
    settings = Settings(endpoint=meshwright_control_plane.url)

    found = create(LosesTheFirstAnswer(settings), DROP_ALL)

    assert plain_map(found.outputs)["version"] == 1


def test_what_others_made_is_never_adopted(meshwright_control_plane: ControlPlane) -> None:
    settings = Settings(endpoint=meshwright_control_plane.url)
    create(Api(settings), DROP_ALL)

    with pytest.raises(ResourceError, match="pulumi import meshwright:index:Mesh demo demo"):
        create(Api(settings), DROP_ALL)


class FallsSilent(Api):
    """An API that does not answer a create; whether it was carried out is a test's choice."""

    carries_out = True

    async def call(self, operation: str, parameters: Any, **options: Any) -> dict[str, Any]:
        """Lose the answer to a create."""
        if not operation.startswith("Create"):
            return await super().call(operation, parameters, **options)
        if self.carries_out:
            await super().call(operation, parameters, **options)
        error = ApiError("no answer", "Unreachable")
        error.uncertain = True
        raise error


@pytest.fixture(params=[True, False], ids=["carried-out", "not-carried-out"])
def left(request: pytest.FixtureRequest, meshwright_control_plane: ControlPlane) -> Any:
    """What the state has of mesh `demo` after a create without an answer."""
    api = FallsSilent(Settings(endpoint=meshwright_control_plane.url))
    api.carries_out = request.param

    with pytest.raises(UncertainError, match="the next `pulumi up` finds out") as caught:
        create(api, DROP_ALL)
    return caught.value.found


def ask(control_plane: ControlPlane, what: Callable[[Resources], Coroutine[Any, Any, Any]]) -> Any:
    """Have something done at a control plane that answers."""

    async def run() -> Any:
        api = Api(Settings(endpoint=control_plane.url))
        try:
            return await what(Resources(api))
        finally:
            api.close()

    return asyncio.run(run())


def test_a_refresh_keeps_secrets_secret_and_spelling_as_it_was(
    meshwright_control_plane: ControlPlane,
) -> None:
    settings = Settings(endpoint=meshwright_control_plane.url)
    create(Api(settings), {})
    api = Api(settings)
    state = {"name": wrap("demo"), "spec": wrap(DROP_ALL).with_secret(True)}

    async def read() -> Any:
        try:
            return await Resources(api).read(MESH, "demo", state)
        finally:
            api.close()

    assert asyncio.run(read()).inputs == state


def test_the_next_update_has_what_a_create_without_an_answer_was_to_make(
    meshwright_control_plane: ControlPlane, left: Found
) -> None:
    wanted = left.inputs | {"spec": wrap(ALLOW_ALL)}

    found = ask(meshwright_control_plane, lambda each: each.update(MESH, left.outputs, wanted))

    assert (plain_map(found.outputs)["version"], CREATING in found.outputs) == (2, False)


def test_a_delete_after_a_create_without_an_answer_leaves_nothing(
    meshwright_control_plane: ControlPlane, left: Found
) -> None:
    ask(meshwright_control_plane, lambda each: each.delete(MESH, left.outputs))

    client: Any = meshwright_control_plane.client()
    assert client.list_meshes()["meshes"] == []


@pytest.mark.parametrize("left", [False], indirect=True)
def test_what_somebody_else_made_meanwhile_is_neither_adopted_nor_deleted(
    meshwright_control_plane: ControlPlane, left: Found
) -> None:
    client: Any = meshwright_control_plane.client()
    client.create_mesh(meshName="demo")

    with pytest.raises(ResourceError, match="made by somebody else while this stack did not know"):
        ask(meshwright_control_plane, lambda each: each.update(MESH, left.outputs, left.inputs))
    ask(meshwright_control_plane, lambda each: each.delete(MESH, left.outputs))

    assert [each["meshName"] for each in client.list_meshes()["meshes"]] == ["demo"]


def test_a_preview_of_what_may_not_have_been_made_yet_is_that_of_a_create(left: Found) -> None:
    assert render_update_preview(MESH, left.outputs, left.inputs) == render_preview(
        MESH, left.inputs
    )


def test_an_update_of_what_is_gone_says_how_to_go_on(
    meshwright_control_plane: ControlPlane,
) -> None:
    kind = kinds()["VirtualRouter"]
    old = {"name": wrap("r"), "meshName": wrap("gone"), "spec": wrap({})}
    listener: Any = {"portMapping": {"port": 80, "protocol": "http"}}

    async def update() -> None:
        api = Api(Settings(endpoint=meshwright_control_plane.url))
        try:
            await Resources(api).update(kind, old, old | {"spec": wrap({"listeners": [listener]})})
        finally:
            api.close()

    with pytest.raises(ResourceError, match="run `pulumi refresh`, then `pulumi up` makes it anew"):
        asyncio.run(update())


def test_a_delete_waits_for_what_still_refers_to_the_resource(
    meshwright_control_plane: ControlPlane,
) -> None:
    client: Any = meshwright_control_plane.client()
    client.create_mesh(meshName="demo")
    client.create_virtual_router(meshName="demo", virtualRouterName="r", spec={})
    waited: list[str] = []

    def remove_the_router(reason: str) -> None:
        waited.append(reason)
        client.delete_virtual_router(meshName="demo", virtualRouterName="r")

    async def delete() -> None:
        api = Api(Settings(endpoint=meshwright_control_plane.url))
        try:
            await Resources(api, remove_the_router).delete(MESH, {"name": wrap("demo")})
        finally:
            api.close()

    asyncio.run(delete())

    assert client.list_meshes()["meshes"] == []
    assert "ResourceInUseException" in waited[0]


def test_a_preview_of_a_create_knows_names_but_nothing_that_the_control_plane_gives() -> None:
    preview = plain_map(render_preview(MESH, {"name": wrap("demo")}))

    known = {name: value for name, value in preview.items() if value is not UNKNOWN}
    assert known == {"name": "demo", "tagsAll": {}}


@pytest.mark.parametrize(
    ("new", "unknown"),
    [
        pytest.param(
            {"spec": wrap(ALLOW_ALL)}, {"version", "lastUpdatedDate"}, id="a new specification"
        ),
        pytest.param({"spec": wrap({})}, set[str](), id="a new spelling"),
        pytest.param({"spec": wrap(DROP_ALL), "tags": wrap({"a": "b"})}, set[str](), id="a tag"),
    ],
)
def test_a_preview_of_an_update_tells_which_outputs_will_change(
    new: Any, unknown: set[str]
) -> None:
    old = {"name": wrap("demo"), "spec": wrap(DROP_ALL), "version": wrap(1), "arn": wrap("arn:x")}
    old["lastUpdatedDate"] = wrap("2026-01-01T00:00:00Z")

    preview = plain_map(render_update_preview(MESH, old, {"name": wrap("demo"), **new}))

    assert {name for name, value in preview.items() if value is UNKNOWN} == unknown
