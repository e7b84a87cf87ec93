"""What docs/migrating.md says of states, by the CLI's own commands: import, forget, and remove."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from pulumi import automation

from tests.provider.language_hosts import link_language_hosts, required
from tests.provider.programs import Colors, changes, resources

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_meshwright.control_plane import ControlPlane
    from pytest_meshwright.pulumi_stack import PulumiStack


def cli(stack: PulumiStack, *arguments: str) -> str:
    """Run a command of the CLI on a stack; what it printed."""
    return stack.stack._run_pulumi_cmd_sync([*arguments, "--yes"]).stdout


def urns(stack: PulumiStack) -> dict[str, str]:
    """The URNs in a stack's state by the resources' names."""
    return {each["urn"].rpartition("::")[2]: each["urn"] for each in resources(stack)}


def names_of_meshes(control_plane: ControlPlane) -> list[str]:
    """The meshes that there are."""
    client: Any = control_plane.client()
    return [each["meshName"] for each in client.list_meshes()["meshes"]]


def test_the_import_command_takes_a_resource_over(
    stack: PulumiStack,
    colors: Colors,
    make_stack: Callable[[Callable[[], None]], PulumiStack],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stack.up()
    # The command wants the project's language host, even where it is to write no code.
    hosts = required(link_language_hosts(tmp_path / "hosts"), "the language host")
    monkeypatch.setenv("PATH", str(hosts), prepend=os.pathsep)
    other = make_stack(colors)

    for name, what in (("demo", "Mesh demo demo"), ("route", "Route route demo/color/route")):
        kind, *rest = what.split()
        printed = cli(other, "import", f"meshwright:index:{kind}", *rest, "--generate-code=false")
        assert f"meshwright:index:{kind} {name} imported" in printed

    assert urns(other).keys() >= {"demo", "route"}


def test_a_resource_that_was_forgotten_stays_and_is_taken_over_by_another_stack(
    stack: PulumiStack,
    colors: Colors,
    make_stack: Callable[[Callable[[], None]], PulumiStack],
    meshwright_control_plane: ControlPlane,
) -> None:
    stack.up()

    with pytest.raises(automation.CommandError, match="--target-dependents"):
        cli(stack, "state", "delete", urns(stack)["demo"])
    cli(stack, "state", "delete", urns(stack)["demo"], "--target-dependents")

    assert "demo" not in urns(stack)
    assert changes(stack.destroy()) == {"delete": 1}  # the stack alone
    assert names_of_meshes(meshwright_control_plane) == ["demo"]
    colors.imported = True
    assert changes(make_stack(colors).up()) == {"create": 1, "import": 5}


def test_a_stack_that_is_removed_by_force_leaves_its_resources(
    stack: PulumiStack, meshwright_control_plane: ControlPlane
) -> None:
    stack.up()

    stack.stack.workspace.remove_stack("test", force=True)

    assert names_of_meshes(meshwright_control_plane) == ["demo"]


def test_names_are_what_the_program_says_whatever_the_stack_s_naming_is(
    stack: PulumiStack, meshwright_control_plane: ControlPlane
) -> None:
    pattern = automation.ConfigValue("${name}-${hex(4)}")
    stack.stack.set_config("pulumi:autonaming.pattern", pattern, path=True)

    stack.up()

    client: Any = meshwright_control_plane.client()
    nodes = client.list_virtual_nodes(meshName="demo")["virtualNodes"]
    assert [each["virtualNodeName"] for each in nodes] == ["blue"]
