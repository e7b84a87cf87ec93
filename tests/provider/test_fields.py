"""Every field of the model through the real engine: kept by a refresh, changed by an update."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from botocore import xform_name

import pulumi_meshwright as meshwright
from pulumi_meshwright.model import kinds
from tests.fields import model_fields
from tests.provider.field_specs import (
    FieldCase,
    all_cases,
    field_cases,
    make_surroundings,
    parent_inputs,
)
from tests.provider.programs import changes

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_meshwright.control_plane import ControlPlane
    from pytest_meshwright.pulumi_stack import PulumiStack

MESH = "demo"


@dataclass
class Fields:
    """A program with one resource for each field; `changed` is its knob."""

    cases: list[FieldCase]
    changed: bool = False

    def __call__(self) -> None:
        """Declare the resources."""
        for name, case in self.by_name().items():
            spec = case.after if self.changed else case.before
            inputs = snake_case({**parent_inputs(case.kind, MESH), "spec": spec})
            getattr(meshwright, case.kind.name)(name, **inputs)

    def by_name(self) -> dict[str, FieldCase]:
        """The cases by the names of their resources."""
        return {f"{case.kind.name}-{number}": case for number, case in enumerate(self.cases)}

    def wanted(self) -> dict[tuple[str, str], Any]:
        """The specifications as the program has them, by type and field."""
        return {
            (each.kind.name, each.field): each.after if self.changed else each.before
            for each in self.cases
        }

    def live(self, client: Any) -> dict[tuple[str, str], Any]:
        """The specifications as the control plane describes them, by type and field."""
        found: dict[tuple[str, str], Any] = {}
        for name, case in self.by_name().items():
            describe = getattr(client, xform_name(f"Describe{case.kind.name}"))
            names = {**parent_inputs(case.kind, MESH), case.kind.name_member: name}
            found[case.kind.name, case.field] = describe(**names)[case.kind.payload]["spec"]
        return found


def snake_case(value: Any) -> Any:
    """A value with its members named as in Python."""
    if isinstance(value, dict):
        return {xform_name(name): snake_case(member) for name, member in value.items()}
    return [snake_case(item) for item in value] if isinstance(value, list) else value


def test_there_is_a_case_for_every_field_of_the_model() -> None:
    fields = {
        (kind[0].lower() + kind[1:], case.field) for kind in kinds() for case in all_cases()[kind]
    }

    assert fields == {(kind.value, field) for kind, field in model_fields()}


# Apart so that they can run at the same time; the last four have few fields.
@pytest.mark.parametrize(
    "types",
    [
        ("VirtualNode",),
        ("Route",),
        ("GatewayRoute",),
        ("Mesh", "VirtualRouter", "VirtualService", "VirtualGateway"),
    ],
    ids=" ".join,
)
def test_each_field_survives_a_refresh_and_each_change_is_described(
    types: tuple[str, ...],
    make_stack: Callable[[Callable[[], None]], PulumiStack],
    meshwright_control_plane: ControlPlane,
) -> None:
    client: Any = meshwright_control_plane.client()
    make_surroundings(client, MESH)
    program = Fields([case for name in types for case in field_cases(kinds()[name])])
    count = len(program.cases)
    stack = make_stack(program)

    assert changes(stack.up()) == {"create": count + 1}  # the stack itself is one more
    assert program.live(client) == program.wanted()
    assert changes(stack.refresh()) == {}
    assert stack.preview().change_summary == {"same": count + 1}

    program.changed = True
    assert changes(stack.up()) == {"update": count}
    assert program.live(client) == program.wanted()
    assert changes(stack.refresh()) == {}
