"""What is SQLite's own: the file, its schema's versions, and what goes wrong with files."""

from __future__ import annotations

import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from meshwright.store import Change, SpentSignature, StoredAnswer, StoreError, open_store
from meshwright.store import sqlite as engine
from meshwright.store.sqlite import SqliteStore
from tests.controlplane.meshes import DEMO, demo_resources

CHANGES = [Change(resource.key, resource) for resource in demo_resources()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store's file goes."""
    return tmp_path / "mesh.db"


def put_in_file(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


def refuse_to_open(path: Path) -> str:
    """The message with which a file is refused; it must be one line that names the file."""
    with pytest.raises(StoreError) as caught:
        open_store(f"sqlite:///{path}")
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_a_schema_newer_than_known_is_refused(path: Path) -> None:
    open_store(f"sqlite:///{path}").close()
    put_in_file(path, "PRAGMA user_version = 99")
    assert "has schema 99" in refuse_to_open(path)


def test_a_store_whose_schema_becomes_newer_is_written_no_more(path: Path) -> None:
    with closing(open_store(f"sqlite:///{path}")) as store:
        put_in_file(path, "PRAGMA user_version = 99")
        with pytest.raises(StoreError, match="has schema 99, and this version of meshwright"):
            store.commit(DEMO, expected_revision=0, changes=CHANGES, committed_at=1.0)
        with pytest.raises(StoreError, match="has schema 99"):
            store.heads()
        assert store.head(DEMO).revision == 0


def test_a_refused_file_is_closed(path: Path) -> None:
    open_store(f"sqlite:///{path}").close()
    put_in_file(path, "PRAGMA user_version = 99")
    with pytest.raises(StoreError) as caught:
        open_store(f"sqlite:///{path}")
    # The last connection to close removes the log beside the file; the error keeps its frames,
    # and so the store, alive.
    assert caught.traceback
    assert not path.with_name("mesh.db-wal").exists()


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_text("meshes:\n- demo\n" * 100)
    assert "not a database" in refuse_to_open(path)


def test_another_programs_database_is_refused_and_left_alone(path: Path) -> None:
    put_in_file(path, "CREATE TABLE bookmarks (url TEXT)")
    before = path.read_bytes()
    assert "another program" in refuse_to_open(path)
    assert path.read_bytes() == before


def test_another_programs_database_with_a_version_is_refused(path: Path) -> None:
    put_in_file(path, "CREATE TABLE bookmarks (url TEXT)", "PRAGMA user_version = 1")
    assert "another program" in refuse_to_open(path)


def test_a_folder_in_the_files_place_is_refused(path: Path) -> None:
    path.mkdir()
    refuse_to_open(path)


def test_a_file_in_the_folders_place_is_refused(path: Path) -> None:
    path.write_text("")
    assert "can't be opened: File exists; name a file that this" in refuse_to_open(path / "mesh.db")


def test_a_file_that_may_not_be_written_is_refused_with_the_remedy(path: Path) -> None:
    """SQLite's own mark for it, since a superuser may write whatever the file's mode is."""
    with closing(SqliteStore(str(path))) as store:
        store._db.execute("PRAGMA query_only = 1")
        with pytest.raises(StoreError) as caught:
            store.commit(DEMO, expected_revision=0, changes=CHANGES, committed_at=1.0)
    assert str(caught.value).endswith(
        "can't be used: attempt to write a readonly database; name a file that this process may "
        "write, in a folder where it may make others beside it"
    )


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://mesh.db",
        "sqlite:///",
        "sqlite:///mesh.db?mode=ro",
        "sqlite:///mesh.db#1",
        "postgres://x/y",
        "mesh.db",
        "",
    ],
)
def test_a_url_that_names_no_store_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match="sqlite:///"):
        open_store(url)


@pytest.mark.parametrize("name", ["a b.db", "100%.db", "what?.db", "a#b.db", "%41.db", "é.db"])
def test_any_files_name_stands_in_the_url(tmp_path: Path, name: str) -> None:
    with closing(SqliteStore(str(tmp_path / name))) as store:
        store.commit(DEMO, expected_revision=0, changes=CHANGES, committed_at=1.0)
        with closing(open_store(store.url)) as again:
            assert again.head(DEMO).revision == 1


def test_a_new_file_is_its_owners_alone(path: Path) -> None:
    """It holds the secret that page tokens are signed with."""
    with closing(SqliteStore(str(path))) as store:
        store.secret()
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert set(modes.values()) == {0o600}, modes


def test_folders_are_made(tmp_path: Path) -> None:
    open_store(f"sqlite:///{tmp_path}/a/b/mesh.db").close()
    assert (tmp_path / "a" / "b" / "mesh.db").is_file()


def test_the_write_ahead_log_is_on(path: Path) -> None:
    """With it, readers and the writer don't wait for each other."""
    open_store(f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


# Migrations


@pytest.mark.parametrize("version", range(1, len(engine._MIGRATIONS) + 1))
def test_a_store_of_every_earlier_schema_is_migrated(
    path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(engine, "_MIGRATIONS", engine._MIGRATIONS[:version])
        open_store(f"sqlite:///{path}").close()
    with closing(open_store(f"sqlite:///{path}")) as store:
        store.commit(DEMO, expected_revision=0, changes=CHANGES, committed_at=1.0)
        assert len(store.load(DEMO).resources) == len(CHANGES)


def test_a_migration_keeps_what_is_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(open_store(f"sqlite:///{path}")) as store:
        store.commit(DEMO, expected_revision=0, changes=CHANGES, committed_at=1.0)
        before = store.load(DEMO)
    step = "ALTER TABLE meshes ADD COLUMN colour TEXT"
    monkeypatch.setattr(engine, "_MIGRATIONS", [*engine._MIGRATIONS, step])
    with closing(open_store(f"sqlite:///{path}")) as store:
        assert store.load(DEMO) == before


def test_a_migration_that_fails_leaves_the_store_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(f"sqlite:///{path}").close()
    with monkeypatch.context() as broken:
        steps = "ALTER TABLE meshes ADD COLUMN colour TEXT; ALTER TABLE nobody RENAME TO more"
        broken.setattr(engine, "_MIGRATIONS", [*engine._MIGRATIONS, steps])
        assert "no such table" in refuse_to_open(path)
    with closing(sqlite3.connect(path)) as db:
        columns = [row[1] for row in db.execute("PRAGMA table_info (meshes)")]
        version = db.execute("PRAGMA user_version").fetchone()[0]
    assert "colour" not in columns
    assert version == len(engine._MIGRATIONS)


def test_a_backup_that_sqlite_takes_of_a_store_in_use_is_a_whole_store(path: Path) -> None:
    """As the command line of SQLite does with `.backup`."""
    backup = path.with_name("backup.db")
    with closing(open_store(f"sqlite:///{path}")) as store:
        store.commit(DEMO, expected_revision=0, changes=CHANGES, committed_at=1.0)
        store.put_entry("token-keys", "a", "1")
        secret = store.secret()
        with closing(sqlite3.connect(path)) as db, closing(sqlite3.connect(backup)) as target:
            db.backup(target)
        store.commit(DEMO, expected_revision=1, changes=CHANGES, committed_at=2.0)
    with closing(open_store(f"sqlite:///{backup}")) as again:
        assert again.head(DEMO).revision == 1
        assert len(again.load(DEMO).resources) == len(CHANGES)
        assert again.entries("token-keys") == {"a": "1"}
        assert again.secret() == secret


def test_an_answer_is_kept_for_a_day(path: Path) -> None:
    now = 1_000_000.0
    first, second = StoredAnswer("token", "digest", "1"), StoredAnswer("token", "digest", "2")
    with closing(SqliteStore(str(path), clock=lambda: now)) as store:
        store.keep_answer(first)
        now += 24 * 3600
        assert store.find_answer("token") == first
        now += 1
        assert store.find_answer("token") is None
        store.keep_answer(second)
        assert store.find_answer("token") == second


def test_signatures_that_have_expired_are_forgotten(path: Path) -> None:
    with closing(SqliteStore(str(path))) as store:
        store.spend(SpentSignature("KEY/1", spent_at=100, expires_at=400))
        store.spend(SpentSignature("KEY/2", spent_at=401, expires_at=700))
        kept = store._db.execute("SELECT signature FROM spent_signatures").fetchall()
    assert kept == [("KEY/2",)]


# What goes wrong in use


def test_a_full_disk_is_one_line_and_changes_nothing(path: Path) -> None:
    with closing(SqliteStore(str(path))) as store:
        pages = store._db.execute("PRAGMA page_count").fetchone()[0]
        store._db.execute(f"PRAGMA max_page_count = {pages}")
        big = CHANGES * 50
        with pytest.raises(StoreError, match="full") as caught:
            store.commit(DEMO, expected_revision=0, changes=big, committed_at=1.0)
        assert "\n" not in str(caught.value)
        assert store.head(DEMO).revision == 0


def test_a_store_works_again_once_the_disk_has_room(path: Path) -> None:
    with closing(SqliteStore(str(path))) as store:
        pages = store._db.execute("PRAGMA page_count").fetchone()[0]
        store._db.execute(f"PRAGMA max_page_count = {pages}")
        big = CHANGES * 50
        with pytest.raises(StoreError):
            store.commit(DEMO, expected_revision=0, changes=big, committed_at=1.0)
        store._db.execute("PRAGMA max_page_count = 100000")
        assert store.commit(DEMO, expected_revision=0, changes=big, committed_at=1.0).revision == 1


def test_a_file_that_another_program_keeps_locked_is_one_line(path: Path) -> None:
    with closing(SqliteStore(str(path))) as store, closing(sqlite3.connect(path)) as other:
        store._db.execute("PRAGMA busy_timeout = 0")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            store.commit(DEMO, expected_revision=0, changes=CHANGES, committed_at=1.0)
        other.execute("ROLLBACK")
        assert store.commit(DEMO, expected_revision=0, changes=CHANGES, committed_at=1.0)


def test_a_commit_that_cannot_be_finished_is_undone(path: Path) -> None:
    """A deferred constraint makes COMMIT itself fail, as a disk's error would."""
    put = "INSERT INTO child VALUES (1)"
    refers = "INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED"
    with closing(SqliteStore(str(path))) as store:
        store._db.execute("PRAGMA foreign_keys = ON")
        store._db.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
        store._db.execute(f"CREATE TABLE child (id {refers})")
        with pytest.raises(StoreError, match="FOREIGN KEY"), store._writing():
            store._db.execute(put)
        assert store.head(DEMO).revision == 0
        assert store.commit(DEMO, expected_revision=0, changes=CHANGES, committed_at=1.0)


def test_a_closed_store_says_so(path: Path) -> None:
    store = SqliteStore(str(path))
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.heads()


# What is kept, and for how long


def test_changes_older_than_what_is_kept_are_not_known(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "CHANGES_KEPT", 3)
    with closing(SqliteStore(str(path))) as store:
        for revision in range(5):
            store.commit(DEMO, expected_revision=revision, changes=CHANGES[:1], committed_at=1.0)
        assert store.changes(DEMO, after=1) is None
        kept = store.changes(DEMO, after=2)
        assert kept is not None
        assert len(kept[1]) == 3


def test_many_that_open_the_same_new_files_wait_for_each_other(tmp_path: Path) -> None:
    files = [f"{tmp_path}/{number}.db" for number in range(40)]
    start = threading.Barrier(8)

    def open_all(_: int) -> None:
        for file in files:
            start.wait()
            SqliteStore(file).close()

    with ThreadPoolExecutor(8) as threads:
        # Nothing is raised: SQLite's switch to a write-ahead log does not wait by itself.
        list(threads.map(open_all, range(8)))
