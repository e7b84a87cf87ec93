"""The Pulumi CLI: the one on PATH, else of the pinned version in the user's cache folder.

    MESHWRIGHT_PULUMI -> PATH -> cache -> official installer -> built with Go from its modules

The last needs nothing but the Go module proxy. It lacks Pulumi's language hosts, which this
project can do without: its programs are inline programs of the Automation API.
"""

import os
import re
import urllib.error
import urllib.request
from pathlib import Path

from tools.dev.caches import find_or_make, replace_folder
from tools.dev.console import say
from tools.dev.go_toolchain import build_go_package
from tools.dev.paths import CHECKOUT, find_executable, get_cache_folder
from tools.dev.processes import Patience, SetupError, read_output, run_logged

# Of tools/pulumi-cli/go.mod; the newest that the Go module proxy serves.
PULUMI_VERSION = "3.259.0"

# provider/pyproject.toml asks for this SDK, and the SDK for a CLI that is no older.
MINIMUM_VERSION = (3, 220, 0)

INSTALLER_URL = "https://get.pulumi.com/install.sh"
INSTALLER_SECONDS = 5.0

GO_MODULE = CHECKOUT / "tools" / "pulumi-cli"
GO_PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
VERSION_VARIABLE = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"


def get_cached_pulumi() -> Path:
    """Where the CLI of the pinned version lies once it was installed or built."""
    return get_cache_folder() / f"pulumi-{PULUMI_VERSION}" / "bin" / "pulumi"


def find_pulumi() -> Path | None:
    """A Pulumi CLI that is there already and new enough."""
    cached = get_cached_pulumi()
    named = os.environ.get("MESHWRIGHT_PULUMI")
    for candidate in (Path(named) if named else None, find_executable("pulumi")):
        if candidate and (candidate == cached or _is_new_enough(candidate)):
            return candidate
    return cached if cached.is_file() else None


def prepare_pulumi() -> Path:
    """A Pulumi CLI, installed or built if there is none.

    Raises:
        SetupError: neither way led to one.
    """
    return find_or_make("pulumi", find_pulumi, _make)


def _make(scratch: Path) -> None:
    root = scratch / "root"
    if not _install(root, scratch):
        _build(root, scratch)
    replace_folder(root, get_cached_pulumi().parents[1])
    _link(get_cached_pulumi())
    say(f"Pulumi CLI {PULUMI_VERSION} is in {get_cached_pulumi()}")


def parse_pulumi_version(text: str) -> tuple[int, ...] | None:
    """`v3.259.0` -> (3, 259, 0), with or without the v; None if that is no version."""
    match = re.match(r"v?(\d+)\.(\d+)\.(\d+)", text)
    return tuple(int(part) for part in match.groups()) if match else None


def _is_new_enough(executable: Path) -> bool:
    quiet = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    version = parse_pulumi_version(read_output([executable, "version"], env=quiet) or "")
    return version is not None and MINIMUM_VERSION <= version < (4,)


def _install(root: Path, scratch: Path) -> bool:
    """Whether Pulumi's own installer put the CLI into `root`; quick to say no when offline."""
    try:
        with urllib.request.urlopen(INSTALLER_URL, timeout=INSTALLER_SECONDS) as answer:
            script = scratch / "install.sh"
            script.write_bytes(answer.read())
        run_logged(
            f"installing the Pulumi CLI {PULUMI_VERSION} with its official installer",
            ["sh", script, "--no-edit-path", "--install-root", root, "--version", PULUMI_VERSION],
            log="pulumi-install",
            patience=Patience(seconds=600),
        )
    except (OSError, SetupError) as error:
        reason = getattr(error, "reason", error)
        say(f"Pulumi's official installer can't be used: {reason}")
        return False
    return (root / "bin" / "pulumi").is_file()


def _build(root: Path, scratch: Path) -> None:
    """Build the CLI into `root` from the modules that tools/pulumi-cli/go.mod and go.sum name."""
    build_go_package(
        *(GO_MODULE, GO_PACKAGE, root / "bin" / "pulumi", scratch),
        title=f"building the Pulumi CLI {PULUMI_VERSION} with Go",
        log="pulumi-build",
        hint="some 6 min on two cores, once",
        linker_flags=f"-s -w -X {VERSION_VARIABLE}={PULUMI_VERSION}",
    )


def _link(pulumi: Path) -> None:
    """Point CACHE/bin/pulumi at it: a path that stays, for people's own PATH."""
    link = get_cache_folder() / "bin" / "pulumi"
    link.parent.mkdir(parents=True, exist_ok=True)
    fresh = link.with_name(f"pulumi.{os.getpid()}")
    fresh.symlink_to(pulumi)
    fresh.replace(link)
