"""What a Java program needs is fetched as its pom.xml says, once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tools.dev.java_packages import find_java_packages, prepare_java_packages
from tools.dev.processes import SetupError

PutOnPath = Callable[[str, str], Path]

pytestmark = pytest.mark.usefixtures("bare_machine", "java_17")


@pytest.fixture(autouse=True)
def compiler(put_on_path: PutOnPath) -> None:
    """A compiler on PATH."""
    put_on_path("javac", "exit 0")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that needs something."""
    folder = tmp_path / "program"
    folder.mkdir()
    (folder / "pom.xml").write_text("<project/>")
    return folder


def test_jars_are_fetched_once_and_found_again(
    program: Path, put_on_path: PutOnPath, copy_a_jar: str
) -> None:
    assert find_java_packages(program) is None
    maven = put_on_path("mvn", copy_a_jar)
    fetched = prepare_java_packages(program)
    maven.unlink()

    assert prepare_java_packages(program) == find_java_packages(program) == fetched
    assert [jar.name for jar in fetched.iterdir()] == ["fetched.jar"]


def test_a_program_that_needs_something_else_has_other_jars(
    program: Path, put_on_path: PutOnPath, copy_a_jar: str
) -> None:
    put_on_path("mvn", copy_a_jar)
    prepare_java_packages(program)
    (program / "pom.xml").write_text("<project><version>2</version></project>")

    assert find_java_packages(program) is None


def test_a_fetch_that_fails_leaves_nothing_that_is_found(
    program: Path, put_on_path: PutOnPath
) -> None:
    put_on_path("mvn", "echo 'no route to a repository'; exit 1")

    with pytest.raises(SetupError, match="no route to a repository"):
        prepare_java_packages(program)

    assert find_java_packages(program) is None
