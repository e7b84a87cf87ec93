"""The project as `pulumi up` finds it: Pulumi.yaml, the stack's settings and stacks/__main__.py."""

from __future__ import annotations

import os
import runpy
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pulumi import automation

from pytest_meshwright.control_plane import ControlPlane
from pytest_meshwright.processes import ProcessGroup
from pytest_meshwright.pulumi_stack import get_pulumi
from tests.components.graph import run

ROOT = Path(__file__).parent.parent.parent


def run_stacks_folder() -> None:
    """What the language host does with `main: stacks/`."""
    runpy.run_path(str(ROOT / "stacks"), run_name="__main__")


@pytest.fixture
def control_plane(tmp_path: Path) -> Iterator[ControlPlane]:
    """A control plane, whose rules a preview asks for."""
    with ProcessGroup() as group, ControlPlane(folder=tmp_path, group=group) as control_plane:
        yield control_plane


def test_the_folder_runs_the_program_that_the_setting_names() -> None:
    graph = run(run_stacks_folder, {"project:program": "demo"})

    assert graph.inputs("Mesh", "demo")["name"] == "demo"


def test_the_engine_takes_the_project_and_the_demo_s_settings(
    tmp_path: Path, control_plane: ControlPlane
) -> None:
    project = tmp_path / "project"
    shutil.copytree(ROOT / "stacks", project / "stacks")
    shutil.copy(ROOT / "Pulumi.yaml", project)
    # The plugin's path in the project leads to the environment that runs this test.
    (project / ".venv").mkdir()
    (project / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    command = tmp_path / "cli" / "bin"
    command.mkdir(parents=True)
    (command / "pulumi").symlink_to(get_pulumi().resolve())
    (tmp_path / "state").mkdir()
    stack = automation.create_or_select_stack(
        stack_name="demo",
        project_name="meshwright",
        program=run_stacks_folder,
        opts=automation.LocalWorkspaceOptions(
            work_dir=str(project),
            pulumi_home=str(tmp_path / "home"),
            pulumi_command=automation.PulumiCommand(root=str(command.parent)),
            env_vars={
                "PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}",
                "PULUMI_CONFIG_PASSPHRASE": "",
                "PATH": os.environ["PATH"],
            },
        ),
    )

    stack.set_config("meshwright:endpoint", automation.ConfigValue(control_plane.url))

    preview = stack.preview()

    # The stack, the mesh, three nodes and a service, the last two with components around them.
    assert preview.change_summary == {"create": 12}
    assert "warning" not in preview.stdout
