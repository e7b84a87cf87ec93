"""`meshwright serve` with settings of a test's own, and requests that no SDK would make."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, NamedTuple

import boto3
from botocore.config import Config

from pytest_meshwright.control_plane import LogRecord
from pytest_meshwright.processes import ChildProcess, ProcessGroup
from pytest_meshwright.waiting import wait_until

MESHWRIGHT = Path(sys.executable).with_name("meshwright")
TIMEOUT = 60.0
"""How long a test waits for an answer in vain, on a machine that has much else to do."""


class Answer(NamedTuple):
    """An answer as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The exception's name, from the header and the body alike."""
        content: dict[str, Any] = json.loads(self.body)
        assert content["__type"] == self.headers["x-amzn-errortype"]
        assert content["message"]
        return str(content["__type"])


class Server:
    """A running control plane."""

    def __init__(self, process: ChildProcess, log: Path) -> None:
        self._process = process
        self._log = log
        serving = wait_until(self._find_serving, what="it to serve", timeout=TIMEOUT)
        host, _, port = str(serving.fields["api"]).rpartition(":")
        self.address = (host, int(port))

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def _find_serving(self) -> LogRecord | None:
        self._process.require_running()
        return next(iter(self.records("serving")), None)

    def records(self, event: str) -> list[LogRecord]:
        """What it has logged of an event."""
        complete = self._log.read_text().rpartition("\n")[0]
        records = [LogRecord.parse(line) for line in complete.splitlines()]
        return [record for record in records if record.event == event]

    def stderr(self) -> str:
        """Everything that it has written to standard error."""
        return self._log.read_text()

    def url(self, scheme: str = "http") -> str:
        """The endpoint for clients."""
        host, port = self.address
        return f"{scheme}://{host}:{port}"

    def client(self, key_id: str, secret: str, **settings: Any) -> Any:
        """An unmodified boto3 client that does not retry."""
        config = Config(proxies={}, retries={"total_max_attempts": 1})
        session = boto3.session.Session(key_id, secret, region_name="eu-west-1")
        return session.client(  # pyright: ignore
            "appmesh", **{"endpoint_url": self.url(), "config": config} | settings
        )

    @contextmanager
    def connect(self) -> Generator[socket.socket]:
        """A bare connection."""
        with socket.create_connection(self.address, timeout=TIMEOUT) as connection:
            yield connection

    def send(self, request: bytes) -> Answer:
        """Send bytes over a connection of their own, and read the answer."""
        with self.connect() as connection:
            connection.sendall(request)
            return read_answer(connection)


@contextmanager
def serving(folder: Path, *flags: str | Path, **environment: str) -> Generator[Server]:
    """Run `meshwright serve` on free ports."""
    command = [
        *(MESHWRIGHT, "serve", "--api", "127.0.0.1:0", "--xds", "127.0.0.1:0"),
        *("--store", f"sqlite:///{folder}/meshwright.db", "--log-format", "json", *flags),
    ]
    with ProcessGroup() as group:
        process = group.start("serve", command, folder, environment)
        yield Server(process, folder / "serve.stderr")
        process.stop()


def read_answer(connection: socket.socket) -> Answer:
    """The next answer on a connection."""
    with HTTPResponse(connection) as response:
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, response.read())


def read_end(connection: socket.socket) -> bytes:
    """What comes before the other side closes a connection."""
    received = b""
    while part := connection.recv(65536):
        received += part
    return received
