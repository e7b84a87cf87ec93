"""Terraform's provider gets what it takes for granted, for the configuration in docs/terraform.md.

The provider itself is not run: see that page. tests/controlplane/api/terraform.py makes its calls.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from meshwright.model.resources import Kind
from tests.controlplane.api.terraform import (
    AwsProvider,
    Declared,
    Managed,
    parse_configuration,
)
from tests.controlplane.conftest import Refused
from tests.controlplane.meshes import node_spec, route_spec, router_spec, service_spec

PAGE = Path(__file__).parents[3] / "docs" / "terraform.md"
LISTENERS = router_spec()["listeners"]
TO_COLOR = {"target": {"virtualService": {"virtualServiceName": "color.demo.local"}}}


@pytest.fixture
def configuration() -> list[Declared]:
    """What the page declares, in a mesh of the test's own."""
    [text] = re.findall(r"^```hcl\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    declared = parse_configuration(text)
    mesh = f"terraform-{uuid4().hex}"
    for each in declared:
        each.names["meshName"] = mesh
    return declared


@pytest.fixture
def provider(appmesh: Any) -> AwsProvider:
    return AwsProvider(appmesh)


@pytest.fixture
def state(provider: AwsProvider, configuration: list[Declared]) -> list[Managed]:
    """The state after `terraform apply`."""
    return [provider.create(declared) for declared in configuration]


def find(state: list[Managed], kind: Kind) -> Managed:
    return next(each for each in state if each.declared.kind is kind)


def test_the_page_declares_all_seven_types(configuration: list[Declared]):
    assert {each.kind for each in configuration} == set(Kind)


def test_a_refresh_after_apply_finds_what_was_sent_and_nothing_else(
    provider: AwsProvider, state: list[Managed]
):
    for each in state:
        provider.read(each)

    assert [each.found["spec"] for each in state] == [each.declared.spec for each in state]
    assert [each.tags for each in state] == [each.declared.tags for each in state]


def test_the_computed_attributes_are_there(state: list[Managed]):
    for each in state:
        metadata = each.found["metadata"]
        assert metadata.keys() >= {"arn", "createdAt", "lastUpdatedAt", "resourceOwner", "uid"}
        assert metadata["meshOwner"] == metadata["resourceOwner"] == "000000000000"
        assert each.found["status"] == {"status": "ACTIVE"}
        assert each.declared.names.items() <= each.found.items()


def test_a_mesh_without_a_spec_has_an_empty_one(
    provider: AwsProvider, state: list[Managed], appmesh: Any
):
    mesh = find(state, Kind.MESH)
    without = f"{mesh.declared.names['meshName']}-without"
    appmesh.create_mesh(meshName=without)  # older versions of the provider send no spec at all

    assert mesh.found["spec"] == {}
    assert appmesh.describe_mesh(meshName=without)["mesh"]["spec"] == {}


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        (Kind.MESH, {"egressFilter": {"type": "ALLOW_ALL"}}),
        (Kind.VIRTUAL_NODE, node_spec("elsewhere.demo.local")),
        (Kind.VIRTUAL_ROUTER, {"listeners": [*LISTENERS, *router_spec(9090)["listeners"]]}),
        (Kind.ROUTE, route_spec({"blue": 50, "green": 50})),
        (Kind.VIRTUAL_SERVICE, service_spec(node="blue")),
        (Kind.VIRTUAL_GATEWAY, {"listeners": LISTENERS}),
        (Kind.GATEWAY_ROUTE, {"httpRoute": {"match": {"prefix": "/"}, "action": TO_COLOR}}),
    ],
)
def test_a_changed_specification_is_read_back_under_the_same_id(
    provider: AwsProvider, state: list[Managed], kind: Kind, spec: dict[str, Any]
):
    managed = find(state, kind)
    uid = managed.found["metadata"]["uid"]

    provider.update_spec(managed, spec)

    assert managed.found["spec"] == spec
    assert (managed.found["metadata"]["uid"], managed.found["metadata"]["version"]) == (uid, 2)


def test_changed_tags_are_read_back_and_make_no_new_version(
    provider: AwsProvider, state: list[Managed]
):
    for each in state:
        provider.update_tags(each, {"team": "ink", "stage": "test"})

    assert [each.tags for each in state] == [{"team": "ink", "stage": "test"}] * len(state)
    assert {each.found["metadata"]["version"] for each in state} == {1}


def test_an_import_finds_every_type_by_its_names(provider: AwsProvider, state: list[Managed]):
    for each in state:
        found = provider.find_for_import(each.declared.kind, each.declared.import_id)
        assert found == each.found


def test_destroy_goes_backwards_and_what_is_gone_is_not_found(
    provider: AwsProvider, state: list[Managed], refused: Refused
):
    for each in reversed(state):
        provider.delete(each)

    for each in state:
        # A read drops it from the state; a delete takes it for done.
        assert refused(provider.read, managed=each).code == "NotFoundException"
        assert refused(provider.delete, managed=each).code == "NotFoundException"


def test_what_others_refer_to_can_not_be_deleted_before_them(
    provider: AwsProvider, state: list[Managed], refused: Refused
):
    router = find(state, Kind.VIRTUAL_ROUTER)

    assert refused(provider.delete, managed=router).code == "ResourceInUseException"


def test_a_state_of_another_account_finds_nothing(
    provider: AwsProvider, state: list[Managed], refused: Refused
):
    mesh = find(state, Kind.MESH)
    mesh.found["metadata"]["meshOwner"] = "123456789012"

    assert refused(provider.read, managed=mesh).code == "NotFoundException"
