"""A given number of requests through the proxy, tallied by who answered."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import h11

from pytest_meshwright.application.client import Connection, Target, describe_failure

_OK = 200


@dataclass(frozen=True, slots=True)
class CallOrder:
    """What to send."""

    url: str
    requests: int
    concurrency: int = 8
    """How many connections ask at the same time."""
    proxy: str | None = None
    """`http://HOST:PORT` of the proxy that is asked; None asks the URL's host itself."""
    timeout: float = 30.0
    """Seconds for each request."""


@dataclass(slots=True)
class Tally:
    """What came back."""

    answers: Counter[str] = field(default_factory=Counter[str])
    """Requests by the service that answered them with 200."""
    failures: Counter[str] = field(default_factory=Counter[str])
    """Requests by what went wrong: a status with the body's start, or an error of the network."""
    milliseconds: list[float] = field(default_factory=list[float])
    """How long each request took."""
    seconds: float = 0.0
    """How long all of them took together."""

    def render(self) -> dict[str, Any]:
        """The tally as JSON."""
        ordered = sorted(self.milliseconds)
        return {
            "answers": dict(self.answers),
            "failures": dict(self.failures),
            "seconds": self.seconds,
            "latency_ms": {
                name: ordered[min(int(len(ordered) * part), len(ordered) - 1)] if ordered else 0.0
                for name, part in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))
            },
        }


async def run_calls(order: CallOrder) -> Tally:
    """Send the requests and return the tally.

    Raises:
        ValueError: the URL or the proxy is not of the form `http://HOST[:PORT]`.
    """
    target = Target.of(order.url, order.proxy)
    tally = Tally()
    numbers = iter(range(order.requests))
    began = time.perf_counter()
    workers = min(order.concurrency, order.requests)
    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(_work(target, numbers, tally, order.timeout))
    tally.seconds = time.perf_counter() - began
    return tally


async def _work(target: Target, numbers: "Any", tally: Tally, timeout: float) -> None:
    connection = Connection(target)
    for _ in numbers:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(timeout):
                answer = await connection.get()
        except (OSError, TimeoutError, h11.RemoteProtocolError) as error:
            tally.failures[describe_failure(error)] += 1
        else:
            service = answer.service
            if answer.status == _OK and service is not None:
                tally.answers[service] += 1
            else:
                text = answer.body[:100].decode(errors="replace").strip()
                tally.failures[f"{answer.status} {text}".strip()] += 1
        tally.milliseconds.append((time.perf_counter() - began) * 1000)
    connection.close()
