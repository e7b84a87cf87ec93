"""The API's TLS certificate, taken over when its files change."""

from __future__ import annotations

import ssl
from pathlib import Path

import structlog

from meshwright.access.errors import AccessSettingsError

_log = structlog.get_logger("meshwright.access")


class Certificate:
    """A certificate with its key, and the context that serves them.

    New connections get the newest pair; those that are open keep theirs. A pair that can't be
    used, such as one of which only half has been written yet, leaves the last one in place.

    Args:
        certificate: A PEM file with the certificate and the chain up to its authority.
        key: A PEM file with its private key, without a passphrase.

    Raises:
        AccessSettingsError: The files can't be used as they are now.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self._seen = self._identity()
        self._refused: str | None = None
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self._load(self.context)

    def refresh(self) -> None:
        """Take over the files if they have changed since, and log what came of it."""
        try:
            seen = self._identity()
            if seen == self._seen:
                return
            self._seen = seen
            # A trial first: a context whose certificate and key don't match would serve nobody.
            self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
            self._load(self.context)
        except AccessSettingsError as error:
            if str(error) != self._refused:  # once, not at each look
                _log.error("certificate_refused", reason=str(error), remedy="mend the files")
            self._refused = str(error)
            return
        self._refused = None
        _log.info("certificate_reloaded", file=str(self._certificate))

    def _load(self, context: ssl.SSLContext) -> None:
        try:
            # An empty passphrase makes OpenSSL fail on an encrypted key instead of asking for one.
            context.load_cert_chain(self._certificate, self._key, password="")
        except (OSError, ssl.SSLError) as error:
            reason = getattr(error, "reason", None) or error.strerror or "not PEM"
            raise AccessSettingsError(
                f"TLS certificate {self._certificate} with key {self._key} can't be used: {reason}"
            ) from None

    def _identity(self) -> tuple[int, ...]:
        identity: list[int] = []
        for path in (self._certificate, self._key):
            try:
                status = path.stat()
            except OSError as error:
                raise AccessSettingsError(f"TLS: {path} can't be read: {error.strerror}") from None
            identity += (status.st_ino, status.st_size, status.st_mtime_ns)
        return tuple(identity)
