"""One stream's subscription to one type of resource: what was asked, sent and acknowledged.

Rules are cited from the xDS protocol document by the titles of its sections:
https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from meshwright.xds.resources import PackedResource

WILDCARD = "*"
UNKNOWN = ""
"""The version of a resource of which nobody knows whether the proxy took it over."""

REJECTIONS_KEPT: Final = 100
"""How many rejections are remembered of one proxy and type; the oldest give way."""


class Update(NamedTuple):
    """What one response says about a type.

    Attributes:
        changed: Resources that the proxy does not have in this version, or asked for again.
        removed: Names that the proxy should forget, or asked for in vain.
    """

    changed: tuple[PackedResource, ...]
    removed: tuple[str, ...]


class InFlight(NamedTuple):
    """A response that is neither acknowledged nor rejected yet: its nonce and what it said."""

    nonce: str
    update: Update


_Contents = frozenset[tuple[str, str]]


@dataclass(slots=True)
class Subscription:
    """The state of one type on one stream. At most one response is in flight at a time.

    Attributes:
        wildcard: Everything that there is, is wanted.
        names: These are wanted by name.
        held: The version of each resource that the proxy has, or has been sent.
        asked: Names that the proxy asked for and that no response has dealt with yet.
        owes_answer: The first request has to be answered even where there is nothing to send:
            until then the proxy waits with everything else ("Resource warming").
        rejected: What the proxy rejected, name and version of what stood in one response: it is
            not sent again together. None until it has rejected anything.
        in_flight: The response that the proxy has not answered yet.
    """

    wildcard: bool = False
    names: set[str] = field(default_factory=set[str])
    held: dict[str, str] = field(default_factory=dict[str, str])
    asked: set[str] = field(default_factory=set[str])
    owes_answer: bool = False
    rejected: deque[_Contents] | None = None
    in_flight: InFlight | None = None

    def subscribe(self, names: Iterable[str]) -> None:
        """Want names, and have them answered even where the proxy has them.

        "Subscribing to resources": a name that is subscribed to again is sent again.
        """
        for name in names:
            if name == WILDCARD:
                self.wildcard = True
            else:
                self.names.add(name)
                self.asked.add(name)

    def unsubscribe(self, names: Iterable[str]) -> None:
        """Stop wanting names; the proxy has forgotten them by itself."""
        for name in names:
            if name == WILDCARD:
                self.wildcard = False
                for held in self.held.keys() - self.names:
                    del self.held[held]
            else:
                self.names.discard(name)
                self.asked.discard(name)
                if not self.wildcard:
                    self.held.pop(name, None)

    def wanted(self, resources: Mapping[str, PackedResource]) -> Mapping[str, PackedResource]:
        """The part of what there is that the proxy subscribed to."""
        if self.wildcard:
            return resources
        return {name: resources[name] for name in self.names if name in resources}

    def is_complete(
        self, resources: Mapping[str, PackedResource], pending: frozenset[str] = frozenset()
    ) -> bool:
        """Whether the proxy has, or has been sent, all that there is and nothing else."""
        held = self.held
        if pending:
            held = {name: version for name, version in held.items() if name not in pending}
        if self.owes_answer or len(held) != len(resources) or not self.asked <= pending:
            return False
        for name, resource in resources.items():  # noqa: SIM110 - twice as fast as `all`
            if held.get(name) != resource.version:
                return False
        return True

    def find_additions(
        self, resources: Mapping[str, PackedResource], pending: frozenset[str] = frozenset()
    ) -> Update | None:
        """What the proxy lacks, has in another version, or asked for again; None if nothing.

        Args:
            resources: The resources that there are.
            pending: The names of those that will come.
        """
        wanted = self.wanted(resources)
        rejected = self._find_rejected(wanted) if self.rejected else ()
        changed = tuple(
            resource
            for name, resource in wanted.items()
            if (self.held.get(name) != resource.version or name in self.asked)
            and (name, resource.version) not in rejected
        )
        # "Knowing when a requested resource does not exist": a delta client is told at once.
        missing = tuple(sorted(self.asked - wanted.keys() - pending))
        return Update(changed, missing) if changed or missing or self.owes_answer else None

    def _find_rejected(self, wanted: Mapping[str, PackedResource]) -> set[tuple[str, str]]:
        """What would be refused again; where one of several was mended, it may be all of them."""
        again: set[tuple[str, str]] = set()
        for contents in self.rejected or ():
            if all(name in wanted and wanted[name].version == each for name, each in contents):
                again |= contents
        return again

    def find_removals(
        self, resources: Mapping[str, PackedResource], pending: frozenset[str] = frozenset()
    ) -> Update | None:
        """What the proxy has and should forget; None if nothing.

        What is pending it keeps from an earlier stream, until there is a newer state of it.
        """
        removed = tuple(sorted(self.held.keys() - self.wanted(resources).keys() - pending))
        return Update((), removed) if removed else None

    def sent(self, nonce: str, update: Update) -> None:
        """Take note of a response."""
        self.in_flight = InFlight(nonce, update)
        self.owes_answer = False
        for resource in update.changed:
            self.held[resource.name] = resource.version
        for name in update.removed:
            self.held.pop(name, None)
        if self.asked:
            self.asked.difference_update(resource.name for resource in update.changed)
            self.asked.difference_update(update.removed)

    def expect_again(self, names: Iterable[str]) -> None:
        """Take note that the proxy needs resources again, whatever it has of them."""
        for name in names:
            self.held.pop(name, None)

    def acknowledged(self) -> None:
        """Take note that the response in flight was accepted."""
        self.in_flight = None

    def refused(self, contents: frozenset[tuple[str, str]]) -> None:
        """Take note that the response in flight was rejected, for these names and versions.

        Envoy applies what it can of a response and rejects it for the rest, so that nobody knows
        which versions the proxy has now: they count as unknown, and what is right is sent anew.
        """
        response = self.in_flight
        self.in_flight = None
        if contents:
            if self.rejected is None:
                self.rejected = deque(maxlen=REJECTIONS_KEPT)
            self.rejected.append(contents)
        for resource in response.update.changed if response is not None else ():
            self.held[resource.name] = UNKNOWN
