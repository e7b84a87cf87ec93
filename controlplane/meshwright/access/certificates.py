"""A TLS certificate that is served, taken over when its files change."""

from __future__ import annotations

import ssl
from pathlib import Path

from meshwright.access.errors import AccessSettingsError
from meshwright.reloading import ReloadedFiles


class Certificate(ReloadedFiles[ssl.SSLContext]):
    """A certificate with its key, and the contexts that serve them.

    New connections get the newest pair; those that are open keep theirs. What is taken over when
    the files change is what serves the pair over gRPC. With authorities it asks clients for a
    certificate: none need be shown, but one that is must be valid.

    Args:
        option: The option that names the certificate.
        certificate: A PEM file with the certificate and the chain up to its authority.
        key: A PEM file with its private key, without a passphrase.
        authorities: A PEM file with the authorities of clients' certificates.

    Attributes:
        http: What serves the pair over HTTP; it asks clients for no certificate. It stays the same
            object when the files change.

    Raises:
        AccessSettingsError: The files can't be used as they are now.
    """

    def __init__(
        self, option: str, certificate: Path, key: Path, authorities: Path | None = None
    ) -> None:
        self._certificate = certificate
        self._key = key
        self._authorities = authorities
        self.http = _build_context("http/1.1")
        paths = [certificate, key, *([] if authorities is None else [authorities])]
        super().__init__(option, paths, self._take_over, AccessSettingsError)

    def get_ads(self) -> ssl.SSLContext:
        """What serves a new connection over gRPC."""
        return self.value

    def _take_over(self) -> ssl.SSLContext:
        # A new context first: a certificate and key that don't match would serve nobody.
        ads = self._build_ads_context()
        self._load(self.http)
        return ads

    def _build_ads_context(self) -> ssl.SSLContext:
        context = _build_context("h2")
        self._load(context)
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

    def _load(self, context: ssl.SSLContext) -> None:
        try:
            # An empty passphrase makes OpenSSL fail on an encrypted key instead of asking for one.
            context.load_cert_chain(self._certificate, self._key, password="")
        except (OSError, ssl.SSLError) as error:
            raise AccessSettingsError(
                f"TLS certificate {self._certificate} with key {self._key} can't be used: "
                f"{_render_reason(error)}"
            ) from None


def _build_context(protocol: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([protocol])
    return context


def _render_reason(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or "not PEM"
