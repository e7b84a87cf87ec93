"""Waiting for a condition instead of sleeping, with an error that says what was seen last."""

import time
from collections.abc import Callable
from typing import TypeVar

from pytest_meshwright.errors import WaitTimeoutError

T = TypeVar("T")

_LONGEST_SEEN = 2000


def wait_until(
    condition: Callable[[], T | None],
    *,
    what: str,
    timeout: float = 10.0,
    interval: float = 0.02,
    retry_on: tuple[type[Exception], ...] = (),
    seen: Callable[[], object] | None = None,
) -> T:
    """Call `condition` until it answers something true, and return that.

    Args:
        condition: what to wait for; the first true answer is returned.
        what: the end of the sentence "waited in vain for ...".
        timeout: seconds after which to give up; the condition is tried at least once.
        interval: seconds between two tries.
        retry_on: exceptions that mean "not yet"; any other one ends the waiting at once.
        seen: describes the state for the error where the condition's answer says too little.

    Raises:
        WaitTimeoutError: the condition stayed false; the text holds what was seen last.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            answer = condition()
            if answer:
                return answer
            last: object = answer
        except retry_on as error:
            last = f"{type(error).__name__}: {error}"
        if time.monotonic() >= deadline:
            text = str(last if seen is None else seen())[-_LONGEST_SEEN:]
            raise WaitTimeoutError(f"waited {timeout:g} s in vain for {what}; last seen: {text}")
        time.sleep(interval)
