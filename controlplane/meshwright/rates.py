"""How fast each of many may go on asking: leaky buckets."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

_REMEMBERED: Final = 10_000

_Who = TypeVar("_Who", bound=Hashable)


class LeakyBuckets(Generic[_Who]):
    """A bucket for each who asks: every time fills it by one, and it empties at a rate.

    Args:
        holds: How many times may come at once.
        per_second: How many more may come each second after that.
        clock: Seconds of any origin.
    """

    def __init__(
        self, holds: float, per_second: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.per_second = per_second
        self._holds = holds
        self._clock = clock
        self._filled: dict[_Who, tuple[float, float]] = {}

    def find_wait(self, who: _Who) -> float:
        """Count one time more, where there is room for it.

        Returns:
            0 where it was counted; else in how many seconds there is room.
        """
        now = self._clock()
        level = self._level(who, now) + 1
        if level > self._holds:
            return (level - self._holds) / self.per_second
        if len(self._filled) >= _REMEMBERED:
            self._filled = {
                who: each for who, each in self._filled.items() if self._level(who, now)
            }
        self._filled[who] = (level, now)
        return 0.0

    def _level(self, who: _Who, now: float) -> float:
        level, since = self._filled.get(who, (0.0, now))
        return max(0.0, level - (now - since) * self.per_second)
