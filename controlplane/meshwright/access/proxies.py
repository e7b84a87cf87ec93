"""Proxies on ADS: what the operator says about them, their TLS, and who they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import yaml

from meshwright.access.certificates import Certificate
from meshwright.access.errors import AccessSettingsError
from meshwright.access.gates import (
    CertificateGate,
    Identities,
    ProxyGate,
    SignatureGate,
    TokenGate,
)
from meshwright.access.keys import Keys
from meshwright.access.signatures import ALGORITHM
from meshwright.access.tokens import Tokens
from meshwright.meshes import Meshes
from meshwright.model.resources import ResourceKey, parse_resource_key
from meshwright.reloading import ReloadedFiles
from meshwright.xds.admission import Gate, OpenGate


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """Which proxies get configuration, and over what.

    Attributes:
        tls_certificate: The certificate of ADS with its chain.
        tls_key: The certificate's private key.
        client_authorities: Who signs the certificates that proxies may show.
        token_address: `HOST:PORT` where ADS is served too, as it was for proxies with tokens.
        hosts: By what name and port proxies reach ADS, which signed streams need.
        identities: Which resource a certificate's SPIFFE id is for, where its path does not say.
    """

    tls_certificate: Path | None = None
    tls_key: Path | None = None
    client_authorities: Path | None = None
    identities: Path | None = None
    token_address: str | None = None
    hosts: Sequence[str] = ()

    def open_certificate(self) -> Certificate | None:
        """The configured certificate, or None without TLS.

        Raises:
            AccessSettingsError: It can't be used, or something that belongs to it is missing.
        """
        if self.identities is not None and self.client_authorities is None:
            raise AccessSettingsError("--xds-identities needs --xds-client-ca: give both")
        if self.token_address is not None and self.tls_certificate is None:
            raise AccessSettingsError("--xds-tokens needs --xds-tls-certificate and --xds-tls-key")
        if self.tls_certificate is None or self.tls_key is None:
            if self.tls_certificate or self.tls_key or self.client_authorities:
                raise AccessSettingsError(
                    "--xds-client-ca needs --xds-tls-certificate and --xds-tls-key, and these "
                    "belong together: give both"
                )
            return None
        return Certificate(
            "--xds-tls-certificate", self.tls_certificate, self.tls_key, self.client_authorities
        )

    def open_identities(self, account_id: str) -> ReloadedFiles[Identities] | None:
        """The configured resources of SPIFFE ids, or None where the ids say them themselves.

        Args:
            account_id: The owner of meshes that an identity names without one.

        Raises:
            AccessSettingsError: The file can't be used.
        """
        file = self.identities
        if file is None:
            return None
        return ReloadedFiles(
            *("--xds-identities", [file]),
            read=lambda: read_identities(file, account_id),
            refused=AccessSettingsError,
        )

    def build_gate(
        self,
        account_id: str,
        identities: ReloadedFiles[Identities] | None,
        tokens: Tokens,
        keys: Keys | None,
        meshes: Meshes,
    ) -> Gate:
        """Who decides whether a proxy is let in.

        Args:
            account_id: The account of SPIFFE ids that name none.
            identities: The resources of SPIFFE ids, where the ids do not say them.
            tokens: The tokens that were issued.
            keys: The access keys that streams may be signed with.
            meshes: Tells which account a resource is of.
        """
        if self.tls_certificate is None:
            return OpenGate()
        find_identities = None if identities is None else lambda: identities.value
        return ProxyGate(
            CertificateGate(account_id, meshes, find_identities),
            {
                "Bearer": TokenGate(tokens, meshes),
                ALGORITHM: SignatureGate(keys, self.hosts, meshes),
            },
        )

    def require_safe(self, address: str, *, is_loopback: bool) -> None:
        """Check that no stranger gets configuration at the address of ADS.

        Args:
            address: `HOST:PORT`, for the message.
            is_loopback: Whether only this machine can reach it.

        Raises:
            AccessSettingsError: Nothing tells proxies from strangers.
        """
        if not is_loopback and self.tls_certificate is None:
            raise AccessSettingsError(
                f"--xds {address!r}: without TLS only loopback addresses are served; give "
                "--xds-tls-certificate and --xds-tls-key, and proxies tokens, or certificates "
                "of --xds-client-ca; or use 127.0.0.1"
            )


def read_identities(file: Path, account_id: str) -> Identities:
    """The resources of SPIFFE ids, from the operator's file.

    Raises:
        AccessSettingsError: It can't be used; the message names the id and what was expected.
    """
    where = f"--xds-identities {file}"
    try:
        loaded: object = yaml.safe_load(file.read_text())
    except OSError as error:
        raise AccessSettingsError(f"{where}: can't be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise AccessSettingsError(f"{where}: is not valid YAML") from None
    if not isinstance(loaded, dict) or not loaded:
        raise AccessSettingsError(f"{where}: must hold an object of SPIFFE ids and resources")
    identities: dict[str, ResourceKey] = {}
    for spiffe_id, resource in cast("dict[object, object]", loaded).items():
        if not str(spiffe_id).startswith("spiffe://"):
            raise AccessSettingsError(f"{where}: {spiffe_id!r}: must begin with spiffe://")
        try:
            identities[str(spiffe_id)] = parse_resource_key(str(resource), account_id=account_id)
        except ValueError as error:
            raise AccessSettingsError(f"{where}: {spiffe_id}: {error}") from None
    return identities
