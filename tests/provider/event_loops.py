"""Clears up after inline programs of engines that failed.

The Automation API runs an inline program in an event loop of its own, and forgets to close it when
a task of the program ends with an error, as those do that waited for an engine that has given up.
A loop that is left open becomes a warning in whichever test runs next.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pytest_meshwright.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable


class EventLoops:
    """The event loops in which a program has run."""

    def __init__(self) -> None:
        self._seen: list[asyncio.AbstractEventLoop] = []

    def watch(self, program: Callable[[], None]) -> Callable[[], None]:
        """The same program, which also leaves its loop here."""

        def watched() -> None:
            self._seen.append(asyncio.get_running_loop())
            program()

        return watched

    def close(self) -> None:
        """Wait until the loops stand still, end the tasks that are left in them, and close them."""
        for loop in self._seen:
            wait_until(lambda loop=loop: not loop.is_running(), what="the program to end")
            if loop.is_closed():
                continue
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            loop.close()
