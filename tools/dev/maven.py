"""Java libraries by Maven, and Java to run them; root on Debian gets both if they are missing."""

import re
import subprocess
from pathlib import Path

from tools.dev.apt import install_packages
from tools.dev.paths import find_executable
from tools.dev.processes import SetupError, run_logged

MINIMUM_JAVA = 17
"""What DynamoDB Local 3 is compiled for; the Pulumi SDK for Java does with less."""


def prepare_java(purpose: str, *, compiler: bool = False) -> None:
    """Java on PATH, installed if it is not there.

    Args:
        purpose: what needs it, for messages.
        compiler: whether `javac` is needed too.

    Raises:
        SetupError: there is none that is new enough.
    """
    version = _find_java_version()
    if version is None or (compiler and find_executable("javac") is None):
        install_packages(["default-jdk-headless" if compiler else "default-jre-headless"], purpose)
        version = _find_java_version()
    if version is None or version < MINIMUM_JAVA:
        seen = f"Java {version}" if version else "none"
        raise SetupError(f"{purpose} needs Java {MINIMUM_JAVA} or later, and PATH leads to {seen}")


def parse_java_version(text: str) -> int | None:
    """`openjdk version "17.0.15" 2025-04-15` -> 17; None if that is no such text."""
    match = re.search(r'version "(?:1\.)?(\d+)', text)
    return int(match[1]) if match else None


def _find_java_version() -> int | None:
    """The version of the Java on PATH, if one is there and runs."""
    java = find_executable("java")
    if java is None:
        return None
    # It prints its version on standard error.
    command = [java, "-version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    return parse_java_version(done.stderr) if done.returncode == 0 else None


def fetch_jars(pom: Path, target: Path, repository: Path, *, what: str, log: str) -> None:
    """Copy what a project depends on into a folder.

    Args:
        pom: the project.
        target: the folder, which is made.
        repository: a folder for Maven's plugins and second copies, of no use afterwards.
        what: what the jars are, for messages.
        log: the name of the log.

    Raises:
        SetupError: Maven is missing, or can't fetch them.
    """
    if find_executable("mvn") is None:
        install_packages(["maven"], f"fetching {what}")
    run_logged(
        f"fetching {what} with Maven",
        [
            *("mvn", "--batch-mode", "--file", pom, f"-Dmaven.repo.local={repository}"),
            *("dependency:copy-dependencies", f"-DoutputDirectory={target}"),
        ],
        log=log,
        hint="some 50 MB, once",
    )
