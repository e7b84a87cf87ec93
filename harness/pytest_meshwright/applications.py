"""The real HTTP application beside an Envoy, as a child process, and what it can be asked."""

import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from pytest_meshwright.envoy_bootstrap import Endpoint
from pytest_meshwright.errors import HarnessError
from pytest_meshwright.processes import ChildProcess, ProcessGroup
from pytest_meshwright.waiting import wait_until

_CALLS_TIMEOUT = 300.0
_START_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True)
class CallTally:
    """What came back from a number of requests."""

    answers: Mapping[str, int]
    """Requests by the service that answered them with 200."""
    failures: Mapping[str, int]
    """Requests by what went wrong: the status with the start of the body, or a network error."""
    seconds: float
    """How long all of them took together."""
    latency_ms: Mapping[str, float]
    """The milliseconds of a request: `p50`, `p90`, `p99` and `max`."""

    @property
    def total(self) -> int:
        """How many requests were sent."""
        return sum(self.answers.values()) + sum(self.failures.values())


@dataclass(frozen=True, slots=True)
class ProbeRecord:
    """One request of a probe."""

    started: float
    """Seconds since 1970."""
    milliseconds: float
    """How long it took."""
    status: int | None
    """The HTTP status, None where no answer came."""
    service: str | None
    """Who answered, None where a proxy did."""
    failure: str | None
    """What the network said, None where an answer came."""


class Application:
    """One HTTP application: it answers with its name, and sends requests when asked to."""

    def __init__(
        self,
        name: str,
        endpoint: Endpoint,
        *,
        folder: Path,
        group: ProcessGroup,
        proxy: Endpoint | None = None,
    ) -> None:
        """Describe an application; `start` starts it.

        Args:
            name: what it calls itself in its answers.
            endpoint: where it listens.
            folder: where its output goes.
            group: the processes that it ends with.
            proxy: the HTTP proxy through which it sends requests, its Envoy's egress listener.
        """
        self.name = name
        self.endpoint = endpoint
        self._folder = folder
        self._group = group
        self._proxy = f"http://{proxy}" if proxy else None
        self._process: ChildProcess | None = None
        self._is_probing = False

    @property
    def process(self) -> ChildProcess:
        """The running process.

        Raises:
            HarnessError: it has not been started.
        """
        if self._process is None:
            raise HarnessError(f"the application {self.name} has not been started")
        return self._process

    @property
    def url(self) -> str:
        """Where it answers, past its Envoy."""
        return f"http://{self.endpoint}"

    def start(self) -> Self:
        """Start the process; `wait_ready` waits until it answers."""
        address = ("--host", self.endpoint.host, "--port", str(self.endpoint.port))
        self._process = self._group.start(
            f"application-{self.name}",
            [sys.executable, "-m", "pytest_meshwright.application", "--name", self.name, *address],
            self._folder,
        )
        return self

    def wait_ready(self) -> Self:
        """Wait until it answers.

        Raises:
            HarnessError: it ended, or does not answer; the text holds the end of its log.
        """

        def answers() -> bool:
            self.process.require_running()
            # Where the address is taken, somebody else may answer until this one has ended.
            return self._ask("GET", "/_stats", timeout=1.0)["service"] == self.name

        wait_until(
            answers,
            what=f"the application {self.name} on {self.endpoint}",
            timeout=_START_TIMEOUT,
            retry_on=(httpx.TransportError,),
        )
        return self

    def count_served(self) -> int:
        """How many requests it answered; those to the harness's own pages are not counted."""
        return self._ask("GET", "/_stats")["served"]

    def call(
        self, url: str, *, requests: int = 1, concurrency: int = 8, timeout: float = 30.0
    ) -> CallTally:
        """Let it send requests through its proxy, and wait for the tally.

        Args:
            url: what to ask for, `http://HOST[:PORT][/PATH]`.
            requests: how many.
            concurrency: how many at the same time.
            timeout: seconds for each request.

        Raises:
            HarnessError: the URL has another form.
        """
        order = {
            "url": url,
            "requests": requests,
            "concurrency": concurrency,
            "proxy": self._proxy,
            "timeout": timeout,
        }
        return CallTally(**self._ask("POST", "/_calls", order, timeout=_CALLS_TIMEOUT))

    def start_probe(self, url: str, *, rate: float = 100.0) -> None:
        """Let it send `rate` requests a second through its proxy until `stop_probe`.

        Raises:
            HarnessError: the URL has another form than `http://HOST[:PORT][/PATH]`, or a probe
                runs already.
        """
        self._ask("POST", "/_probe", {"url": url, "rate": rate, "proxy": self._proxy})
        self._is_probing = True

    def read_probe(self) -> list[ProbeRecord]:
        """What the running probe has seen so far, in the order in which the answers came.

        Raises:
            HarnessError: no probe runs.
        """
        return _parse_records(self._ask("GET", "/_probe"))

    def stop_probe(self) -> list[ProbeRecord]:
        """End the probe, requests under way included, and return all that it saw.

        Raises:
            HarnessError: no probe runs.
        """
        self._is_probing = False
        return _parse_records(self._ask("DELETE", "/_probe"))

    def end_probe(self) -> None:
        """End the probe if one runs, whatever it saw."""
        if self._is_probing and self.process.is_running:
            with contextlib.suppress(HarnessError, httpx.TransportError):
                self.stop_probe()

    def _ask(
        self, method: str, path: str, content: dict[str, Any] | None = None, timeout: float = 30.0
    ) -> Any:
        # A proxy in the environment must not come between; certificates are slow to load.
        with httpx.Client(trust_env=False, verify=False, timeout=timeout) as client:  # noqa: S501
            response = client.request(method, self.url + path, json=content)
        answer: Any = response.json()
        if response.is_error:
            raise HarnessError(f"the application {self.name}: {answer['message']}")
        return answer

    def stop(self) -> None:
        """End it, letting requests under way finish."""
        if self._process is not None:
            self._process.stop()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.process.kill()

    def __enter__(self) -> Self:
        return self.start().wait_ready()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _parse_records(answer: dict[str, Any]) -> list[ProbeRecord]:
    return [ProbeRecord(**record) for record in answer["records"]]
