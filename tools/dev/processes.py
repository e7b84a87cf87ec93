"""Running other programs: quietly with a log and progress, or in the foreground."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tools.dev.console import progress
from tools.dev.paths import get_cache_folder

TICK_SECONDS = 0.5


class SetupError(Exception):
    """A component could not be prepared; the text is one line that says what and what to do."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a program may take.

    Attributes:
        seconds: until its end.
        first_output_seconds: until it has printed anything; what asks a distant server first and
            prints only then is given up early where there is no way to that server.
    """

    seconds: float = 3600.0
    first_output_seconds: float | None = None


DEFAULT_PATIENCE = Patience()


def run_logged(
    title: str,
    command: Sequence[str | Path],
    *,
    log: str,
    hint: str = "",
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    patience: Patience = DEFAULT_PATIENCE,
) -> None:
    """Run a command with its output in `CACHE/logs/{log}.log`, showing `title` and progress.

    The command gets a session of its own, and the whole of it is killed when this function is
    left early, so that Ctrl-C leaves no half of an installer running.

    Raises:
        SetupError: it could not be started, failed or took too long; with its last line.
    """
    log_path = get_cache_folder() / "logs" / f"{log}.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("wb") as output:
        try:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise SetupError(f"{title}: {error}") from error
    try:
        with progress(title, hint) as tick:
            problem = _wait(process, tick, log_path, patience)
            if problem:
                raise SetupError(f"{title}: {problem} (log: {log_path})")
    finally:
        _kill_session(process)


def _wait(
    process: "subprocess.Popen[bytes]", tick: Callable[[], None], log: Path, patience: Patience
) -> str | None:
    """Wait for the end of `process`; None if it went well, else what was wrong."""
    began = time.monotonic()
    while True:
        with suppress(subprocess.TimeoutExpired):
            code = process.wait(TICK_SECONDS)
            return None if code == 0 else f"failed: {read_last_line(log) or f'exit code {code}'}"
        tick()
        waited = time.monotonic() - began
        if waited > patience.seconds:
            return f"gave up after {patience.seconds:.0f} s"
        first = patience.first_output_seconds
        if first is not None and waited > first and log.stat().st_size == 0:
            return f"no answer in {first:.0f} s"


def _kill_session(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def read_last_line(log: Path) -> str:
    """The last line of a log that is not blank, or an empty string."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "")


def succeeds(command: Sequence[str | Path], seconds: float = 20.0) -> bool:
    """Whether a command ends with code 0 within the time; its output is dropped."""
    return read_output(command, seconds) is not None


def read_output(
    command: Sequence[str | Path],
    seconds: float = 20.0,
    env: Mapping[str, str] | None = None,
) -> str | None:
    """What a short command prints, stripped; None if it can't be run, fails or takes too long."""
    try:
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            text=True,
            env=env,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def run_foreground(command: Sequence[str | Path]) -> int:
    """Run a command on this terminal and return its exit code.

    Ctrl-C reaches the command from the terminal; SIGTERM is passed on. Either way it is given
    the time that it needs to clean up after itself.
    """
    process = subprocess.Popen(command)

    def pass_on(number: int, _frame: FrameType | None) -> None:
        process.send_signal(number)

    previous_term = signal.signal(signal.SIGTERM, pass_on)
    previous_int = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code = process.wait()
    finally:
        signal.signal(signal.SIGTERM, previous_term)
        signal.signal(signal.SIGINT, previous_int)
    return code if code >= 0 else 128 - code


@contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """While in this block, SIGTERM unwinds the stack as Ctrl-C does, so that clean-up happens."""

    def leave(_number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(143)

    previous = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
