"""The graph: a mesh's resources with the indexes that answer who refers to whom.

virtual node --backend--> virtual service --provider--> virtual router <--in-- route
     ^                            '------provider-----------------.              |
     '--------------------------------- weighted target --------- | -------------'
                                                                  v
                                                             virtual node
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from immutables import Map, MapMutation

from meshwright.graph.references import references_of
from meshwright.model.resources import Kind, MeshKey, Resource, ResourceKey, mesh_resource_key
from meshwright.store import Change, MeshHead, MeshState

_Keys = Map[ResourceKey, None]
"""A set of keys as a map, of which a changed copy costs the same however many there are."""

_NOBODY: _Keys = Map()
_Index = Map[ResourceKey, _Keys]
_OpenIndex = MapMutation[ResourceKey, _Keys]
PROXY_KINDS = frozenset({Kind.VIRTUAL_NODE, Kind.VIRTUAL_GATEWAY})


@dataclass(frozen=True, slots=True)
class Graph:
    """One mesh at one revision.

    Attributes:
        head: The mesh, its revision and when that was committed.
        resources: Every resource by its key.
        children: The keys of what lives in a virtual router (routes) or a virtual gateway
            (gateway routes).
        referrers: The keys of the resources that name a key, whether that exists or not.
        counts: How many resources there are of each kind.
    """

    head: MeshHead
    resources: Map[ResourceKey, Resource]
    children: _Index
    referrers: _Index
    counts: Mapping[Kind, int]

    @classmethod
    def empty(cls, mesh: MeshKey) -> Graph:
        """The graph of a mesh that does not exist."""
        return cls(MeshHead(mesh, 0, 0.0), Map(), Map(), Map(), {})

    @classmethod
    def from_state(cls, state: MeshState) -> Graph:
        """The graph of a mesh as a store holds it."""
        changes = [Change(resource.key, resource) for resource in state.resources]
        return cls.empty(state.head.mesh).with_changes(state.head, changes)

    def with_changes(self, head: MeshHead, changes: Iterable[Change]) -> Graph:
        """The graph after changes; this one stays as it is.

        The two share what did not change, so that the cost is that of the changed resources alone.
        """
        resources = self.resources.mutate()
        children = self.children.mutate()
        referrers = self.referrers.mutate()
        counts = Counter(self.counts)
        for key, resource in ((change.key, change.resource) for change in changes):
            old = resources.get(key)
            if resource is not None:
                resources[key] = resource
            elif old is not None:
                del resources[key]
            counts[key.kind] += (resource is not None) - (old is not None)
            _relink(children, key, _parents(old), _parents(resource))
            _relink(referrers, key, _targets(old), _targets(resource))
        return Graph(
            head,
            resources.finish(),
            children.finish(),
            referrers.finish(),
            MappingProxyType(counts),
        )

    @property
    def mesh(self) -> Resource | None:
        """The mesh itself, or None where it does not exist (any more)."""
        return self.resources.get(mesh_resource_key(self.head.mesh))

    @property
    def shared_with(self) -> Sequence[str]:
        """The accounts that the mesh is shared with."""
        return self.mesh.shared_with if self.mesh is not None else ()

    def admits(self, account_id: str) -> bool:
        """Whether the mesh is an account's own, or shared with it."""
        return account_id == self.head.mesh.owner or account_id in self.shared_with

    def find(self, kind: Kind, name: str, parent: str = "") -> Resource | None:
        """The resource of a kind and name in this mesh, or None."""
        return self.resources.get(ResourceKey(self.head.mesh, kind, name, parent))

    def port_mappings_of(self, service: Resource) -> list[Mapping[str, Any]]:
        """The port mappings on which a virtual service is asked: those of its provider."""
        providers = (self.resources.get(each.target) for each in references_of(service))
        return [
            listener["portMapping"]
            for provider in providers
            if provider is not None
            for listener in provider.spec.get("listeners", ())
        ]

    def children_of(self, key: ResourceKey) -> Sequence[Resource]:
        """What lives in a resource, by kind and name; for the mesh, everything else in it."""
        if key.kind is Kind.MESH:
            return [self.resources[other] for other in sorted(self.resources) if other != key]
        return [self.resources[child] for child in sorted(self.children.get(key, _NOBODY))]

    def referrers_of(self, key: ResourceKey) -> Collection[ResourceKey]:
        """The keys of the resources whose specification names a key."""
        return self.referrers.get(key, _NOBODY).keys()

    def proxies_seeing(self, changed: Iterable[ResourceKey]) -> frozenset[ResourceKey]:
        """The virtual nodes and virtual gateways whose configuration may depend on given keys.

        Walks from what changed towards who uses it, and visits nobody else: a weighted target's
        route, the route's virtual router, the services that it provides, the nodes that have
        those as backends.
        """
        seeing: set[ResourceKey] = set()
        seen: set[ResourceKey] = set()
        waiting = list(changed)
        while waiting:
            key = waiting.pop()
            if key in seen:
                continue
            seen.add(key)
            if key.kind is Kind.MESH:
                return frozenset(each for each in self.resources if each.kind in PROXY_KINDS)
            if key.kind in PROXY_KINDS:
                seeing.add(key)
            for user in self._users_of(key):
                if user.kind in PROXY_KINDS:
                    # It uses the key as a backend; who uses that proxy's own service does not
                    # see its backends, so the walk ends here.
                    seeing.add(user)
                else:
                    waiting.append(user)
        return frozenset(seeing)

    def _users_of(self, key: ResourceKey) -> Iterable[ResourceKey]:
        if key.kind in (Kind.ROUTE, Kind.GATEWAY_ROUTE) and key.parent_key is not None:
            return (key.parent_key,)
        return self.referrers_of(key)


def _parents(resource: Resource | None) -> frozenset[ResourceKey]:
    """The virtual router or virtual gateway that a resource lives in, if it lives in one."""
    parent = None if resource is None else resource.key.parent_key
    if parent is None or parent.kind is Kind.MESH:
        return frozenset()
    return frozenset((parent,))


def _targets(resource: Resource | None) -> frozenset[ResourceKey]:
    references = () if resource is None else references_of(resource)
    return frozenset(reference.target for reference in references)


def _relink(
    index: _OpenIndex, key: ResourceKey, before: Set[ResourceKey], after: Set[ResourceKey]
) -> None:
    """Have an index say of `after` what it said of `before`: that a key belongs there."""
    for each in after - before:
        index[each] = index.get(each, _NOBODY).set(key, None)
    for each in before - after:
        left = index[each].delete(key)
        if left:
            index[each] = left
        else:
            del index[each]
