"""What a translation leaves to be looked up: it stands outside the mesh and changes by itself.

A lookup knows how to become Envoy's resource; what it needs for that is had from an `Outside`.
Until that knows, the proxy waits for the resource.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from google.protobuf.message import Message

from meshwright.translate.envoy_api import ClusterLoadAssignment, Secret, build_address


@dataclass(frozen=True, slots=True, order=True)
class CloudMapService:
    """A service in AWS Cloud Map, and which of its instances are meant.

    Attributes:
        namespace: Its namespace's name.
        service: Its own name.
        attributes: Names and values that an instance has to have.
    """

    namespace: str
    service: str
    attributes: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"{self.service}.{self.namespace}"


@dataclass(frozen=True, slots=True, order=True)
class Instance:
    """An instance's addresses; empty where it has none such."""

    ipv4: str = ""
    ipv6: str = ""

    def address(self, preference: str) -> str:
        """The address to take.

        Args:
            preference: One of App Mesh's `ipPreference`; where it is empty, IPv4 rather than IPv6.
        """
        match preference:
            case "IPv4_ONLY":
                return self.ipv4
            case "IPv6_ONLY":
                return self.ipv6
            case "IPv6_PREFERRED":
                return self.ipv6 or self.ipv4
            case _:
                return self.ipv4 or self.ipv6


@dataclass(frozen=True, slots=True)
class Credential:
    """What the operator has mapped to an ARN, each as PEM; empty where there is none such.

    Attributes:
        chain: A certificate and its chain.
        key: The certificate's private key.
        authorities: Those that signed it, or that are meant themselves.
    """

    chain: bytes = b""
    key: bytes = b""
    authorities: bytes = b""

    def __repr__(self) -> str:
        return "Credential(...)"


class Outside(Protocol):
    """What is known of the world outside the mesh, now."""

    def find_instances(self, service: CloudMapService) -> Sequence[Instance] | None:
        """The healthy instances of a service; None where nobody knows yet."""
        ...

    def find_credential(self, arn: str) -> Credential | None:
        """What is mapped to an ARN; None where nothing is."""
        ...


@dataclass(frozen=True, slots=True, weakref_slot=True)
class EndpointsLookup:
    """The endpoints of a cluster.

    Attributes:
        name: The cluster's name.
        service: Whose instances they are.
        port: Their port.
        health_check_port: The port on which they are checked.
        preference: Which of an instance's addresses is taken.
    """

    name: str
    service: CloudMapService
    port: int
    health_check_port: int
    preference: str

    def find(self, outside: Outside) -> Sequence[Instance] | None:
        """The instances, or None where they are not known yet."""
        return outside.find_instances(self.service)

    def build_from(self, instances: Sequence[Instance]) -> Message:
        """The endpoints of these instances."""
        addresses = sorted({instance.address(self.preference) for instance in instances} - {""})
        hosts = [self._build_endpoint(address) for address in addresses]
        return ClusterLoadAssignment(cluster_name=self.name, endpoints=[{"lb_endpoints": hosts}])

    def _build_endpoint(self, address: str) -> dict[str, Any]:
        endpoint: dict[str, Any] = {"address": build_address(address, self.port)}
        if self.health_check_port != self.port:
            endpoint["health_check_config"] = {"port_value": self.health_check_port}
        return {"endpoint": endpoint}


@dataclass(frozen=True, slots=True, weakref_slot=True)
class SecretLookup:
    """A secret.

    Attributes:
        name: Its name.
        arns: What it is mapped from; several only where it is a trust.
        is_trust: Whether it holds authorities, or else a certificate with its key.
    """

    name: str
    arns: tuple[str, ...]
    is_trust: bool

    def find(self, outside: Outside) -> Sequence[Credential] | None:
        """What the ARNs are mapped to, or None where one is not mapped to what it takes."""
        mapped = [credential for arn in self.arns if (credential := outside.find_credential(arn))]
        taken = [each for each in mapped if (each.authorities if self.is_trust else each.key)]
        return taken if len(taken) == len(self.arns) else None

    def build_from(self, credentials: Sequence[Credential]) -> Message:
        """The secret of these credentials."""
        if self.is_trust:
            known = b"\n".join(each.authorities for each in credentials)
            return build_trust(self.name, {"inline_bytes": known})
        certificate = credentials[0]
        chain, key = ({"inline_bytes": pem} for pem in (certificate.chain, certificate.key))
        return build_certificate(self.name, chain, key)


Lookup = EndpointsLookup | SecretLookup


def build_trust(name: str, authorities: Mapping[str, Any]) -> Message:
    """A secret with authorities, from where an Envoy data source says."""
    return Secret(name=name, validation_context={"trusted_ca": authorities})


def build_certificate(name: str, chain: Mapping[str, Any], key: Mapping[str, Any]) -> Message:
    """A secret with a certificate and its key, each from where an Envoy data source says."""
    return Secret(name=name, tls_certificate={"certificate_chain": chain, "private_key": key})
