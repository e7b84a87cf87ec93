"""Lists by pages, for each operation that lists: complete whatever happens between two pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from meshwright.model.resources import Kind
from tests.controlplane.api.operations import noun
from tests.controlplane.api.whole_mesh import ask, furnish
from tests.controlplane.conftest import Refused

LISTS = {
    "ListMeshes": Kind.MESH,
    "ListVirtualNodes": Kind.VIRTUAL_NODE,
    "ListVirtualServices": Kind.VIRTUAL_SERVICE,
    "ListVirtualRouters": Kind.VIRTUAL_ROUTER,
    "ListRoutes": Kind.ROUTE,
    "ListVirtualGateways": Kind.VIRTUAL_GATEWAY,
    "ListGatewayRoutes": Kind.GATEWAY_ROUTE,
    "ListTagsForResource": None,
}
"""Each operation that lists, and the kind of what it lists; tags have none."""

EACH = pytest.mark.parametrize("operation", LISTS)
Edit = Callable[[str, str, str], None]


@pytest.fixture
def furnished(appmesh: Any, mesh: str) -> str:
    """A mesh with one resource of every type in it."""
    furnish(appmesh, mesh)
    return mesh


@pytest.fixture
def edit(appmesh: Any, furnished: str) -> Edit:
    """Makes (`Create`) or deletes one of what an operation lists."""

    def edit(verb: str, operation: str, name: str) -> None:
        kind = LISTS[operation]
        if kind is not None:
            ask(appmesh, f"{verb}{noun(kind)}", furnished, {kind.name_member: name})
        elif verb == "Create":
            ask(appmesh, "TagResource", furnished, {"tags": [{"key": name, "value": ""}]})
        else:
            ask(appmesh, "UntagResource", furnished, {"tagKeys": [name]})

    return edit


def pages(client: Any, operation: str, mesh: str, limit: int) -> Iterator[tuple[list[str], str]]:
    """The names on each page, and the token of the next one; empty for the last."""
    member = "key" if (kind := LISTS[operation]) is None else kind.name_member
    changed: dict[str, Any] = {"limit": limit}
    while True:
        answer = ask(client, operation, mesh, changed)
        (listed,) = [each for each in answer.values() if isinstance(each, list)]
        yield [each[member] for each in listed], answer.get("nextToken", "")
        if "nextToken" not in answer:
            return
        changed["nextToken"] = answer["nextToken"]


@EACH
def test_pages_survive_inserts_and_deletes_between_them(
    appmesh: Any, furnished: str, edit: Edit, operation: str
):
    # Whatever else there is to be listed has other names.
    a, aa, b, c, cc, d = (f"{furnished}-{each}" for each in ("a", "aa", "b", "c", "cc", "d"))
    for name in (a, b, c, d):
        edit("Create", operation, name)
    seen: list[str] = []
    walk = pages(appmesh, operation, furnished, 2)
    while b not in seen:
        seen += next(walk)[0]

    edit("Delete", operation, b)
    edit("Create", operation, aa)
    edit("Create", operation, cc)
    seen += [name for names, _ in walk for name in names]

    assert [name for name in seen if name in (a, aa, b, c, cc, d)] == [a, b, c, cc, d]


@EACH
def test_an_altered_token_is_refused(
    appmesh: Any, furnished: str, edit: Edit, refused: Refused, operation: str
):
    for name in ("one", "two"):
        edit("Create", operation, f"{furnished}-{name}")
    _, token = next(pages(appmesh, operation, furnished, 1))
    # The last character may hold bits that mean nothing.
    altered = {
        f"{token[:position]}{'B' if token[position] == 'A' else 'A'}{token[position + 1 :]}"
        for position in range(len(token) - 1)
    }

    refusals = {
        refused(ask, appmesh, operation, furnished, {"nextToken": each})
        for each in (*altered, token[:-4], token + token, "", "nonsense", "ä")
    }

    assert {(each.code, each.message) for each in refusals} == {
        (
            "BadRequestException",
            "nextToken: is not one that this list gave out; list from the start",
        )
    }


@EACH
def test_a_token_of_another_list_is_refused(
    appmesh: Any, furnished: str, edit: Edit, refused: Refused, operation: str
):
    for name in ("one", "two"):
        edit("Create", operation, f"{furnished}-{name}")
    _, token = next(pages(appmesh, operation, furnished, 1))
    other = [*LISTS][[*LISTS].index(operation) - 1]

    refusal = refused(ask, appmesh, other, furnished, {"nextToken": token})

    assert refusal.message.startswith("nextToken: is not one that this list gave out")
