"""`meshwright store copy`: from each engine to each, whole, and never over another mesh."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from meshwright.model.resources import Kind, MeshKey, ResourceKey, mesh_resource_key
from meshwright.store import Change, MeshHead, MeshState, Store, open_store
from meshwright.store.sqlite import SqliteStore
from meshwright.store_commands import store_app
from tests.controlplane.meshes import DEMO, build_resource, demo_resources

OTHER = MeshKey("111111111111", "other")
NewUrl = Callable[[], str]


@pytest.fixture
def new_file(tmp_path: Path) -> NewUrl:
    """Makes URLs of SQLite stores that do not exist yet."""
    numbers = itertools.count()
    return lambda: f"sqlite:///{tmp_path}/copy-{next(numbers)}.db"


@pytest.fixture(params=["sqlite-sqlite", "sqlite-dynamodb", "dynamodb-sqlite", "dynamodb-dynamodb"])
def urls(request: pytest.FixtureRequest, new_file: NewUrl) -> tuple[str, str]:
    """From where and to where: each engine to each."""

    def new(engine: str) -> str:
        return new_file() if engine == "sqlite" else request.getfixturevalue("new_table")()

    source, target = request.param.split("-")
    return new(source), new(target)


@pytest.fixture
def source(urls: tuple[str, str]) -> Iterator[Store]:
    """A store with two meshes of several revisions."""
    with closing(open_store(urls[0])) as store:
        fill(store)
        yield store


def fill(store: Store) -> None:
    tagged = [
        replace(each, tags=(("b", "1"), ("a", "é")), created_at=1763912345.123456, uid="0f2c")
        for each in demo_resources()
    ]
    put(store, DEMO, *(Change(each.key, each) for each in tagged))
    for version in range(2, 5):
        changed = replace(tagged[1], version=version, last_updated_at=1763912345.5 + version)
        put(store, DEMO, Change(changed.key, changed))
    mesh = replace(build_resource(Kind.MESH, "demo", {}), key=mesh_resource_key(OTHER))
    put(store, OTHER, Change(mesh.key, mesh))


def put(store: Store, mesh: MeshKey, *changes: Change) -> MeshHead:
    revision = store.head(mesh).revision
    return store.commit(
        mesh, expected_revision=revision, changes=changes, committed_at=1763912345.654321
    )


@pytest.fixture(autouse=True)
def own_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the command from directing the log of the tests' process."""
    monkeypatch.setattr("meshwright.logs.configure_logging", lambda *_: None)
    with capture_logs():
        yield


def copy(*arguments: str) -> Result:
    return CliRunner().invoke(store_app, ["copy", *arguments])


def read(url: str, mesh: MeshKey = DEMO) -> MeshState:
    with closing(open_store(url)) as store:
        state = store.load(mesh)
    return replace(state, resources=tuple(sorted(state.resources, key=lambda each: each.key)))


@pytest.fixture
def files(new_file: NewUrl) -> tuple[str, str]:
    """From where and to where, both SQLite, the first one filled."""
    urls = (new_file(), new_file())
    with closing(open_store(urls[0])) as store:
        fill(store)
    return urls


def test_meshes_are_copied_without_loss(source: Store, urls: tuple[str, str]) -> None:
    del source
    result = copy(*urls)
    assert (result.exit_code, result.stdout.splitlines()) == (
        0,
        [
            "mesh demo at revision 4 (7 resources): copied",
            "mesh other at revision 1 (1 resource): copied",
        ],
    ), result.output
    assert read(urls[1]) == read(urls[0])
    assert read(urls[1], OTHER) == read(urls[0], OTHER)


def test_the_copys_revision_goes_on(source: Store, urls: tuple[str, str]) -> None:
    del source
    copy(*urls)
    with closing(open_store(urls[1])) as target:
        assert put(target, DEMO, Change(mesh_resource_key(DEMO), None)).revision == 5
        assert target.changes(DEMO, after=3) is None
        assert target.changes(DEMO, after=4) is not None


def test_the_command_line_has_it(files: tuple[str, str]) -> None:
    executable = Path(sys.executable).with_name("meshwright")
    command = [executable, "store", "copy", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("mesh demo at revision 4 (7 resources): copied\n")
    assert read(files[1]) == read(files[0])


def test_a_store_without_meshes_is_told_to_be_one(new_file: NewUrl) -> None:
    source, target = new_file(), new_file()
    open_store(source).close()

    outcome = CliRunner().invoke(store_app, ["copy", source, target])

    assert (outcome.exit_code, outcome.stdout) == (0, "")
    assert outcome.stderr == f"meshwright: there is no mesh in {source}: nothing to copy\n"


def test_a_large_mesh_is_copied(urls: tuple[str, str]) -> None:
    """One that takes many transactions of DynamoDB."""
    node = build_resource(Kind.VIRTUAL_NODE, "node", {})
    keys = [ResourceKey(DEMO, Kind.VIRTUAL_NODE, f"node-{n}") for n in range(400)]
    with closing(open_store(urls[0])) as source:
        state = MeshState(MeshHead(DEMO, 9, 1.5), tuple(replace(node, key=key) for key in keys))
        source.restore(state, expected_revision=0)
    assert copy(*urls).exit_code == 0
    assert len(read(urls[1]).resources) == 400
    assert read(urls[1]) == read(urls[0])


def test_one_mesh_can_be_chosen(files: tuple[str, str]) -> None:
    assert copy(*files, "--mesh", "other").exit_code == 0
    with closing(open_store(files[1])) as target:
        assert [head.mesh for head in target.heads()] == [OTHER]


def test_an_equal_mesh_is_left_as_it_is(files: tuple[str, str]) -> None:
    copy(*files)
    with closing(open_store(files[1])) as target:
        put(target, DEMO, *(Change(each.key, each) for each in target.load(DEMO).resources))
    before = read(files[1])
    result = copy(*files)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0].endswith(": already there")
    assert read(files[1]) == before


def test_a_mesh_that_differs_is_not_overwritten(files: tuple[str, str]) -> None:
    copy(*files, "--mesh", "demo")
    node = build_resource(Kind.VIRTUAL_NODE, "front", {})
    with closing(open_store(files[1])) as target:
        put(target, DEMO, Change(node.key, node))
    before = read(files[1])
    result = copy(*files)
    assert result.exit_code == 1
    assert "they differ in virtual node 'front'; delete that one first" in result.stderr
    assert result.stderr.count("\n") == 1
    assert read(files[1]) == before
    assert read(files[1], OTHER).resources == (), "nothing is copied where one mesh is refused"


def test_a_mesh_that_was_deleted_there_makes_room(files: tuple[str, str]) -> None:
    mesh = build_resource(Kind.MESH, "demo", {})
    with closing(open_store(files[1])) as target:
        for change in (Change(mesh.key, mesh), Change(mesh.key, None)) * 5:
            put(target, DEMO, change)
    assert copy(*files).exit_code == 0
    copied = read(files[1])
    assert copied.resources == read(files[0]).resources
    assert copied.head.revision == 11, "who followed the deleted mesh has to notice"


def test_the_revision_of_a_deleted_mesh_is_copied(files: tuple[str, str]) -> None:
    with closing(open_store(files[0])) as source:
        put(source, OTHER, Change(mesh_resource_key(OTHER), None))
    result = copy(*files, "--mesh", "other")
    assert result.stdout == "mesh other at revision 2 (deleted): copied\n"
    assert read(files[1], OTHER).head.revision == 2


def refuse(*arguments: str) -> str:
    """The one line with which a copy is refused."""
    result = copy(*arguments)
    assert result.exit_code in (1, 2)
    assert result.stderr.startswith("meshwright: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_a_mesh_that_is_not_there_is_refused(files: tuple[str, str]) -> None:
    assert "there is no mesh 'dmeo'" in refuse(*files, "--mesh", "dmeo")


def test_a_source_that_is_not_there_is_refused_and_not_made(
    files: tuple[str, str], tmp_path: Path
) -> None:
    missing = tmp_path / "missing" / "mesh.db"
    assert "does not exist" in refuse(f"sqlite:///{missing}", files[1])
    assert not missing.parent.exists()


def test_a_table_that_is_not_there_is_refused_and_not_made(
    new_table: NewUrl, new_file: NewUrl
) -> None:
    url = new_table()
    assert "does not exist" in refuse(url, new_file())
    assert "does not exist" in refuse(url, new_file())


@pytest.mark.parametrize("url", ["mesh.db", "dynamodb://x", "sqlite:///"])
def test_a_url_that_names_no_store_is_refused(files: tuple[str, str], url: str) -> None:
    assert repr(url) in refuse(files[0], url)


def test_a_write_during_the_copy_is_noticed(
    files: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    restore = SqliteStore.restore

    def write_and_restore(store: SqliteStore, state: MeshState, *, expected_revision: int) -> None:
        with closing(open_store(files[0])) as source:
            put(source, DEMO, Change(mesh_resource_key(DEMO), None))
        restore(store, state, expected_revision=expected_revision)

    monkeypatch.setattr(SqliteStore, "restore", write_and_restore)
    assert "was copied at revision 4" in refuse(*files, "--mesh", "demo")
