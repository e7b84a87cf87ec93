"""Certificates and authorities that the operator has mapped to the ARNs of ACM.

    arn:aws:acm:eu-west-1:123456789012:certificate/1f3c: {directory: /etc/certificates/color}
    arn:aws:acm-pca:eu-west-1:123456789012:certificate-authority/7a: {secret: mesh-authority}

A directory holds `tls.crt`, `tls.key` and `ca.crt`, as Kubernetes mounts a TLS secret; a secret of
AWS Secrets Manager is a JSON object with members of these names.
"""

from __future__ import annotations

import json
import ssl
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, cast

import botocore.session
import structlog
import yaml
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from meshwright.model.mounts import AUTHORITIES_FILE, CHAIN_FILE, KEY_FILE
from meshwright.translate.lookups import Credential

_log = structlog.get_logger("meshwright.discovery")

SECRET_SECONDS: Final = 300.0
"""How often a secret of Secrets Manager is read again; App Mesh took up to 35 minutes."""

_PARTS: Final = (CHAIN_FILE, KEY_FILE, AUTHORITIES_FILE)


class CredentialError(Exception):
    """A certificate can't be used as it is now, or the mapping can't; the message says why."""


class Source(Protocol):
    """Where a credential comes from."""

    @property
    def seconds(self) -> float:
        """How often it is read again."""
        ...

    def read(self) -> Mapping[str, bytes]:
        """Its parts by their names.

        Raises:
            CredentialError: They can't be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory of files, of which a certificate or its authorities may be missing."""

    path: Path
    seconds: float = 0.0

    def read(self) -> Mapping[str, bytes]:
        """The files that are there.

        Raises:
            CredentialError: One can't be read.
        """
        if not self.path.is_dir():
            raise CredentialError(f"there is no directory {self.path}")
        try:
            return {
                name: (self.path / name).read_bytes()
                for name in _PARTS
                if (self.path / name).exists()
            }
        except OSError as error:
            raise CredentialError(f"{error.filename}: {error.strerror}") from None


@dataclass(frozen=True, slots=True)
class ManagedSecret:
    """A secret of AWS Secrets Manager, by its name or ARN."""

    name: str
    region: str
    seconds: float = SECRET_SECONDS

    def read(self) -> Mapping[str, bytes]:
        """The members of its JSON.

        Raises:
            CredentialError: AWS does not give it, or it is no such JSON.
        """
        session: Any = botocore.session.get_session()
        config = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2})
        try:
            client = session.create_client("secretsmanager", self.region, config=config)
            answer = client.get_secret_value(SecretId=self.name)
            members = json.loads(answer.get("SecretString", ""))
            return {name: str(members[name]).encode() for name in _PARTS if name in members}
        except (BotoCoreError, ClientError) as error:
            raise CredentialError(f"secret {self.name}: {error}") from None
        except (ValueError, TypeError):
            raise CredentialError(
                f"secret {self.name} must be a JSON object with {', '.join(_PARTS)}"
            ) from None


def parse_mapping(path: Path, *, region: str) -> dict[str, Source]:
    """Read which credential each ARN stands for.

    Args:
        path: A YAML file of ARNs, each with `directory` or `secret`.
        region: The region of secrets.

    Raises:
        CredentialError: The file can't be read, or an entry is none.
    """
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CredentialError(f"--certificates {path}: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise CredentialError(f"--certificates {path} is not YAML: {reason}") from None
    if not isinstance(said, dict):
        raise CredentialError(f"--certificates {path}: expected ARNs with directory or secret")
    sources: dict[str, Source] = {}
    for arn, entry in cast("dict[str, Any]", said).items():
        match entry:
            case {"directory": str(directory), **rest} if not rest:
                sources[arn] = Directory(path.parent / directory)
            case {"secret": str(secret), **rest} if not rest:
                sources[arn] = ManagedSecret(secret, region)
            case _:
                raise CredentialError(
                    f"--certificates {path}: {arn} needs {{directory: PATH}} or {{secret: NAME}}"
                )
    return sources


@dataclass(slots=True)
class _Mapped:
    """What is known of an ARN: its credential, why the newest is not taken, when to look again."""

    source: Source
    credential: Credential | None = None
    error: str = ""
    due_at: float = 0.0


class Credentials:
    """The mapped credentials, read again as they change.

    What can't be used, such as a pair of which only half has been written yet, leaves the last
    credential in place.

    Args:
        find_sources: Tells where each ARN's comes from, as it is mapped now.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        find_sources: Callable[[], Mapping[str, Source]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._find_sources = find_sources
        self._mapped: Mapping[str, _Mapped] = {}
        self._clock = clock

    def find_credential(self, arn: str) -> Credential | None:
        """What is mapped to an ARN and can be used; None where nothing is."""
        mapped = self._mapped.get(arn)
        return None if mapped is None else mapped.credential

    def find_error(self, arn: str, *, is_trust: bool) -> str:
        """Why what is mapped to an ARN now can't be used; empty where it can.

        Args:
            arn: The ARN.
            is_trust: Whether authorities are needed, or else a certificate with its key.
        """
        mapped = self._mapped.get(arn)
        if mapped is None:
            return f"nobody has mapped {arn}"
        credential = mapped.credential
        if mapped.error or credential is None:
            return mapped.error
        if is_trust and not credential.authorities:
            return f"what {arn} is mapped to has no {AUTHORITIES_FILE}"
        if not is_trust and not credential.key:
            return f"what {arn} is mapped to has no {CHAIN_FILE} with {KEY_FILE}"
        return ""

    def refresh(self) -> frozenset[str]:
        """Read what is due, and return the ARNs that stand for something else now."""
        before = self._mapped
        sources = self._find_sources()
        self._mapped = {arn: _continue(before.get(arn), source) for arn, source in sources.items()}
        gone = (arn for arn in before.keys() - sources.keys() if before[arn].credential)
        read = (arn for arn, mapped in self._mapped.items() if self._refresh(arn, mapped))
        return frozenset((*gone, *read))

    def _refresh(self, arn: str, mapped: _Mapped) -> bool:
        if self._clock() < mapped.due_at:
            return False
        mapped.due_at = self._clock() + mapped.source.seconds
        try:
            credential = _build(mapped.source.read())
        except CredentialError as error:
            if str(error) != mapped.error:  # once, not at each look
                _log.error("certificate_refused", arn=arn, reason=str(error))
            mapped.error = str(error)
            return False
        mapped.error = ""
        if credential == mapped.credential:
            return False
        mapped.credential = credential
        _log.info("certificate_loaded", arn=arn)
        return True


def _continue(known: _Mapped | None, source: Source) -> _Mapped:
    """What is known of an ARN, whose credential is kept until another source's can be used."""
    if known is None:
        return _Mapped(source)
    return known if known.source == source else _Mapped(source, known.credential)


def _build(parts: Mapping[str, bytes]) -> Credential:
    """A credential of these parts.

    Raises:
        CredentialError: There is none in them, or Envoy would refuse it.
    """
    chain, key, authorities = (parts.get(name, b"") for name in _PARTS)
    if not authorities and not (chain and key):
        raise CredentialError(f"it needs {CHAIN_FILE} with {KEY_FILE}, or {AUTHORITIES_FILE}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        if authorities:
            context.load_verify_locations(cadata=authorities.decode("ascii"))
        if chain or key:
            with tempfile.TemporaryDirectory() as folder:  # OpenSSL reads pairs from files only
                for name in (CHAIN_FILE, KEY_FILE):
                    (Path(folder) / name).write_bytes(parts.get(name, b""))
                context.load_cert_chain(
                    Path(folder) / CHAIN_FILE, Path(folder) / KEY_FILE, password=""
                )
    except ssl.SSLError as error:
        raise CredentialError(error.reason or "it is not PEM") from None
    except UnicodeDecodeError:
        raise CredentialError("it is not PEM") from None
    return Credential(chain, key, authorities)
