"""An emulated AWS: LocalStack in a container where Docker has it, else moto's server in process."""

import contextlib
import logging
import os
import threading
from collections.abc import Generator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

import boto3
import docker
import docker.errors
import httpx
import requests.exceptions
from botocore.config import Config

from pytest_meshwright.errors import HarnessError
from pytest_meshwright.processes import ProcessGroup
from pytest_meshwright.waiting import wait_until

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

IMAGE_VARIABLE = "MESHWRIGHT_LOCALSTACK_IMAGE"
DOCKER_VARIABLE = "MESHWRIGHT_DOCKER"
KNOWN_IMAGES = ("localstack/localstack:4.14.0", "meshwright/localstack:4.14.0")
REGION = "us-east-1"
# Emulators look at nothing of a credential but the account id, which they take from the key.
ACCESS_KEY, SECRET_KEY = "000000000000", "meshwright"

_LOCALSTACK_PORT = 4566
_LOCALSTACK_TIMEOUT = 90.0
_LOCALSTACK_SETTINGS = {"DISABLE_EVENTS": "1", "SKIP_SSL_CERT_DOWNLOAD": "1"}
_LOOPBACK = "127.0.0.1"
_DOCKER_ERRORS = (docker.errors.DockerException, requests.exceptions.RequestException)


def docker_answers() -> bool:
    """Whether a Docker engine answers and `MESHWRIGHT_DOCKER` is not `off`."""
    if os.environ.get(DOCKER_VARIABLE, "").lower() in {"off", "no", "false", "0"}:
        return False
    try:
        with contextlib.closing(docker.from_env(timeout=5)) as client:
            return bool(client.ping())
    except _DOCKER_ERRORS:
        return False


def find_localstack_image() -> str | None:
    """The LocalStack image to use, or None where Docker or an image is missing.

    `MESHWRIGHT_LOCALSTACK_IMAGE` names one, which Docker fetches if it has to; without it, only
    what the engine has already is used.
    """
    if not docker_answers():
        return None
    if named := os.environ.get(IMAGE_VARIABLE):
        return named
    with contextlib.closing(docker.from_env()) as client:
        for name in KNOWN_IMAGES:
            with contextlib.suppress(docker.errors.ImageNotFound):
                client.images.get(name)
                return name
    return None


class _Backend(Protocol):
    """One way to emulate AWS."""

    kind: str
    endpoint: str

    def stop(self) -> None: ...


class AwsEmulator:
    """An emulated AWS on a loopback address, for one or many tests."""

    def __init__(self, group: ProcessGroup, *, image: str | None = None) -> None:
        """Describe an emulator; `start` starts it.

        Args:
            group: what the container belongs to; it is removed with the group in any case.
            image: a LocalStack image; None means moto. See `find_localstack_image`.
        """
        self._group = group
        self._image = image
        self._backend: _Backend | None = None
        # boto3's sessions build clients one at a time.
        self._lock = threading.Lock()
        self._session = boto3.session.Session(ACCESS_KEY, SECRET_KEY, region_name=REGION)
        self._clients: dict[str, Any] = {}

    @property
    def kind(self) -> str:
        """What emulates AWS, to tell people: `LocalStack 4.14.0 in Docker`."""
        return self._running.kind

    @property
    def endpoint(self) -> str:
        """The `endpoint_url` for every service."""
        return self._running.endpoint

    @property
    def _running(self) -> _Backend:
        if self._backend is None:
            raise HarnessError("the AWS emulator has not been started")
        return self._backend

    def start(self) -> Self:
        """Start it and wait until it serves.

        Raises:
            HarnessError: the container did not start or does not answer.
        """
        if self._image is None:
            self._backend = _Moto()
        else:
            self._backend = _LocalStack(self._image, self._group.container_labels)
        return self

    def client(self, service: str) -> Any:
        """The boto3 client of a service, for instance `logs`; one for all threads."""
        with self._lock:
            if service not in self._clients:
                # No proxy of the environment between; a retry is the caller's to decide on.
                config = Config(proxies={}, retries={"total_max_attempts": 1})
                make = cast("Any", self._session).client
                self._clients[service] = make(service, endpoint_url=self.endpoint, config=config)
            return self._clients[service]

    @property
    def logs(self) -> "CloudWatchLogsClient":
        """The client of CloudWatch Logs."""
        return self.client("logs")

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that lead the AWS SDKs and the AWS CLI to the emulator."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": REGION,
        }

    def stop(self) -> None:
        """Stop it; what it held is gone."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()
        if self._backend is not None:
            self._backend.stop()
            self._backend = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


class _LocalStack:
    """LocalStack in a container by testcontainers."""

    def __init__(self, image: str, labels: Mapping[str, str]) -> None:
        from testcontainers.core.container import DockerContainer  # slow to import

        container = DockerContainer(image, labels=dict(labels), env=dict(_LOCALSTACK_SETTINGS))
        # On all interfaces, as testcontainers would have it, it would serve the whole network.
        cast("Any", container.ports)[f"{_LOCALSTACK_PORT}/tcp"] = (_LOOPBACK,)
        self._container = container
        self.endpoint = ""
        try:
            with _without_ryuk():
                container.start()
            version = wait_until(
                self._read_version,
                what=f"LocalStack ({image})",
                timeout=_LOCALSTACK_TIMEOUT,
                interval=0.1,
                retry_on=(httpx.TransportError,),
            )
        except BaseException as error:
            self.stop()
            if isinstance(error, _DOCKER_ERRORS):
                raise HarnessError(f"Docker cannot start {image}: {error}") from error
            raise
        self.kind = f"LocalStack {version} in Docker"

    def _read_version(self) -> str | None:
        # A container that ended, or was removed, will never answer.
        container = self._container.get_wrapped_container()
        container.reload()
        if container.status != "running":
            last = container.logs(tail=5).decode(errors="replace").strip()
            raise HarnessError(
                f"LocalStack's container is {container.status}; its log ends: {last}"
            )
        ports = cast("dict[str, Any]", container.ports)
        port = ports[f"{_LOCALSTACK_PORT}/tcp"][0]["HostPort"]
        self.endpoint = f"http://{_LOOPBACK}:{port}"
        answer = httpx.get(f"{self.endpoint}/_localstack/health", trust_env=False, timeout=5)
        return answer.json()["version"] if answer.is_success else None

    def stop(self) -> None:
        """Remove the container, unless somebody else did."""
        with contextlib.suppress(docker.errors.NotFound):
            self._container.stop()


@contextlib.contextmanager
def _without_ryuk() -> Generator[None]:
    """Let testcontainers start a container without a second one that watches it.

    The group's reaper removes the container in all cases, at once and without an image of its own.
    """
    from testcontainers.core.config import testcontainers_config

    before = testcontainers_config.ryuk_disabled
    testcontainers_config.ryuk_disabled = True
    try:
        yield
    finally:
        testcontainers_config.ryuk_disabled = before


class _Moto:
    """moto's server in a thread."""

    def __init__(self) -> None:
        from importlib.metadata import version

        from moto.moto_server import werkzeug_app  # slow to import
        from werkzeug.serving import make_server

        # Each request would be a line on standard error.
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        application = werkzeug_app.DomainDispatcherApplication(werkzeug_app.create_backend_app)
        self._server = make_server(_LOOPBACK, 0, application, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.endpoint = f"http://{_LOOPBACK}:{self._server.port}"
        self.kind = f"moto {version('moto')} in process"

    def stop(self) -> None:
        """Forget everything and end the thread."""
        # moto keeps what it holds in the process, where the next server would find it.
        httpx.post(f"{self.endpoint}/moto-api/reset", trust_env=False, timeout=10)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
