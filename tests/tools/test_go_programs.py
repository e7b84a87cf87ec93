"""Go programs are built from their sources, once."""

import subprocess
from pathlib import Path

import pytest

from tools.dev.go_programs import digest_sources, prepare_go_program

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A Go module without dependencies, whose program says hello."""
    folder = tmp_path / "hello"
    folder.mkdir()
    (folder / "go.mod").write_text("module example.com/hello\n\ngo 1.24\n")
    (folder / "main.go").write_text('package main\n\nfunc main() { print("hello") }\n')
    return folder


def test_a_program_is_built_and_runs(module: Path) -> None:
    ran = subprocess.run([prepare_go_program(module)], capture_output=True, check=True, text=True)

    assert ran.stderr == "hello"


def test_a_program_that_was_built_is_not_built_again(
    module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare_go_program(module)
    monkeypatch.delattr("tools.dev.go_programs.build_go_package")

    assert prepare_go_program(module) == first


def test_the_tool_that_a_module_names_is_what_is_built(module: Path) -> None:
    (module / "greeter").mkdir()
    (module / "main.go").rename(module / "greeter" / "main.go")
    with (module / "go.mod").open("a") as file:
        file.write("\ntool example.com/hello/greeter\n")

    ran = subprocess.run([prepare_go_program(module)], capture_output=True, check=True, text=True)

    assert ran.stderr == "hello"


def test_changed_sources_are_another_program(module: Path) -> None:
    before = digest_sources(module)
    (module / "main.go").write_text('package main\n\nfunc main() { print("bye") }\n')

    assert digest_sources(module) != before


def test_what_is_not_built_does_not_count(module: Path) -> None:
    before = digest_sources(module)
    (module / "notes.txt").write_text("nothing that Go reads")

    assert digest_sources(module) == before
