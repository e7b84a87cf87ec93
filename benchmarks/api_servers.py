"""The servers that the API's benchmark asks: ours on both stores, and moto's."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.http_load import KEY, REGION
from pytest_meshwright.processes import ChildProcess, ProcessGroup
from pytest_meshwright.waiting import wait_until
from tools.dev.dynamodb_local import find_dynamodb_local, run_dynamodb_local
from tools.dev.paths import SCRIPTS

_START_SECONDS: Final = 120.0
_MOTO: Final = (SCRIPTS / "moto_server", "--host", "127.0.0.1", "--port", "0")
_SERVING: Final = re.compile(
    r"""(?:"api": "|Running on http://)(?P<host>127\.0\.0\.1):(?P<port>\d+)"""
)
_DYNAMODB_KEY: Final = {"AWS_ACCESS_KEY_ID": "meshwright", "AWS_SECRET_ACCESS_KEY": "meshwright"}


@dataclass(frozen=True, slots=True)
class Engine:
    """What serves the API.

    Attributes:
        name: As the tables have it.
        takes_batches: Whether `meshwright mesh apply` works with it.
    """

    name: str
    takes_batches: bool


SQLITE: Final = Engine("Meshwright, SQLite", takes_batches=True)
DYNAMODB: Final = Engine("Meshwright, DynamoDB Local", takes_batches=True)
MOTO: Final = Engine("moto, in memory", takes_batches=False)
ENGINES: Final = (SQLITE, DYNAMODB, MOTO)


@dataclass(frozen=True, slots=True)
class Server:
    """One that answers, and the size of the mesh that it is for."""

    engine: Engine
    size: int
    address: tuple[str, int]

    @property
    def endpoint(self) -> str:
        """Its URL."""
        host, port = self.address
        return f"http://{host}:{port}"


@dataclass(frozen=True, slots=True)
class _Starting:
    """One that was started."""

    engine: Engine
    size: int
    process: ChildProcess


@contextmanager
def run_servers(sizes: Sequence[int], folder: Path) -> Generator[list[Server]]:
    """Run a server of each engine for each size; DynamoDB Local stays out where it is not there."""
    with ExitStack() as stack:
        group = stack.enter_context(ProcessGroup())
        jars = find_dynamodb_local()
        dynamodb = None if jars is None else stack.enter_context(run_dynamodb_local(jars, folder))
        starting: list[_Starting] = []
        for engine, (number, size) in itertools.product(ENGINES, enumerate(sizes)):
            if engine is DYNAMODB and dynamodb is None:
                continue
            home = folder / f"{len(starting)}"
            home.mkdir()
            store = f"sqlite:///{home}/meshwright.db"
            if engine is DYNAMODB:
                store = f"dynamodb://size-{number}?region={REGION}&endpoint={dynamodb}"
            command = _MOTO if engine is MOTO else _build_command(store, home)
            process = group.start("server", command, home, _DYNAMODB_KEY)
            starting.append(_Starting(engine, size, process))
        yield [Server(each.engine, each.size, _wait_for_address(each)) for each in starting]


def _build_command(store: str, home: Path) -> list[str | Path]:
    keys = home / "keys.yaml"
    keys.touch(mode=0o600)
    key = {"access_key_id": KEY.access_key, "secret_access_key": KEY.secret_key, "meshes": ["*"]}
    keys.write_text(json.dumps([{**key, "access": "write"}]))
    return [
        *(SCRIPTS / "meshwright", "serve", "--store", store, "--access-keys", keys),
        *("--api", "127.0.0.1:0", "--xds", "127.0.0.1:0", "--log-format", "json"),
        *("--requests-per-second", "1000000"),  # what the server does is asked, not what it lets do
    ]


def _wait_for_address(starting: _Starting) -> tuple[str, int]:
    """Where a server serves, once it has said so in its log."""

    def find() -> re.Match[str] | None:
        starting.process.require_running()
        return _SERVING.search(starting.process.stderr.read_text())

    said = wait_until(
        find,
        what=f"{starting.engine.name} to serve",
        timeout=_START_SECONDS,
        seen=starting.process.tail,
    )
    return said["host"], int(said["port"])
