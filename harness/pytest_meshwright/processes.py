"""Child processes that never outlive the process that started them."""

import contextlib
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from pytest_meshwright import reaper
from pytest_meshwright.errors import HarnessError
from pytest_meshwright.reaper import FoundProcess

_TAIL_CHARACTERS = 1500


class ChildProcess:
    """One running program whose output goes to two files."""

    def __init__(
        self, name: str, process: subprocess.Popen[bytes], stdout: Path, stderr: Path
    ) -> None:
        self.name = name
        self.stdout = stdout
        self.stderr = stderr
        self._process = process

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._process.poll()

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.returncode is None

    def require_running(self) -> None:
        """Check that it runs.

        Raises:
            HarnessError: it has ended; the text holds its exit code and the end of its log.
        """
        if not self.is_running:
            raise HarnessError(
                f"{self.name} ended with code {self.returncode}; its log {self.stderr} ends with:\n"
                f"{self.tail()}"
            )

    def tail(self) -> str:
        """The end of what it wrote to its standard error."""
        return self.stderr.read_text(errors="replace")[-_TAIL_CHARACTERS:].strip()

    def stop(self, timeout: float = 10.0) -> int:
        """Ask it to end (SIGTERM), kill it after `timeout` seconds, and return its exit code."""
        if self.is_running:
            self._process.terminate()
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                self._process.kill()
        return self._process.wait()

    def kill(self) -> int:
        """End it at once (SIGKILL) and return its exit code."""
        self._process.kill()
        return self._process.wait()


class ProcessGroup:
    """The processes and containers of one lab, with one mark in common.

    Closing the group ends what still runs. Where the group is not closed because its owner was
    killed, the group's reaper (see `reaper.py`) does the same.
    """

    def __init__(self) -> None:
        self.mark = uuid.uuid4().hex
        self._children: list[ChildProcess] = []
        self._uses_containers = False
        self._lock = threading.Lock()
        # -I -S: the script needs nothing but the standard library and starts faster without.
        self._reaper = subprocess.Popen(
            [sys.executable, "-I", "-S", reaper.__file__, self.mark],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            # A session of its own: what ends the owner's whole process group must not end it.
            start_new_session=True,
            text=True,
        )

    @property
    def environment(self) -> dict[str, str]:
        """The variable that makes a process, and all that it starts, belong to the group."""
        return {reaper.MARK_VARIABLE: self.mark}

    @property
    def container_labels(self) -> dict[str, str]:
        """The label that makes a container belong to the group; ask for it before starting one."""
        self._uses_containers = True
        self._tell_reaper("containers")
        return {reaper.CONTAINER_LABEL: self.mark}

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        folder: Path,
        environment: Mapping[str, str] | None = None,
    ) -> ChildProcess:
        """Start a program; its output goes to `folder`/`name`.stdout and `name`.stderr.

        Args:
            name: what messages call it.
            command: the program and its arguments.
            folder: where its output goes; also its working directory.
            environment: variables on top of this process's own.

        Raises:
            HarnessError: the program is not there or cannot be run.
        """
        folder.mkdir(parents=True, exist_ok=True)
        stdout, stderr = folder / f"{name}.stdout", folder / f"{name}.stderr"
        with stdout.open("ab") as out, stderr.open("ab") as err:
            try:
                process = subprocess.Popen(
                    [os.fspath(part) for part in command],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    cwd=folder,
                    env={**os.environ, **(environment or {}), **self.environment},
                    # Ctrl-C in the terminal reaches the owner alone, which stops things in order.
                    start_new_session=True,
                )
            except OSError as error:
                raise HarnessError(f"cannot start {name}: {error}") from error
        child = ChildProcess(name, process, stdout, stderr)
        with self._lock:
            self._children.append(child)
        return child

    def survivors(self) -> list[FoundProcess]:
        """The processes of the group that run right now."""
        return [found for found in reaper.find_marked(self.mark) if found.pid != self._reaper.pid]

    def close(self) -> list[FoundProcess]:
        """End whatever runs by now, and return what had to be killed; it may be called again."""
        killed = reaper.kill_marked(self.mark)
        if self._uses_containers:
            reaper.remove_marked_containers(self.mark)
        with self._lock:
            for child in self._children:
                child.kill()
            self._children.clear()
        self._tell_reaper("done")
        if self._reaper.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._reaper.stdin.close()
        self._reaper.wait()
        return killed

    def _tell_reaper(self, word: str) -> None:
        pipe = self._reaper.stdin
        if pipe is not None and not pipe.closed:
            with contextlib.suppress(BrokenPipeError):
                pipe.write(word + "\n")
                pipe.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
