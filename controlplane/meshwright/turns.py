"""Work for very many in the event loop, a little in each of its turns.

A thread would not do: it holds the interpreter's lock for 5 ms at a time, and whoever pushes in the
loop waits for that with each message that it writes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

_TURN_SECONDS: Final = 0.002

_Item = TypeVar("_Item")
_Outcome = TypeVar("_Outcome")


async def work_in_turns(
    work: Callable[[_Item], _Outcome], items: Iterable[_Item]
) -> list[_Outcome]:
    """Do a short piece of work for each of many, and let all else have its turn now and then.

    Args:
        work: What to do for one.
        items: For whom; not to be changed meanwhile.

    Returns:
        What came of it, in order.
    """
    outcomes: list[_Outcome] = []
    turn_ends = time.perf_counter() + _TURN_SECONDS
    for item in items:
        outcomes.append(work(item))
        if time.perf_counter() >= turn_ends:
            await asyncio.sleep(0)
            turn_ends = time.perf_counter() + _TURN_SECONDS
    return outcomes
