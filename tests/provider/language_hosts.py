"""Language hosts for the Pulumi CLI: Java's is Pulumi's own, the others make SDKs only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tools.dev.go_programs import JAVA_LANGUAGE_HOST, LANGUAGE_HOST, find_go_program
from tools.dev.paths import is_ci

if TYPE_CHECKING:
    from pathlib import Path

LANGUAGES: Final = ("dotnet", "go", "java", "nodejs", "python")
"""The languages, as the CLI calls them."""


def link_language_hosts(folder: Path) -> Path | None:
    """Make a folder for PATH with a host for each language; None where they aren't built."""
    # The tests' own host is that of several languages, by the name it is started by.
    own, java = find_go_program(LANGUAGE_HOST), find_go_program(JAVA_LANGUAGE_HOST)
    if own is None or java is None:
        return None
    folder.mkdir(parents=True)
    for language in LANGUAGES:
        host = java if language == "java" else own
        (folder / f"pulumi-language-{language}").symlink_to(host)
    return folder


def required(found: Path | None, what: str) -> Path:
    """What set-up has made; without it the test is skipped, and in CI fails."""
    if found is None:
        text = f"{what} is not there; ./dev setup makes it"
        pytest.fail(text) if is_ci() else pytest.skip(text)
    return found
