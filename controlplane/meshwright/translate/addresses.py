"""Which versions of IP a proxy listens on and speaks, as its mesh and virtual node prefer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from meshwright.model.resources import Resource
from meshwright.translate.proxies import Proxy

_ANY_IPV4: Final = "0.0.0.0"  # noqa: S104 - inside its task, pod or host, as in App Mesh
_ANY_IPV6: Final = "::"


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses that a proxy's configuration names.

    Attributes:
        listener: What its listeners bind.
        also: What they bind besides, on the same port; None for nothing.
        application: Where its application listens.
    """

    listener: str
    also: str | None
    application: str


def find_addresses(mesh: Resource | None, owner: Resource, proxy: Proxy) -> Addresses:
    """The addresses of a proxy, of the versions of IP that are wanted where it names none.

    Listeners take IPv4, and IPv6 too where that is preferred: IPv4 stays, so that nobody who
    reaches the proxy today is shut out. The application is spoken to in the version preferred.
    Source: AWS CDK, aws_appmesh.IpPreference and MeshServiceDiscovery (without a preference,
    listeners bind IPv4 alone, and the application is spoken to in IPv4).
    """
    is_six = ip_preference(mesh, owner) in ("IPv6_ONLY", "IPv6_PREFERRED")
    listener = proxy.listener_address or _ANY_IPV4
    return Addresses(
        listener,
        _ANY_IPV6 if is_six and proxy.listener_address is None else None,
        proxy.application_address or ("::1" if is_six else "127.0.0.1"),
    )


def ip_preference(mesh: Resource | None, owner: Resource) -> str:
    """A virtual node's own `ipPreference`, or else its mesh's; empty where neither has one."""
    discovery: Mapping[str, Any] = owner.spec.get("serviceDiscovery", {})
    for how in ("dns", "awsCloudMap"):
        preference = discovery.get(how, {}).get("ipPreference")
        if preference is not None:
            return preference
    return mesh.spec.get("serviceDiscovery", {}).get("ipPreference", "") if mesh else ""
