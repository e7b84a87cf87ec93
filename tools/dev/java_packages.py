"""The jars that a Java program needs: fetched once, as its pom.xml says, into the user's cache."""

import hashlib
from pathlib import Path

from tools.dev.caches import find_or_make, replace_folder
from tools.dev.maven import fetch_jars, prepare_java
from tools.dev.paths import CHECKOUT, get_cache_folder

JAVA_PROGRAM = CHECKOUT / "tests" / "provider" / "sdks" / "java-program"
"""The program that tests compile and run."""

_POM = "pom.xml"


def find_java_packages(program: Path = JAVA_PROGRAM) -> Path | None:
    """The folder with the jars of a program, if they were fetched before."""
    folder = _get_folder(program)
    return folder if folder.is_dir() else None


def prepare_java_packages(program: Path = JAVA_PROGRAM) -> Path:
    """The folder with the jars of a program, fetched if they are not there; so is a compiler.

    Raises:
        SetupError: they can't be fetched, or there is no Java that is new enough.
    """
    name, what = f"java-{program.name}", f"what {program.name} needs"

    def make(scratch: Path) -> None:
        jars = scratch / "jars"
        fetch_jars(program / _POM, jars, scratch / "repository", what=what, log=name)
        replace_folder(jars, _get_folder(program))

    prepare_java(program.name, compiler=True)
    return find_or_make(name, lambda: find_java_packages(program), make)


def _get_folder(program: Path) -> Path:
    digest = hashlib.sha256((program / _POM).read_bytes()).hexdigest()[:16]
    return get_cache_folder() / "java-packages" / f"{program.name}-{digest}"
