"""Counts the turns that an event loop takes while something runs in it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def count_turns(work: Coroutine[Any, Any, Any]) -> tuple[Any, int]:
    """What comes of the work, and in how many turns of the loop everybody else had one."""
    task, turns = asyncio.ensure_future(work), 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    return await task, turns
