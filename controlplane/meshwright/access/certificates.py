"""A TLS certificate that is served, taken over when its files change."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from meshwright.access.errors import AccessSettingsError

_log = structlog.get_logger("meshwright.access")


@dataclass(frozen=True, slots=True)
class Pem:
    """What a server shows and whom it trusts, each as PEM.

    Attributes:
        certificate: The certificate and its chain.
        key: Its private key.
        authorities: Whose certificates clients must show; None where they need none.
    """

    certificate: bytes
    key: bytes = field(repr=False)
    authorities: bytes | None = None


class Certificate:
    """A certificate with its key, and the context that serves them.

    New connections get the newest pair; those that are open keep theirs. A pair that can't be
    used, such as one of which only half has been written yet, leaves the last one in place.

    Args:
        certificate: A PEM file with the certificate and the chain up to its authority.
        key: A PEM file with its private key, without a passphrase.
        authorities: A PEM file with the authorities of clients' certificates.

    Attributes:
        context: What serves the pair over HTTP; it asks clients for no certificate.
        pem: The files' contents, replaced as a whole by those of a newer state.

    Raises:
        AccessSettingsError: The files can't be used as they are now.
    """

    def __init__(self, certificate: Path, key: Path, authorities: Path | None = None) -> None:
        self._certificate = certificate
        self._key = key
        self._authorities = authorities
        self._seen = self._identity()
        self._refused: str | None = None
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self.pem = self._load(self.context)

    def refresh(self) -> None:
        """Take over the files if they have changed since, and log what came of it."""
        try:
            seen = self._identity()
            if seen == self._seen:
                return
            self._seen = seen
            # A trial first: a context whose certificate and key don't match would serve nobody.
            self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
            self.pem = self._load(self.context)
        except AccessSettingsError as error:
            if str(error) != self._refused:  # once, not at each look
                _log.error("certificate_refused", reason=str(error), remedy="mend the files")
            self._refused = str(error)
            return
        self._refused = None
        _log.info("certificate_reloaded", file=str(self._certificate))

    def _load(self, context: ssl.SSLContext) -> Pem:
        try:
            # An empty passphrase makes OpenSSL fail on an encrypted key instead of asking for one.
            context.load_cert_chain(self._certificate, self._key, password="")
        except (OSError, ssl.SSLError) as error:
            reason = getattr(error, "reason", None) or error.strerror or "not PEM"
            raise AccessSettingsError(
                f"TLS certificate {self._certificate} with key {self._key} can't be used: {reason}"
            ) from None
        authorities = self._authorities
        try:
            if authorities is not None:
                context.load_verify_locations(authorities)
            return Pem(
                self._certificate.read_bytes(),
                self._key.read_bytes(),
                None if authorities is None else authorities.read_bytes(),
            )
        except (OSError, ssl.SSLError) as error:
            reason = getattr(error, "reason", None) or error.strerror or "not PEM"
            raise AccessSettingsError(
                f"TLS authorities {authorities} can't be used: {reason}"
            ) from None

    def _identity(self) -> tuple[int, ...]:
        identity: list[int] = []
        for path in filter(None, (self._certificate, self._key, self._authorities)):
            try:
                status = path.stat()
            except OSError as error:
                raise AccessSettingsError(f"TLS: {path} can't be read: {error.strerror}") from None
            identity += (status.st_ino, status.st_size, status.st_mtime_ns)
        return tuple(identity)
