"""What results are made of, so that they can be told to hold for a later graph.

Graphs share the resources that did not change, so that the same resource behind a key is the very
same object: who read only such has nothing to compute anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from immutables import Map

from meshwright.graph import Graph
from meshwright.model.resources import ResourceKey

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reads:
    """What was read of a graph: keys, each with what stood behind it, or None for nothing.

    Attributes:
        resources: The resources.
        children: The keys of what lives in a resource.
    """

    resources: tuple[tuple[ResourceKey, object], ...]
    children: tuple[tuple[ResourceKey, object], ...]

    def hold(self, graph: Graph) -> bool:
        """Whether the same would be read of another graph."""
        find = graph.resources.get
        for key, seen in self.resources:
            if find(key) is not seen:
                return False
        find_children = graph.children.get
        return all(find_children(key) is seen for key, seen in self.children)


@dataclass(slots=True, eq=False, weakref_slot=True)
class Tracked(Generic[T]):
    """A result that knows what it was computed from.

    Attributes:
        value: The result.
        reads: What was read for it.
        checked: The number of the graph for which it was last found to hold.
    """

    value: T
    reads: Reads
    checked: int

    def holds(self, graph: Graph, number: int) -> bool:
        """Whether the result is that of a graph as well.

        Args:
            graph: The graph.
            number: Tells it from all others; what holds is looked at once for each.
        """
        if self.checked != number:
            if not self.reads.hold(graph):
                return False
            self.checked = number
        return True


def track(graph: Graph, number: int, compute: Callable[[Graph], T]) -> Tracked[T]:
    """Compute something of a graph, and take note of what is read for it.

    Only lookups by key can be tracked: whoever would go through all resources fails.
    """
    resources, children = _Recorder(graph.resources), _Recorder(graph.children)
    value = compute(
        Graph(
            graph.head,
            cast("Any", resources),
            cast("Any", children),
            referrers=cast("Any", None),
            counts=cast("Any", None),
        )
    )
    reads = Reads(tuple(resources.seen.items()), tuple(children.seen.items()))
    return Tracked(value, reads, number)


class Last(Generic[T]):
    """The last of several results, for as long as it would be made of the same again."""

    __slots__ = ("_made_of", "_result")

    def __init__(self) -> None:
        self._made_of: tuple[Any, ...] | None = None
        self._result: T

    def get(self, made_of: tuple[Any, ...], make: Callable[[], T]) -> T:
        """The last result, if it was made of equal things, or a new one.

        Args:
            made_of: What the result depends on.
            make: Makes it.
        """
        if self._made_of != made_of:
            self._result = make()
            self._made_of = made_of
        return self._result


class _Recorder:
    """The lookups of a map, each written down with what it found."""

    def __init__(self, of: Map[ResourceKey, Any]) -> None:
        self._of = of
        self.seen: dict[ResourceKey, object] = {}

    def get(self, key: ResourceKey, default: object = None) -> Any:
        found = self.seen[key] = self._of.get(key)
        return default if found is None else found

    def __getitem__(self, key: ResourceKey) -> Any:
        found = self.get(key)
        if found is None:
            raise KeyError(key)
        return found

    def __contains__(self, key: ResourceKey) -> bool:
        return self.get(key) is not None
