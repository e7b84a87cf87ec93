"""Which resource types there are and how they are named, by the model."""

from __future__ import annotations

import pytest

from pulumi_meshwright.model import InvalidIdError, Kind, find_kind, kinds


def test_the_model_has_the_seven_types() -> None:
    assert list(kinds()) == [
        "Mesh",
        "VirtualNode",
        "VirtualRouter",
        "Route",
        "VirtualService",
        "VirtualGateway",
        "GatewayRoute",
    ]


def test_what_a_resource_hangs_from_is_read_from_its_path() -> None:
    assert {name: kind.parents for name, kind in kinds().items()} == {
        "Mesh": (),
        "VirtualNode": ("meshName",),
        "VirtualRouter": ("meshName",),
        "Route": ("meshName", "virtualRouterName"),
        "VirtualService": ("meshName",),
        "VirtualGateway": ("meshName",),
        "GatewayRoute": ("meshName", "virtualGatewayName"),
    }


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("Mesh", "MESH"),
        ("VirtualNode", "MESH/NODE"),
        ("Route", "MESH/ROUTER/ROUTE"),
        ("GatewayRoute", "MESH/GATEWAY/ROUTE"),
    ],
)
def test_the_form_of_an_id_names_its_parts(name: str, form: str) -> None:
    assert kinds()[name].id_form == form


@pytest.mark.parametrize("kind", kinds().values(), ids=lambda kind: kind.name)
def test_an_id_is_parsed_back_into_the_names_it_was_made_of(kind: Kind) -> None:

    names = {member: f"a-{member}" for member in (*kind.parents, "name")}

    assert kind.parse_id(kind.render_id(dict(names)) or "") == names


@pytest.mark.parametrize(
    "wrong", ["demo", "demo/color", "demo//route", "/color/route", "demo/color/route/x"]
)
def test_an_id_of_another_form_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidIdError, match="write it as MESH/ROUTER/ROUTE"):
        kinds()["Route"].parse_id(wrong)


def test_an_id_is_not_known_before_all_its_parts_are() -> None:
    assert kinds()["VirtualNode"].render_id({"name": "blue"}) is None


def test_the_type_of_a_component_s_child_is_found() -> None:
    assert find_kind("x:y:Component$meshwright:index:Route") is kinds()["Route"]


def test_types_of_other_packages_are_not_ours() -> None:
    assert find_kind("aws:appmesh/mesh:Mesh") is None
