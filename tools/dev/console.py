"""What ./dev says while it prepares things: short lines on stderr, a spinner on a terminal."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

STILL_AT_IT_SECONDS = 30.0

_stderr = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Print one line on stderr, marked as ./dev's own."""
    _stderr.print(f"dev: {text}", markup=False)


def render_duration(seconds: float) -> str:
    """A duration as people say it: `12 s`, `3 min 05 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


@contextmanager
def progress(title: str, hint: str = "") -> Iterator[Callable[[], None]]:
    """Show that `title` is being worked on; call what is yielded about once a second.

    A terminal gets a spinner with the elapsed time, a pipe one line at the start and one every
    30 s. Both get a last line with the time that it took, if it went well. The hint is what to
    expect, for the start: "some 6 min, once".
    """
    began = time.monotonic()
    whole = f"{title} ({hint})" if hint else title
    if _stderr.is_terminal:
        with _stderr.status(whole) as status:

            def tick() -> None:
                status.update(f"{whole}: {render_duration(time.monotonic() - began)}")

            yield tick
    else:
        say(whole)
        said = began

        def tick() -> None:
            nonlocal said
            now = time.monotonic()
            if now - said >= STILL_AT_IT_SECONDS:
                said = now
                say(f"{title}: {render_duration(now - began)} so far")

        yield tick
    say(f"{title}: done in {render_duration(time.monotonic() - began)}")
