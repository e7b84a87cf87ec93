"""What the harness's own tests have in common."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_meshwright.addresses import AddressBlock
from pytest_meshwright.processes import ProcessGroup


@pytest.fixture
def block() -> Iterator[AddressBlock]:
    """A block of loopback addresses of the test's own."""
    with AddressBlock() as block:
        yield block


@pytest.fixture
def group() -> Iterator[ProcessGroup]:
    """A group that ends the test's processes."""
    with ProcessGroup() as group:
        yield group


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where processes write."""
    return tmp_path / "lab"
