"""Programs that take commands as lines of JSON and answer each with one, and what they cost."""

import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_QUIET_SECONDS = 0.05
_QUIET_CPU_SECONDS = 0.001
_PAGE_KIBIBYTES = 4


class Conversation:
    """A running program; leaving the `with` block ends it.

    Args:
        command: The program and its arguments.
    """

    def __init__(self, command: Sequence[str | Path]) -> None:
        self._name = Path(command[0]).name
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def read(self) -> dict[str, Any]:
        """The next line that the program writes.

        Raises:
            RuntimeError: it has ended; what it said of that stands on standard error.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._name} ended with code {self._process.wait()}")
        return json.loads(line)

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Give a command and wait for its answer.

        Raises:
            RuntimeError: the program has ended.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise RuntimeError(f"{self._name} ended with code {self._process.wait()}") from None
        return self.read()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()


def measure_cpu(pid: int) -> float:
    """The seconds that a process's living threads have spent on a core, to the nanosecond."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def measure_memory(pid: int) -> float:
    """The memory that a process has for itself, in KiB."""
    shared_and_resident = Path(f"/proc/{pid}/statm").read_text().split()
    return (int(shared_and_resident[1]) - int(shared_and_resident[2])) * _PAGE_KIBIBYTES


def wait_until_quiet(pid: int, limit_seconds: float = 30.0) -> None:
    """Wait until a process has nothing to do any more, or until the limit."""
    deadline = time.monotonic() + limit_seconds
    before = measure_cpu(pid)
    while time.monotonic() < deadline:
        time.sleep(_QUIET_SECONDS)
        now = measure_cpu(pid)
        if now - before < _QUIET_CPU_SECONDS:
            return
        before = now
