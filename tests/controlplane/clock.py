"""A clock that tests set, in place of the one that a thing would read."""

from __future__ import annotations


class Clock:
    """A clock that stands still until a test sets it.

    Attributes:
        now: What it says, in seconds; as an origin, any will do.
    """

    now = 1_700_000_000.0

    def __call__(self) -> float:
        """The time."""
        return self.now
