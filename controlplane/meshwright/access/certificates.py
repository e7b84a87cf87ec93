"""A TLS certificate that is served, taken over when its files change."""

from __future__ import annotations

import ssl
from pathlib import Path

import structlog

from meshwright.access.errors import AccessSettingsError

_log = structlog.get_logger("meshwright.access")


class Certificate:
    """A certificate with its key, and the contexts that serve them.

    New connections get the newest pair; those that are open keep theirs. A pair that can't be
    used, such as one of which only half has been written yet, leaves the last one in place.

    Args:
        certificate: A PEM file with the certificate and the chain up to its authority.
        key: A PEM file with its private key, without a passphrase.
        authorities: A PEM file with the authorities of clients' certificates.

    Attributes:
        http: What serves the pair over HTTP; it asks clients for no certificate. It stays the same
            object when the files change.
        ads: What serves the pair over gRPC. With authorities it asks clients for a certificate:
            none need be shown, but one that is must be valid.

    Raises:
        AccessSettingsError: The files can't be used as they are now.
    """

    def __init__(self, certificate: Path, key: Path, authorities: Path | None = None) -> None:
        self._certificate = certificate
        self._key = key
        self._authorities = authorities
        self._seen = self._identity()
        self._refused: str | None = None
        self.http = self._build_context("http/1.1")
        self.ads = self._build_ads_context()

    def get_ads(self) -> ssl.SSLContext:
        """What serves a new connection over gRPC."""
        return self.ads

    def refresh(self) -> None:
        """Take over the files if they have changed since, and log what came of it."""
        try:
            seen = self._identity()
            if seen == self._seen:
                return
            self._seen = seen
            # A new context first: a certificate and key that don't match would serve nobody.
            ads = self._build_ads_context()
            self._load(self.http)
            self.ads = ads
        except AccessSettingsError as error:
            if str(error) != self._refused:  # once, not at each look
                _log.error("certificate_refused", reason=str(error), remedy="mend the files")
            self._refused = str(error)
            return
        self._refused = None
        _log.info("certificate_reloaded", file=str(self._certificate))

    def _build_ads_context(self) -> ssl.SSLContext:
        context = self._build_context("h2")
        if self._authorities is None:
            return context
        context.verify_mode = ssl.CERT_OPTIONAL
        try:
            context.load_verify_locations(self._authorities)
        except (OSError, ssl.SSLError) as error:
            raise AccessSettingsError(
                f"TLS authorities {self._authorities} can't be used: {_render_reason(error)}"
            ) from None
        return context

    def _build_context(self, protocol: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols([protocol])
        self._load(context)
        return context

    def _load(self, context: ssl.SSLContext) -> None:
        try:
            # An empty passphrase makes OpenSSL fail on an encrypted key instead of asking for one.
            context.load_cert_chain(self._certificate, self._key, password="")
        except (OSError, ssl.SSLError) as error:
            raise AccessSettingsError(
                f"TLS certificate {self._certificate} with key {self._key} can't be used: "
                f"{_render_reason(error)}"
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


def _render_reason(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or "not PEM"
