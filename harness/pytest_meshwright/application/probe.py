"""Requests at a steady rate with one record each, to watch a change as it happens."""

import asyncio
import contextlib
import time
from typing import Any

import h11

from pytest_meshwright.application.client import Connection, Target, describe_failure

_CONNECTIONS = 4


class Probe:
    """Sends `rate` requests a second until it is stopped.

    A record is `{"started": seconds since 1970, "milliseconds": float, "status": int or null,
    "service": name or null, "failure": text or null}`.
    """

    def __init__(
        self, url: str, rate: float = 100.0, proxy: str | None = None, timeout: float = 10.0
    ) -> None:
        self.records: list[dict[str, Any]] = []
        self._target = Target.of(url, proxy)
        self._interval = 1.0 / rate
        self._timeout = timeout
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to send."""
        self._tasks = [
            asyncio.create_task(self._run(number * self._interval))
            for number in range(_CONNECTIONS)
        ]

    async def stop(self) -> None:
        """Stop sending, and wait for the requests under way."""
        self._stopping.set()
        await asyncio.gather(*self._tasks)

    async def _run(self, delay: float) -> None:
        # Each connection sends every n-th request, so that a slow answer holds up its own only.
        connection = Connection(self._target)
        due = time.monotonic() + delay
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(due - time.monotonic()):
                    await self._stopping.wait()
                    break
            await self._ask(connection)
            due = max(due + _CONNECTIONS * self._interval, time.monotonic())
        connection.close()

    async def _ask(self, connection: Connection) -> None:
        record: dict[str, Any] = {"status": None, "service": None, "failure": None}
        record["started"] = time.time()
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout):
                answer = await connection.get()
            record["status"], record["service"] = answer.status, answer.service
        except (OSError, TimeoutError, h11.RemoteProtocolError) as error:
            record["failure"] = describe_failure(error)
        record["milliseconds"] = (time.perf_counter() - began) * 1000
        self.records.append(record)
