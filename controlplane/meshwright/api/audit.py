"""The audit log: who changed what, when and from where, as it was before and after."""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from meshwright.graph import Graph
from meshwright.model.documents import render_document
from meshwright.model.resources import MeshKey, Resource
from meshwright.store import Change, RevisionConflictError, SignatureSpentError, SpentSignature

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
        signature: What the request is signed with, which is good for one write.
    """

    account_id: str
    access_key_id: str | None = None
    address: str | None = None
    forwarded_for: str | None = None
    user_agent: str | None = None
    request_id: str | None = None
    signature: SpentSignature | None = None

    @property
    def facts(self) -> dict[str, str]:
        """What the audit log tells of them."""
        told = {
            "account_id": self.account_id,
            "access_key_id": self.access_key_id,
            "address": self.address,
            "forwarded_for": self.forwarded_for,
            "user_agent": self.user_agent,
            "request_id": self.request_id,
        }
        return {name: value for name, value in told.items() if value is not None}

    @property
    def is_known(self) -> bool:
        """Whether a key tells who it is; without keys, everybody may do everything."""
        return self.access_key_id is not None


class AuditLog:
    """Lines of JSON, one for each resource or token that changes, written before it does.

    So no change is without its line, whenever the process ends. What was written and then did not
    come about, since another control plane was faster, is taken back by a line of its own.
    The file is opened anew after it was moved away. Safe to use from any thread.

    Args:
        path: The file, or `-` for standard output.

    Raises:
        AuditError: It can't be opened.
    """

    def __init__(self, path: str) -> None:
        self._path = None if path == STANDARD_OUTPUT else Path(path)
        self._file = 1 if self._path is None else _open(self._path)
        self._lock = threading.Lock()

    def recording(
        self, author: Author, operation: str, base: Graph, changes: Sequence[Change], at: float
    ) -> AbstractContextManager[None]:
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
        revision = {"revision": base.head.revision + 1}
        what = [
            render_mesh(base.head.mesh) | revision | _render_change(base, each) for each in changes
        ]
        return self.recording_as(author, operation, what, at)

    @contextmanager
    def recording_as(
        self, author: Author, operation: str, what: Sequence[Mapping[str, Any]], at: float
    ) -> Generator[None]:
        """Write down what is about to be done beside resources, and take it back if that fails.

        Args:
            author: Who asked for it.
            operation: By what operation.
            what: What is done; a line for each, which tells `before` and `after`.
            at: When, in seconds since the epoch.

        Raises:
            AuditError: Nothing was written, so nothing may be done.
        """
        head = {"at": _render_time(at), "change": str(uuid.uuid4())}
        event = {"event": "change", "operation": operation}
        self._append({**head, **event, **author.facts, **each} for each in what)
        try:
            yield
        except (RevisionConflictError, SignatureSpentError):
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
        with self._lock:
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


def render_mesh(mesh: MeshKey) -> dict[str, Any]:
    """The mesh that a line is about."""
    return {"mesh": mesh.name, "mesh_owner": mesh.owner}


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
