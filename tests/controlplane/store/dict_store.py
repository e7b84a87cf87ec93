"""The store as plainly as it can be said: dicts, without files, threads or bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from meshwright.model.resources import Kind, MeshKey, Resource, ResourceKey
from meshwright.store import (
    Change,
    MeshHead,
    MeshState,
    RevisionConflictError,
    SignatureSpentError,
    SpentSignature,
    StoredAnswer,
)


@dataclass
class DictStore:
    """A model of a store, for others to be compared with."""

    all_heads: dict[MeshKey, MeshHead] = field(default_factory=dict[MeshKey, MeshHead])
    resources: dict[ResourceKey, Resource] = field(default_factory=dict[ResourceKey, Resource])
    log: dict[MeshKey, dict[int, Sequence[Change]]] = field(
        default_factory=dict[MeshKey, dict[int, Sequence[Change]]]
    )
    answers: dict[str, StoredAnswer] = field(default_factory=dict[str, StoredAnswer])
    spent: set[str] = field(default_factory=set[str])
    texts: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])

    def heads(self) -> Sequence[MeshHead]:
        """Every mesh that there ever was."""
        return list(self.all_heads.values())

    def head(self, mesh: MeshKey) -> MeshHead:
        """One mesh."""
        return self.all_heads.get(mesh, MeshHead(mesh, 0, 0.0))

    def load(self, mesh: MeshKey) -> MeshState:
        """A mesh's resources, by their keys."""
        resources = [self.resources[key] for key in sorted(self.resources) if key.mesh == mesh]
        return MeshState(self.head(mesh), tuple(resources))

    def changes(self, mesh: MeshKey, *, after: int) -> tuple[MeshHead, Sequence[Change]] | None:
        """All of the log's entries after a revision."""
        head = self.head(mesh)
        revisions = range(after + 1, head.revision + 1)
        log = self.log.get(mesh, {})
        if after > head.revision or any(revision not in log for revision in revisions):
            return None
        return head, [change for revision in revisions for change in log[revision]]

    def find(self, key: ResourceKey) -> Resource | None:
        """One resource."""
        return self.resources.get(key)

    def list(
        self, mesh: MeshKey | None, kind: Kind, *, parent: str = "", after: str = "", limit: int
    ) -> Sequence[Resource]:
        """The resources that fit, sorted."""

        def sort_key(key: ResourceKey) -> tuple[str, str]:
            return (key.name, key.mesh.owner if mesh is None else "")

        name, _, owner = after.partition("/") if mesh is None else (after, "", "")
        found = [
            key
            for key in self.resources
            if key.kind is kind
            and (mesh is None or (key.mesh, key.parent) == (mesh, parent))
            and sort_key(key) > (name, owner)
        ]
        return [self.resources[key] for key in sorted(found, key=sort_key)[:limit]]

    def commit(
        self,
        mesh: MeshKey,
        *,
        expected_revision: int,
        changes: Sequence[Change],
        committed_at: float,
        answer: StoredAnswer | None = None,
        spent: SpentSignature | None = None,
    ) -> MeshHead:
        """Carry out changes."""
        if spent is not None and spent.signature in self.spent:
            raise SignatureSpentError
        if self.head(mesh).revision != expected_revision:
            raise RevisionConflictError
        if answer is not None:
            if answer.token in self.answers:
                raise RevisionConflictError
            self.answers[answer.token] = answer
        if spent is not None:
            self.spent.add(spent.signature)
        head = self.all_heads[mesh] = MeshHead(mesh, expected_revision + 1, committed_at)
        self.log.setdefault(mesh, {})[head.revision] = list(changes)
        for change in changes:
            self.resources.pop(change.key, None)
            if change.resource is not None:
                self.resources[change.key] = change.resource
        return head

    def find_answer(self, token: str) -> StoredAnswer | None:
        """One answer."""
        return self.answers.get(token)

    def keep_answer(self, answer: StoredAnswer, spent: SpentSignature | None = None) -> None:
        """Keep an answer alone."""
        if spent is not None and spent.signature in self.spent:
            raise SignatureSpentError
        if answer.token in self.answers:
            raise RevisionConflictError
        self.answers[answer.token] = answer
        if spent is not None:
            self.spent.add(spent.signature)

    def spend(self, spent: SpentSignature) -> None:
        """Spend a signature."""
        if spent.signature in self.spent:
            raise SignatureSpentError
        self.spent.add(spent.signature)

    def unspend(self, spent: SpentSignature) -> None:
        """Let it be used again."""
        self.spent.discard(spent.signature)

    def entries(self, collection: str) -> Mapping[str, str]:
        """The texts of a collection."""
        return {name: text for (where, name), text in self.texts.items() if where == collection}

    def write_entries(self, collection: str, contents: Mapping[str, str | None]) -> None:
        """Keep texts, and forget others."""
        for name, text in contents.items():
            self.texts.pop((collection, name), None)
            if text is not None:
                self.texts[collection, name] = text

    def restore(self, state: MeshState, *, expected_revision: int) -> None:
        """Put a whole mesh in the place of nothing."""
        mesh = state.head.mesh
        if self.head(mesh).revision != expected_revision or self.load(mesh).resources:
            raise RevisionConflictError
        self.all_heads[mesh] = state.head
        self.resources |= {resource.key: resource for resource in state.resources}
