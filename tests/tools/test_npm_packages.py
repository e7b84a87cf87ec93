"""What a TypeScript program needs is installed from its lock file, once."""

import json
import tarfile
from pathlib import Path

import pytest

from tools.dev.npm_packages import find_npm_packages, prepare_npm_packages
from tools.dev.processes import SetupError

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that needs a package which lies beside it, so that nothing is downloaded."""
    folder = tmp_path / "program"
    folder.mkdir()
    local = tmp_path / "package.json"
    local.write_text(json.dumps({"name": "local", "version": "1.0.0"}))
    with tarfile.open(tmp_path / "local.tgz", "w:gz") as archive:
        archive.add(local, "package/package.json")
    where = f"file:{tmp_path}/local.tgz"
    needed = {"name": "program", "dependencies": {"local": where}}
    packages = {"": needed, "node_modules/local": {"version": "1.0.0", "resolved": where}}
    lock = {"name": "program", "lockfileVersion": 3, "requires": True, "packages": packages}
    (folder / "package.json").write_text(json.dumps(needed))
    (folder / "package-lock.json").write_text(json.dumps(lock))
    return folder


def test_a_program_that_was_not_prepared_has_no_packages(program: Path) -> None:
    assert find_npm_packages(program) is None


def test_packages_are_installed_and_found_again(program: Path) -> None:
    installed = prepare_npm_packages(program)

    assert (installed / "local" / "package.json").is_file()
    assert find_npm_packages(program) == installed


def test_what_was_installed_is_not_installed_again(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare_npm_packages(program)
    monkeypatch.delattr("tools.dev.npm_packages.run_logged")

    assert prepare_npm_packages(program) == first


def test_an_installation_that_fails_leaves_nothing_that_is_found(program: Path) -> None:
    (program / "package-lock.json").write_text("nonsense")

    with pytest.raises(SetupError, match="installing what program needs with npm"):
        prepare_npm_packages(program)

    assert find_npm_packages(program) is None
