"""The interface of every store: meshes with revisions, changed by conditional commits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from meshwright.model.resources import Kind, MeshKey, Resource, ResourceKey

CHANGES_KEPT: Final = 1_000
"""How many revisions of a mesh stay readable one by one; who is further behind loads it whole."""

ANSWERS_KEPT_SECONDS: Final = 24 * 3600
"""For how long an answer stays bound to its client token, at least."""


class StoreError(Exception):
    """A store can't be opened or used; the message says which and what to do."""


class StoreLimitError(StoreError):
    """What is to be stored is too large for this engine; the message names the bound."""


class RevisionConflictError(Exception):
    """What the commit was decided on has changed: read the mesh again and decide anew."""


class SignatureSpentError(Exception):
    """A signed write was carried out before: on this control plane or on another one."""


def newer_schema(url: str, version: int, known: int) -> StoreError:
    """The error about a store that a newer version has written to.

    Args:
        url: The store.
        version: Its schema.
        known: The newest schema that this version knows.
    """
    return StoreError(
        f"store {url!r} has schema {version}, and this version of meshwright knows up to {known}: "
        "run the newer version that wrote it"
    )


@dataclass(frozen=True, slots=True)
class MeshHead:
    """How far a mesh has come.

    Attributes:
        mesh: The mesh.
        revision: Rises by one with each commit to the mesh; goes on after a mesh was deleted
            and made anew.
        committed_at: When that commit was made, in seconds since the epoch.
    """

    mesh: MeshKey
    revision: int
    committed_at: float


@dataclass(frozen=True, slots=True)
class MeshState:
    """A whole mesh at one revision."""

    head: MeshHead
    resources: tuple[Resource, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One resource's new state: the resource, or None where it was deleted."""

    key: ResourceKey
    resource: Resource | None


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer kept so that a repeated request with the same client token gets it again.

    Attributes:
        token: The client's token, with the account and operation that it belongs to.
        request_digest: A digest of the request's parameters.
        body: The answer as JSON text.
    """

    token: str
    request_digest: str
    body: str


@dataclass(frozen=True, slots=True)
class SpentSignature:
    """The signature of a write, kept so that the write is carried out once.

    Attributes:
        signature: The key's id and the signature.
        spent_at: When it is carried out, in seconds since the epoch.
        expires_at: Until when it would be good; it is kept at least as long.
    """

    signature: str
    spent_at: float
    expires_at: float


class Store(Protocol):
    """A store of meshes. Every method is safe to call from any thread.

    A commit is all or nothing, and durable once it returned: it survives `kill -9`. Whoever
    reads after that sees it, on any store opened on the same URL. Every method raises a
    StoreError where the engine fails, of which a full disk is an example.
    """

    @property
    def url(self) -> str:
        """Where the store is, as `meshwright serve --store` takes it."""
        ...

    def heads(self) -> Sequence[MeshHead]:
        """The heads of all meshes there are or ever were, cheap enough to be polled."""
        ...

    def head(self, mesh: MeshKey) -> MeshHead:
        """The head of one mesh; revision 0 for one that never was."""
        ...

    def load(self, mesh: MeshKey) -> MeshState:
        """A mesh with all its resources, consistent at one revision."""
        ...

    def changes(self, mesh: MeshKey, *, after: int) -> tuple[MeshHead, Sequence[Change]] | None:
        """What was committed after a revision, in order, and the head that it leads to.

        Returns:
            None where the store no longer keeps changes as old as that: load the mesh instead.
        """
        ...

    def find(self, key: ResourceKey) -> Resource | None:
        """One resource, or None where there is none."""
        ...

    def list(
        self, mesh: MeshKey | None, kind: Kind, *, parent: str = "", after: str = "", limit: int
    ) -> Sequence[Resource]:
        """Up to `limit` resources of a kind, by name (meshes: by name and owner).

        Args:
            mesh: The mesh they are in; None lists meshes.
            kind: Their kind.
            parent: The name of the virtual router or virtual gateway that they live in.
            after: Only those after this sort key: a name, for meshes `NAME/OWNER`.
            limit: At most so many.
        """
        ...

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
        """Carry out changes to one mesh, all or none.

        Args:
            mesh: The mesh.
            expected_revision: The revision that the changes were decided on.
            changes: At least one; of several to one resource the last one counts.
            committed_at: Seconds since the epoch.
            answer: An answer to keep, if and only if the changes are carried out.
            spent: The signature of who asked for them, spent if and only if they are.

        Raises:
            RevisionConflictError: The mesh is not at `expected_revision`, or the answer's token
                was answered meanwhile.
            SignatureSpentError: The signature was spent before.
            ValueError: There are no changes.
        """
        ...

    def find_answer(self, token: str) -> StoredAnswer | None:
        """The answer that was kept for a client token within the last day, or None."""
        ...

    def keep_answer(self, answer: StoredAnswer, spent: SpentSignature | None = None) -> None:
        """Keep the answer to a request that comes to no commit.

        Args:
            answer: The answer.
            spent: The signature of who made the request, spent if and only if it is kept.

        Raises:
            RevisionConflictError: The answer's token was answered meanwhile.
            SignatureSpentError: The signature was spent before.
        """
        ...

    def spend(self, spent: SpentSignature) -> None:
        """Spend a signature on something else than a commit.

        Raises:
            SignatureSpentError: It was spent before.
        """
        ...

    def unspend(self, spent: SpentSignature) -> None:
        """Let a signature be used again, if it was spent."""
        ...

    def secret(self) -> bytes:
        """32 random bytes that all users of this store share, made at its first use."""
        ...

    def entries(self, collection: str) -> Mapping[str, str]:
        """Small texts by name, shared by all users of this store and of no mesh.

        Args:
            collection: Which ones; a word.
        """
        ...

    def entries_stamp(self) -> str | None:
        """What is another one once an entry was put or removed, by whatever user of this store.

        It is as of the last `heads()`, and made of that: no request is made. It may miss an entry
        whose writer was killed before it could answer.

        Returns:
            None where that is not known, and looking at the entries costs nothing.
        """
        ...

    def put_entry(self, collection: str, name: str, content: str) -> None:
        """Keep a text under a name, in the place of the last one."""
        ...

    def remove_entry(self, collection: str, name: str) -> None:
        """Forget a text, if there is one of that name."""
        ...

    def write_entries(self, collection: str, contents: Mapping[str, str | None]) -> None:
        """Keep texts under their names, and forget those that are None.

        It is for what is soon written again: whoever reads meanwhile may see some of it and not
        the rest, a power cut may take it back, and `entries_stamp` does not tell of it.
        """
        ...

    def now(self) -> float:
        """The time by a clock that all users of this store share, in seconds since the epoch.

        It is right to a second, and as recent as the store's last answer; no request is made.
        """
        ...

    def restore(self, state: MeshState, *, expected_revision: int) -> None:
        """Put a whole mesh here as it was elsewhere, at its own revision.

        Its earlier changes are not known here. Where this ends early, what is there of the mesh
        is not served, and the same call again takes its place.

        Args:
            state: The mesh; its revision must be higher than `expected_revision`.
            expected_revision: The revision that the mesh has here: 0, or that of its deletion.

        Raises:
            RevisionConflictError: The mesh is not at `expected_revision`, or has resources.
            ValueError: The mesh's revision is not higher.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


def require_changes(changes: Sequence[Change]) -> None:
    """Check that a commit has changes, as `Store.changes` finds a revision by its changes.

    Raises:
        ValueError: There are none.
    """
    if not changes:
        raise ValueError("a commit needs changes")


def require_restorable(state: MeshState, expected_revision: int) -> None:
    """Check that a mesh's revision goes up where it is restored.

    Raises:
        ValueError: It does not.
    """
    if state.head.revision <= expected_revision:
        raise ValueError(
            f"mesh {state.head.mesh.name!r}: revision {state.head.revision} can't follow "
            f"{expected_revision}"
        )
