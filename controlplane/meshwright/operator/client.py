"""Requests to a control plane, signed where keys are configured, and its errors in a line."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote, urlencode, urlsplit

if TYPE_CHECKING:
    from botocore.credentials import Credentials

DEFAULT_ENDPOINT: Final = "http://127.0.0.1:4580"

REFUSED: Final = 1
"""The exit code where the control plane says no, or what was waited for did not come."""

UNUSABLE: Final = 2
"""The exit code where it can't even be asked: bad usage, an unreadable file, nobody there."""

_TIMEOUT_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason for a refusal: what is wrong, and where it is known, in which document."""

    message: str
    document: int | None = None
    resource: str | None = None


class CommandError(Exception):
    """A command can't do what was asked; the message is one line for people.

    Args:
        message: What is wrong and what to do.
        exit_code: What the process ends with.
    """

    def __init__(self, message: str, exit_code: int = UNUSABLE) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class RefusedError(CommandError):
    """The control plane refused a request.

    Args:
        code: The exception's name, such as `NotFoundException`.
        message: What it said.
        problems: Its reasons one by one, where it gave several.
    """

    def __init__(self, code: str, message: str, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(message, REFUSED)
        self.code = code
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Connection:
    """How a control plane is reached.

    Attributes:
        endpoint: Its API's URL.
        credentials: The key that requests are signed with, or None to send them unsigned.
        region: The region that signatures are for.
        ca_bundle: A file with the authorities that its certificate is checked with, or None for
            the system's.
    """

    endpoint: str
    credentials: Credentials | None = None
    region: str = "us-east-1"
    ca_bundle: str | None = None

    @classmethod
    def from_environment(
        cls, endpoint: str, environment: Mapping[str, str] = os.environ
    ) -> Connection:
        """The connection that the environment configures, to a given endpoint.

        Raises:
            CommandError: The endpoint is no URL, or half of a key is missing.
        """
        parts = urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise CommandError(
                f"--endpoint {endpoint!r}: expected a URL, for instance {DEFAULT_ENDPOINT}"
            )
        key = environment.get("MESHWRIGHT_ACCESS_KEY_ID")
        secret = environment.get("MESHWRIGHT_SECRET_ACCESS_KEY")
        if bool(key) != bool(secret):
            raise CommandError(
                "MESHWRIGHT_ACCESS_KEY_ID and MESHWRIGHT_SECRET_ACCESS_KEY belong together: set "
                "both to sign requests, or neither"
            )
        credentials = None
        if key and secret:
            from botocore.credentials import Credentials

            credentials = Credentials(key, secret)
        return cls(
            endpoint.rstrip("/"),
            credentials,
            environment.get("MESHWRIGHT_REGION", "us-east-1"),
            environment.get("MESHWRIGHT_CA_BUNDLE"),
        )

    def list_meshes(self) -> list[dict[str, Any]]:
        """Every mesh with its revision and counts."""
        return self._call("GET", "/meshwright/v1/meshes")["meshes"]

    def show(self, mesh: str) -> dict[str, Any]:
        """A mesh with all its resources."""
        return self._call("GET", _mesh_path(mesh))

    def status(self, mesh: str) -> dict[str, Any]:
        """A mesh's revision, findings, proxies and refusals."""
        return self._call("GET", f"{_mesh_path(mesh)}/status")

    def apply(self, documents: list[object], *, prune: bool, dry_run: bool) -> dict[str, Any]:
        """Make a mesh hold what documents declare; see `POST /meshwright/v1/apply`."""
        body = {"documents": documents, "prune": prune, "dryRun": dry_run}
        return self._call("POST", "/meshwright/v1/apply", body=body)

    def delete(self, mesh: str, *, recursive: bool, dry_run: bool) -> dict[str, Any]:
        """Delete a mesh."""
        flags = {"recursive": str(recursive).lower(), "dryRun": str(dry_run).lower()}
        return self._call("DELETE", f"{_mesh_path(mesh)}?{urlencode(flags)}")

    def list_shares(self, mesh: str) -> dict[str, Any]:
        """The accounts that a mesh is shared with, or that have something in it still."""
        return self._call("GET", f"{_mesh_path(mesh)}/shares")

    def share(self, mesh: str, account: str) -> dict[str, Any]:
        """Share a mesh with an account; its shares then."""
        return self._call("PUT", f"{_mesh_path(mesh)}/shares/{quote(account, safe='')}")

    def unshare(self, mesh: str, account: str) -> dict[str, Any]:
        """Share a mesh with an account no longer; its shares then."""
        return self._call("DELETE", f"{_mesh_path(mesh)}/shares/{quote(account, safe='')}")

    def list_tokens(self) -> list[dict[str, Any]]:
        """The tokens of proxies, without the tokens themselves."""
        return self._call("GET", "/meshwright/v1/tokens")["tokens"]

    def issue_token(self, scope: str, *, seconds: float | None) -> dict[str, Any]:
        """A new token; see `POST /meshwright/v1/tokens`."""
        body = {"for": scope, "seconds": seconds}
        return self._call("POST", "/meshwright/v1/tokens", body=body)

    def revoke_token(self, token_id: str) -> dict[str, Any]:
        """Revoke a token; what was known of it."""
        return self._call("DELETE", f"/meshwright/v1/tokens/{quote(token_id, safe='')}")

    def rotate_token_keys(self, *, overlap_seconds: float) -> dict[str, Any]:
        """Sign tokens with a new key from now on."""
        body = {"overlapSeconds": overlap_seconds}
        return self._call("POST", "/meshwright/v1/token-keys", body=body)

    def _call(self, method: str, path: str, *, body: object = None) -> dict[str, Any]:
        # Only now: loading it takes longer than all else that a command does before it asks.
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import BotoCoreError, SSLError
        from botocore.httpsession import URLLib3Session

        request = AWSRequest(
            method=method,
            url=self.endpoint + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={} if body is None else {"content-type": "application/json"},
        )
        # Signed with the rest, so that two equal requests within a second are no replay.
        request.headers["amz-sdk-invocation-id"] = str(uuid.uuid4())
        if self.credentials is not None:
            SigV4Auth(self.credentials, "appmesh", self.region).add_auth(request)
        # A path is a choice that the type stubs leave out.
        verify = cast("bool", self.ca_bundle or True)
        session = URLLib3Session(verify=verify, timeout=_TIMEOUT_SECONDS)
        try:
            answer = session.send(request.prepare())
        except BotoCoreError as error:
            reason = error.kwargs.get("error") or error
            if isinstance(error, SSLError):
                raise CommandError(
                    f"{self.endpoint} is not trusted: {_shorten(reason)}; MESHWRIGHT_CA_BUNDLE "
                    "names a file with the authorities of its certificate"
                ) from None
            raise CommandError(
                f"{self.endpoint} can't be reached: {_shorten(reason)}; is `meshwright serve` "
                "running there? (--endpoint or MESHWRIGHT_ENDPOINT)"
            ) from None
        finally:
            session.close()
        return self._read(answer.status_code, answer.content)

    def _read(self, status: int, body: bytes) -> dict[str, Any]:
        try:
            content = cast("dict[str, Any]", json.loads(body))
            message = "" if status == 200 else str(content["message"])
        except (ValueError, LookupError, TypeError):
            raise CommandError(
                f"{self.endpoint} answers {status} and is no control plane of meshwright, or "
                "one of another version"
            ) from None
        if status == 200:
            return content
        problems = tuple(
            Problem(each["message"], each.get("document"), each.get("resource"))
            for each in content.get("problems", ())
        )
        code = str(content.get("__type", ""))
        if code == "MissingAuthenticationTokenException" and self.credentials is None:
            message = (
                f"{self.endpoint} wants requests signed: set MESHWRIGHT_ACCESS_KEY_ID and "
                "MESHWRIGHT_SECRET_ACCESS_KEY to an access key of it"
            )
        raise RefusedError(code, message, problems)


def _mesh_path(mesh: str) -> str:
    return f"/meshwright/v1/meshes/{quote(mesh, safe='')}"


def _shorten(reason: object) -> str:
    """What an HTTP library says, without its object's address and the class's name."""
    text = str(reason).rpartition("] ")[2] or str(reason)
    return text.partition(" (_ssl.c")[0].rstrip(")")
