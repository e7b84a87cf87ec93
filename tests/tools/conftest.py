"""Fakes that the tests of the developer commands share."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.dev import maven
from tools.dev.processes import SetupError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder for Meshwright, in the place of the user's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "meshwright"


@pytest.fixture
def put_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Make a shell script of that name and body the first (and otherwise only) thing on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def put(name: str, body: str) -> Path:
        script = folder / name
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(0o755)
        return script

    return put


@pytest.fixture
def bare_machine(
    cache: Path, put_on_path: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine with an empty cache, no Java, no Maven and no way to install packages."""
    del cache, put_on_path

    def refuse(names: list[str], purpose: str) -> None:
        raise SetupError(f"{purpose} needs {' '.join(names)}: install it")

    monkeypatch.setattr(maven, "install_packages", refuse)
    find = maven.find_executable

    def find_on_path_alone(name: str) -> Path | None:
        found = find(name)
        return found if found and "/usr/sbin" not in str(found) else None

    monkeypatch.setattr(maven, "find_executable", find_on_path_alone)


@pytest.fixture
def java_17(put_on_path: Callable[[str, str], Path]) -> None:
    """Java 17 on PATH, without a compiler."""
    put_on_path("java", """echo 'openjdk version "17.0.15" 2025-04-15' >&2""")


@pytest.fixture
def copy_a_jar() -> str:
    """The body of a script that does what Maven's `copy-dependencies` does, with one empty jar."""
    return f"""exec {shlex.quote(sys.executable)} -c '
import pathlib, sys
folder = next(a.partition("=")[2] for a in sys.argv if a.startswith("-DoutputDirectory="))
pathlib.Path(folder).mkdir(parents=True)
(pathlib.Path(folder) / "fetched.jar").touch()
' "$@" """
