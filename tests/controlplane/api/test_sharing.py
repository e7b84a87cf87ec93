"""A mesh of one account that another uses too: through real clients of both, on both stores."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from typer.testing import CliRunner

from meshwright.cli import app
from tests.controlplane.access.accounts import write_keys
from tests.controlplane.access.serving import MESHWRIGHT, Server, serving
from tests.controlplane.conftest import Refused
from tests.controlplane.meshes import node_spec, route_spec, router_spec, service_spec

OWNER: Final = "111111111111"
GUEST: Final = "222222222222"
STRANGER: Final = "333333333333"
ACCOUNTS: Final = {"OWNER": OWNER, "GUEST": GUEST, "STRANGER": STRANGER, "READER": GUEST}
SECRET: Final = "a secret of enough length"
_numbers = itertools.count()

Call = Callable[..., Any]
Run = Callable[..., str]


@pytest.fixture(scope="module")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key of each account, and one that only reads."""
    folder = tmp_path_factory.mktemp("keys")
    return write_keys(folder, ACCOUNTS, dict.fromkeys(ACCOUNTS, SECRET))


@pytest.fixture(scope="module", params=["sqlite", "dynamodb"])
def store_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An empty store of each engine in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('store')}/mesh.db"
    endpoint = request.getfixturevalue("dynamodb_endpoint")
    return f"dynamodb://sharing-{next(_numbers)}?region=us-east-1&endpoint={endpoint}"


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, keys_file: Path, store_url: str
) -> Iterator[Server]:
    """A control plane with keys of several accounts."""
    with start(tmp_path_factory.mktemp("server"), keys_file, store_url) as server:
        yield server


@pytest.fixture(scope="module")
def replica(
    tmp_path_factory: pytest.TempPathFactory, keys_file: Path, store_url: str, server: Server
) -> Iterator[Server]:
    """Another control plane on the same store."""
    del server  # which makes the store
    with start(tmp_path_factory.mktemp("replica"), keys_file, store_url) as replica:
        yield replica


def start(folder: Path, keys_file: Path, store_url: str) -> Any:
    credentials = {"AWS_ACCESS_KEY_ID": "meshwright", "AWS_SECRET_ACCESS_KEY": "meshwright"}
    flags = ("--access-keys", keys_file, "--account-id", OWNER, "--store", store_url)
    return serving(folder, *flags, **credentials)


@pytest.fixture
def call(server: Server) -> Iterator[Call]:
    """Makes a client of a key, by default of the mesh's owner."""
    clients: list[Any] = []

    def make(key_id: str = "OWNER", of: Server = server) -> Any:
        clients.append(of.client(key_id, SECRET))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def run(server: Server) -> Run:
    """Runs a command with a key; returns what it printed, or fails with it."""

    def command(
        *arguments: str, key: str = "OWNER", code: int = 0, given: str | None = None
    ) -> str:
        environment = {
            "MESHWRIGHT_ENDPOINT": server.url(),
            "MESHWRIGHT_ACCESS_KEY_ID": key,
            "MESHWRIGHT_SECRET_ACCESS_KEY": SECRET,
        }
        outcome = CliRunner().invoke(app, arguments, env=environment, input=given)
        assert outcome.exit_code == code, outcome.output
        return outcome.output

    return command


@pytest.fixture
def mesh(call: Call, run: Run) -> str:
    """A mesh that its owner shares with the guest, with something of the owner's in it."""
    name = f"mesh-{next(_numbers)}"
    call().create_mesh(meshName=name)
    run("mesh", "share", name, GUEST)
    call().create_virtual_router(meshName=name, virtualRouterName="own", spec=router_spec())
    return name


def inside(mesh: str) -> dict[str, str]:
    """The parameters with which the guest names the owner's mesh."""
    return {"meshName": mesh, "meshOwner": OWNER}


def make_node(client: Any, mesh: str, name: str = "node") -> dict[str, Any]:
    """Make a virtual node in the owner's mesh; what is answered of it."""
    created = client.create_virtual_node(
        **inside(mesh), virtualNodeName=name, spec=node_spec(f"{name}.local")
    )
    return created["virtualNode"]


def make_router(client: Any, mesh: str, name: str = "router") -> None:
    client.create_virtual_router(**inside(mesh), virtualRouterName=name, spec=router_spec())


# What the guest makes


def test_what_a_guest_makes_is_its_own(call: Call, mesh: str):
    metadata = make_node(call("GUEST"), mesh)["metadata"]

    assert (metadata["meshOwner"], metadata["resourceOwner"]) == (OWNER, GUEST)
    assert metadata["arn"] == (
        f"arn:aws:appmesh:us-east-1:{GUEST}:mesh/{mesh}@{OWNER}/virtualNode/node"
    )


def test_a_guest_makes_resources_of_every_type(call: Call, mesh: str):
    client, names = call("GUEST"), inside(mesh)
    make_node(client, mesh)
    make_router(client, mesh)
    client.create_route(
        **names, virtualRouterName="router", routeName="all", spec=route_spec({"node": 1})
    )
    client.create_virtual_service(
        **names, virtualServiceName="a.local", spec=service_spec(router="router")
    )
    client.create_virtual_gateway(
        **names,
        virtualGatewayName="gate",
        spec={"listeners": [{"portMapping": {"port": 8080, "protocol": "http"}}]},
    )
    target = {"target": {"virtualService": {"virtualServiceName": "a.local"}}}
    made = client.create_gateway_route(
        **names,
        virtualGatewayName="gate",
        gatewayRouteName="all",
        spec={"httpRoute": {"match": {"prefix": "/"}, "action": target}},
    )

    assert made["gatewayRoute"]["metadata"]["resourceOwner"] == GUEST


def test_both_see_all_of_the_mesh(call: Call, mesh: str):
    make_node(call("GUEST"), mesh, "guests")
    make_node(call(), mesh, "owners")

    for key_id in ("OWNER", "GUEST", "READER"):
        listed = call(key_id).list_virtual_nodes(**inside(mesh))["virtualNodes"]
        owners = {each["virtualNodeName"]: each["resourceOwner"] for each in listed}
        assert owners == {"guests": GUEST, "owners": OWNER}
        for name in owners:
            assert call(key_id).describe_virtual_node(**inside(mesh), virtualNodeName=name)


def test_the_mesh_is_listed_for_its_guests_alone(call: Call, mesh: str):
    def find(key_id: str) -> list[tuple[str, str]]:
        listed = call(key_id).list_meshes()["meshes"]
        return [
            (each["meshOwner"], each["resourceOwner"])
            for each in listed
            if each["meshName"] == mesh
        ]

    assert find("GUEST") == find("OWNER") == [(OWNER, OWNER)]
    assert find("STRANGER") == []


def test_a_mesh_that_is_not_shared_is_refused_alike_whether_it_exists(
    call: Call, mesh: str, refused: Refused
):
    errors = [
        refused(call("STRANGER").describe_mesh, **inside(each)) for each in (mesh, f"no-{mesh}")
    ]

    assert [error.code for error in errors] == ["AccessDeniedException"] * 2
    assert errors[0].message == errors[1].message


def test_a_route_of_the_owner_leads_to_a_node_of_the_guest(call: Call, mesh: str):
    make_node(call("GUEST"), mesh)

    route = call().create_route(
        meshName=mesh, virtualRouterName="own", routeName="all", spec=route_spec({"node": 1})
    )

    assert route["route"]["metadata"]["resourceOwner"] == OWNER


def test_a_guests_resources_count_towards_the_meshs_quotas(
    tmp_path: Path, keys_file: Path, refused: Refused
):
    quotas = tmp_path / "quotas.yaml"
    quotas.write_text("virtual_nodes_per_mesh: 2\nmeshes_per_account: 1")
    flags = ("--access-keys", keys_file, "--account-id", OWNER, "--quotas", quotas)
    with serving(tmp_path, *flags) as server:
        owner, guest = server.client("OWNER", SECRET), server.client("GUEST", SECRET)
        owner.create_mesh(meshName="demo")
        environment = {
            "MESHWRIGHT_ENDPOINT": server.url(),
            "MESHWRIGHT_ACCESS_KEY_ID": "OWNER",
            "MESHWRIGHT_SECRET_ACCESS_KEY": SECRET,
        }
        shared = CliRunner().invoke(app, ["mesh", "share", "demo", GUEST], env=environment)
        assert shared.exit_code == 0, shared.output
        guest.create_mesh(meshName="its-own")  # a shared mesh is not one of its own
        make_node(owner, "demo", "one")
        make_node(guest, "demo", "two")

        for client in (owner, guest):
            error = refused(
                client.create_virtual_node,
                **inside("demo"),
                virtualNodeName="three",
                spec=node_spec("three"),
            )
            assert error.code == "LimitExceededException"


# Who may change what


def test_nobody_but_its_owner_updates_a_resource(call: Call, mesh: str, refused: Refused):
    make_node(call("GUEST"), mesh)

    by_owner = refused(
        call().update_virtual_node,
        meshName=mesh,
        virtualNodeName="node",
        spec=node_spec("other"),
    )
    by_guest = refused(
        call("GUEST").update_virtual_router,
        **inside(mesh),
        virtualRouterName="own",
        spec=router_spec(9090),
    )

    assert (by_owner.status, by_owner.code) == (403, "ForbiddenException")
    assert f"virtualNodeName: virtual node 'node' belongs to account {GUEST}: only" in (
        by_owner.message
    )
    assert (by_guest.status, by_guest.code) == (403, "ForbiddenException")


def test_a_guest_updates_what_is_its_own(call: Call, mesh: str):
    make_node(call("GUEST"), mesh)

    updated = call("GUEST").update_virtual_node(
        **inside(mesh), virtualNodeName="node", spec=node_spec("other")
    )

    assert updated["virtualNode"]["metadata"]["version"] == 2


def test_a_guest_deletes_nothing_of_the_owners(call: Call, mesh: str, refused: Refused):
    error = refused(call("GUEST").delete_virtual_router, **inside(mesh), virtualRouterName="own")

    assert error.code == "ForbiddenException"
    assert f"only that account, or {OWNER} as the mesh's owner, may delete it" in error.message


@pytest.mark.parametrize("key_id", ["OWNER", "GUEST"])
def test_the_guest_and_the_meshs_owner_delete_what_the_guest_made(
    call: Call, mesh: str, key_id: str
):
    make_node(call("GUEST"), mesh)

    deleted = call(key_id).delete_virtual_node(**inside(mesh), virtualNodeName="node")

    assert deleted["virtualNode"]["status"] == {"status": "DELETED"}


@pytest.mark.parametrize(("key_id", "router"), [("OWNER", "guests"), ("GUEST", "own")])
def test_a_route_is_made_in_a_router_of_its_own_account(
    call: Call, mesh: str, refused: Refused, key_id: str, router: str
):
    make_router(call("GUEST"), mesh, "guests")
    make_node(call(key_id), mesh)

    error = refused(
        call(key_id).create_route,
        **inside(mesh),
        virtualRouterName=router,
        routeName="all",
        spec=route_spec({"node": 1}),
    )

    assert error.code == "ForbiddenException"
    assert "may create a route in it" in error.message


def test_who_is_in_the_way_of_a_delete_is_named_with_its_account(
    call: Call, mesh: str, refused: Refused
):
    make_node(call(), mesh)
    make_router(call("GUEST"), mesh)
    call("GUEST").create_route(
        **inside(mesh),
        virtualRouterName="router",
        routeName="all",
        spec=route_spec({"node": 1}),
    )

    error = refused(call().delete_virtual_node, meshName=mesh, virtualNodeName="node")

    assert error.code == "ResourceInUseException"
    assert f"route 'all' of account {GUEST}" in error.message


def test_a_guest_that_only_reads_makes_nothing(call: Call, mesh: str, refused: Refused):
    error = refused(
        call("READER").create_virtual_node, **inside(mesh), virtualNodeName="x", spec={}
    )

    assert error.code == "AccessDeniedException"


# Tags


def test_tags_are_set_by_the_resources_owner_and_read_by_all(
    call: Call, mesh: str, refused: Refused
):
    arn = make_node(call("GUEST"), mesh)["metadata"]["arn"]
    tags = [{"key": "team", "value": "guests"}]
    call("GUEST").tag_resource(resourceArn=arn, tags=tags)

    assert refused(call().tag_resource, resourceArn=arn, tags=tags).code == "ForbiddenException"
    assert refused(call().untag_resource, resourceArn=arn, tagKeys=["team"]).code == (
        "ForbiddenException"
    )
    assert call().list_tags_for_resource(resourceArn=arn)["tags"] == tags


def test_an_arn_with_another_account_is_not_the_resources(call: Call, mesh: str, refused: Refused):
    arn = make_node(call("GUEST"), mesh)["metadata"]["arn"]

    error = refused(call().list_tags_for_resource, resourceArn=arn.replace(GUEST, OWNER))

    assert (error.code, error.message) == (
        "NotFoundException",
        f"resourceArn: virtual node 'node' is not account {OWNER}'s: {arn}",
    )


# Sharing and its end


def test_after_the_end_of_a_share_only_the_owner_is_left_to_delete(
    call: Call, run: Run, mesh: str, refused: Refused
):
    make_node(call("GUEST"), mesh)

    said = run("mesh", "unshare", mesh, GUEST)

    assert "1 of its resources stay in it" in said
    for operation in ("describe_virtual_node", "delete_virtual_node"):
        error = refused(getattr(call("GUEST"), operation), **inside(mesh), virtualNodeName="node")
        assert error.code == "AccessDeniedException"
    assert mesh not in [each["meshName"] for each in call("GUEST").list_meshes()["meshes"]]
    call().delete_virtual_node(meshName=mesh, virtualNodeName="node")


def test_what_a_former_guest_left_is_a_finding(call: Call, run: Run, mesh: str):
    arn = make_node(call("GUEST"), mesh)["metadata"]["arn"]
    run("mesh", "unshare", mesh, GUEST)

    shown = json.loads(run("mesh", "show", mesh, "--json"))

    found = [each for each in shown["findings"] if each["code"] == "OwnerNotAdmitted"]
    assert [each["resource"] for each in found] == [arn]
    assert f"meshwright mesh share {mesh} {GUEST}" in found[0]["remedy"]


def test_another_control_plane_knows_of_a_share_and_of_its_end_at_once(
    call: Call, run: Run, mesh: str, replica: Server, refused: Refused
):
    there = call("GUEST", replica)
    make_node(there, mesh)

    run("mesh", "unshare", mesh, GUEST)

    assert refused(there.describe_mesh, **inside(mesh)).code == "AccessDeniedException"


def test_a_mesh_that_was_deleted_and_made_anew_is_shared_with_nobody(
    call: Call, run: Run, refused: Refused
):
    name = f"mesh-{next(_numbers)}"
    call().create_mesh(meshName=name)
    run("mesh", "share", name, GUEST)
    call().delete_mesh(meshName=name)
    call().create_mesh(meshName=name)

    assert refused(call("GUEST").describe_mesh, **inside(name)).code == "AccessDeniedException"


def test_an_update_of_the_mesh_leaves_its_shares_alone(call: Call, mesh: str):
    call().update_mesh(meshName=mesh, spec={"egressFilter": {"type": "ALLOW_ALL"}})

    assert call("GUEST").describe_mesh(**inside(mesh))


def test_sharing_changes_no_version_of_the_mesh(call: Call, mesh: str):
    assert call().describe_mesh(meshName=mesh)["mesh"]["metadata"]["version"] == 1


@pytest.mark.parametrize(
    ("key", "account", "message"),
    [
        ("OWNER", OWNER, f"account: {OWNER} owns the mesh"),
        ("OWNER", "1234", "account: must be the 12 digits of an account, got '1234'"),
        ("GUEST", STRANGER, f"acts for account {GUEST} and not for {OWNER}"),
    ],
    ids=["the owner", "no account", "by a guest"],
)
def test_a_share_that_is_refused(run: Run, mesh: str, key: str, account: str, message: str):
    name = mesh if key == "OWNER" else f"{mesh}@{OWNER}"

    assert message in run("mesh", "share", name, account, key=key, code=1)


def test_shares_are_listed_with_what_each_account_has(call: Call, run: Run, mesh: str):
    make_node(call("GUEST"), mesh)
    run("mesh", "share", mesh, STRANGER)
    run("mesh", "unshare", mesh, GUEST)

    assert run("mesh", "shares", mesh).splitlines() == [
        f"{GUEST}\tnot shared\t1",
        f"{STRANGER}\tshared\t0",
    ]


# The operator's commands


def test_a_guest_names_a_mesh_with_its_owner(call: Call, run: Run, mesh: str):
    make_node(call("GUEST"), mesh)

    listed = run("mesh", "list", key="GUEST").splitlines()
    shown = run("mesh", "show", f"{mesh}@{OWNER}")

    assert f"{mesh}@{OWNER}" in [line.split("\t")[0] for line in listed]
    assert f"virtual node node  v1  of {GUEST}" in shown
    assert f"shared with {GUEST}" in shown


def test_what_a_guest_exports_can_be_applied_and_changes_nothing(call: Call, run: Run, mesh: str):
    make_node(call("GUEST"), mesh)
    exported = run("mesh", "export", f"{mesh}@{OWNER}", key="GUEST")

    said = run("mesh", "apply", "-f", "-", "--prune", key="GUEST", given=exported)

    assert "0 created, 0 changed, 0 deleted" in said


@pytest.mark.parametrize(("key", "left"), [("OWNER", ["guests"]), ("GUEST", ["owners"])])
def test_pruning_leaves_the_others_resources_alone(
    call: Call, run: Run, mesh: str, key: str, left: list[str]
):
    make_node(call("GUEST"), mesh, "guests")
    make_node(call(), mesh, "owners")
    document = yaml.safe_dump(inside(mesh))

    run("mesh", "apply", "-f", "-", "--prune", key=key, given=document)

    nodes = call().list_virtual_nodes(meshName=mesh)["virtualNodes"]
    assert [each["virtualNodeName"] for each in nodes] == left


def test_an_application_that_would_change_anothers_resource_changes_nothing(
    call: Call, run: Run, mesh: str
):
    documents = [
        inside(mesh) | {"virtualNodeName": "new", "spec": node_spec("new")},
        inside(mesh) | {"virtualRouterName": "own", "spec": router_spec(9090)},
    ]

    said = run(
        *("mesh", "apply", "-f", "-"), key="GUEST", code=1, given=yaml.safe_dump_all(documents)
    )

    assert f"virtual router 'own' belongs to account {OWNER}" in said
    assert call().list_virtual_nodes(meshName=mesh)["virtualNodes"] == []


def test_shares_are_copied_with_the_mesh(
    call: Call, mesh: str, store_url: str, tmp_path: Path, keys_file: Path
):
    make_node(call("GUEST"), mesh)
    target = f"sqlite:///{tmp_path}/copy.db"
    environment = {"AWS_ACCESS_KEY_ID": "meshwright", "AWS_SECRET_ACCESS_KEY": "meshwright"}
    command = [MESHWRIGHT, "store", "copy", store_url, target, "--mesh", mesh]
    subprocess.run(command, env=environment, check=True, capture_output=True)

    with start(tmp_path, keys_file, target) as server:
        described = server.client("GUEST", SECRET).describe_virtual_node(
            **inside(mesh), virtualNodeName="node"
        )

    assert described["virtualNode"]["metadata"]["resourceOwner"] == GUEST


def test_a_meshs_name_may_not_look_like_one_with_an_owner(call: Call, refused: Refused):
    error = refused(call().create_mesh, meshName=f"demo@{GUEST}")

    assert (error.code, error.message) == (
        "BadRequestException",
        (
            "meshName: may not end with @ and 12 digits, which name a mesh's owner in ARNs, "
            f"got 'demo@{GUEST}'"
        ),
    )
