"""The stores under test, new and empty, of each engine in turn."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from meshwright.store import Store, open_store
from meshwright.store.dynamodb import DynamoDbStore
from tests.controlplane.conftest import name_table

_numbers = itertools.count()


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    """The URL of moto's DynamoDB, which is there without Java too."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def new_moto_table(moto_endpoint: str, credentials: None) -> Callable[[], str]:
    """Makes URLs of stores in tables of moto's that do not exist yet."""
    del credentials
    return lambda: name_table(moto_endpoint)


@pytest.fixture(params=["sqlite", "dynamodb", "moto"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Makes URLs of stores that do not exist yet, of each engine in turn."""
    if request.param == "dynamodb":
        return request.getfixturevalue("new_table")
    if request.param == "moto":
        return request.getfixturevalue("new_moto_table")
    return lambda: f"sqlite:///{tmp_path}/mesh-{next(_numbers)}.db"


@pytest.fixture
def store_url(new_store: Callable[[], str]) -> str:
    """The URL of the store under test."""
    return new_store()


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """An empty store."""
    with closing(open_store(store_url)) as store:
        yield store


@pytest.fixture
def other_store(new_store: Callable[[], str]) -> Iterator[Store]:
    """A second, empty store of the same engine."""
    with closing(open_store(new_store())) as store:
        yield store


@pytest.fixture
def table_url(new_table: Callable[[], str]) -> str:
    """The URL of a store whose table does not exist yet."""
    return new_table()


@pytest.fixture
def dynamodb_store(table_url: str) -> Iterator[DynamoDbStore]:
    """An empty store in a table of DynamoDB Local."""
    with closing(DynamoDbStore(table_url)) as store:
        yield store


@pytest.fixture
def dynamodb(table_url: str) -> Iterator[Any]:
    """A boto3 client of the same DynamoDB, to look at the table from outside."""
    endpoint = parse_qs(urlsplit(table_url).query)["endpoint"][0]
    session: Any = boto3.session.Session(region_name="us-east-1")
    client = session.client("dynamodb", endpoint_url=endpoint)
    yield client
    client.close()


@pytest.fixture
def table(table_url: str) -> str:
    """The table's name."""
    return urlsplit(table_url).netloc
