"""TLS between proxies: what listeners demand and what callers offer.

Certificates lie in files beside the proxies. They are named in secrets that the proxy gets over
SDS, because Envoy takes up a renewed file only where a secret names it: move the new file over
the old one (https://www.envoyproxy.io/docs/envoy/latest/configuration/security/secret).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import Message

from meshwright.model.resources import Resource
from meshwright.translate.backends import TCP, Backend, Endpoint, find_client_policy
from meshwright.translate.envoy_api import (
    DownstreamTlsContext,
    Secret,
    UpstreamTlsContext,
    build_extension,
)

_ADS: Final[dict[str, Any]] = {"ads": {}, "resource_api_version": "V3"}
_TRANSPORT_SOCKET: Final = "envoy.transport_sockets.tls"


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """A certificate chain and its private key, in files."""

    chain: str
    key: str

    @property
    def secret(self) -> str:
        """The name of the secret that holds them."""
        return f"certificate:{self.chain}:{self.key}"


@dataclass(frozen=True, slots=True)
class ClientTls:
    """How a caller speaks TLS to an endpoint.

    Attributes:
        trust: The file of the CAs that may have signed the endpoint's certificate; None where it
            is not validated.
        names: The subject alternative names of which that certificate must have one.
        certificate: The caller's own certificate, for mutual TLS.
    """

    trust: str | None
    names: tuple[str, ...]
    certificate: CertificateFiles | None


def find_server_tls(listener: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """A listener's TLS settings, or None where it takes plain text only."""
    tls: Mapping[str, Any] | None = listener.get("tls")
    return None if tls is None or tls["mode"] == "DISABLED" else tls


def build_server_transport_socket(tls: Mapping[str, Any], protocol: str) -> dict[str, Any]:
    """The transport socket of a listener that terminates TLS.

    Where the listener validates its clients, they have to show a certificate: mutual TLS
    (user guide, mutual-tls.md).
    """
    validation: Mapping[str, Any] | None = tls.get("validation")
    common = _build_common(
        certificate=_files(tls["certificate"]),
        trust=_trust(validation),
        names=_names(validation),
        protocols=_application_protocols(protocol, serving=True),
    )
    context = DownstreamTlsContext(
        common_tls_context=common, require_client_certificate={"value": validation is not None}
    )
    return build_extension(_TRANSPORT_SOCKET, context)


def build_client_transport_socket(tls: ClientTls, endpoint: Endpoint) -> dict[str, Any]:
    """The transport socket of a cluster whose endpoint is spoken to in TLS."""
    common = _build_common(
        certificate=tls.certificate,
        trust=tls.trust,
        names=tls.names,
        protocols=_application_protocols(endpoint.protocol, serving=False),
    )
    context = UpstreamTlsContext(common_tls_context=common, sni=_discovery_name(endpoint))
    return build_extension(_TRANSPORT_SOCKET, context)


def find_client_tls(
    owner: Resource, backends: tuple[Backend, ...], endpoint: Endpoint
) -> ClientTls | None:
    """How a proxy speaks TLS to an endpoint, or None where it speaks plain text.

    A client policy that enforces TLS on the endpoint's port decides; else the endpoint's listener
    does, and its certificate from a file is then not validated. Without names of its own, a policy
    wants the name by which the endpoint is discovered.
    Source: App Mesh user guide, tls.md, "How App Mesh configures Envoys to negotiate TLS".
    """
    policy = _find_policy(owner, backends, endpoint)
    applies = policy is not None and endpoint.port in policy.get("ports", [endpoint.port])
    offered = find_server_tls(endpoint.listener) is not None
    if policy is None or not applies:
        return ClientTls(None, (), None) if offered else None
    if not policy.get("enforce", True) and not offered:
        return None
    certificate = policy.get("certificate")
    return ClientTls(
        trust=_trust(policy["validation"]),
        names=_names(policy["validation"]) or (_discovery_name(endpoint),),
        certificate=_files(certificate) if certificate is not None else None,
    )


def build_secrets(
    owner: Resource, backends: tuple[Backend, ...], endpoints: list[Endpoint]
) -> tuple[Message, ...]:
    """The secrets that a proxy's listeners and clusters name, each once."""
    secrets: dict[str, Message] = {}
    for certificate, trust in _uses(owner, backends, endpoints):
        if certificate is not None:
            files = {
                "certificate_chain": {"filename": certificate.chain},
                "private_key": {"filename": certificate.key},
            }
            secrets[certificate.secret] = Secret(name=certificate.secret, tls_certificate=files)
        if trust is not None:
            name = _trust_secret(trust)
            context = {"trusted_ca": {"filename": trust}}
            secrets[name] = Secret(name=name, validation_context=context)
    return tuple(secrets[name] for name in sorted(secrets))


def _uses(
    owner: Resource, backends: tuple[Backend, ...], endpoints: list[Endpoint]
) -> Iterator[tuple[CertificateFiles | None, str | None]]:
    for listener in owner.spec.get("listeners", ()):
        server = find_server_tls(listener)
        if server is not None:
            yield _files(server["certificate"]), _trust(server.get("validation"))
    for endpoint in endpoints:
        client = find_client_tls(owner, backends, endpoint)
        if client is not None:
            yield client.certificate, client.trust


def _find_policy(
    owner: Resource, backends: tuple[Backend, ...], endpoint: Endpoint
) -> Mapping[str, Any] | None:
    """The client policy for an endpoint: that of the backends that lead to it, who agree."""
    leading = next(
        backend.service.key.name
        for backend in backends
        for rule in backend.all_rules
        for target in rule.targets
        if target.endpoint.cluster == endpoint.cluster
    )
    return find_client_policy(owner, leading)


def _files(certificate: Mapping[str, Any]) -> CertificateFiles:
    file = certificate["file"]
    return CertificateFiles(file["certificateChain"], file["privateKey"])


def _trust(validation: Mapping[str, Any] | None) -> str | None:
    return None if validation is None else validation["trust"]["file"]["certificateChain"]


def _names(validation: Mapping[str, Any] | None) -> tuple[str, ...]:
    names = (validation or {}).get("subjectAlternativeNames", {})
    return tuple(names.get("match", {}).get("exact", ()))


def _discovery_name(endpoint: Endpoint) -> str:
    return endpoint.node.spec["serviceDiscovery"]["dns"]["hostname"]


def _trust_secret(file: str) -> str:
    return f"trust:{file}"


def _application_protocols(protocol: str, *, serving: bool) -> list[str]:
    """What is offered in ALPN; a listener for HTTP/1.1 takes HTTP/2 as well."""
    if protocol == TCP:
        return []
    if protocol in ("http2", "grpc"):
        return ["h2"]
    return ["h2", "http/1.1"] if serving else ["http/1.1"]


def _build_common(
    *,
    certificate: CertificateFiles | None,
    trust: str | None,
    names: tuple[str, ...],
    protocols: list[str],
) -> dict[str, Any]:
    common: dict[str, Any] = {"alpn_protocols": protocols}
    if certificate is not None:
        secret = {"name": certificate.secret, "sds_config": _ADS}
        common["tls_certificate_sds_secret_configs"] = [secret]
    if trust is not None:
        common["combined_validation_context"] = {
            "default_validation_context": {
                "match_typed_subject_alt_names": [_build_name_match(name) for name in names]
            },
            "validation_context_sds_secret_config": {
                "name": _trust_secret(trust),
                "sds_config": _ADS,
            },
        }
    return common


def _build_name_match(name: str) -> dict[str, Any]:
    """A subject alternative name: a URI, such as SPIFFE's, or a DNS name."""
    return {"san_type": "URI" if "://" in name else "DNS", "matcher": {"exact": name}}
