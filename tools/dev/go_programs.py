"""Small Go programs that this project has or uses: built once, into the user's cache folder."""

import hashlib
import re
from pathlib import Path

from tools.dev.caches import find_or_make, replace_folder
from tools.dev.go_toolchain import build_go_package
from tools.dev.paths import CHECKOUT, get_cache_folder

_CLIENTS = CHECKOUT / "tests" / "controlplane" / "clients"
API_CLIENTS = (_CLIENTS / "go-sdk-v1", _CLIENTS / "go-sdk-v2")
"""Clients of the App Mesh API, one for each of AWS's SDKs for Go."""

_SDKS = CHECKOUT / "tests" / "provider" / "sdks"
LANGUAGE_HOST = _SDKS / "pulumi-language-host"
"""Generates the Pulumi package's SDKs of other languages."""

JAVA_LANGUAGE_HOST = _SDKS / "pulumi-language-java"
"""Generates the SDK of Java, and runs programs in it."""

H2SPEC = CHECKOUT / "tests" / "controlplane" / "xds" / "transport" / "h2spec"
"""Judges an HTTP/2 server."""

GO_PROGRAMS = (*API_CLIENTS, LANGUAGE_HOST, JAVA_LANGUAGE_HOST, H2SPEC)
"""The programs that tests run."""


def prepare_go_programs() -> None:
    """Build the programs that tests run, unless they were built before.

    Raises:
        SetupError: one can't be built.
    """
    for module in GO_PROGRAMS:
        prepare_go_program(module)


def find_go_program(module: Path) -> Path | None:
    """The executable of a Go program whose sources were built before."""
    executable = _get_executable(module)
    return executable if executable.is_file() else None


def prepare_go_program(module: Path) -> Path:
    """The executable of a Go program, built if its sources have not been built before.

    Args:
        module: its folder, with go.mod, go.sum and the package main, or a go.mod whose one `tool`
            is that package of another module; the executable is named after the folder.

    Raises:
        SetupError: it can't be built.
    """
    name = f"go-{module.name}"

    def make(scratch: Path) -> None:
        root = scratch / "root"
        build_go_package(
            *(module, _find_package(module), root / module.name, scratch),
            title=f"building {module.name} with Go",
            log=name,
            hint="a minute, once",
        )
        replace_folder(root, _get_executable(module).parent)

    return find_or_make(name, lambda: find_go_program(module), make)


def _find_package(module: Path) -> str:
    tool = re.search(r"^tool (\S+)$", (module / "go.mod").read_text(), re.MULTILINE)
    return tool[1] if tool else "."


def _get_executable(module: Path) -> Path:
    folder = f"{module.name}-{digest_sources(module)}"
    return get_cache_folder() / "go-programs" / folder / module.name


def digest_sources(module: Path) -> str:
    """What the build of a Go module depends on, in few characters."""
    digest = hashlib.sha256()
    sources = (each for each in module.rglob("*") if each.suffix in (".go", ".mod", ".sum"))
    for source in sorted(sources):
        digest.update(f"{source.relative_to(module)}\0".encode() + source.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
