"""Which DynamoDB Local set-up chooses, and what it does where there is no Java."""

import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.dev import dynamodb_local, setup
from tools.dev.dynamodb_local import (
    find_dynamodb_local,
    get_cached_dynamodb_local,
    parse_java_version,
    prepare_dynamodb_local,
)
from tools.dev.processes import SetupError
from tools.dev.setup import Component, Prepared, build_child_environment, prepare

PutOnPath = Callable[[str, str], Path]

JAVA_17 = """echo 'openjdk version "17.0.15" 2025-04-15' >&2"""

# Does what `mvn dependency:copy-dependencies` does, into the folder that is asked for.
COPY_A_JAR = f"""exec {shlex.quote(sys.executable)} -c '
import pathlib, sys
folder = next(a.partition("=")[2] for a in sys.argv if a.startswith("-DoutputDirectory="))
pathlib.Path(folder).mkdir(parents=True)
(pathlib.Path(folder) / "DynamoDBLocal.jar").touch()
' "$@" """


@pytest.fixture(autouse=True)
def nothing_there(cache: Path, put_on_path: PutOnPath, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with an empty cache, an empty PATH and no way to install packages."""
    del cache, put_on_path
    monkeypatch.delenv("MESHWRIGHT_DYNAMODB_LOCAL", raising=False)

    def refuse(names: list[str], purpose: str) -> None:
        raise SetupError(f"{purpose} needs {' '.join(names)}: install it")

    monkeypatch.setattr(dynamodb_local, "install_packages", refuse)
    find = dynamodb_local.find_executable

    def find_on_path_alone(name: str) -> Path | None:
        found = find(name)
        return found if found and "/usr/sbin" not in str(found) else None

    monkeypatch.setattr(dynamodb_local, "find_executable", find_on_path_alone)


def test_it_is_fetched_once(put_on_path: PutOnPath) -> None:
    put_on_path("java", JAVA_17)
    maven = put_on_path("mvn", COPY_A_JAR)
    assert prepare_dynamodb_local() == get_cached_dynamodb_local()
    maven.unlink()
    assert prepare_dynamodb_local() == get_cached_dynamodb_local()


def test_a_fetch_that_fails_leaves_nothing_that_is_found(
    put_on_path: PutOnPath, cache: Path
) -> None:
    put_on_path("java", JAVA_17)
    put_on_path("mvn", "echo 'no route to a repository'; exit 1")
    with pytest.raises(SetupError, match="no route to a repository"):
        prepare_dynamodb_local()
    assert find_dynamodb_local() is None
    assert list((cache / "scratch").iterdir()) == []


def test_the_named_one_goes_before_the_cached_one(
    put_on_path: PutOnPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_on_path("java", JAVA_17)
    for folder in (tmp_path / "named", get_cached_dynamodb_local()):
        folder.mkdir(parents=True)
        (folder / "DynamoDBLocal.jar").touch()
    monkeypatch.setenv("MESHWRIGHT_DYNAMODB_LOCAL", str(tmp_path / "named"))
    assert prepare_dynamodb_local() == tmp_path / "named"


def test_a_java_that_is_too_old_is_named(put_on_path: PutOnPath) -> None:
    put_on_path("java", """echo 'java version "1.8.0_281"' >&2""")
    with pytest.raises(SetupError, match="Java 17 or later, and PATH leads to Java 8"):
        prepare_dynamodb_local()


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "21" 2023-09-19', 21),
        ('java version "1.8.0_281"', 8),
        ("java: not found", None),
    ],
)
def test_javas_version_is_read(text: str, version: int | None) -> None:
    assert parse_java_version(text) == version


def test_without_java_one_line_says_what_follows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CI", raising=False)
    assert prepare([Component.DYNAMODB]) == Prepared()
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].endswith("install it: the tests of the DynamoDB store are skipped")


def test_in_ci_it_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(SetupError):
        prepare([Component.DYNAMODB])


@pytest.mark.parametrize(("folder", "told"), [(Path("/cache/d"), "/cache/d"), (None, "")])
def test_children_are_told_the_folder(folder: Path | None, told: str) -> None:
    environment = build_child_environment(Prepared(dynamodb=folder), {})
    assert environment["MESHWRIGHT_DYNAMODB_LOCAL"] == told


def test_the_demo_goes_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What only tests need is not fetched before a newcomer sees anything."""
    from tools.dev import cli

    asked: list[Component] = []

    def stop(components: set[Component]) -> None:
        asked.extend(components)
        raise SetupError

    monkeypatch.setattr(cli, "enter_environment", stop)
    with pytest.raises(SetupError):
        cli.demo(keep=False, requests=1)
    assert set(asked) == set(setup.EVERYTHING) - setup.ONLY_FOR_TESTS


def test_the_pinned_version_is_that_of_the_pom() -> None:
    versions = re.findall(r"<version>([\d.]+)</version>", dynamodb_local.POM.read_text())
    assert versions[-1] == dynamodb_local.DYNAMODB_LOCAL_VERSION
