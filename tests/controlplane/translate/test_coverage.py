"""Every field of the model takes effect, and one that a later model adds is refused by its path."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.model import ListShape, Shape, StructureShape

from meshwright.model.resources import Kind
from meshwright.model.service import load_service_model
from meshwright.translate.coverage import find_unsupported_fields
from tests.controlplane.meshes import build_resource, node_spec

SHAPES = {kind: f"{kind.value[0].upper()}{kind.value[1:]}Spec" for kind in Kind}


def example(shape: Shape) -> Iterator[object]:
    """Values that together hold every leaf of a shape, each union's members in turn."""
    match shape:
        case StructureShape():
            for name, member in shape.members.items():
                yield from ({name: value} for value in example(member))
        case ListShape():
            yield from ([value] for value in example(shape.member))
        case _ if getattr(shape, "enum", None):
            yield from shape.enum  # pyright: ignore[reportAttributeAccessIssue]
        case _:
            yield None


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.value)
def test_every_field_of_the_model_takes_effect(kind: Kind):
    refused = {
        field
        for spec in example(load_service_model().shape_for(SHAPES[kind]))
        for field in find_unsupported_fields(build_resource(kind, "a", spec, parent="b"))  # pyright: ignore[reportArgumentType]
    }

    assert refused == set()


def test_a_field_of_a_later_model_is_refused_by_its_path():
    spec = node_spec("color")
    spec["listeners"][0]["portMapping"]["name"] = "main"

    found = find_unsupported_fields(build_resource(Kind.VIRTUAL_NODE, "color", spec))

    assert found == ["spec.listeners[0].portMapping.name"]
