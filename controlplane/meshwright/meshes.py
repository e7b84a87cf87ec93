"""The meshes as they are now: the owner of the current graphs, in step with the store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from meshwright.graph import Graph
from meshwright.model.resources import MeshKey, ResourceKey
from meshwright.store import Change, SpentSignature, Store, StoredAnswer


@dataclass(frozen=True, slots=True)
class Transition:
    """A mesh's step from one graph to a later one.

    Attributes:
        before: The graph that was current.
        after: The graph that is.
        changed: The keys of the resources that differ.
    """

    before: Graph
    after: Graph
    changed: frozenset[ResourceKey]

    @property
    def proxies(self) -> frozenset[ResourceKey]:
        """The proxies whose configuration may have changed by it, gone ones included."""
        return self.before.proxies_seeing(self.changed) | self.after.proxies_seeing(self.changed)


class Meshes:
    """The current graph of every mesh, kept in step with the store.

    Safe to use from any thread; writers take turns, so that within one process no commit meets
    a conflict. Another process's commit is noticed by `catch_up`.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.writing = threading.RLock()
        self._graphs: dict[MeshKey, Graph] = {}
        self._watchers: list[Callable[[Transition], None]] = []

    def watch(self, watcher: Callable[[Transition], None]) -> None:
        """Have a function called after each transition, in order, from the writer's thread."""
        self._watchers.append(watcher)

    def graph(self, mesh: MeshKey) -> Graph:
        """The mesh as last seen; empty for one that is not there."""
        return self._graphs.get(mesh, Graph.empty(mesh))

    def find_owner(self, key: ResourceKey) -> str | None:
        """The account that owns a resource; None where there is none, as far as was seen."""
        resource = self.graph(key.mesh).resources.get(key)
        return resource.resource_owner if resource is not None else None

    def count(self, owner: str) -> int:
        """How many meshes an account has, as far as they were seen."""
        graphs = list(self._graphs.values())
        return sum(graph.head.mesh.owner == owner and graph.mesh is not None for graph in graphs)

    def catch_up(self, mesh: MeshKey) -> Graph:
        """Take over what was committed since, by whomever, and return the current graph.

        Where nothing was, nobody is waited for who writes, nor made to wait.
        """
        graph = self.graph(mesh)
        if self.store.head(mesh).revision == graph.head.revision:
            return graph
        with self.writing:
            before = self.graph(mesh)
            head = self.store.head(mesh)
            if head.revision == before.head.revision:
                return before
            since = self.store.changes(mesh, after=before.head.revision) if before.mesh else None
            if since is None:
                after = Graph.from_state(self.store.load(mesh))
                changed = frozenset(before.resources) | frozenset(after.resources)
            else:
                head, changes = since
                after = before.with_changes(head, changes)
                changed = frozenset(change.key for change in changes)
            self._move(Transition(before, after, changed))
            return after

    def catch_up_all(self) -> None:
        """Take over everything that was committed since, in any mesh."""
        for head in self.store.heads():
            if head.revision != self.graph(head.mesh).head.revision:
                self.catch_up(head.mesh)

    def commit(
        self,
        base: Graph,
        changes: Sequence[Change],
        *,
        committed_at: float,
        answer: StoredAnswer | None = None,
        spent: SpentSignature | None = None,
    ) -> Graph:
        """Commit changes that were decided on the ground of a graph, and return the next graph.

        Raises:
            RevisionConflictError: The mesh is no longer what the decision was made on.
            SignatureSpentError: The signature of who asked for them was spent before.
        """
        with self.writing:
            head = self.store.commit(
                base.head.mesh,
                expected_revision=base.head.revision,
                changes=changes,
                committed_at=committed_at,
                answer=answer,
                spent=spent,
            )
            after = base.with_changes(head, changes)
            self._move(Transition(base, after, frozenset(change.key for change in changes)))
            return after

    def _move(self, transition: Transition) -> None:
        self._graphs[transition.after.head.mesh] = transition.after
        for watcher in self._watchers:
            watcher(transition)
