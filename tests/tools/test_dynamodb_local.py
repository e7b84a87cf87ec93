"""Which DynamoDB Local set-up chooses, and what it does where there is no Java."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.dev import dynamodb_local, setup
from tools.dev.dynamodb_local import (
    find_dynamodb_local,
    get_cached_dynamodb_local,
    prepare_dynamodb_local,
)
from tools.dev.processes import SetupError
from tools.dev.setup import Component, Prepared, build_child_environment, prepare

PutOnPath = Callable[[str, str], Path]

pytestmark = pytest.mark.usefixtures("bare_machine")


@pytest.fixture(autouse=True)
def none_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """No DynamoDB Local is named by the environment."""
    monkeypatch.delenv("MESHWRIGHT_DYNAMODB_LOCAL", raising=False)


@pytest.mark.usefixtures("java_17")
def test_it_is_fetched_once(put_on_path: PutOnPath, copy_a_jar: str) -> None:
    maven = put_on_path("mvn", copy_a_jar)
    assert prepare_dynamodb_local() == get_cached_dynamodb_local()
    maven.unlink()
    assert prepare_dynamodb_local() == get_cached_dynamodb_local()


@pytest.mark.usefixtures("java_17")
def test_a_fetch_that_fails_leaves_nothing_that_is_found(
    put_on_path: PutOnPath, cache: Path
) -> None:
    put_on_path("mvn", "echo 'no route to a repository'; exit 1")
    with pytest.raises(SetupError, match="no route to a repository"):
        prepare_dynamodb_local()
    assert find_dynamodb_local() is None
    assert list((cache / "scratch").iterdir()) == []


@pytest.mark.usefixtures("java_17")
def test_the_named_one_goes_before_the_cached_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (tmp_path / "named", get_cached_dynamodb_local()):
        folder.mkdir(parents=True)
        (folder / "DynamoDBLocal.jar").touch()
    monkeypatch.setenv("MESHWRIGHT_DYNAMODB_LOCAL", str(tmp_path / "named"))
    assert prepare_dynamodb_local() == tmp_path / "named"


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
