"""What counts as a change: meaning, not spelling."""

from __future__ import annotations

import random
from typing import Any

import pytest
from botocore.model import ListShape, StructureShape
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pulumi.provider.experimental.provider import PropertyDiffKind

from pulumi_meshwright.differences import find_differences
from pulumi_meshwright.meaning import DEFAULTS, ORDERED, meaning, same_meaning
from pulumi_meshwright.model import Kind, kinds, shape
from pulumi_meshwright.values import UNKNOWN
from tests.provider.specs import kinds_and_specs


def list_shapes() -> set[str]:
    """The names of all list shapes in the seven specifications."""
    found: set[str] = set()

    def visit(of: Any) -> None:
        if isinstance(of, ListShape):
            found.add(of.name)
            visit(of.member)
        elif isinstance(of, StructureShape):
            for member in of.members.values():
                visit(member)

    for kind in kinds().values():
        visit(kind.spec)
    return found


def shuffled(of: Any, value: Any, order: random.Random) -> Any:
    """The same value with its sets in another order."""
    if isinstance(of, StructureShape):
        return {name: shuffled(of.members[name], member, order) for name, member in value.items()}
    if isinstance(of, ListShape):
        items = [shuffled(of.member, item, order) for item in value]
        return items if of.name in ORDERED else order.sample(items, len(items))
    return value


def test_the_ordered_lists_are_lists_of_the_model() -> None:
    assert list_shapes() >= ORDERED


@pytest.mark.parametrize(("structure", "member"), DEFAULTS)
def test_the_defaults_are_members_of_the_model(structure: str, member: str) -> None:
    of = shape(structure)
    assert isinstance(of, StructureShape)
    assert member in of.members


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(kinds_and_specs(), st.randoms(use_true_random=False))
def test_the_order_of_sets_means_nothing(drawn: tuple[Kind, Any], order: random.Random) -> None:
    kind, spec = drawn

    assert same_meaning(kind.spec, spec, shuffled(kind.spec, spec, order))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(kinds_and_specs(), kinds_and_specs())
def test_there_are_differences_exactly_where_the_meaning_differs(
    one: tuple[Kind, Any], other: tuple[Kind, Any]
) -> None:
    kind, spec = one
    if other[0] is kind:
        found = find_differences(kind, {"spec": spec}, {"spec": other[1]})
        assert bool(found) == (meaning(kind.spec, spec) != meaning(kind.spec, other[1]))


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        pytest.param("Mesh", None, {}, id="no specification and an empty one"),
        pytest.param(
            "Mesh", {}, {"egressFilter": {"type": "DROP_ALL"}}, id="a default, written out"
        ),
        pytest.param("VirtualNode", {}, {"backends": [], "logging": {}}, id="empty parts"),
        pytest.param(
            "VirtualNode",
            {"listeners": [{"timeout": {"tcp": {"idle": {"value": 60, "unit": "s"}}}}]},
            {"listeners": [{"timeout": {"tcp": {"idle": {"value": 60000, "unit": "ms"}}}}]},
            id="a minute, in other units",
        ),
    ],
)
def test_another_spelling_is_no_change(kind: str, one: Any, other: Any) -> None:
    assert find_differences(kinds()[kind], {"spec": one}, {"spec": other}) == []


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        pytest.param(
            "Mesh", {}, {"egressFilter": {"type": "ALLOW_ALL"}}, id="other than the default"
        ),
        pytest.param(
            "VirtualNode",
            {"backends": [{"virtualService": {"virtualServiceName": "a"}}]},
            {"backends": [{"virtualService": {"virtualServiceName": "a", "clientPolicy": {}}}]},
            id="an empty policy, which overrides the default one",
        ),
    ],
)
def test_another_meaning_is_a_change(kind: str, one: Any, other: Any) -> None:
    assert find_differences(kinds()[kind], {"spec": one}, {"spec": other})


def test_a_change_is_told_by_the_path_of_its_smallest_part() -> None:
    def spec(weight: int) -> Any:
        targets = [
            {"virtualNode": "green", "weight": 20},
            {"virtualNode": "blue", "weight": weight},
        ]
        return {"httpRoute": {"match": {"prefix": "/"}, "action": {"weightedTargets": targets}}}

    found = find_differences(kinds()["Route"], {"spec": spec(80)}, {"spec": spec(50)})

    assert [(item.path, item.kind) for item in found] == [
        ("spec.httpRoute.action.weightedTargets[1].weight", PropertyDiffKind.UPDATE)
    ]


def test_a_default_that_is_dropped_beside_a_change_is_not_told() -> None:
    old = {"name": "x-a", "invert": False, "match": {"exact": "1"}}
    new = {"name": "x-a", "match": {"exact": "2"}}

    def spec(header: Any) -> Any:
        return {"httpRoute": {"match": {"headers": [header]}}}

    found = find_differences(kinds()["Route"], {"spec": spec(old)}, {"spec": spec(new)})

    assert [item.path for item in found] == ["spec.httpRoute.match.headers[0].match.exact"]


@pytest.mark.parametrize("name", ["name", "meshName", "virtualRouterName", "meshOwner"])
def test_what_says_which_resource_it_is_can_only_be_replaced(name: str) -> None:
    found = find_differences(kinds()["Route"], {name: "old"}, {name: "new"})

    assert [(item.path, item.kind) for item in found] == [(name, PropertyDiffKind.UPDATE_REPLACE)]


def test_a_mesh_owner_that_is_left_out_is_whatever_the_state_says() -> None:
    assert find_differences(kinds()["Route"], {"meshOwner": "111122223333"}, {}) == []


def test_a_value_not_known_yet_may_be_a_change() -> None:
    old: Any = {"spec": {"provider": {"virtualNode": {"virtualNodeName": "a"}}}}
    new: Any = {"spec": {"provider": {"virtualNode": {"virtualNodeName": UNKNOWN}}}}

    found = find_differences(kinds()["VirtualService"], old, new)

    assert [item.path for item in found] == ["spec.provider.virtualNode.virtualNodeName"]


def test_tags_are_compared_by_key() -> None:
    old: Any = {"tags": {"same": "1", "changed": "1", "gone": "1"}}
    new: Any = {"tags": {"same": "1", "changed": "2", "added": "1"}}

    found = find_differences(kinds()["Mesh"], old, new)

    assert {item.path: item.kind for item in found} == {
        'tags["added"]': PropertyDiffKind.ADD,
        'tags["changed"]': PropertyDiffKind.UPDATE,
        'tags["gone"]': PropertyDiffKind.DELETE,
    }
