"""How things get into the user's cache folder: one writer at a time, and whole or not at all."""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.dev.console import say
from tools.dev.paths import get_cache_folder


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock of `name` among all ./dev of this user; says so when it has to wait."""
    folder = get_cache_folder() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another ./dev is preparing {name}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def scratch_folder(name: str) -> Iterator[Path]:
    """An empty folder in the cache that is gone when the block ends, however it ends.

    Call it under `locked(name)`: what a killed run left of the same name is swept away first.
    """
    parent = get_cache_folder() / "scratch"
    parent.mkdir(parents=True, exist_ok=True)
    for leftover in parent.glob(f"{name}.*"):
        shutil.rmtree(leftover, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=parent))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def replace_folder(source: Path, target: Path) -> None:
    """Put the finished folder `source` in the place of `target`, by renaming."""
    if target.exists():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    source.rename(target)
