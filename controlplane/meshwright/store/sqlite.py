"""The SQLite store: one file in WAL mode, one connection, one lock."""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from meshwright.model.resources import Kind, MeshKey, Resource, ResourceKey
from meshwright.store.interface import (
    ANSWERS_KEPT_SECONDS,
    CHANGES_KEPT,
    Change,
    MeshHead,
    MeshState,
    RevisionConflictError,
    SignatureSpentError,
    SpentSignature,
    StoredAnswer,
    StoreError,
    newer_schema,
    require_changes,
    require_restorable,
)
from meshwright.store.records import parse_record, render_record

_MIGRATIONS: Final[Sequence[str]] = (
    """
    CREATE TABLE meshes (
        owner TEXT, name TEXT, revision INTEGER NOT NULL, committed_at REAL NOT NULL,
        PRIMARY KEY (owner, name)
    ) WITHOUT ROWID;
    CREATE TABLE resources (
        owner TEXT, mesh TEXT, kind TEXT, parent TEXT, name TEXT, record TEXT NOT NULL,
        PRIMARY KEY (owner, mesh, kind, parent, name)
    ) WITHOUT ROWID;
    CREATE INDEX mesh_names ON resources (name, owner) WHERE kind = 'mesh';
    CREATE TABLE changes (
        owner TEXT, mesh TEXT, revision INTEGER, position INTEGER,
        kind TEXT NOT NULL, parent TEXT NOT NULL, name TEXT NOT NULL, record TEXT,
        PRIMARY KEY (owner, mesh, revision, position)
    ) WITHOUT ROWID;
    CREATE TABLE answers (
        token TEXT PRIMARY KEY, request_digest TEXT NOT NULL, body TEXT NOT NULL,
        kept_since REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX answers_by_age ON answers (kept_since);
    CREATE TABLE secrets (id INTEGER PRIMARY KEY CHECK (id = 1), value BLOB NOT NULL);
    """,
    """
    CREATE TABLE entries (
        collection TEXT, name TEXT, content TEXT NOT NULL, PRIMARY KEY (collection, name)
    ) WITHOUT ROWID;
    """,
    # With it, records of meshes hold whom they are shared with.
    """
    CREATE TABLE spent_signatures (
        signature TEXT PRIMARY KEY, expires_at REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX spent_signatures_by_expiry ON spent_signatures (expires_at);
    """,
)
"""Each entry takes the schema one version further; entries are only ever added."""

_BUSY_SECONDS: Final = 10.0
"""How long a write waits for another process's write to the same file."""

_BUSY_PAUSE_SECONDS: Final = 0.01
"""How long to pause between attempts where SQLite does not wait itself."""

_UNQUOTED: Final = "".join(
    character for character in map(chr, range(0x20, 0x7F)) if character not in "%?#"
)
"""What stands for itself in a store's URL; the three left out have a meaning of their own."""


_UNWRITABLE: Final = (
    "name a file that this process may write, in a folder where it may make others beside it"
)
_REMEDIES: Final = {
    sqlite3.SQLITE_READONLY: _UNWRITABLE,
    sqlite3.SQLITE_CANTOPEN: _UNWRITABLE,
    sqlite3.SQLITE_PERM: _UNWRITABLE,
    sqlite3.SQLITE_CORRUPT: "start on a copy of it (meshwright store copy) or on a backup",
}
"""What to do about SQLite's errors, by their codes."""


class SqliteStore:
    """A store in one SQLite file.

    Args:
        path: The file.
        create: Make it and its folder where they do not exist.
        clock: Seconds since the epoch.

    Raises:
        StoreError: The file can't be opened, is no SQLite file, or was written by a newer version.
    """

    def __init__(
        self, path: str, *, create: bool = True, clock: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.RLock()
        if not create and not Path(path).exists():
            raise StoreError(f"store {self.url!r} does not exist")
        try:
            _make_file(Path(path))
            self._db = sqlite3.connect(
                path, isolation_level=None, check_same_thread=False, timeout=_BUSY_SECONDS
            )
        except OSError as error:
            raise StoreError(
                f"store {self.url!r} can't be opened: {error.strerror}; {_UNWRITABLE}"
            ) from error
        except sqlite3.Error as error:
            raise StoreError(
                f"store {self.url!r} can't be opened: {_render_error(error)}"
            ) from error
        try:
            with self._named_errors():
                # FULL: an acknowledged commit survives a power cut too, not only kill -9
                # (https://www.sqlite.org/pragma.html#pragma_synchronous).
                self._db.execute("PRAGMA synchronous = FULL")
                self._migrate()
                self._switch_to_wal()
        except BaseException:
            self._db.close()
            raise

    @property
    def url(self) -> str:
        """Where the store is, as `meshwright serve --store` takes it."""
        return f"sqlite:///{quote(self._path, safe=_UNQUOTED)}"

    def _migrate(self) -> None:
        with self._writing():
            version = self._require_known_schema()
            tables = {row[0] for row in self._rows("SELECT name FROM sqlite_master")}
            if ("meshes" not in tables) if version else tables:
                raise StoreError(
                    f"store {self.url!r} is another program's database: name another file"
                )
            for migration in _MIGRATIONS[version:]:
                for statement in migration.split(";"):
                    self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")

    def _require_known_schema(self) -> int:
        """The schema as it is now, which another process of a newer version may have changed.

        Raises:
            StoreError: It is newer than those that are known.
        """
        version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if version > len(_MIGRATIONS):
            raise newer_schema(self.url, version, len(_MIGRATIONS))
        return version

    def _switch_to_wal(self) -> None:
        """Use a write-ahead log, also where several processes open a new file at once.

        The switch needs the file for itself, and SQLite does not wait for that as it does for a
        write: it says at once that the file is busy.
        """
        deadline = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(_BUSY_PAUSE_SECONDS)
            else:
                return

    @contextmanager
    def _named_errors(self) -> Generator[None]:
        """SQLite's errors (a full disk, a locked file) as StoreErrors that name the store."""
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"store {self.url!r} can't be used: {_render_error(error)}") from error

    @contextmanager
    def _transaction(self, begin: str) -> Generator[None]:
        with self._lock, self._named_errors():
            self._db.execute(begin)
            try:
                self._require_known_schema()
                yield
                self._db.execute("COMMIT")
            except BaseException:
                # Some errors, such as a full disk, have ended the transaction already.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _writing(self) -> AbstractContextManager[None]:
        """A write transaction: committed at the end, rolled back by any exception."""
        return self._transaction("BEGIN IMMEDIATE")

    def _reading(self) -> AbstractContextManager[None]:
        """A read transaction: all its reads see one moment."""
        return self._transaction("BEGIN")

    def _rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._lock, self._named_errors():
            return self._db.execute(statement, parameters).fetchall()

    def heads(self) -> Sequence[MeshHead]:
        """The heads of all meshes there are or ever were."""
        with self._reading():
            rows = self._rows("SELECT owner, name, revision, committed_at FROM meshes")
        return [MeshHead(MeshKey(owner, name), revision, at) for owner, name, revision, at in rows]

    def head(self, mesh: MeshKey) -> MeshHead:
        """The head of one mesh; revision 0 for one that never was."""
        rows = self._rows(
            "SELECT revision, committed_at FROM meshes WHERE owner = ? AND name = ?", mesh
        )
        return MeshHead(mesh, *rows[0]) if rows else MeshHead(mesh, 0, 0.0)

    def load(self, mesh: MeshKey) -> MeshState:
        """A mesh with all its resources, consistent at one revision."""
        with self._reading():
            head = self.head(mesh)
            rows = self._rows(
                "SELECT kind, parent, name, record FROM resources WHERE owner = ? AND mesh = ?",
                mesh,
            )
        return MeshState(
            head,
            tuple(
                parse_record(ResourceKey(mesh, Kind(kind), name, parent), record)
                for kind, parent, name, record in rows
            ),
        )

    def changes(self, mesh: MeshKey, *, after: int) -> tuple[MeshHead, Sequence[Change]] | None:
        """What was committed after a revision, or None where that is no longer kept."""
        with self._reading():
            head = self.head(mesh)
            rows = self._rows(
                "SELECT revision, kind, parent, name, record FROM changes"
                " WHERE owner = ? AND mesh = ? AND revision > ? ORDER BY revision, position",
                (*mesh, after),
            )
        if after > head.revision or len({row[0] for row in rows}) < head.revision - after:
            return None
        changes: list[Change] = []
        for _, kind, parent, name, record in rows:
            key = ResourceKey(mesh, Kind(kind), name, parent)
            changes.append(Change(key, None if record is None else parse_record(key, record)))
        return head, changes

    def find(self, key: ResourceKey) -> Resource | None:
        """One resource, or None where there is none."""
        rows = self._rows(
            "SELECT record FROM resources"
            " WHERE owner = ? AND mesh = ? AND kind = ? AND parent = ? AND name = ?",
            (*key.mesh, key.kind.value, key.parent, key.name),
        )
        return parse_record(key, rows[0][0]) if rows else None

    def list(
        self, mesh: MeshKey | None, kind: Kind, *, parent: str = "", after: str = "", limit: int
    ) -> Sequence[Resource]:
        """Up to `limit` resources of a kind after a sort key, by name."""
        if mesh is None:
            name, _, owner = after.partition("/")
            statement = (
                "SELECT owner, mesh, kind, parent, name, record FROM resources"
                " WHERE kind = 'mesh' AND (name, owner) > (?, ?) ORDER BY name, owner LIMIT ?"
            )
            parameters: tuple[Any, ...] = (name, owner, limit)
        else:
            statement = (
                "SELECT owner, mesh, kind, parent, name, record FROM resources"
                " WHERE owner = ? AND mesh = ? AND kind = ? AND parent = ? AND name > ?"
                " ORDER BY name LIMIT ?"
            )
            parameters = (*mesh, kind.value, parent, after, limit)
        rows = self._rows(statement, parameters)
        return [
            parse_record(ResourceKey(MeshKey(row[0], row[1]), Kind(row[2]), row[4], row[3]), row[5])
            for row in rows
        ]

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

        Raises:
            RevisionConflictError: The mesh is not at `expected_revision`, or the answer's token
                was answered meanwhile.
            SignatureSpentError: The signature was spent before.
        """
        require_changes(changes)
        with self._writing():
            if spent is not None:
                self._spend(spent)
            self._require_revision(mesh, expected_revision)
            head = MeshHead(mesh, expected_revision + 1, committed_at)
            self._write_head(head)
            for position, change in enumerate(changes):
                self._write_change(head, position, change)
            self._db.execute(
                "DELETE FROM changes WHERE owner = ? AND mesh = ? AND revision <= ?",
                (*mesh, head.revision - CHANGES_KEPT),
            )
            if answer is not None:
                self._keep_answer(answer)
        return head

    def _require_revision(self, mesh: MeshKey, expected: int) -> None:
        revision = self.head(mesh).revision
        if revision != expected:
            raise RevisionConflictError(
                f"mesh {mesh.name!r} is at revision {revision}, not {expected}"
            )

    def _write_head(self, head: MeshHead) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO meshes VALUES (?, ?, ?, ?)",
            (*head.mesh, head.revision, head.committed_at),
        )

    def _write_resource(self, key: ResourceKey, record: str | None) -> None:
        where = (*key.mesh, key.kind.value, key.parent, key.name)
        if record is None:
            self._db.execute(
                "DELETE FROM resources"
                " WHERE owner = ? AND mesh = ? AND kind = ? AND parent = ? AND name = ?",
                where,
            )
        else:
            self._db.execute(
                "INSERT OR REPLACE INTO resources VALUES (?, ?, ?, ?, ?, ?)", (*where, record)
            )

    def _write_change(self, head: MeshHead, position: int, change: Change) -> None:
        key = change.key
        record = None if change.resource is None else render_record(change.resource)
        self._write_resource(key, record)
        self._db.execute(
            "INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*head.mesh, head.revision, position, key.kind.value, key.parent, key.name, record),
        )

    def _keep_answer(self, answer: StoredAnswer) -> None:
        now = self._clock()
        self._db.execute("DELETE FROM answers WHERE kept_since < ?", (now - ANSWERS_KEPT_SECONDS,))
        kept = self._db.execute(
            "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?)",
            (answer.token, answer.request_digest, answer.body, now),
        )
        if not kept.rowcount:
            raise RevisionConflictError("the client token was answered meanwhile")

    def find_answer(self, token: str) -> StoredAnswer | None:
        """The answer that was kept for a client token within the last day, or None."""
        rows = self._rows(
            "SELECT request_digest, body FROM answers WHERE token = ? AND kept_since >= ?",
            (token, self._clock() - ANSWERS_KEPT_SECONDS),
        )
        return StoredAnswer(token, *rows[0]) if rows else None

    def keep_answer(self, answer: StoredAnswer, spent: SpentSignature | None = None) -> None:
        """Keep the answer to a request that comes to no commit.

        Raises:
            RevisionConflictError: The answer's token was answered meanwhile.
            SignatureSpentError: The signature was spent before.
        """
        with self._writing():
            if spent is not None:
                self._spend(spent)
            self._keep_answer(answer)

    def spend(self, spent: SpentSignature) -> None:
        """Spend a signature on something else than a commit.

        Raises:
            SignatureSpentError: It was spent before.
        """
        with self._writing():
            self._spend(spent)

    def _spend(self, spent: SpentSignature) -> None:
        self._db.execute("DELETE FROM spent_signatures WHERE expires_at < ?", (spent.spent_at,))
        inserted = self._db.execute(
            "INSERT OR IGNORE INTO spent_signatures VALUES (?, ?)",
            (spent.signature, spent.expires_at),
        )
        if not inserted.rowcount:
            raise SignatureSpentError

    def unspend(self, spent: SpentSignature) -> None:
        """Let a signature be used again, if it was spent."""
        with self._writing():
            self._db.execute("DELETE FROM spent_signatures WHERE signature = ?", (spent.signature,))

    def secret(self) -> bytes:
        """32 random bytes that all users of this store share, made at its first use."""
        with self._writing():
            self._db.execute(
                "INSERT OR IGNORE INTO secrets VALUES (1, ?)", (secrets.token_bytes(32),)
            )
            return bytes(self._rows("SELECT value FROM secrets")[0][0])

    def entries(self, collection: str) -> Mapping[str, str]:
        """The texts of a collection by their names."""
        return dict(
            self._rows("SELECT name, content FROM entries WHERE collection = ?", (collection,))
        )

    def entries_stamp(self) -> None:
        """Nothing: looking at the entries of a local file costs nothing."""

    def put_entry(self, collection: str, name: str, content: str) -> None:
        """Keep a text under a name, in the place of the last one."""
        with self._writing():
            self._db.execute(
                "INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", (collection, name, content)
            )

    def remove_entry(self, collection: str, name: str) -> None:
        """Forget a text, if there is one of that name."""
        with self._writing():
            self._db.execute(
                "DELETE FROM entries WHERE collection = ? AND name = ?", (collection, name)
            )

    def write_entries(self, collection: str, contents: Mapping[str, str | None]) -> None:
        """Keep texts and forget those that are None, without awaiting the disk."""
        kept = [(collection, name, text) for name, text in contents.items() if text is not None]
        gone = [(collection, name) for name, text in contents.items() if text is None]
        with self._lock, self._named_errors():
            self._db.execute("PRAGMA synchronous = NORMAL")
            try:
                with self._writing():
                    self._db.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", kept)
                    self._db.executemany(
                        "DELETE FROM entries WHERE collection = ? AND name = ?", gone
                    )
            finally:
                self._db.execute("PRAGMA synchronous = FULL")

    def now(self) -> float:
        """The time by this machine's clock: its file is on a local disk."""
        return self._clock()

    def restore(self, state: MeshState, *, expected_revision: int) -> None:
        """Put a whole mesh here as it was elsewhere, at its own revision.

        Raises:
            RevisionConflictError: The mesh is not at `expected_revision`, or has resources.
        """
        require_restorable(state, expected_revision)
        mesh = state.head.mesh
        with self._writing():
            self._require_revision(mesh, expected_revision)
            if self._rows("SELECT 1 FROM resources WHERE owner = ? AND mesh = ? LIMIT 1", mesh):
                raise RevisionConflictError(f"mesh {mesh.name!r} has resources")
            self._write_head(state.head)
            for resource in state.resources:
                self._write_resource(resource.key, render_record(resource))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


def _render_error(error: sqlite3.Error) -> str:
    """What SQLite says, and what to do where it does not say that."""
    # Not every error has a code, and the lowest byte of an extended one is the primary one
    # (https://www.sqlite.org/rescode.html).
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    remedy = _REMEDIES.get(code)
    return f"{error}; {remedy}" if remedy else str(error)


def _make_file(path: Path) -> None:
    """Make the file and its folder where they do not exist.

    A new file is for its owner alone, because it holds the store's secret; SQLite gives the
    files that it puts beside it the same permissions.
    """
    if str(path) == ":memory:":
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
