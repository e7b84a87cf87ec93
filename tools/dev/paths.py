"""Where things lie: the checkout, its environment's executables and the user's cache folder."""

import os
import shutil
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]

# Not resolved: in a virtual environment bin/python is a link out of it.
SCRIPTS = Path(sys.executable).parent


def get_cache_folder() -> Path:
    """The folder of everything that set-up makes outside the checkout; it may not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "meshwright"


def find_executable(name: str) -> Path | None:
    """The executable called `name` on PATH, or in the folders that only root's PATH holds."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    found = shutil.which(name, path=path)
    return Path(found) if found else None


def is_ci() -> bool:
    """Whether CI runs this: there a component that is missing is an error, not a skipped test."""
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}
