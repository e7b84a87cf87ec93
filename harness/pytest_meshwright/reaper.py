"""Ends every process that carries a mark; run as a script, it does so when its parent dies.

The parent starts `reaper.py MARK` with a pipe as its standard input. Whatever ends the parent,
kill -9 included, closes the pipe; the reaper then kills everything that carries the mark. A parent
that has cleaned up by itself writes `done` first.

A mark is an environment variable: children inherit it without their knowledge, grandchildren that
left their process group and lost their parent too, so that none can be forgotten. Only the
standard library is used, so that the script starts in a few milliseconds.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

MARK_VARIABLE = "MESHWRIGHT_MARK"
CONTAINER_LABEL = "dev.meshwright.mark"

# A process between fork and exec still shows its parent's environment: one empty look at the
# process table is not enough.
_EMPTY_LOOKS = 2
_LOOK_INTERVAL = 0.02
_CONTAINER_LOOK_INTERVAL = 0.2
_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class FoundProcess:
    """A running process that carries the mark."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"{self.command} (pid {self.pid})"


def find_marked(value: str, variable: str = MARK_VARIABLE) -> list[FoundProcess]:
    """Every running process of this user with `variable=value` in its environment, but this one."""
    wanted = f"{variable}={value}".encode()
    found: list[FoundProcess] = []
    for folder in Path("/proc").glob("[0-9]*"):
        # A process may end, or belong to someone else, while it is looked at.
        with contextlib.suppress(OSError):
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                found.append(FoundProcess(int(folder.name), command))
    return [process for process in found if process.pid != os.getpid()]


def kill_marked(value: str, variable: str = MARK_VARIABLE) -> list[FoundProcess]:
    """Kill every process that carries the mark, and return those that had to be killed."""
    killed: dict[int, FoundProcess] = {}
    empty_looks = 0
    deadline = time.monotonic() + _PATIENCE
    while empty_looks < _EMPTY_LOOKS and time.monotonic() < deadline:
        found = find_marked(value, variable)
        empty_looks = 0 if found else empty_looks + 1
        for process in found:
            killed[process.pid] = process
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process.pid, signal.SIGKILL)
        time.sleep(_LOOK_INTERVAL)
    return list(killed.values())


def remove_marked_containers(value: str) -> None:
    """Remove the containers whose label carries the mark, where there is a Docker client."""
    docker = shutil.which("docker")
    if docker is None:
        return
    label = f"label={CONTAINER_LABEL}={value}"
    listing = [docker, "ps", "--all", "--quiet", "--no-trunc", "--filter", label]
    # A container that is being created while its maker dies appears a moment later, and one that
    # is being started may refuse its removal.
    empty_looks = 0
    deadline = time.monotonic() + _PATIENCE
    while empty_looks < _EMPTY_LOOKS and time.monotonic() < deadline:
        found = subprocess.run(listing, capture_output=True, text=True, check=False).stdout.split()
        empty_looks = 0 if found else empty_looks + 1
        if found:
            removal = [docker, "rm", "--force", "--volumes", *found]
            subprocess.run(removal, capture_output=True, check=False)
        time.sleep(_CONTAINER_LOOK_INTERVAL)


def main(mark: str) -> None:
    """Wait for the end of the parent, then end everything that it left."""
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    uses_containers = False
    for line in sys.stdin:
        if line.strip() == "done":
            return
        uses_containers = uses_containers or line.strip() == "containers"
    kill_marked(mark)
    if uses_containers:
        remove_marked_containers(mark)


if __name__ == "__main__":
    main(sys.argv[1])
