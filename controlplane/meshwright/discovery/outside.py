"""What the proxies' configurations need from outside the mesh, and whom a change of it concerns."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Final

import structlog

from meshwright.discovery.cloud_map import CloudMap
from meshwright.discovery.credentials import Credentials
from meshwright.graph.findings import Finding
from meshwright.graph.graph import Graph
from meshwright.graph.references import CertificateUse, certificates_of
from meshwright.model.resources import Resource, ResourceKey
from meshwright.translate.lookups import (
    CloudMapService,
    Credential,
    EndpointsLookup,
    Instance,
    Lookup,
    SecretLookup,
)

_log = structlog.get_logger("meshwright.discovery")

_REFRESH_SECONDS: Final = 1.0


class LiveOutside:
    """The outside as it is now, for those who need something of it. Lives in one event loop.

    Args:
        cloud_map: Follows services of AWS Cloud Map.
        credentials: The certificates of ARNs.
    """

    def __init__(self, cloud_map: CloudMap, credentials: Credentials) -> None:
        self._cloud_map = cloud_map
        self._credentials = credentials
        self._needs: dict[ResourceKey, tuple[Lookup, ...]] = {}
        # By how many each service is needed: who comes or goes need not ask all others.
        self._needed: Counter[CloudMapService] = Counter()
        self._watchers: list[Callable[[frozenset[ResourceKey]], None]] = []
        cloud_map.watch(self._notice_instances)

    def find_instances(self, service: CloudMapService) -> Sequence[Instance] | None:
        """The healthy instances of a service; None where nobody knows yet."""
        return self._cloud_map.find_instances(service)

    def find_credential(self, arn: str) -> Credential | None:
        """What is mapped to an ARN; None where nothing is."""
        return self._credentials.find_credential(arn)

    def watch(self, watcher: Callable[[frozenset[ResourceKey]], None]) -> None:
        """Have a function called with those who need something that has changed."""
        self._watchers.append(watcher)

    def need(self, key: ResourceKey, lookups: tuple[Lookup, ...]) -> None:
        """Take note of what the proxies of a resource need; nothing once they are gone."""
        before = self._needs.get(key, ())
        if before == lookups:
            return
        if lookups:
            self._needs[key] = lookups
        else:
            del self._needs[key]
        now, then = _services_of(lookups), _services_of(before)
        self._needed.update(now - then)
        self._needed.subtract(then - now)
        free = [service for service in then - now if not self._needed[service]]
        for service in free:
            del self._needed[service]
        if free or any(self._needed[service] == 1 for service in now - then):
            self._cloud_map.need(set(self._needed))

    async def follow_credentials(self) -> None:
        """Take over certificates as they are renewed, for ever."""
        while True:
            await asyncio.sleep(_REFRESH_SECONDS)
            try:
                changed = await asyncio.to_thread(self._credentials.refresh)
            except Exception:
                _log.exception("unexpected_error", doing="reading mapped certificates")
                continue
            if changed:
                self._notify(lambda lookup, arns=changed: _needs_any(lookup, arns))

    def find_certificate_problems(self, resource: Resource) -> Iterator[Finding]:
        """What is wrong with the certificates that a resource's specification names.

        They are looked at before a proxy asks for them, so that they can be mapped before one is
        started.
        """
        for use in certificates_of(resource):
            yield from self._certificate_problems(resource, use)

    def find_unmet_needs(self, graph: Graph) -> Iterator[Finding]:
        """What connected proxies of a mesh wait for in vain, or have in an older state.

        Without the certificates that specifications name, which need no proxy to be looked at.
        """
        for key in sorted(key for key in self._needs if key.mesh == graph.head.mesh):
            resource = graph.resources.get(key)
            if resource is None:
                continue
            named = {(use.arn, use.is_trust) for use in certificates_of(resource)}
            for lookup in self._needs[key]:
                yield from self._lookup_problems(resource, lookup)
                for arn, is_trust in _certificates_in(lookup):
                    if (arn, is_trust) not in named:
                        use = CertificateUse("", arn, is_trust)
                        yield from self._certificate_problems(resource, use)

    def _lookup_problems(self, resource: Resource, lookup: Lookup) -> Iterator[Finding]:
        if isinstance(lookup, EndpointsLookup):
            error = self._cloud_map.find_error(lookup.service)
            if error:
                yield Finding(
                    resource.arn,
                    "DiscoveryFailed",
                    "",
                    f"{resource.key}: AWS Cloud Map does not say which instances {lookup.service} "
                    f"has: {error}",
                    "create the service, or let the control plane's credentials discover instances",
                )

    def _certificate_problems(self, resource: Resource, use: CertificateUse) -> Iterator[Finding]:
        error = self._credentials.find_error(use.arn, is_trust=use.is_trust)
        if error:
            yield Finding(
                resource.arn,
                "CertificateUnusable",
                use.field,
                f"{resource.key}: {error}",
                f"map {use.arn} in the file of --certificates to a directory or secret with it",
            )

    def _notice_instances(self, service: CloudMapService) -> None:
        self._notify(
            lambda lookup: isinstance(lookup, EndpointsLookup) and lookup.service == service
        )

    def _notify(self, concerns: Callable[[Lookup], bool]) -> None:
        keys = frozenset(key for key, needed in self._needs.items() if any(map(concerns, needed)))
        for watcher in self._watchers if keys else ():
            watcher(keys)


def _services_of(lookups: Iterable[Lookup]) -> set[CloudMapService]:
    return {each.service for each in lookups if isinstance(each, EndpointsLookup)}


def _certificates_in(lookup: Lookup) -> Iterator[tuple[str, bool]]:
    """The ARNs that a lookup needs, and whether it is their authorities that it needs."""
    if isinstance(lookup, SecretLookup):
        for arn in lookup.arns:
            yield arn, lookup.is_trust


def _needs_any(lookup: Lookup, arns: Collection[str]) -> bool:
    return any(arn in arns for arn, _ in _certificates_in(lookup))
