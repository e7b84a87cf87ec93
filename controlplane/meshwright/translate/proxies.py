"""Who a proxy is and what surrounds it, as its node message says."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, cast

from meshwright.model.resources import ResourceKey, parse_resource_key

METADATA_KEY: Final = "meshwright"

_MEMBERS: Final = (
    "interception",
    "listener_address",
    "application_address",
    "service_addresses",
)


class Interception(StrEnum):
    """How an application's traffic gets into its proxy."""

    TRANSPARENT = "transparent"
    """iptables redirects it to ports 15000 and 15001, as in a task or pod under App Mesh."""

    EXPLICIT = "explicit"
    """The proxy binds the declared ports itself, and the application uses it as an HTTP proxy."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """One proxy, as far as its configuration depends on it. Equal proxies get equal resources.

    Attributes:
        key: The virtual node or virtual gateway that it belongs to.
        interception: How traffic gets into it.
        listener_address: The address that its listeners bind; None is any, of the versions of IP
            that the mesh wants.
        application_address: Where its application listens; None is loopback, of the version of
            IP that the mesh wants.
        service_addresses: The address at which its application finds a virtual service that
            takes TCP connections, by that service's name.
    """

    key: ResourceKey
    interception: Interception = Interception.TRANSPARENT
    listener_address: str | None = None
    application_address: str | None = None
    service_addresses: tuple[tuple[str, str], ...] = ()

    def find_service_address(self, service: str) -> str | None:
        """The address that a virtual service has to itself, or None where it has none."""
        return dict(self.service_addresses).get(service)


def parse_proxy(node_id: str, metadata: Mapping[str, Any], *, account_id: str) -> Proxy:
    """Read a proxy from its node's id and metadata.

    Args:
        node_id: The resource's ARN, or its `mesh/MESH/virtualNode/NAME` suffix.
        metadata: The node's metadata; what is under `meshwright` is looked at: `interception`,
            `listener_address`, `application_address` and `service_addresses`.
        account_id: The owner of meshes that the id names without one.

    Raises:
        ValueError: The id or the metadata can't be read; the message says what was expected.
    """
    key = parse_resource_key(node_id, account_id=account_id)
    said = metadata.get(METADATA_KEY, {})
    if not isinstance(said, Mapping):
        message = f"node metadata {METADATA_KEY!r} must be an object, got {said!r}"
        raise ValueError(message)  # noqa: TRY004 - what came over the wire is a bad value
    settings = cast("Mapping[str, Any]", said)
    unknown = settings.keys() - set(_MEMBERS)
    if unknown:
        raise ValueError(
            f"node metadata {METADATA_KEY!r} has unknown members {sorted(unknown)}; known are "
            f"{', '.join(_MEMBERS)}"
        )
    try:
        interception = Interception(settings.get("interception", Interception.TRANSPARENT))
    except ValueError:
        raise ValueError(
            f"node metadata {METADATA_KEY}.interception must be transparent or explicit, got "
            f"{settings['interception']!r}"
        ) from None
    return Proxy(
        key,
        interception,
        _find_address(settings, "listener_address"),
        _find_address(settings, "application_address"),
        _parse_service_addresses(settings.get("service_addresses", {})),
    )


def _find_address(settings: Mapping[str, Any], name: str) -> str | None:
    return _parse_address(settings[name], name) if name in settings else None


def _parse_service_addresses(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, Mapping):
        message = (
            f"node metadata {METADATA_KEY}.service_addresses must be an object of virtual service "
            f"names and their addresses, got {value!r}"
        )
        raise ValueError(message)  # noqa: TRY004 - what came over the wire is a bad value
    addresses = cast("Mapping[str, object]", value)
    return tuple(
        (name, _parse_address(addresses[name], f"service_addresses.{name}"))
        for name in sorted(addresses)
    )


def _parse_address(value: object, name: str) -> str:
    try:
        return str(ipaddress.ip_address(cast("str", value)))
    except ValueError:
        raise ValueError(
            f"node metadata {METADATA_KEY}.{name} must be an IP address, got {value!r}"
        ) from None
