"""Ctrl-C and `kill` at any moment: the first one begins the cleaning up, later ones wait for it."""

import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interruptible() -> Generator[None]:
    """Let the first SIGINT, SIGTERM or SIGHUP raise KeyboardInterrupt, and ignore those after it.

    Impatient people press Ctrl-C twice; the second must not interrupt the cleaning up, which is
    bounded in time.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        ignore_interrupts()
        raise KeyboardInterrupt

    before = {name: signal.signal(name, interrupt) for name in _SIGNALS}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def ignore_interrupts() -> None:
    """From now on nothing interrupts: what runs is the cleaning up."""
    for name in _SIGNALS:
        signal.signal(name, signal.SIG_IGN)
