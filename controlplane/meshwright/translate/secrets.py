"""Secrets: where a certificate or a trust comes from, and how a proxy gets it.

    file ... beside the proxy; named in a secret over ADS, because Envoy takes up a renewed file
             only where a secret names it: move the new file over the old one
             (https://www.envoyproxy.io/docs/envoy/latest/configuration/security/secret)
    sds .... from the SDS server on the proxy's own socket, such as SPIRE's agent
    acm .... over ADS, with what the operator has mapped to the ARN

Source: App Mesh user guide, tls.md, "TLS authentication certificates".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from google.protobuf.message import Message

from meshwright.translate.lookups import SecretLookup, build_certificate, build_trust

SDS_CLUSTER: Final = "static_cluster_sds_unix_socket"
"""The bootstrap's cluster of the proxy's own SDS server, as App Mesh's Envoy image names it."""

ADS: Final[dict[str, Any]] = {"ads": {}, "resource_api_version": "V3"}
SDS_SOCKET: Final[dict[str, Any]] = {
    "api_config_source": {
        "api_type": "GRPC",
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": SDS_CLUSTER}}],
    },
    "resource_api_version": "V3",
}


class Purpose(StrEnum):
    """What a secret holds."""

    CERTIFICATE = "certificate"
    TRUST = "trust"


@dataclass(frozen=True, slots=True)
class FileSource:
    """Files beside the proxy: a certificate chain and its key, or the authorities to trust."""

    purpose: Purpose
    files: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of the secret."""
        return ":".join((self.purpose, *self.files))

    def build(self) -> Message:
        """The secret, which names the files."""
        sources = [{"filename": file} for file in self.files]
        if self.purpose is Purpose.TRUST:
            return build_trust(self.name, *sources)
        return build_certificate(self.name, *sources)


@dataclass(frozen=True, slots=True)
class SocketSource:
    """A secret of the SDS server on the proxy's own socket."""

    name: str


@dataclass(frozen=True, slots=True)
class MappedSource:
    """What the operator has mapped to ARNs: a certificate, or the authorities to trust.

    The authority of a certificate is that which signed it.
    """

    purpose: Purpose
    arns: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of the secret."""
        return " ".join((self.purpose, *self.arns))

    def build_lookup(self) -> SecretLookup:
        """What has to be looked up for the secret."""
        return SecretLookup(self.name, self.arns, is_trust=self.purpose is Purpose.TRUST)


SecretSource = FileSource | SocketSource | MappedSource


def certificate_source(certificate: Mapping[str, Any]) -> SecretSource:
    """Where a listener's or a client policy's `certificate` comes from."""
    if "sds" in certificate:
        return SocketSource(certificate["sds"]["secretName"])
    if "acm" in certificate:
        return MappedSource(Purpose.CERTIFICATE, (certificate["acm"]["certificateArn"],))
    file = certificate["file"]
    return FileSource(Purpose.CERTIFICATE, (file["certificateChain"], file["privateKey"]))


def trust_source(validation: Mapping[str, Any]) -> SecretSource:
    """Where the authorities of a `validation` come from."""
    trust = validation["trust"]
    if "sds" in trust:
        return SocketSource(trust["sds"]["secretName"])
    if "acm" in trust:
        return MappedSource(Purpose.TRUST, tuple(trust["acm"]["certificateAuthorityArns"]))
    return FileSource(Purpose.TRUST, (trust["file"]["certificateChain"],))


def issuer_source(certificate: Mapping[str, Any]) -> SecretSource | None:
    """The authority of a server's certificate, where it is known without a client policy."""
    source = certificate_source(certificate)
    return MappedSource(Purpose.TRUST, source.arns) if isinstance(source, MappedSource) else None


def build_reference(source: SecretSource) -> dict[str, Any]:
    """How a TLS context names a secret (Envoy's API, SdsSecretConfig)."""
    config = SDS_SOCKET if isinstance(source, SocketSource) else ADS
    return {"name": source.name, "sds_config": config}
