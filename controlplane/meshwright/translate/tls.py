"""TLS between proxies: what listeners demand and what callers offer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from meshwright.model.ports import TCP
from meshwright.model.resources import Resource
from meshwright.translate.backends import Endpoint
from meshwright.translate.envoy_api import (
    DownstreamTlsContext,
    UpstreamTlsContext,
    build_extension,
)
from meshwright.translate.secrets import (
    SecretSource,
    build_reference,
    certificate_source,
    issuer_source,
    trust_source,
)

_TRANSPORT_SOCKET: Final = "envoy.transport_sockets.tls"


@dataclass(frozen=True, slots=True)
class ClientTls:
    """How a caller speaks TLS to an endpoint.

    Attributes:
        trust: The authorities of which one must have signed the endpoint's certificate; None where
            it is not validated.
        names: The subject alternative names of which that certificate must have one.
        certificate: The caller's own certificate, for mutual TLS.
    """

    trust: SecretSource | None
    names: tuple[str, ...]
    certificate: SecretSource | None


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
        certificate=certificate_source(tls["certificate"]),
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
    context = UpstreamTlsContext(common_tls_context=common, sni=endpoint.hostname)
    return build_extension(_TRANSPORT_SOCKET, context)


def find_client_tls(endpoint: Endpoint) -> ClientTls | None:
    """How a proxy speaks TLS to an endpoint that it reaches, or None where it speaks plain text.

    A client policy that enforces TLS on the endpoint's port decides; else the endpoint's listener
    does, and its certificate is then validated only where ACM knows its authority. Without names
    of its own, a policy wants the name by which the endpoint is discovered.
    Source: App Mesh user guide, tls.md, "How App Mesh configures Envoys to negotiate TLS".
    """
    policy = endpoint.policy
    applies = policy is not None and endpoint.port in policy.get("ports", [endpoint.port])
    offered = find_server_tls(endpoint.listener)
    if policy is None or not applies:
        return None if offered is None else _without_policy(offered, endpoint)
    if not policy.get("enforce", True) and offered is None:
        return None
    certificate = policy.get("certificate")
    return ClientTls(
        trust=_trust(policy["validation"]),
        names=_names(policy["validation"]) or (endpoint.hostname,),
        certificate=certificate_source(certificate) if certificate is not None else None,
    )


def _without_policy(offered: Mapping[str, Any], endpoint: Endpoint) -> ClientTls:
    issuer = issuer_source(offered["certificate"])
    return ClientTls(issuer, () if issuer is None else (endpoint.hostname,), None)


def secret_sources(owner: Resource, endpoints: list[Endpoint]) -> list[SecretSource]:
    """The secrets that a proxy's listeners and clusters name, each once, by name."""
    used = {source for source in _uses(owner, endpoints) if source is not None}
    return sorted(used, key=lambda source: (source.name, type(source).__name__))


def _uses(owner: Resource, endpoints: list[Endpoint]) -> Iterator[SecretSource | None]:
    for listener in owner.spec.get("listeners", ()):
        server = find_server_tls(listener)
        if server is not None:
            yield certificate_source(server["certificate"])
            yield _trust(server.get("validation"))
    for endpoint in endpoints:
        client = find_client_tls(endpoint)
        if client is not None:
            yield client.certificate
            yield client.trust


def _trust(validation: Mapping[str, Any] | None) -> SecretSource | None:
    return None if validation is None else trust_source(validation)


def _names(validation: Mapping[str, Any] | None) -> tuple[str, ...]:
    names = (validation or {}).get("subjectAlternativeNames", {})
    return tuple(names.get("match", {}).get("exact", ()))


def _application_protocols(protocol: str, *, serving: bool) -> list[str]:
    """What is offered in ALPN; a listener for HTTP/1.1 takes HTTP/2 as well."""
    if protocol == TCP:
        return []
    if protocol in ("http2", "grpc"):
        return ["h2"]
    return ["h2", "http/1.1"] if serving else ["http/1.1"]


def _build_common(
    *,
    certificate: SecretSource | None,
    trust: SecretSource | None,
    names: tuple[str, ...],
    protocols: list[str],
) -> dict[str, Any]:
    common: dict[str, Any] = {"alpn_protocols": protocols}
    if certificate is not None:
        common["tls_certificate_sds_secret_configs"] = [build_reference(certificate)]
    if trust is not None:
        common["combined_validation_context"] = {
            "default_validation_context": {
                "match_typed_subject_alt_names": [_build_name_match(name) for name in names]
            },
            "validation_context_sds_secret_config": build_reference(trust),
        }
    return common


def _build_name_match(name: str) -> dict[str, Any]:
    """A subject alternative name: a URI, such as SPIFFE's, or a DNS name."""
    return {"san_type": "URI" if "://" in name else "DNS", "matcher": {"exact": name}}
