"""Several `meshwright serve` on one store, each a process, as the tests start and look at them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
from botocore.config import Config

from pytest_meshwright.control_plane import LogRecord, MeshStatus
from pytest_meshwright.processes import ChildProcess, ProcessGroup
from pytest_meshwright.waiting import wait_until


@dataclass
class Replica:
    """A `meshwright serve` on a given store.

    Attributes:
        name: What it is called.
        process: The process.
        client: A boto3 client of its API.
        url: Where its API is.
        xds: Where it serves ADS.
    """

    name: str
    process: ChildProcess
    client: Any
    url: str
    xds: str

    def find_status(self, mesh: str) -> MeshStatus | None:
        """What it tells of a mesh; None where there is none."""
        page = f"{self.url}/meshwright/v1/meshes/{mesh}/status"
        answer = httpx.get(page, trust_env=False, timeout=30)
        return MeshStatus.parse(answer.json()) if answer.status_code == httpx.codes.OK else None

    def status(self, mesh: str) -> MeshStatus:
        """What it tells of a mesh that is there."""
        status = self.find_status(mesh)
        assert status is not None
        return status

    def find_revision(self, mesh: str) -> int | None:
        """The revision that it shows of a mesh."""
        status = self.find_status(mesh)
        return status.revision if status else None

    def errors(self) -> list[str]:
        """The errors in its log."""
        records = map(LogRecord.parse, self.process.stderr.read_text().splitlines())
        return [str(record) for record in records if record.level == "error"]


def start_replica(
    group: ProcessGroup, folder: Path, store: str, *flags: str | Path, name: str | None = None
) -> Replica:
    """Start one, on free ports, and wait until it serves."""
    options = ["--api", "127.0.0.1:0", "--xds", "127.0.0.1:0", "--log-format", "json"]
    called = [] if name is None else ["--replica", name]
    executable = Path(sys.executable).with_name("meshwright")
    process = group.start(
        "control-plane",
        [executable, "serve", *options, *called, "--store", store, *flags],
        folder,
    )

    def find_serving() -> LogRecord | None:
        process.require_running()
        records = map(LogRecord.parse, process.stderr.read_text().splitlines())
        return next((each for each in records if each.event == "serving"), None)

    serving = wait_until(find_serving, what="a control plane to serve", timeout=60).fields
    url = f"http://{serving['api']}"
    session: Any = boto3.session.Session("meshwright", "meshwright", region_name="us-east-1")
    config = Config(proxies={}, retries={"total_max_attempts": 1})
    client = session.client("appmesh", endpoint_url=url, config=config)
    return Replica(str(serving["replica"]), process, client, url, str(serving["xds"]))
