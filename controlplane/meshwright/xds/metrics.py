"""What Prometheus can ask of the distribution: how long changes take, and what is sent and refused.

No metric has the name of a mesh or a proxy, so that whoever may scrape learns of neither.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString  # pyright: ignore[reportUnknownVariableType]

from meshwright.reloading import ReloadedFiles

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_BYTES: Final = tuple(float(4**power) for power in range(4, 13))


class _Tally:
    """Values, counted by the bucket that they fall into. One thread alone may observe."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def add_to(self, family: HistogramMetricFamily, labels: Sequence[str]) -> None:
        """Give what has been counted to a family, under its labels' values."""
        names = [*(str(floatToGoString(bound)) for bound in self._bounds), "+Inf"]
        below = accumulate(self._counts)
        family.add_metric(labels, list(zip(names, below, strict=True)), self._sum)


class _Tallies(Collector):
    """A histogram of what happens with each push.

    The library's own takes locks for every value, three of which cost more than serializing a
    response does.
    """

    def __init__(
        self,
        name: str,
        text: str,
        labels: Sequence[str] = (),
        *,
        buckets: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._name, self._text = name, text
        self._labels = labels
        self._buckets = buckets
        self._tallies: dict[Sequence[str], _Tally] = {}
        registry.register(self)

    def labels(self, *values: str) -> _Tally:
        """The counts under its labels' values."""
        return self._tallies.setdefault(values, _Tally(self._buckets))

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """What has been counted so far."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for values, tally in list(self._tallies.items()):
            tally.add_to(family, values)
        yield family


class Metrics:
    """The metrics of one control plane. Times are in seconds."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._connected = Gauge(
            "meshwright_connected_proxies",
            "Proxies' streams that are open at this replica, by the kind of their resource.",
            ("kind",),
            registry=self._registry,
        )
        self._convergence = _Tallies(
            "meshwright_convergence_seconds",
            "From a change until a proxy of this replica has acknowledged all of it.",
            buckets=_SECONDS,
            registry=self._registry,
        ).labels()
        self._queue = Histogram(
            "meshwright_queue_seconds",
            "How long a change waited for others to be pushed with it.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._merged = Counter(
            "meshwright_merged_changes",
            "Changes that were pushed together with an earlier one.",
            registry=self._registry,
        )
        self._push = _Tallies(
            "meshwright_push_seconds",
            "How long it took until a proxy's connection had taken a response, by type.",
            ("type",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._bytes = _Tallies(
            "meshwright_push_bytes",
            "The size of responses, by the type of their resources.",
            ("type",),
            buckets=_BYTES,
            registry=self._registry,
        )
        self._refusals = Counter(
            "meshwright_refusals",
            "Streams refused, or ended because of what their proxies did, by gRPC status.",
            ("status",),
            registry=self._registry,
        )
        self._queued = Gauge(
            "meshwright_queued_bytes",
            "Bytes that are held for proxies which have not taken them yet.",
            registry=self._registry,
        )
        self._store_reachable = Gauge(
            "meshwright_store_reachable",
            "Whether this replica can follow the store: 0 from a failed look to the next good one.",
            registry=self._registry,
        )
        self._refused_files = Gauge(
            "meshwright_refused_files",
            "Whether the files of an option can't be used as they are now, so that an earlier "
            "state of them counts.",
            ("option",),
            registry=self._registry,
        )
        self._pushed: dict[str, tuple[_Tally, _Tally]] = {}
        self._rejections = Counter(
            "meshwright_rejections",
            "Responses of this replica that proxies rejected (NACK), by type of resource.",
            ("type",),
            registry=self._registry,
        )

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def watch_queue(self, count_bytes: Callable[[], int]) -> None:
        """Have what waits for proxies counted whenever it is asked for."""
        self._queued.set_function(count_bytes)

    def store_reachable(self, is_reachable: bool) -> None:  # noqa: FBT001 - what it is about
        """The store could be followed at the last look, or could not."""
        self._store_reachable.set(is_reachable)

    def watch_files(self, files: ReloadedFiles[Any]) -> None:
        """Have it looked at whenever it is asked for whether an option's files are refused."""
        self._refused_files.labels(files.option).set_function(lambda: bool(files.refusal))

    def connected(self, kind: str) -> None:
        """A stream of a kind of resource has begun."""
        self._connected.labels(kind).inc()

    def disconnected(self, kind: str) -> None:
        """One has ended."""
        self._connected.labels(kind).dec()

    def converged(self, seconds: float) -> None:
        """A proxy has acknowledged what a change made of its configuration."""
        self._convergence.observe(seconds)

    def distributed(self, changes: int, seconds: float) -> None:
        """Changes have been offered to the proxies they concern.

        Args:
            changes: How many.
            seconds: How long the first of them waited.
        """
        self._queue.observe(seconds)
        self._merged.inc(changes - 1)

    def pushed(self, type_url: str, size: int, seconds: float) -> None:
        """A response has been written."""
        pushed = self._pushed.get(type_url)
        if pushed is None:
            kind = short_type(type_url)
            pushed = self._pushed[type_url] = (self._push.labels(kind), self._bytes.labels(kind))
        took, weighed = pushed
        took.observe(seconds)
        weighed.observe(size)

    def refused(self, status: str) -> None:
        """A stream has been refused, or ended because of what its proxy did."""
        self._refusals.labels(status).inc()

    def rejected(self, type_url: str) -> None:
        """A response has been rejected."""
        self._rejections.labels(short_type(type_url)).inc()


def short_type(type_url: str) -> str:
    """A type as people name it, such as `Cluster`."""
    return type_url.rpartition(".")[2]
