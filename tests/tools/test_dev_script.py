"""The ./dev script: it makes the environment when that is due, once, and explains itself.

It is run in a small checkout of its own, with a fake uv that notes what it was asked to do.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from tools.dev.paths import CHECKOUT

FAKE_UV = """#!/bin/sh
[ "$1" = --version ] && exit 0
echo "$@" >> "$FAKE_UV_LOG"
if [ "$1" = venv ]; then
  mkdir -p .venv/bin
  printf '#!/bin/sh\\n[ "$1" = -m ] && echo "ran $@"\\nexit 0\\n' > .venv/bin/python
  chmod +x .venv/bin/python
fi
[ "$1 $2" != "pip sync" ] || exit "${FAKE_UV_SYNC_CODE:-0}"
"""


class Script:
    """A checkout with the script, and what its fake uv was asked for."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "checkout"
        self.log = folder / "uv.log"
        (self.checkout / "part").mkdir(parents=True)
        shutil.copy(CHECKOUT / "dev", self.checkout)
        self.lock = self.checkout / "requirements.lock"
        for file in (self.lock, self.checkout / "pyproject.toml"):
            file.write_text("first\n")
        (self.checkout / "part" / "pyproject.toml").write_text("first\n")
        (folder / "bin").mkdir()
        (folder / "bin" / "uv").write_text(FAKE_UV)
        (folder / "bin" / "uv").chmod(0o755)
        self.environment = {
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "FAKE_UV_LOG": str(self.log),
        }

    def start(self, *arguments: str, **variables: str) -> "subprocess.Popen[str]":
        """Start ./dev with arguments and additional environment variables."""
        return subprocess.Popen(
            [self.checkout / "dev", *arguments],
            env={**self.environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run ./dev to its end."""
        process = self.start(*arguments, **variables)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def count_syncs(self) -> int:
        """How often uv was asked to install requirements.lock."""
        return self.log.read_text().count("pip sync") if self.log.exists() else 0


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


def test_the_first_run_makes_the_environment_and_hands_over(script: Script) -> None:
    done = script.run("lint", "--fix")
    assert done.stdout == "ran -m tools.dev lint --fix\n"
    assert script.count_syncs() == 1


def test_the_second_run_makes_and_says_nothing(script: Script) -> None:
    script.run()
    done = script.run()
    assert done.stderr == ""
    assert script.count_syncs() == 1


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml", "part/pyproject.toml"])
def test_a_change_of_what_it_was_made_from_makes_it_anew(script: Script, name: str) -> None:
    script.run()
    (script.checkout / name).write_text("second\n")
    script.run()
    assert script.count_syncs() == 2


def test_a_moved_checkout_gets_its_environment_anew(script: Script, tmp_path: Path) -> None:
    script.run()
    script.checkout = script.checkout.rename(tmp_path / "moved")
    script.run()
    assert script.count_syncs() == 2


def test_an_installation_that_failed_is_not_trusted_later(script: Script) -> None:
    failed = script.run(FAKE_UV_SYNC_CODE="1")
    assert failed.returncode == 1
    assert "ran" not in failed.stdout
    script.run()
    assert script.count_syncs() == 2


def test_two_at_once_make_it_once(script: Script) -> None:
    processes = [script.start() for _ in range(2)]
    codes = [(process.communicate(timeout=60), process.returncode)[1] for process in processes]
    assert codes == [0, 0]
    assert script.count_syncs() == 1


def test_it_works_from_any_folder_and_through_a_link(script: Script, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(script.checkout / "dev")
    done = subprocess.run(
        [link], cwd="/", env=script.environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "ran -m tools.dev\n"


@pytest.mark.parametrize("name", ["dev", ".ci/run"])
def test_scripts_are_sound_bash_and_executable(name: str) -> None:
    path = CHECKOUT / name
    subprocess.run(["bash", "-n", path], check=True)
    assert os.access(path, os.X_OK)


def test_help_lists_every_command_with_what_it_does() -> None:
    from tools.dev.cli import app

    output = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).output
    for name, command in get_command(app).commands.items():  # pyright: ignore
        assert f" {name} " in output
        assert command.get_short_help_str(limit=200).split(".")[0] in output
