"""The control plane under test as a child process, and what it says of itself."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

import boto3
import httpx
from botocore.config import Config

from pytest_meshwright.envoy_bootstrap import Endpoint
from pytest_meshwright.errors import HarnessError
from pytest_meshwright.processes import ChildProcess, ProcessGroup
from pytest_meshwright.waiting import wait_until

if TYPE_CHECKING:
    from mypy_boto3_appmesh import AppMeshClient

DEFAULT_ACCOUNT_ID = "000000000000"
DEFAULT_REGION = "us-east-1"

_ANY_PORT = Endpoint("127.0.0.1", 0)
_START_TIMEOUT = 30.0
_STOP_TIMEOUT = 10.0
_OK, _NOT_FOUND = 200, 404


@dataclass(frozen=True, slots=True)
class Rejection:
    """A configuration that a proxy refused (a NACK)."""

    type: str
    """The type of the Envoy resource."""
    detail: str
    """What Envoy said."""
    revision: int
    """The mesh's revision that the configuration was made of."""
    at: datetime


@dataclass(frozen=True, slots=True)
class ProxyStatus:
    """What the control plane knows of one connected proxy."""

    resource: str
    """The ARN of the virtual node or gateway."""
    node_id: str
    peer: str
    envoy_version: str
    replica: str
    """The name of the control plane that it is connected to."""
    connected_at: datetime
    acknowledged_revision: int | None
    """The newest revision of which the proxy has acknowledged everything that it should have."""
    acknowledged_at: datetime | None
    lag_seconds: float
    """For how long there has been something that it has not acknowledged; 0 if there is nothing."""
    rejection: Rejection | None

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> "ProxyStatus":
        """Read an entry of the status page."""
        rejection = content["rejection"]
        acknowledged_at = content["acknowledged_at"]
        return cls(
            resource=content["resource"],
            node_id=content["node_id"],
            peer=content["peer"],
            envoy_version=content["envoy_version"],
            replica=content["replica"],
            connected_at=datetime.fromisoformat(content["connected_at"]),
            acknowledged_revision=content["acknowledged_revision"],
            acknowledged_at=datetime.fromisoformat(acknowledged_at) if acknowledged_at else None,
            lag_seconds=content["lag_seconds"],
            rejection=rejection
            and Rejection(
                rejection["type"],
                rejection["detail"],
                rejection["revision"],
                datetime.fromisoformat(rejection["at"]),
            ),
        )


@dataclass(frozen=True, slots=True)
class MeshStatus:
    """The status of a mesh: its revision, what is wrong with it, and who has which revision."""

    mesh: str
    revision: int
    committed_at: datetime
    findings: tuple[Mapping[str, Any], ...]
    proxies: tuple[ProxyStatus, ...]
    refusals: tuple[Mapping[str, Any], ...] = ()
    """Proxies that were not let in, each with the `reason`."""

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> "MeshStatus":
        """Read the status page."""
        return cls(
            mesh=content["mesh"],
            revision=content["revision"],
            committed_at=datetime.fromisoformat(content["committed_at"]),
            findings=tuple(content["findings"]),
            proxies=tuple(ProxyStatus.parse(proxy) for proxy in content["proxies"]),
            refusals=tuple(content["refusals"]),
        )


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One line of the control plane's log."""

    at: datetime | None
    """None for a line that is no record."""
    level: str
    event: str
    fields: Mapping[str, Any]
    """Everything else that the record holds."""

    @classmethod
    def parse(cls, line: str) -> "LogRecord":
        """Read a line; one that is no record, such as a traceback's, counts as an error."""
        try:
            content: dict[str, Any] = json.loads(line)
            at = datetime.fromisoformat(content.pop("timestamp"))
            return cls(at, content.pop("level"), content.pop("event"), content)
        except (ValueError, KeyError, AttributeError):
            return cls(None, "error", "no log record", {"text": line})

    def __str__(self) -> str:
        fields = " ".join(f"{name}={value!r}" for name, value in self.fields.items())
        return f"{self.level} {self.event} {fields}".strip()


class ControlPlane:
    """`meshwright serve` on loopback, with its state in a SQLite file."""

    def __init__(
        self,
        *,
        folder: Path,
        group: ProcessGroup,
        api: Endpoint = _ANY_PORT,
        xds: Endpoint = _ANY_PORT,
        account_id: str = DEFAULT_ACCOUNT_ID,
        region: str = DEFAULT_REGION,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Describe a control plane; `start` starts it.

        Args:
            folder: where its state and its log go.
            group: the processes that it ends with.
            api: where it serves the API; port 0 means any free one.
            xds: where it serves the proxies; port 0 means any free one.
            account_id: the account in the ARNs.
            region: the region in the ARNs.
            environment: variables beside those of this process, such as the control plane's
                settings (`MESHWRIGHT_CERTIFICATES`) and those of AWS's SDKs.
        """
        # After the first start these hold the ports that were bound, so that a restart keeps them.
        self._api, self._xds = api, xds
        self._folder = folder
        self._group = group
        self._account_id = account_id
        self._region = region
        self._environment = environment or {}
        self._process: ChildProcess | None = None

    @property
    def process(self) -> ChildProcess:
        """The running process.

        Raises:
            HarnessError: it has not been started.
        """
        if self._process is None:
            raise HarnessError("the control plane has not been started")
        return self._process

    @property
    def is_started(self) -> bool:
        """Whether `start` has been called; it may have ended since."""
        return self._process is not None

    @property
    def api(self) -> Endpoint:
        """Where it serves the API."""
        return self._api

    @property
    def xds(self) -> Endpoint:
        """Where it serves the proxies."""
        return self._xds

    @property
    def url(self) -> str:
        """The `endpoint_url` of App Mesh clients."""
        return f"http://{self._api}"

    @property
    def store(self) -> Path:
        """The SQLite file."""
        return self._folder / "meshwright.db"

    @property
    def log(self) -> Path:
        """Its log, one JSON object a line."""
        return self._folder / "control-plane.stderr"

    def start(self) -> Self:
        """Start it and wait until it serves.

        Raises:
            HarnessError: it ended or does not serve; the text holds the end of its log.
        """
        seen_before = len(self.log_records())
        executable = Path(sys.executable).with_name("meshwright")
        launcher = [executable] if executable.exists() else [sys.executable, "-m", "meshwright"]
        options = {
            "--api": self._api,
            "--xds": self._xds,
            "--store": f"sqlite:///{self.store}",
            "--account-id": self._account_id,
            "--region": self._region,
            "--log-format": "json",
        }
        flags = [str(part) for option in options.items() for part in option]
        self._process = self._group.start(
            "control-plane", [*launcher, "serve", *flags], self._folder, self._environment
        )

        def find_serving() -> LogRecord | None:
            self.process.require_running()
            records = self.log_records()[seen_before:]
            return next((record for record in records if record.event == "serving"), None)

        serving = wait_until(
            find_serving,
            what="the control plane to serve",
            timeout=_START_TIMEOUT,
            seen=self.process.tail,
        )
        self._api = Endpoint.parse(serving.fields["api"])
        self._xds = Endpoint.parse(serving.fields["xds"])
        wait_until(
            self._is_healthy,
            what=f"{self.url}/healthz",
            timeout=_START_TIMEOUT,
            retry_on=(httpx.TransportError,),
        )
        return self

    def _is_healthy(self) -> bool:
        self.process.require_running()
        return httpx.get(f"{self.url}/healthz", trust_env=False, timeout=5).is_success

    def client(self) -> "AppMeshClient":
        """A boto3 client of its API that does not retry; close it, or leave it to the end."""
        # No proxy of the environment may come between.
        config = Config(proxies={}, retries={"total_max_attempts": 1})
        session = boto3.session.Session("meshwright", "meshwright", region_name=self._region)
        return cast("Any", session).client("appmesh", endpoint_url=self.url, config=config)

    def find_status(self, mesh: str) -> MeshStatus | None:
        """The status of a mesh, or None where there is no such mesh."""
        page = f"{self.url}/meshwright/v1/meshes/{mesh}/status"
        answer = httpx.get(page, trust_env=False, timeout=10)
        if answer.status_code == _NOT_FOUND:
            return None
        if answer.status_code != _OK:
            raise HarnessError(f"{page} answered {answer.status_code}: {answer.text[:300]}")
        return MeshStatus.parse(answer.json())

    def status(self, mesh: str) -> MeshStatus:
        """The status of a mesh.

        Raises:
            HarnessError: there is no such mesh.
        """
        status = self.find_status(mesh)
        if status is None:
            raise HarnessError(f"the control plane has no mesh {mesh!r}")
        return status

    def wait_acknowledged(
        self, mesh: str, *, proxies: int, revision: int | None = None, timeout: float = 30.0
    ) -> MeshStatus:
        """Wait until so many proxies have acknowledged all of a revision.

        Args:
            mesh: its name.
            proxies: how many proxies must be connected and up to date.
            revision: the revision; None means whatever is the mesh's newest.
            timeout: seconds.

        Raises:
            WaitTimeoutError: they did not; the text holds the last status.
        """

        def find_acknowledged() -> MeshStatus | None:
            status = self.find_status(mesh)
            if status is None:
                return None
            wanted = status.revision if revision is None else revision
            ready = [
                proxy for proxy in status.proxies if (proxy.acknowledged_revision or 0) >= wanted
            ]
            return status if len(ready) >= proxies and len(ready) == len(status.proxies) else None

        return wait_until(
            find_acknowledged,
            what=f"{proxies} proxies of mesh {mesh} to acknowledge its configuration",
            timeout=timeout,
            seen=lambda: self.find_status(mesh),
        )

    def log_records(self, event: str | None = None) -> list[LogRecord]:
        """What it has logged so far, of one event or of all, restarts included."""
        if not self.log.exists():
            return []
        # The last line may be under way.
        complete = self.log.read_text(errors="replace").rpartition("\n")[0]
        records = [LogRecord.parse(line) for line in complete.splitlines()]
        return [record for record in records if event is None or record.event == event]

    def stop(self) -> int:
        """Ask it to end (SIGTERM) and return its exit code."""
        return self.process.stop(_STOP_TIMEOUT)

    def kill(self) -> None:
        """End it at once, as a crash would; `start` starts it again on the same ports."""
        self.process.kill()

    def restart(self) -> Self:
        """Stop it and start it on the same ports with the same state."""
        self.stop()
        return self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
