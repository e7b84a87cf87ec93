"""What a proxy should have: its resources by type, and which of them will come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from meshwright.translate.packing import PackedResource, digest, encode_bytes

__all__ = [
    "CLUSTER",
    "ENDPOINT",
    "LISTENER",
    "ROUTE",
    "SECRET",
    "TYPES",
    "PackedResource",
    "Snapshot",
    "digest_versions",
    "encode_bytes",
]

_TYPE: Final = "type.googleapis.com/envoy."
CLUSTER: Final = f"{_TYPE}config.cluster.v3.Cluster"
ENDPOINT: Final = f"{_TYPE}config.endpoint.v3.ClusterLoadAssignment"
LISTENER: Final = f"{_TYPE}config.listener.v3.Listener"
ROUTE: Final = f"{_TYPE}config.route.v3.RouteConfiguration"
SECRET: Final = f"{_TYPE}extensions.transport_sockets.tls.v3.Secret"

TYPES: Final = (CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET)
"""In make-before-break order: what is referred to comes before what refers to it.

Source: xDS protocol, "Eventual consistency considerations"
(https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol).
"""

_NOTHING: Final[Mapping[str, PackedResource]] = MappingProxyType({})
_NONE_PENDING: Final[Mapping[str, frozenset[str]]] = MappingProxyType({})
_NOBODY: Final = frozenset[str]()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that one proxy should have.

    Attributes:
        revision: The revision of the mesh that it was made from.
        resources: For each type, the resources by name.
        pending: Type and name of resources that will come: nobody may be told that there are none.
    """

    revision: int
    resources: Mapping[str, Mapping[str, PackedResource]]
    pending: frozenset[tuple[str, str]] = frozenset()

    _by_type: tuple[Mapping[str, PackedResource], ...] = field(
        init=False, repr=False, compare=False
    )
    _pending_by_type: Mapping[str, frozenset[str]] = field(init=False, repr=False, compare=False)
    _versions: dict[str, str] = field(
        init=False, repr=False, compare=False, default_factory=dict[str, str]
    )

    def __post_init__(self) -> None:
        by_type: Mapping[str, frozenset[str]] = _NONE_PENDING
        if self.pending:
            by_type = {
                type_url: frozenset(name for each, name in self.pending if each == type_url)
                for type_url in {each for each, _ in self.pending}
            }
        find = self.resources.get
        object.__setattr__(self, "_pending_by_type", by_type)
        object.__setattr__(self, "_by_type", tuple([find(each, _NOTHING) for each in TYPES]))

    def of_type(self, type_url: str) -> Mapping[str, PackedResource]:
        """The resources of a type by name.

        The very same mapping as in the proxy's snapshot before, where nothing of it has changed.
        """
        return self.resources.get(type_url, _NOTHING)

    def version_of(self, type_url: str) -> str:
        """One version for all resources of a type (see `digest_versions`)."""
        version = self._versions.get(type_url)
        if version is None:
            version = self._versions[type_url] = digest_versions(self.of_type(type_url).values())
        return version

    def find_changed(self, before: Snapshot) -> Iterable[str]:
        """The types of which something may be other than in the proxy's snapshot before."""
        if self.pending or before.pending:
            return TYPES
        return [
            type_url
            for type_url, now, then in zip(TYPES, self._by_type, before._by_type, strict=True)
            if now is not then
        ]

    def pending_of(self, type_url: str) -> frozenset[str]:
        """The names of the resources of a type that will come."""
        return self._pending_by_type.get(type_url, _NOBODY)

    def contents(self) -> frozenset[tuple[str, str, str]]:
        """Type, name and version of every resource."""
        return frozenset(
            (type_url, name, resource.version)
            for type_url, resources in self.resources.items()
            for name, resource in resources.items()
        )


def digest_versions(resources: Iterable[PackedResource]) -> str:
    """One version for a set of resources, the same for the same set."""
    joined = "\n".join(sorted(f"{each.name} {each.version}" for each in resources))
    return digest(joined.encode())
