"""Java is found or installed, and one that won't do is named."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tools.dev.maven import parse_java_version, prepare_java
from tools.dev.processes import SetupError

PutOnPath = Callable[[str, str], Path]

pytestmark = pytest.mark.usefixtures("bare_machine")


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


@pytest.mark.usefixtures("java_17")
def test_what_is_there_is_not_installed(put_on_path: PutOnPath) -> None:
    put_on_path("javac", "exit 0")

    prepare_java("a program", compiler=True)


@pytest.mark.usefixtures("java_17")
def test_a_java_without_a_compiler_is_not_enough_for_who_compiles() -> None:
    with pytest.raises(SetupError, match="a program needs default-jdk-headless"):
        prepare_java("a program", compiler=True)


def test_a_java_that_is_too_old_is_named(put_on_path: PutOnPath) -> None:
    put_on_path("java", """echo 'java version "1.8.0_281"' >&2""")

    with pytest.raises(SetupError, match="Java 17 or later, and PATH leads to Java 8"):
        prepare_java("a program")
