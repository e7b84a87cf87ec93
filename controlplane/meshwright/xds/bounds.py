"""How much one proxy's identity may take: streams at once, and how fast it may open them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from meshwright.model.resources import ResourceKey
from meshwright.rates import LeakyBuckets

Who = tuple[str, ResourceKey]


class TurnedAwayError(Exception):
    """A stream that is one too many; the message says of what."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one identity and one stream may take.

    Attributes:
        streams: How many streams an identity may have for one resource. All of them may come at
            once, as they do after a restart of the control plane.
        connects_per_second: How many more it may open after that.
        patience_seconds: How long a stream's first request may take to come, and how long a
            response may wait to be taken.
        subscriptions: How many types and names a stream may ask for; a proxy needs a few for each
            backend.
    """

    streams: int = 1_000
    connects_per_second: float = 10.0
    patience_seconds: float = 30.0
    subscriptions: int = 10_000


class Turnstile:
    """Counts the streams of each identity for each resource.

    The rate is kept by a leaky bucket, which holds as many streams as an identity may have.

    Args:
        bounds: What is allowed.
        clock: Seconds of any origin.
    """

    def __init__(self, bounds: Bounds, clock: Callable[[], float] = time.monotonic) -> None:
        self.bounds = bounds
        self._streams: Counter[Who] = Counter()
        self._buckets = LeakyBuckets[Who](bounds.streams, bounds.connects_per_second, clock)

    @contextmanager
    def enter(self, identity: str | None, key: ResourceKey) -> Generator[None]:
        """Count a stream for as long as the context lasts; one without identity is not counted.

        Raises:
            TurnedAwayError: It has as many as it may, or opens them too fast.
        """
        if identity is None:
            yield
            return
        who = (identity, key)
        self._require_room(who)
        self._streams[who] += 1
        try:
            yield
        finally:
            self._streams[who] -= 1
            if not self._streams[who]:
                del self._streams[who]

    def _require_room(self, who: Who) -> None:
        if self._streams[who] >= self.bounds.streams:
            raise TurnedAwayError(
                f"{who[0]} has {self.bounds.streams} streams for this resource already"
            )
        if self._buckets.find_wait(who):
            raise TurnedAwayError(
                f"{who[0]} opens more than {self.bounds.connects_per_second:g} streams a second "
                "for this resource"
            )
