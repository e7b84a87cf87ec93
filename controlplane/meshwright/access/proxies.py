"""Proxies on ADS: what the operator says about them, their TLS, and who they are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import grpc
import yaml

from meshwright.access.certificates import Certificate, Pem
from meshwright.access.errors import AccessSettingsError
from meshwright.model.resources import ResourceKey, parse_resource_id
from meshwright.xds.admission import Credentials, Gate, NotAdmittedError, OpenGate

_SPIFFE: Final = re.compile(r"spiffe://[^/]+/(?:(?P<account>[0-9]{12})/)?(?P<path>mesh/.+)")


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """Which proxies get configuration, and over what.

    Attributes:
        tls_certificate: The certificate of ADS with its chain.
        tls_key: The certificate's private key.
        client_authorities: Who signs the certificates that proxies must show.
        identities: Which resource a certificate's SPIFFE id is for, where its path does not say.
    """

    tls_certificate: Path | None = None
    tls_key: Path | None = None
    client_authorities: Path | None = None
    identities: Path | None = None

    def open_certificate(self) -> Certificate | None:
        """The configured certificate, or None without TLS.

        Raises:
            AccessSettingsError: It can't be used, or something that belongs to it is missing.
        """
        if self.identities is not None and self.client_authorities is None:
            raise AccessSettingsError("--xds-identities needs --xds-client-ca: give both")
        if self.tls_certificate is None or self.tls_key is None:
            if self.tls_certificate or self.tls_key or self.client_authorities:
                raise AccessSettingsError(
                    "--xds-client-ca needs --xds-tls-certificate and --xds-tls-key, and these "
                    "belong together: give both"
                )
            return None
        return Certificate(self.tls_certificate, self.tls_key, self.client_authorities)

    def open_gate(self, account_id: str) -> Gate:
        """Who decides whether a proxy is let in.

        Args:
            account_id: The owner of meshes that an identity names without one.

        Raises:
            AccessSettingsError: The file of identities can't be used.
        """
        if self.client_authorities is None:
            return OpenGate()
        if self.identities is None:
            return CertificateGate(account_id)
        return CertificateGate(account_id, _read_identities(self.identities, account_id))

    def require_safe(self, address: str, *, is_loopback: bool) -> None:
        """Check that no stranger gets configuration at the address of ADS.

        Args:
            address: `HOST:PORT`, for the message.
            is_loopback: Whether only this machine can reach it.

        Raises:
            AccessSettingsError: Nothing tells proxies from strangers.
        """
        if not is_loopback and self.client_authorities is None:
            raise AccessSettingsError(
                f"--xds {address!r}: without proxies' certificates only loopback addresses are "
                "served; give --xds-client-ca with --xds-tls-certificate and --xds-tls-key, or "
                "use 127.0.0.1"
            )


class CertificateGate:
    """Admits a proxy for the one resource that its certificate is for.

    The certificate's only URI is a SPIFFE id. Its path names the resource, with the owner's
    account before it where that is not the server's, `spiffe://DOMAIN/mesh/MESH/virtualNode/NAME`;
    or the operator's mapping does, and then nothing else does.

    Args:
        account_id: The owner of meshes that an id names without one.
        identities: Resources by SPIFFE id; None reads them from the ids.
    """

    def __init__(self, account_id: str, identities: dict[str, ResourceKey] | None = None) -> None:
        self._account_id = account_id
        self._identities = identities

    def admit(self, credentials: Credentials, key: ResourceKey) -> None:
        """Let a proxy have the configuration of a resource.

        Raises:
            NotAdmittedError: Its certificate is for another, or for none.
        """
        spiffe_id = credentials.spiffe_id
        if spiffe_id is None:
            raise NotAdmittedError(
                "its client certificate must have one URI, a SPIFFE id such as "
                f"spiffe://DOMAIN/{key.path}",
                is_known=False,
            )
        if self._find_resource(spiffe_id) != key:
            raise NotAdmittedError(
                f"its client certificate, {spiffe_id}, is not for {key.path}", is_known=True
            )

    def _find_resource(self, spiffe_id: str) -> ResourceKey | None:
        if self._identities is not None:
            return self._identities.get(spiffe_id)
        match = _SPIFFE.fullmatch(spiffe_id)
        if match is None:
            return None
        try:
            return parse_resource_id(match["path"], account_id=match["account"] or self._account_id)
        except ValueError:
            return None


def build_credentials(certificate: Certificate) -> grpc.ServerCredentials:
    """GRPC's server credentials, which show new connections the newest certificate.

    Clients must show a certificate of the configured authorities, where there are any.
    """
    served = certificate.pem

    def fetch() -> Any:
        nonlocal served
        if certificate.pem is served:
            return None  # gRPC keeps the one that it has
        served = certificate.pem
        return _build_configuration(served)

    return grpc.dynamic_ssl_server_credentials(
        _build_configuration(served),
        fetch,
        require_client_authentication=served.authorities is not None,
    )


def _build_configuration(pem: Pem) -> Any:
    return grpc.ssl_server_certificate_configuration(
        [(pem.key, pem.certificate)], root_certificates=pem.authorities
    )


def _read_identities(file: Path, account_id: str) -> dict[str, ResourceKey]:
    where = f"--xds-identities {file}"
    try:
        loaded: object = yaml.safe_load(file.read_text())
    except OSError as error:
        raise AccessSettingsError(f"{where}: can't be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError):
        raise AccessSettingsError(f"{where}: is not valid YAML") from None
    if not isinstance(loaded, dict) or not loaded:
        raise AccessSettingsError(f"{where}: must hold an object of SPIFFE ids and resources")
    identities: dict[str, ResourceKey] = {}
    for spiffe_id, resource in cast("dict[object, object]", loaded).items():
        if not str(spiffe_id).startswith("spiffe://"):
            raise AccessSettingsError(f"{where}: {spiffe_id!r}: must begin with spiffe://")
        try:
            identities[str(spiffe_id)] = parse_resource_id(str(resource), account_id=account_id)
        except ValueError as error:
            raise AccessSettingsError(f"{where}: {spiffe_id}: {error}") from None
    return identities
