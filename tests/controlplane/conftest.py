"""A control plane that the API's tests share, meshes of each test's own in it; DynamoDB Local."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError

from meshwright.meshes import Meshes
from meshwright.store.sqlite import SqliteStore
from pytest_meshwright.control_plane import ControlPlane
from pytest_meshwright.processes import ProcessGroup
from tests.controlplane.meshes import commit, demo_resources
from tools.dev.dynamodb_local import find_dynamodb_local, run_dynamodb_local
from tools.dev.paths import is_ci

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

    def call(operation: Callable[..., Any], /, *arguments: Any, **parameters: Any) -> Refusal:
        with pytest.raises(ClientError) as caught:
            operation(*arguments, **parameters)
        answer: Any = caught.value.response
        return Refusal(
            answer["ResponseMetadata"]["HTTPStatusCode"],
            answer["Error"]["Code"],
            answer["Error"]["Message"],
        )

    return call


@pytest.fixture(scope="session")
def dynamodb_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a DynamoDB Local of this process's own."""
    folder = find_dynamodb_local()
    if folder is None:
        text = "there is no DynamoDB Local; ./dev setup --only dynamodb fetches it"
        pytest.fail(text) if is_ci() else pytest.skip(text)
    with run_dynamodb_local(folder, tmp_path_factory.mktemp("dynamodb-local")) as endpoint:
        yield endpoint


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials of AWS in the environment; DynamoDB Local takes any of letters and digits."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "meshwright")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "meshwright")


@pytest.fixture
def new_table(dynamodb_endpoint: str, credentials: None) -> Callable[[], str]:
    """Makes URLs of stores in tables of DynamoDB Local that do not exist yet."""
    del credentials
    return lambda: name_table(dynamodb_endpoint)


def name_table(endpoint: str) -> str:
    """The URL of a store in a table that does not exist yet."""
    table = f"store-{os.getpid()}-{next(_numbers)}"
    return f"dynamodb://{table}?region=us-east-1&endpoint={endpoint}"


@pytest.fixture
def meshes(tmp_path: Path) -> Iterator[Meshes]:
    """The mesh `demo`: front calls color.demo.local, which is blue and green."""
    store = SqliteStore(str(tmp_path / "store.db"))
    meshes = Meshes(store)
    commit(meshes, *demo_resources())
    yield meshes
    store.close()
