"""What holds for every component: its children hang from it, and its outputs are registered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pulumi
import pytest

import meshwright_components as components
from tests.components.graph import run

EXAMPLES: dict[str, Callable[[], Any]] = {
    "MeshNode": lambda: components.MeshNode(
        "thing", components.MeshNodeArgs(mesh_name="demo", hostname="thing.local", port=80)
    ),
    "WeightedService": lambda: components.WeightedService(
        "thing",
        components.WeightedServiceArgs(
            mesh_name="demo", service_name="thing.local", port=80, targets={"a": 1}
        ),
    ),
}


def test_every_component_has_an_example_here() -> None:
    public = {name: getattr(components, name) for name in components.__all__}
    found = {
        name
        for name, value in public.items()
        if isinstance(value, type) and issubclass(value, pulumi.ComponentResource)
    }

    assert found == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_all_resources_hang_from_the_component_and_have_its_name(name: str) -> None:
    graph = run(EXAMPLES[name])

    urn = graph.urn(name, "thing")
    children = [item for key, item in graph.declared.items() if key != urn]
    assert {(item.parent, item.name) for item in children} == {(urn, "thing")}


@pytest.mark.parametrize("name", EXAMPLES)
def test_all_outputs_are_registered(name: str) -> None:
    graph = run(EXAMPLES[name])

    component: type[Any] = getattr(components, name)
    attributes = {key for key, of in component.__annotations__.items() if "Output" in str(of)}
    registered = graph.outputs[graph.urn(name, "thing")]
    assert {key.replace("_", "") for key in attributes} == {key.lower() for key in registered}


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_input_is_documented(name: str) -> None:
    args: type[Any] = getattr(components, f"{name}Args")

    documentation = args.__doc__ or ""
    assert [field for field in args.__annotations__ if f"    {field}: " not in documentation] == []
