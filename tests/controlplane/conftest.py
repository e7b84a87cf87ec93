"""A control plane that the API's tests share, and meshes of each test's own in it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError

from pytest_meshwright.control_plane import ControlPlane
from pytest_meshwright.processes import ProcessGroup

_numbers = itertools.count()


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A real `meshwright serve` on a SQLite file."""
    folder = tmp_path_factory.mktemp("control-plane")
    with ProcessGroup() as group, ControlPlane(folder=folder, group=group) as control_plane:
        yield control_plane


@pytest.fixture(scope="session")
def appmesh(control_plane: ControlPlane) -> Iterator[Any]:
    """An unmodified boto3 client of it."""
    client = control_plane.client()
    yield client
    client.close()


@pytest.fixture
def mesh(appmesh: Any) -> str:
    """The name of a new, empty mesh."""
    name = f"mesh-{os.getpid()}-{next(_numbers)}"
    appmesh.create_mesh(meshName=name)
    return name


class Refusal(NamedTuple):
    """What a client sees of a refused call: the HTTP code, the exception and its message."""

    status: int
    code: str
    message: str


Refused = Callable[..., Refusal]


@pytest.fixture
def refused() -> Refused:
    """Makes a call that must be refused, and returns the refusal."""

    def call(operation: Callable[..., Any], /, **parameters: Any) -> Refusal:
        with pytest.raises(ClientError) as caught:
            operation(**parameters)
        answer: Any = caught.value.response
        return Refusal(
            answer["ResponseMetadata"]["HTTPStatusCode"],
            answer["Error"]["Code"],
            answer["Error"]["Message"],
        )

    return call
