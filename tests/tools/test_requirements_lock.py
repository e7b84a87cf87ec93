"""requirements.lock holds all that the workspace asks for, hashed, and names no index."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tools.dev.lockfile import LOCK, render_lock
from tools.dev.paths import CHECKOUT

TEXT = LOCK.read_text()
PINS = {
    canonicalize_name(match[1]): Version(match[2])
    for match in re.finditer(r"^([A-Za-z0-9._-]+)==([^\s;]+)", TEXT, re.MULTILINE)
}
PROJECTS = [CHECKOUT / "pyproject.toml", *sorted(CHECKOUT.glob("*/pyproject.toml"))]


def read_project(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text())


OWN = {canonicalize_name(read_project(path)["project"]["name"]) for path in PROJECTS}


@pytest.mark.parametrize("path", PROJECTS, ids=lambda path: path.parent.name)
def test_every_requirement_is_pinned_to_a_version_that_fits(path: Path) -> None:
    project = read_project(path)
    groups = project.get("dependency-groups", {}).values()
    texts = [*project["project"]["dependencies"], *(text for group in groups for text in group)]
    asked = [Requirement(text) for text in texts]
    missing = [
        str(requirement)
        for requirement in asked
        if (name := canonicalize_name(requirement.name)) not in OWN
        and (name not in PINS or PINS[name] not in requirement.specifier)
    ]
    assert missing == [], "run ./dev lock"


def test_the_workspaces_packages_are_installed_from_the_checkout() -> None:
    members = read_project(CHECKOUT / "pyproject.toml")["tool"]["uv"]["workspace"]["members"]
    assert re.findall(r"^-e \./(\S+)$", TEXT, re.MULTILINE) == sorted(members)


def test_every_pin_has_a_hash() -> None:
    logical_lines = TEXT.replace("\\\n", " ").splitlines()
    pinned = [line for line in logical_lines if "==" in line]
    assert [line for line in pinned if "--hash=sha256:" not in line] == []


def test_it_names_no_host_and_no_folder_of_one_machine() -> None:
    assert not re.search(r"https?:|file:|--(extra-)?index|--find-links|-i ", TEXT)


def test_protobuf_stays_below_7_for_pulumis_sake() -> None:
    assert PINS[canonicalize_name("protobuf")] < Version("7")


def test_paths_of_the_checkout_become_relative() -> None:
    compiled = "-e file:///home/someone/checkout/harness\nuv==1.0\n"
    assert render_lock(compiled, Path("/home/someone/checkout")) == "-e ./harness\nuv==1.0\n"
