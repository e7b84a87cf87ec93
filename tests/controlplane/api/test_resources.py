"""What clients see of resources: create, describe, update, list, delete, tags."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.controlplane.conftest import Refused
from tests.controlplane.meshes import node_spec, route_spec, router_spec, service_spec


def make_color(appmesh: Any, mesh: str) -> None:
    for name in ("blue", "green"):
        appmesh.create_virtual_node(meshName=mesh, virtualNodeName=name, spec=node_spec(name))
    appmesh.create_virtual_router(meshName=mesh, virtualRouterName="color", spec=router_spec())
    appmesh.create_route(
        meshName=mesh,
        virtualRouterName="color",
        routeName="split",
        spec=route_spec({"blue": 80, "green": 20}),
    )


def test_a_created_resource_is_described_as_it_was_sent(appmesh: Any, mesh: str):
    spec = node_spec("blue.local", backends=("color.local",))
    created = appmesh.create_virtual_node(meshName=mesh, virtualNodeName="blue", spec=spec)

    described = appmesh.describe_virtual_node(meshName=mesh, virtualNodeName="blue")

    assert described["virtualNode"] == created["virtualNode"]
    assert described["virtualNode"]["spec"] == spec


def test_metadata_tells_who_when_and_which_version(appmesh: Any, mesh: str):
    metadata = appmesh.describe_mesh(meshName=mesh)["mesh"]["metadata"]

    assert metadata["arn"] == f"arn:aws:appmesh:us-east-1:{metadata['meshOwner']}:mesh/{mesh}"
    assert metadata["version"] == 1
    assert metadata["resourceOwner"] == metadata["meshOwner"]
    assert datetime.now(UTC) - metadata["createdAt"] < timedelta(minutes=5)


def test_a_route_is_found_under_its_router(appmesh: Any, mesh: str):
    make_color(appmesh, mesh)

    route = appmesh.describe_route(meshName=mesh, virtualRouterName="color", routeName="split")

    assert route["route"]["virtualRouterName"] == "color"
    assert route["route"]["metadata"]["arn"].endswith("/virtualRouter/color/route/split")


def test_an_update_raises_the_version(appmesh: Any, mesh: str):
    appmesh.create_virtual_service(meshName=mesh, virtualServiceName="a.local", spec={})
    appmesh.create_virtual_node(meshName=mesh, virtualNodeName="a", spec=node_spec("a"))

    updated = appmesh.update_virtual_service(
        meshName=mesh, virtualServiceName="a.local", spec=service_spec(node="a")
    )

    assert updated["virtualService"]["metadata"]["version"] == 2


def test_an_update_that_changes_nothing_leaves_version_and_revision(appmesh: Any, mesh: str):
    made = appmesh.create_virtual_node(meshName=mesh, virtualNodeName="a", spec=node_spec("a"))

    again = appmesh.update_virtual_node(meshName=mesh, virtualNodeName="a", spec=node_spec("a"))

    header = "x-meshwright-revision"
    assert again["virtualNode"] == made["virtualNode"]
    assert (
        again["ResponseMetadata"]["HTTPHeaders"][header]
        == made["ResponseMetadata"]["HTTPHeaders"][header]
    )


def test_a_deleted_resource_says_so_and_is_gone(appmesh: Any, mesh: str, refused: Refused):
    appmesh.create_virtual_node(meshName=mesh, virtualNodeName="a", spec=node_spec("a"))

    deleted = appmesh.delete_virtual_node(meshName=mesh, virtualNodeName="a")
    error = refused(appmesh.describe_virtual_node, meshName=mesh, virtualNodeName="a")

    assert deleted["virtualNode"]["status"] == {"status": "DELETED"}
    assert error.code == "NotFoundException"


def test_a_resource_made_anew_has_another_uid(appmesh: Any, mesh: str):
    first = appmesh.create_virtual_service(meshName=mesh, virtualServiceName="a", spec={})
    appmesh.delete_virtual_service(meshName=mesh, virtualServiceName="a")
    second = appmesh.create_virtual_service(meshName=mesh, virtualServiceName="a", spec={})

    uids = {each["virtualService"]["metadata"]["uid"] for each in (first, second)}
    assert len(uids) == 2


def test_a_paginator_sees_every_mesh_once(appmesh: Any, mesh: str):
    pages = appmesh.get_paginator("list_meshes").paginate(PaginationConfig={"PageSize": 1})

    names = [each["meshName"] for page in pages for each in page["meshes"]]

    assert names.count(mesh) == 1


def test_the_same_token_and_request_get_the_first_answer_again(appmesh: Any, mesh: str):
    request = {
        "meshName": mesh,
        "virtualServiceName": "a",
        "spec": {},
        "clientToken": f"token-{mesh}",
    }
    first = appmesh.create_virtual_service(**request)

    again = appmesh.create_virtual_service(**request)

    assert again["virtualService"] == first["virtualService"]


def test_a_retry_of_an_update_that_changed_nothing_does_not_undo_another(appmesh: Any, mesh: str):
    update, names = appmesh.update_virtual_node, {"meshName": mesh, "virtualNodeName": "a"}
    appmesh.create_virtual_node(**names, spec=node_spec("first"))
    request = {**names, "spec": node_spec("first"), "clientToken": f"retry-{mesh}"}
    answered = update(**request)
    update(**names, spec=node_spec("second"))

    again = update(**request)

    assert again["virtualNode"] == answered["virtualNode"]
    assert appmesh.describe_virtual_node(**names)["virtualNode"]["spec"] == node_spec("second")


def test_the_same_token_with_another_request_is_a_conflict(
    appmesh: Any, mesh: str, refused: Refused
):
    token = f"other-{mesh}"
    appmesh.create_virtual_service(
        meshName=mesh, virtualServiceName="a", spec={}, clientToken=token
    )

    error = refused(
        appmesh.create_virtual_service,
        meshName=mesh,
        virtualServiceName="b",
        spec={},
        clientToken=token,
    )

    assert error.code == "ConflictException"
