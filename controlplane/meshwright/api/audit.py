"""The audit log: who changed what, when and from where, as it was before and after."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from meshwright.graph import Graph
from meshwright.model.documents import render_document
from meshwright.model.resources import Resource
from meshwright.store import Change, RevisionConflictError

STANDARD_OUTPUT: Final = "-"
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


class AuditError(Exception):
    """The audit log can't be written; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who asks for a write, and from where.

    Attributes:
        account_id: The account that they act for.
        access_key_id: The key that signed the request; None where no keys are configured.
        address: The IP address that the request came from.
        forwarded_for: For whom a load balancer says it passed it on; anybody can claim that.
        user_agent: What the client calls itself.
        request_id: The request's id, as in the log and the answer.
    """

    account_id: str
    access_key_id: str | None = None
    address: str | None = None
    forwarded_for: str | None = None
    user_agent: str | None = None
    request_id: str | None = None

    @property
    def is_known(self) -> bool:
        """Whether a key tells who it is; without keys, everybody may do everything."""
        return self.access_key_id is not None


class AuditLog:
    """Lines of JSON, one for each resource that changes, written before the change is made.

    So no change is without its line, whenever the process ends. What was written and then did not
    come about, since another control plane was faster, is taken back by a line of its own.
    Writers take turns; the file is opened anew after it was moved away.

    Args:
        path: The file, or `-` for standard output.

    Raises:
        AuditError: It can't be opened.
    """

    def __init__(self, path: str) -> None:
        self._path = None if path == STANDARD_OUTPUT else Path(path)
        self._file = 1 if self._path is None else _open(self._path)

    @contextmanager
    def recording(
        self, author: Author, operation: str, base: Graph, changes: Sequence[Change], at: float
    ) -> Generator[None]:
        """Write down changes that are about to be made, and take them back if that fails.

        Args:
            author: Who asked for them.
            operation: By what operation.
            base: The mesh as it is.
            changes: What becomes of its resources.
            at: When, in seconds since the epoch.

        Raises:
            AuditError: Nothing was written, so nothing may be changed.
        """
        change_id = str(uuid.uuid4())
        head = {"at": _render_time(at), "change": change_id}
        told = {name: value for name, value in asdict(author).items() if value is not None}
        self._append(
            head
            | {"event": "change", "operation": operation}
            | told
            | {"mesh": base.head.mesh.name, "mesh_owner": base.head.mesh.owner}
            | {"revision": base.head.revision + 1}
            | _render_change(base, change)
            for change in changes
        )
        try:
            yield
        except RevisionConflictError:
            self._append([head | {"event": "withdrawn"}])
            raise
        except Exception as error:
            # A store that fails may have made the change all the same: its revision tells.
            self._append([head | {"event": "failed", "reason": str(error)}])
            raise

    def close(self) -> None:
        """Let go of the file."""
        if self._path is not None:
            os.close(self._file)

    def _append(self, lines: Iterable[Mapping[str, Any]]) -> None:
        data = "".join(json.dumps(line) + "\n" for line in lines).encode()
        if self._path is not None and not _is_open_at(self._file, self._path):
            fresh = _open(self._path)
            os.close(self._file)
            self._file = fresh
        _write_whole(self._file, data)


def _open(path: Path) -> int:
    try:
        return os.open(path, _FLAGS, mode=0o600)
    except OSError as error:
        raise AuditError(
            f"the audit log {path} can't be opened: {error.strerror}; name a file that this "
            "process may write, in a folder that exists"
        ) from None


def _is_open_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except OSError:
        return False


def _write_whole(file: int, data: bytes) -> None:
    written = 0
    try:
        while written < len(data):
            written += os.write(file, data[written:])
    except OSError as error:
        # Half a line would spoil the next one; a pipe has no end to cut off.
        with suppress(OSError):
            os.ftruncate(file, os.fstat(file).st_size - written)
        raise AuditError(f"the audit log can't be written: {error.strerror}") from None


def _render_change(base: Graph, change: Change) -> dict[str, Any]:
    before, after = base.resources.get(change.key), change.resource
    either = after or before
    return {
        "resource": change.key.path,
        "arn": either and either.arn,
        "before": _render_side(before),
        "after": _render_side(after),
    }


def _render_side(resource: Resource | None) -> dict[str, Any] | None:
    if resource is None:
        return None
    document = render_document(resource, account_id=resource.key.mesh.owner)
    shared = {"sharedWith": list(resource.shared_with)} if resource.shared_with else {}
    return document | shared


def _render_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
