"""Small Go programs of this project: built once from their sources into the user's cache folder."""

import hashlib
from pathlib import Path

from tools.dev.caches import locked, replace_folder, scratch_folder
from tools.dev.go_toolchain import build_go_package
from tools.dev.paths import get_cache_folder


def prepare_go_program(module: Path) -> Path:
    """The executable of a Go program, built if its sources have not been built before.

    Args:
        module: its folder, with the package main, go.mod and go.sum; the executable's name.

    Raises:
        SetupError: it can't be built.
    """
    built = get_cache_folder() / "go-programs" / f"{module.name}-{digest_sources(module)}"
    executable = built / module.name
    if not executable.is_file():
        with locked(f"go-{module.name}"):
            if not executable.is_file():
                with scratch_folder(f"go-{module.name}") as scratch:
                    root = scratch / "root"
                    build_go_package(
                        *(module, ".", root / module.name, scratch),
                        title=f"building {module.name} with Go",
                        log=f"go-{module.name}",
                        hint="a minute, once",
                    )
                    replace_folder(root, built)
    return executable


def digest_sources(module: Path) -> str:
    """What the build of a Go module depends on, in few characters."""
    digest = hashlib.sha256()
    sources = (each for each in module.rglob("*") if each.suffix in (".go", ".mod", ".sum"))
    for source in sorted(sources):
        digest.update(f"{source.relative_to(module)}\0".encode() + source.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
