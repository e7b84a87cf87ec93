"""How things get into the user's cache folder: one writer at a time, and whole or not at all."""

import fcntl
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tools.dev.console import say
from tools.dev.paths import get_cache_folder

_Found = TypeVar("_Found")


def find_or_make(
    name: str, find: Callable[[], _Found | None], make: Callable[[Path], None]
) -> _Found:
    """What `find` finds, made first if that is nothing, by one ./dev of this user at a time.

    Args:
        name: what is waited for, in messages; its lock and its scratch folder have this name.
        find: None as long as it is not there.
        make: makes it, in an empty folder that is gone afterwards.
    """
    if (found := find()) is not None:
        return found
    with locked(name):
        if (found := find()) is not None:
            return found
        with scratch_folder(name) as scratch:
            make(scratch)
    made = find()
    if made is None:
        raise RuntimeError(f"{name} was made, and can't be found")
    return made


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
