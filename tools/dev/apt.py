"""Debian and Ubuntu: installing packages with apt-get, and reading the machine's own mirror."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tools.dev.paths import find_executable
from tools.dev.processes import SetupError, run_logged

APT = Path("/etc/apt")

# A mirror is Debian's, and not Ubuntu's, if it carries suites of these names.
DEBIAN_SUITES = frozenset(
    {"bullseye", "bookworm", "trixie", "forky", "duke", "stable", "testing", "unstable", "sid"}
)

_ONE_LINE = re.compile(r"^deb\s+(?:\[[^\]]*\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<parts>.+)$")


def install_packages(names: Iterable[str], purpose: str) -> None:
    """Install Debian packages with apt-get.

    Raises:
        SetupError: this is not root on Debian or Ubuntu, or apt-get failed.
    """
    listed = " ".join(names)
    if find_executable("apt-get") is None or os.geteuid() != 0:
        raise SetupError(f"{purpose} needs {listed}: install it, or run ./dev as root once")
    # A machine that has just started may still be upgrading itself: wait for its lock.
    apt_get = "apt-get -q -o DPkg::Lock::Timeout=300"
    script = f"{apt_get} update && exec {apt_get} install --yes --no-install-recommends $0"
    run_logged(
        f"installing {listed} with apt-get, for {purpose}",
        ["sh", "-c", script, listed],
        log="apt-get",
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    )


def find_debian_mirror(apt: Path = APT) -> str | None:
    """The mirror of Debian's main archive that this machine installs from, if it names one."""
    texts = [
        *(path.read_text() for path in sorted(apt.glob("sources.list.d/*.sources"))),
        *(path.read_text() for path in [apt / "sources.list"] if path.is_file()),
        *(path.read_text() for path in sorted(apt.glob("sources.list.d/*.list"))),
    ]
    return next((mirror for text in texts for mirror in parse_debian_mirrors(text)), None)


def parse_debian_mirrors(text: str) -> Iterator[str]:
    """The mirrors of Debian's main archive in an apt source file of either format.

    Left out: Ubuntu and third parties, the security archive, and what is not http(s), which
    debootstrap could not read.
    """
    for uris, suites, components in _parse_sources(text):
        if "main" in components and DEBIAN_SUITES.intersection(suites):
            yield from (uri.rstrip("/") for uri in uris if re.match(r"https?://", uri))


def _parse_sources(text: str) -> Iterator[tuple[list[str], list[str], list[str]]]:
    """(URIs, suites, components) of each binary source, one-line (`deb ...`) or deb822."""
    for line in text.splitlines():
        if match := _ONE_LINE.match(line.strip()):
            yield [match["uri"]], [match["suite"]], match["parts"].split("#")[0].split()
    for stanza in re.split(r"\n\s*\n", text):
        fields = _parse_stanza(stanza)
        if "deb" in fields.get("types", []) and fields.get("enabled", ["yes"]) != ["no"]:
            yield fields.get("uris", []), fields.get("suites", []), fields.get("components", [])


def _parse_stanza(stanza: str) -> dict[str, list[str]]:
    """The fields of a deb822 stanza, their values split at blanks; comments left out."""
    fields: dict[str, list[str]] = {}
    name = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if line[:1].isspace():
            fields.setdefault(name, []).extend(line.split())
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.split()
    return fields
