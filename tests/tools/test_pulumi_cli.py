"""Which Pulumi CLI set-up chooses, and that what it pins is what it would build."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.dev import pulumi_cli
from tools.dev.processes import SetupError
from tools.dev.pulumi_cli import find_pulumi, get_cached_pulumi, prepare_pulumi

PutOnPath = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def no_pulumi(cache: Path, put_on_path: PutOnPath, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without any Pulumi: an empty cache and an empty PATH."""
    del cache, put_on_path
    monkeypatch.delenv("MESHWRIGHT_PULUMI", raising=False)


def put_in_cache() -> Path:
    cached = get_cached_pulumi()
    cached.parent.mkdir(parents=True)
    cached.touch(0o755)
    return cached


def test_nothing_is_found_on_a_fresh_machine() -> None:
    assert find_pulumi() is None


def test_the_one_on_path_goes_before_the_cached_one(put_on_path: PutOnPath) -> None:
    put_in_cache()
    on_path = put_on_path("pulumi", "echo v3.250.1")
    assert find_pulumi() == on_path


@pytest.mark.parametrize("body", ["echo v3.100.0", "echo v4.0.0", "echo what", "exit 1"])
def test_one_on_path_that_is_no_use_is_passed_over(put_on_path: PutOnPath, body: str) -> None:
    put_on_path("pulumi", body)
    assert find_pulumi() is None


def test_the_named_one_goes_before_the_one_on_path(
    put_on_path: PutOnPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = put_on_path("pulumi", "echo 3.259.0").rename(tmp_path / "named")
    put_on_path("pulumi", "echo v3.250.1")
    monkeypatch.setenv("MESHWRIGHT_PULUMI", str(named))
    assert find_pulumi() == named


def test_the_cached_one_is_used_without_running_it() -> None:
    cached = put_in_cache()
    assert find_pulumi() == cached


def test_the_official_installer_goes_before_a_build(monkeypatch: pytest.MonkeyPatch) -> None:
    def install(root: Path, _scratch: Path) -> bool:
        (root / "bin").mkdir(parents=True)
        (root / "bin" / "pulumi").touch()
        return True

    monkeypatch.setattr(pulumi_cli, "_install", install)
    monkeypatch.delattr(pulumi_cli, "_build")
    assert prepare_pulumi() == get_cached_pulumi()


def test_a_build_that_fails_leaves_nothing_that_is_found(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(root: Path, _scratch: Path) -> None:
        (root / "bin").mkdir(parents=True)
        (root / "bin" / "pulumi").touch()
        raise SetupError("the build failed")

    monkeypatch.setattr(pulumi_cli, "_install", lambda *_: False)
    monkeypatch.setattr(pulumi_cli, "_build", build)
    with pytest.raises(SetupError):
        prepare_pulumi()
    assert find_pulumi() is None
    assert list((cache / "scratch").iterdir()) == []


def test_the_cache_has_a_path_that_stays_across_versions(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(root: Path, _scratch: Path) -> None:
        (root / "bin").mkdir(parents=True)
        (root / "bin" / "pulumi").touch()

    monkeypatch.setattr(pulumi_cli, "_install", lambda *_: False)
    monkeypatch.setattr(pulumi_cli, "_build", build)
    prepare_pulumi()
    assert (cache / "bin" / "pulumi").resolve() == get_cached_pulumi().resolve()


def test_the_pinned_version_is_that_of_the_go_module() -> None:
    go_mod = (pulumi_cli.GO_MODULE / "go.mod").read_text()
    required = re.search(r"github\.com/pulumi/pulumi/pkg/v3 v(\S+)", go_mod)
    assert required
    assert required[1] == pulumi_cli.PULUMI_VERSION
