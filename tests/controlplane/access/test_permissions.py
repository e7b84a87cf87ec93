"""What a key permits: reading or writing, by mesh, in its own account."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from meshwright.access.errors import AccessError
from meshwright.access.keys import AccessKey
from meshwright.access.permissions import Caller, find_mesh, is_read
from meshwright.model.resources import MeshKey
from meshwright.model.service import load_service_model

ACCOUNT = "111122223333"
WRITER = AccessKey("W", "secret", ACCOUNT, "write", ("shop-*", "demo"))
READER = replace(WRITER, access="read")
ARN = f"arn:aws:appmesh:eu-west-1:{ACCOUNT}:mesh/demo/virtualNode/front"


OTHER_ACCOUNT = "999999999999"


def is_permitted(
    key: AccessKey | None, operation: str, *, shared_with: tuple[str, ...] = (), **parameters: Any
) -> bool:
    """Whether a caller with a key may carry out an operation."""
    try:
        Caller(ACCOUNT, key).require(operation, find_mesh(parameters, ACCOUNT), shared_with)
    except AccessError as error:
        return error.code != "AccessDeniedException"
    return True


def test_every_operation_of_the_model_reads_or_writes_as_its_method_says():
    model = load_service_model()
    methods = {name: model.operation_model(name).http["method"] for name in model.operation_names}

    assert {name for name in methods if is_read(name)} == {
        name for name, method in methods.items() if method == "GET"
    }


@pytest.mark.parametrize("name", ["demo", "shop-eu"])
def test_a_writer_may_write_to_its_meshes(name: str):
    assert is_permitted(WRITER, "DeleteMesh", meshName=name)


@pytest.mark.parametrize("name", ["other", "Demo", "demo2", "xshop-eu", ""])
def test_nobody_may_read_another_mesh(name: str):
    assert not is_permitted(WRITER, "DescribeMesh", meshName=name)


def test_a_reader_may_read_and_not_write():
    assert is_permitted(READER, "DescribeMesh", meshName="demo")
    assert not is_permitted(READER, "CreateMesh", meshName="demo")


@pytest.mark.parametrize(
    ("arn", "permitted"),
    [
        (ARN, True),
        (ARN.replace("mesh/demo", "mesh/other"), False),
        (ARN.replace(ACCOUNT, "999999999999"), False),
        ("mesh/other", False),
    ],
)
def test_tags_go_by_the_mesh_in_the_arn(arn: str, permitted: bool):
    assert is_permitted(READER, "ListTagsForResource", resourceArn=arn) is permitted


def test_a_reader_may_not_tag():
    assert not is_permitted(READER, "TagResource", resourceArn=ARN, tags=[])


def test_a_mesh_of_another_account_is_out_of_reach():
    assert not is_permitted(WRITER, "DescribeMesh", meshName="demo", meshOwner=OTHER_ACCOUNT)


def test_a_mesh_of_another_account_is_not_seen():
    assert not Caller(ACCOUNT, WRITER).may_see(MeshKey(OTHER_ACCOUNT, "demo"), ())


@pytest.mark.parametrize(
    ("key", "operation", "name", "shared_with", "permitted"),
    [
        (WRITER, "CreateRoute", "demo", (ACCOUNT,), True),
        (WRITER, "DescribeRoute", "demo", ("333333333333",), False),
        (WRITER, "DescribeRoute", "other", (ACCOUNT,), False),
        (READER, "DescribeRoute", "demo", (ACCOUNT,), True),
        (READER, "CreateRoute", "demo", (ACCOUNT,), False),
    ],
    ids=["a writer", "another account's", "another mesh", "a reader", "a reader's write"],
)
def test_a_shared_mesh_is_within_reach_as_far_as_the_key_goes(
    key: AccessKey, operation: str, name: str, shared_with: tuple[str, ...], permitted: bool
):
    names = {"meshName": name, "meshOwner": OTHER_ACCOUNT}

    assert is_permitted(key, operation, shared_with=shared_with, **names) is permitted


def test_without_keys_everything_is_permitted():
    assert is_permitted(None, "DeleteMesh", meshName="any", meshOwner=OTHER_ACCOUNT)
