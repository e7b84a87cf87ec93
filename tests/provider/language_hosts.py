"""Language hosts for the Pulumi CLI, which make SDKs and do nothing else; see `HOST`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tools.dev.go_programs import LANGUAGE_HOST, find_go_program
from tools.dev.paths import is_ci

if TYPE_CHECKING:
    from pathlib import Path

HOST: Final = LANGUAGE_HOST
"""The folder of the program that is the host of each language, by the name it is started by."""

LANGUAGES: Final = ("dotnet", "go", "java", "nodejs", "python")
"""The languages, as the CLI calls them."""


def link_language_hosts(folder: Path) -> Path | None:
    """Make a folder for PATH with a host for each language; None where the program isn't built."""
    host = find_go_program(HOST)
    if host is None:
        return None
    folder.mkdir(parents=True)
    for language in LANGUAGES:
        (folder / f"pulumi-language-{language}").symlink_to(host)
    return folder


def required(found: Path | None, what: str) -> Path:
    """What set-up has made; without it the test is skipped, and in CI fails."""
    if found is None:
        text = f"{what} is not there; ./dev setup makes it"
        pytest.fail(text) if is_ci() else pytest.skip(text)
    return found
