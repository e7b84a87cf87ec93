"""How every write goes: decided on the mesh as it is, and anew where another was faster."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from meshwright.api.audit import AuditLog, Author
from meshwright.api.errors import ApiError
from meshwright.graph.graph import Graph
from meshwright.graph.quotas import Quotas
from meshwright.meshes import Meshes
from meshwright.model.resources import MeshKey
from meshwright.store import Change, RevisionConflictError, StoredAnswer

_ATTEMPTS: Final = 20
"""How often a write is decided anew after another control plane was faster."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Decision(Generic[T]):
    """What a write comes to on the mesh as it is.

    Attributes:
        result: What its author is told of it.
        changes: What becomes of the mesh's resources; none where all is so already.
        answer: The answer to be kept for the request's client token.
    """

    result: T
    changes: Sequence[Change] = ()
    answer: StoredAnswer | None = None


@dataclass(frozen=True, slots=True)
class Written(Generic[T]):
    """A decision that was carried out.

    Attributes:
        result: The decision's.
        revision: The mesh's revision with it.
    """

    result: T
    revision: int


class Writer:
    """Carries out the writes of all callers, and knows what they share.

    Args:
        meshes: The meshes that are read and written.
        region: The region that stands in ARNs.
        find_quotas: Tells how much there may be, as it is now.
        clock: Seconds since the epoch.
        audit: Where changes are written down, if anywhere.
    """

    def __init__(
        self,
        meshes: Meshes,
        *,
        region: str,
        find_quotas: Callable[[], Quotas] = Quotas,
        clock: Callable[[], float] = time.time,
        audit: AuditLog | None = None,
    ) -> None:
        self.meshes = meshes
        self.region = region
        self._find_quotas = find_quotas
        self._clock = clock
        self._audit = audit

    @property
    def quotas(self) -> Quotas:
        """How much there may be."""
        return self._find_quotas()

    def write(
        self,
        author: Author,
        operation: str,
        mesh: MeshKey,
        decide: Callable[[Graph, float], Decision[T]],
    ) -> Written[T]:
        """Decide on a mesh as it is at this moment, and carry the decision out.

        Args:
            author: Who asks for it.
            operation: By what operation.
            mesh: The mesh.
            decide: Makes the decision from the mesh and the time, without a change to anything;
                it may be asked again.

        Raises:
            ApiError: ServiceUnavailableException, where others write faster than this can.
            AuditError: The change can't be written down, so it was not made.
            SignatureSpentError: The request was carried out before, here or elsewhere.
        """
        for _ in range(_ATTEMPTS):
            with self.meshes.writing:
                graph = self.meshes.catch_up(mesh)
                now = self._clock()
                decision = decide(graph, now)
                if not decision.changes:
                    try:
                        self._settle(author, decision)
                    except RevisionConflictError:
                        continue
                    return Written(decision.result, graph.head.revision)
                recording = (
                    self._audit.recording(author, operation, graph, decision.changes, now)
                    if self._audit
                    else nullcontext()
                )
                try:
                    with recording:
                        after = self.meshes.commit(
                            graph,
                            decision.changes,
                            committed_at=now,
                            answer=decision.answer,
                            spent=author.signature,
                        )
                except RevisionConflictError:
                    continue
                return Written(decision.result, after.head.revision)
        raise ApiError(
            "ServiceUnavailableException",
            f"mesh {mesh.name!r} is being changed by too many others at once; try again",
        )

    def _settle(self, author: Author, decision: Decision[Any]) -> None:
        """Keep what is left of a decision that changes nothing."""
        if decision.answer is not None:
            self.meshes.store.keep_answer(decision.answer, author.signature)
        else:
            self.spend(author)

    def spend(self, author: Author) -> None:
        """Spend the signature of a request that comes to no commit.

        Raises:
            SignatureSpentError: The request was carried out before, here or elsewhere.
        """
        if author.signature is not None:
            self.meshes.store.spend(author.signature)

    @contextmanager
    def once(self, author: Author, operation: str, what: Mapping[str, Any]) -> Generator[None]:
        """Do in this context what a request asks for beside meshes: once, and written down.

        Args:
            author: Who asks for it.
            operation: By what operation.
            what: What the audit log tells of it, with `before` and `after`.

        Raises:
            AuditError: It can't be written down.
            SignatureSpentError: The request was carried out before, here or elsewhere.
        """
        self.spend(author)
        try:
            with (
                self._audit.recording_as(author, operation, [what], self._clock())
                if self._audit
                else nullcontext()
            ):
                yield
        except BaseException:
            if author.signature is not None:
                self.meshes.store.unspend(author.signature)
            raise
