"""What clients and the log are told when the store fails."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from meshwright.api.errors import as_api_error
from meshwright.store import StoreError, StoreLimitError
from tests.controlplane.access.serving import Server, serving
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


def test_what_is_too_large_for_a_store_is_a_bad_request() -> None:
    error = as_api_error(StoreLimitError("'front': has 500000 bytes"))
    assert error is not None
    assert (error.status, error.message) == (400, "'front': has 500000 bytes")


def test_a_store_that_fails_is_not_a_bug() -> None:
    error = as_api_error(StoreError("gone"))
    assert error is not None
    assert error.status == 503
