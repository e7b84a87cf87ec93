"""The App Mesh API as the provider calls it: botocore in threads, patient but not for ever.

botocore blocks, so that each call runs in a thread of a pool while the plugin's server stays free
for the engine's other requests. A control plane that restarts, or that asks for fewer requests, is
asked again with growing pauses until the patience ends; cancelling ends the pauses at once.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from botocore import xform_name
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import create_credential_resolver
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnectionError
from botocore.session import Session

from pulumi_meshwright.model import API_VERSION, model_loader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mypy_boto3_appmesh import AppMeshClient

    from pulumi_meshwright.settings import Settings

PATIENCE: Final = 60.0
"""Seconds for which a call is tried again when the control plane is away or busy."""

BUSY: Final = frozenset({"TooManyRequestsException", "ServiceUnavailableException"})
"""Answers that ask to be tried again."""

_PASSING: Final = (502, 503, 504)
"""Statuses by which a proxy in between, or a server that starts or stops, asks for the same."""

_BROKEN: Final = 500
"""The status of an unexpected error."""

_UNCERTAIN: Final = (500, 502, 504)
"""Statuses after which what was asked may have been done all the same."""

_BAD_KEYS: Final = frozenset(
    {
        "IncompleteSignatureException",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "UnrecognizedClientException",
    }
)
"""Answers to a request whose key or signature isn't right."""

_TRIES_AFTER_BREAKAGE: Final = 4
"""How often what ended in an unexpected error is tried again: it may pass, but rarely by waiting.
(botocore's own number.)"""

_FIRST_PAUSE = 0.1  # seconds; doubled each time up to the longest
_LONGEST_PAUSE = 5.0
_THREADS = 32  # the engine asks for as many resources at once as its --parallel says
_NOBODY = "meshwright"  # the key of a caller who has none; loopback needs none
# Sources of credentials that only AWS's own services know; asking the first means waiting for a
# metadata service that isn't there.
_FOREIGN_CREDENTIALS = ("iam-role", "container-role")


class ApiError(Exception):
    """A call that failed, in words for the user.

    Attributes:
        code: The API's name for it (`NotFoundException`), or `Unreachable`, `Distrusted` or
            `Cancelled`.
        uncertain: Whether a try of it may have been carried out, its answer being lost.
    """

    def __init__(self, text: str, code: str) -> None:
        super().__init__(text)
        self.code = code
        self.uncertain = False


@dataclass(slots=True)
class _Attempts:
    """One call's tries: when they must end, and how long to pause between two."""

    patience: float
    deadline: float = field(init=False)
    pause: float = _FIRST_PAUSE
    broken: int = 0
    uncertain: bool = False

    def __post_init__(self) -> None:
        self.deadline = time.monotonic() + self.patience

    def lasted(self) -> float:
        """Seconds since the first try."""
        return self.patience - (self.deadline - time.monotonic())

    def next_pause(self, *, broken: bool) -> float | None:
        """Seconds until the next try, or None when the patience has ended.

        Args:
            broken: Whether this try has ended in an unexpected error.
        """
        left = self.deadline - time.monotonic()
        self.broken += broken
        if left <= 0 or self.broken > _TRIES_AFTER_BREAKAGE:
            return None
        # "Full jitter": calls that failed together should not come back together.
        pause = random.uniform(self.pause / 2, self.pause)  # noqa: S311 - no secret is made of it
        self.pause = min(self.pause * 2, _LONGEST_PAUSE)
        return min(pause, left)


class Api:
    """One control plane's API. Safe for use by many tasks at once."""

    def __init__(self, settings: Settings, *, patience: float = PATIENCE) -> None:
        self.endpoint = settings.endpoint
        self._settings = settings
        self._patience = patience
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._made: AppMeshClient | None = None
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="appmesh")

    async def call(
        self,
        operation: str,
        parameters: Mapping[str, Any],
        *,
        also_busy: frozenset[str] = frozenset(),
        patience: float | None = None,
        on_wait: Callable[[str], None] | None = None,
    ) -> dict[str, Any]:
        """Call one operation, for instance `DescribeMesh`, and return its parsed answer.

        Args:
            operation: The operation's name in the model.
            parameters: Its members, as botocore takes them.
            also_busy: Error codes that, for this call, mean "try again later" as well.
            patience: Seconds, where it should be less than usual.
            on_wait: Told why, the first time that a try is going to be repeated.

        Raises:
            ApiError: The API refused, or could not be reached for as long as the patience lasts.
        """

        def attempt() -> dict[str, Any]:
            method = getattr(self._client(), xform_name(operation))
            return cast("dict[str, Any]", method(**parameters))

        return await self._run(
            operation, attempt, BUSY | also_busy, patience or self._patience, on_wait
        )

    async def ask_operator(
        self,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        patience: float | None = None,
        on_wait: Callable[[str], None] | None = None,
    ) -> dict[str, Any]:
        """Ask for what is beside App Mesh's API, for instance a mesh's status.

        Args:
            path: The path below `/meshwright/v1/`.
            body: The question, which is then posted.
            patience: Seconds, where it should be less than usual.
            on_wait: Told why, the first time that a try is going to be repeated.

        Raises:
            ApiError: The control plane refused, or could not be reached.
        """
        seconds = self._patience if patience is None else patience
        return await self._run(path, lambda: self._ask(path, body), BUSY, seconds, on_wait)

    async def _run(
        self,
        operation: str,
        attempt: Callable[[], dict[str, Any]],
        busy: frozenset[str],
        patience: float,
        on_wait: Callable[[str], None] | None,
    ) -> dict[str, Any]:
        loop = asyncio.get_running_loop()

        def tell(reason: str) -> None:
            if on_wait is not None:
                loop.call_soon_threadsafe(on_wait, reason)

        attempts = _Attempts(min(patience, self._patience))
        return await loop.run_in_executor(
            self._pool, self._call, operation, attempt, busy, attempts, tell
        )

    def warm_up(self) -> None:
        """Make the client in the background, because making it takes a moment."""
        self._pool.submit(self._client)

    def cancel(self) -> None:
        """End all waiting; calls that are on their way still end by themselves."""
        self._cancelled.set()

    def close(self) -> None:
        """End the threads and the connections; there must be no call under way."""
        self._pool.shutdown()
        if self._made is not None:
            self._made.close()

    def _call(
        self,
        operation: str,
        attempt: Callable[[], dict[str, Any]],
        busy: frozenset[str],
        attempts: _Attempts,
        tell: Callable[[str], None],
    ) -> dict[str, Any]:
        try:
            return self._try(operation, attempt, busy, attempts, tell)
        except ApiError as error:
            error.uncertain = attempts.uncertain
            raise

    def _try(
        self,
        operation: str,
        attempt: Callable[[], dict[str, Any]],
        busy: frozenset[str],
        attempts: _Attempts,
        tell: Callable[[str], None],
    ) -> dict[str, Any]:
        told = False
        while True:
            broken = False
            try:
                return attempt()
            except ClientError as error:
                failure = self._refused(error)
                reason = failure.code
                status = _status(error)
                broken = status == _BROKEN
                attempts.uncertain |= status in _UNCERTAIN
                if not broken and failure.code not in busy and status not in _PASSING:
                    raise failure from None
            except (HTTPClientError, NoConnectionError) as error:
                if distrust := _find_distrust(error):
                    raise self._distrusted(distrust) from None
                attempts.uncertain |= not isinstance(error, NoConnectionError)
                reason = _cause(error)
                failure = self._unreachable(reason, attempts)
            except BotoCoreError as error:
                raise ApiError(f"{operation} can't be asked: {error}", "Client") from None
            pause = attempts.next_pause(broken=broken)
            if pause is None:
                raise failure from None
            if not told:
                told = True
                bound = f" for up to {attempts.patience:.0f} s"
                bound = f", up to {_TRIES_AFTER_BREAKAGE} times" if broken else bound
                tell(f"asking {self.endpoint} again{bound}: {reason}")
            if self._cancelled.wait(pause):
                raise ApiError(f"cancelled while waiting: {failure}", "Cancelled") from None

    def _ask(self, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        """One request to the control plane itself, signed as those of App Mesh's API are."""
        client: Any = self._client()
        request = AWSRequest(
            method="GET" if body is None else "POST",
            url=f"{self.endpoint.rstrip('/')}/meshwright/v1/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        # The client's own key, connections and authorities; botocore has no public way to them.
        client._request_signer.sign(path, request)  # noqa: SLF001
        answer = client._endpoint.http_session.send(request.prepare())  # noqa: SLF001
        try:
            content = cast("dict[str, Any]", json.loads(answer.content))
        except ValueError:
            content = {"message": answer.text}
        if answer.status_code == 200:
            return content
        error = {"Code": content.get("__type", "400"), "Message": content.get("message", "")}
        if answer.status_code == 404:
            error["Code"] = "NotFoundException"
        metadata = {"HTTPStatusCode": answer.status_code}
        raise ClientError({"Error": error, "ResponseMetadata": metadata}, path)  # pyright: ignore[reportArgumentType]

    def _client(self) -> AppMeshClient:
        """The client, made once."""
        with self._lock:
            if self._made is None:
                self._made = _make_client(self._settings)
            return self._made

    def _refused(self, error: ClientError) -> ApiError:
        details = cast("dict[str, Any]", error.response)
        code = str(details.get("Error", {}).get("Code", "Unknown"))
        message = " ".join(str(details.get("Error", {}).get("Message", "")).split())
        status = details.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
        if code.isdecimal() or message.startswith("<"):
            # botocore's stand-in for an error's name, or a web page: not App Mesh's manner
            text = (
                f"{self.endpoint} answered HTTP status {status}, but not as App Mesh does: "
                "is meshwright:endpoint a Meshwright's address?"
            )
        else:
            text = f"{self.endpoint} answered {code}: {message or f'HTTP status {status}'}"
        if code in _BAD_KEYS:
            text += "; set meshwright:accessKey and meshwright:secretKey, or meshwright:profile"
        return ApiError(text, code)

    def _distrusted(self, error: ssl.SSLCertVerificationError) -> ApiError:
        text = (
            f"the certificate of {self.endpoint} can't be trusted ({error.verify_message}): set "
            "meshwright:customCaBundle or MESHWRIGHT_CA_BUNDLE to a file of its authorities"
        )
        return ApiError(text, "Distrusted")

    def _unreachable(self, reason: str, attempts: _Attempts) -> ApiError:
        lasted = attempts.lasted()
        so_long = f" for {lasted:.0f} s" if lasted >= 1 else ""
        text = (
            f"no answer from the control plane at {self.endpoint}{so_long} "
            f"({reason}): start it, or set meshwright:endpoint or MESHWRIGHT_ENDPOINT"
        )
        return ApiError(text, "Unreachable")


def _status(error: ClientError) -> int:
    """The HTTP status of an error, or 0."""
    response = cast("dict[str, Any]", error.response)
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _is_loopback(endpoint: str) -> bool:
    host = urlsplit(endpoint).hostname or ""
    return host == "localhost" or host == "::1" or host.startswith("127.")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what it was raised for, down to the innermost."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _find_distrust(error: BaseException) -> ssl.SSLCertVerificationError | None:
    """What is wrong with the server's certificate, if that is why the connection failed."""
    found = (each for each in _chain(error) if isinstance(each, ssl.SSLCertVerificationError))
    return next(found, None)


def _cause(error: BaseException) -> str:
    """The innermost reason of a failed connection, without the chain around it."""
    *_, seen = _chain(error)
    return getattr(seen, "strerror", None) or str(seen) or type(seen).__name__


def _make_client(settings: Settings) -> AppMeshClient:
    """The client that boto3 would make, without boto3; the tries are counted here, not there."""
    session = Session(profile=settings.profile)
    session.register_component("data_loader", model_loader())
    config = Config(
        retries={"total_max_attempts": 1},
        connect_timeout=5,
        read_timeout=30,
        max_pool_connections=_THREADS,
        # A proxy of the environment leads to the world, not back to this machine.
        proxies={} if _is_loopback(settings.endpoint) else None,
    )
    key, secret, token = settings.access_key, settings.secret_key, settings.token
    if not key or not secret:
        resolver = create_credential_resolver(session)
        for method in _FOREIGN_CREDENTIALS:
            resolver.remove(method)
        found = resolver.load_credentials()
        if found is not None:
            key, secret, token = found.access_key, found.secret_key, found.token
    client = session.create_client(
        "appmesh",
        api_version=API_VERSION,
        endpoint_url=settings.endpoint,
        region_name=settings.region,
        aws_access_key_id=key or _NOBODY,
        aws_secret_access_key=secret or _NOBODY,
        aws_session_token=token,
        config=config,
        verify=settings.custom_ca_bundle,
    )
    return cast("AppMeshClient", client)
