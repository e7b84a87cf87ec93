"""What clients and the log are told when the store fails."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from meshwright.api.errors import as_api_error
from meshwright.operator.client import Connection, RefusedError
from meshwright.store import StoreError, StoreLimitError
from pytest_meshwright.waiting import wait_until
from tests.controlplane.access.serving import TIMEOUT, Server, serving
from tests.controlplane.conftest import Refused

SPEC: dict[str, Any] = {"listeners": []}
TAGS = [{"key": f"{number:0128}", "value": "v" * 256} for number in range(50)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own."""
    with serving(tmp_path) as server:
        yield server


@contextmanager
def files_as_large_as_they_may_be(server: Server, folder: Path) -> Iterator[None]:
    """Let the server write to no file beyond what the largest has now, as if the disk were full."""
    largest = max(file.stat().st_size for file in folder.iterdir())
    limits = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (largest, limits[1]))
    try:
        yield
    finally:
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, limits)


def test_a_store_that_cannot_write_is_a_503_that_says_so(
    server: Server, tmp_path: Path, refused: Refused
) -> None:
    appmesh = server.client("KEY", "secret")
    appmesh.create_mesh(meshName="demo")
    node = {"meshName": "demo", "spec": SPEC, "tags": TAGS}
    with files_as_large_as_they_may_be(server, tmp_path):
        refusal = refused(appmesh.create_virtual_node, virtualNodeName="front", **node)
    assert (refusal.status, refusal.code) == (503, "ServiceUnavailableException")
    appmesh.create_virtual_node(virtualNodeName="front", **node)


def test_a_write_that_the_store_fails_is_an_error_in_the_log(
    server: Server, tmp_path: Path, refused: Refused
) -> None:
    appmesh = server.client("KEY", "secret")
    appmesh.create_mesh(meshName="demo")
    document = {"meshName": "demo", "virtualNodeName": "b", "spec": SPEC, "tags": TAGS}
    with files_as_large_as_they_may_be(server, tmp_path):
        refusal = refused(
            appmesh.create_virtual_node,
            meshName="demo",
            virtualNodeName="a",
            spec=SPEC,
            tags=TAGS,
        )
        with pytest.raises(RefusedError) as batch:
            Connection(server.url()).apply([document], prune=False, dry_run=False)
    lines = wait_until(
        lambda: (
            (errors := [e for e in server.records("api_request") if e.level == "error"])[1:]
            and errors
        ),
        what="both to be logged",
        timeout=TIMEOUT,
    )

    told = {str(line.fields["operation"]): line.fields["error_message"] for line in lines}
    assert told == {"CreateVirtualNode": refusal.message, "Apply": str(batch.value)}


def test_a_store_that_a_newer_version_took_over_is_told_until_it_is_given_back(
    server: Server, tmp_path: Path, refused: Refused
) -> None:
    appmesh = server.client("KEY", "secret")
    appmesh.create_mesh(meshName="demo")
    known = set_schema(tmp_path, 99)
    (line,) = wait_until(
        lambda: server.records("store_unreachable"), what="it to be noticed", timeout=TIMEOUT
    )
    wait_until(lambda: not is_reachable(server), what="the metric", timeout=TIMEOUT)
    refusal = refused(appmesh.create_mesh, meshName="other")
    described = appmesh.describe_mesh(meshName="demo")["mesh"]
    set_schema(tmp_path, known)
    wait_until(lambda: is_reachable(server), what="the metric to be over", timeout=TIMEOUT)

    assert line.level == "error"
    assert refusal == (503, "ServiceUnavailableException", line.fields["error"])
    assert "has schema 99, and this version of meshwright knows up to" in refusal.message
    assert described["meshName"] == "demo"
    assert len(server.records("store_reachable_again")) == 1
    appmesh.create_mesh(meshName="other")


def set_schema(folder: Path, version: int) -> int:
    """Give the server's store another schema, as another version would; the one it had."""
    with closing(sqlite3.connect(folder / "meshwright.db", isolation_level=None)) as db:
        before = int(db.execute("PRAGMA user_version").fetchone()[0])
        db.execute(f"PRAGMA user_version = {version}")
    return before


def is_reachable(server: Server) -> bool:
    """What the metrics say of the store."""
    with urlopen(server.url() + "/metrics", timeout=TIMEOUT) as answer:
        return b"\nmeshwright_store_reachable 1.0\n" in answer.read()


def test_what_is_too_large_for_a_store_is_a_bad_request() -> None:
    error = as_api_error(StoreLimitError("'front': has 500000 bytes"))
    assert error is not None
    assert (error.status, error.message) == (400, "'front': has 500000 bytes")


def test_a_store_that_fails_is_not_a_bug() -> None:
    error = as_api_error(StoreError("gone"))
    assert error is not None
    assert error.status == 503
