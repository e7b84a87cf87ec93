"""One proxy's stream as a state machine without sockets: requests in, responses out.

    receive(request) --> subscriptions --+
                                         +--> next_responses() --> the wire
    offer(snapshot) ---> target ---------+

Both dialects share everything but how they read a subscription and write a response; those two
are the small classes at the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from meshwright.xds.resources import (
    CLUSTER,
    ENDPOINT,
    LISTENER,
    SECRET,
    TYPES,
    PackedResource,
    Snapshot,
    digest_versions,
)
from meshwright.xds.subscription import WILDCARD, Subscription, Update
from meshwright.xds.wire import Request, render_delta_response, render_sotw_response

_WHOLE: Final = frozenset({CLUSTER, LISTENER})
"""The types of which a state-of-the-world response holds everything ("Resource types")."""


class Response(NamedTuple):
    """A response to be written to the wire.

    Attributes:
        type_url: The type that it is about.
        nonce: Its nonce.
        update: What it changes for the proxy.
        data: It, serialized.
    """

    type_url: str
    nonce: str
    update: Update
    data: bytes


@dataclass(frozen=True, slots=True)
class Rejection:
    """A response that the proxy refused (NACK).

    Attributes:
        type_url: The type that it was about.
        contents: Name and version of the resources that the proxy's words name, or of all in it
            where they name none.
        detail: The proxy's words.
    """

    type_url: str
    contents: frozenset[tuple[str, str]]
    detail: str


class Dialect(Protocol):
    """What tells delta from state of the world."""

    def subscribe(
        self, subscription: Subscription, request: Request, snapshot: Snapshot, *, first: bool
    ) -> None:
        """Change a subscription as a request says."""
        ...

    def render(
        self,
        type_url: str,
        nonce: str,
        subscription: Subscription,
        update: Update,
        target: Snapshot,
    ) -> bytes:
        """A response with an update, serialized."""
        ...


class ProxyStream:
    """What one stream has asked for, has been sent and has acknowledged.

    Args:
        dialect: Delta or state of the world.
        target: What the proxy should come to have.

    Attributes:
        target: What the proxy should come to have.
        subscribed: How much it has asked for: types, and names within them.
    """

    def __init__(self, dialect: Dialect, target: Snapshot) -> None:
        self._dialect = dialect
        self._subscriptions: dict[str, Subscription] = {}
        # The types that something has happened to since it was seen that the proxy has all of them:
        # a change is of one or two types, and the others are not even looked at.
        self._open: set[str] = set(TYPES)
        self._responses = 0
        self.subscribed = 0
        self.target = target

    def receive(self, request: Request) -> Rejection | None:
        """Take a request: a subscription, an acknowledgement or a rejection, or several at once.

        Returns:
            The rejection, where it is one.
        """
        first = request.type_url not in self._subscriptions
        subscription = self._subscriptions.setdefault(request.type_url, Subscription())
        if request.type_url in TYPES:
            self._open.add(request.type_url)
        rejection = None
        # A NACK is known by its error detail, never by its version ("ACK and NACK semantics").
        if request.nonce and not first:
            in_flight = subscription.in_flight
            if in_flight is None or in_flight.nonce != request.nonce:
                # "Resource updates": a stale nonce is not answered; in state of the world the
                # names beside it are stale as well, while delta's are changes that still count.
                if isinstance(self._dialect, StateOfTheWorld) and in_flight is not None:
                    return None
            elif request.error is not None:
                contents = _find_culprits(in_flight.update, request.error)
                rejection = Rejection(request.type_url, contents, request.error)
                subscription.refused(contents)
            else:
                subscription.acknowledged()
        known = len(subscription.names)
        self._dialect.subscribe(subscription, request, self.target, first=first)
        self.subscribed += first + len(subscription.names) - known
        return rejection

    def offer(self, snapshot: Snapshot) -> None:
        """Set what the proxy should come to have; what is not sent yet of the last is skipped."""
        self._open.update(snapshot.find_changed(self.target))
        self.target = snapshot

    @property
    def settled(self) -> bool:
        """Whether the proxy has acknowledged everything that it should have, and nothing else."""
        for type_url in tuple(self._open):
            subscription = self._subscriptions.get(type_url)
            if subscription is None:
                if self.target.of_type(type_url):
                    return False
            elif subscription.in_flight is not None or not self._is_complete(type_url):
                return False
            self._open.discard(type_url)
        return True

    @property
    def idle(self) -> bool:
        """Whether nothing is under way to the proxy, and there is nothing to send to it."""
        under_way = any(each.in_flight is not None for each in self._subscriptions.values())
        return not under_way and next(self._due(), None) is None

    def _is_complete(self, type_url: str) -> bool:
        target = self.target
        return self._subscriptions[type_url].is_complete(
            target.of_type(type_url), target.pending_of(type_url)
        )

    def next_responses(self) -> list[Response]:
        """The responses that may be sent now; they count as sent."""
        return [self._respond(type_url, update) for type_url, update in list(self._due())]

    def _due(self) -> Iterator[tuple[str, Update]]:
        """Make before break: a type waits until the types that it refers to are acknowledged.

        Endpoints and secrets wait for nobody: clusters and listeners that were sent need them to
        get ready. Removals come when nothing is left to add, and what refers goes first.
        """
        waiting = False
        opened = [type_url for type_url in TYPES if type_url in self._open]
        for type_url in opened:
            subscription = self._subscriptions.get(type_url)
            if subscription is None:
                continue
            if subscription.in_flight is not None:
                waiting = True
            elif not self._is_complete(type_url):
                resources = self.target.of_type(type_url)
                update = subscription.find_additions(resources, self.target.pending_of(type_url))
                if update is not None:
                    if type_url in (ENDPOINT, SECRET) or not waiting:
                        yield type_url, update
                    waiting = True
        if waiting:
            return
        for type_url in reversed(opened):
            subscription = self._subscriptions.get(type_url)
            if subscription is not None and not self._is_complete(type_url):
                resources = self.target.of_type(type_url)
                update = subscription.find_removals(resources, self.target.pending_of(type_url))
                if update is not None:
                    yield type_url, update
                    return

    def _respond(self, type_url: str, update: Update) -> Response:
        subscription = self._subscriptions[type_url]
        self._responses += 1
        nonce = str(self._responses)
        data = self._dialect.render(type_url, nonce, subscription, update, self.target)
        subscription.sent(nonce, update)
        if type_url == CLUSTER:
            self._expect_endpoints_again(update)
        return Response(type_url, nonce, update, data)

    def _expect_endpoints_again(self, update: Update) -> None:
        """An updated cluster warms anew and needs its endpoints sent again.

        Source: "Eventual consistency considerations" and "Resource warming".
        """
        endpoints = self._subscriptions.get(ENDPOINT)
        if endpoints is not None:
            endpoints.expect_again(resource.name for resource in update.changed)
            self._open.add(ENDPOINT)


class Delta:
    """The incremental dialect (`DeltaAggregatedResources`)."""

    def subscribe(
        self, subscription: Subscription, request: Request, snapshot: Snapshot, *, first: bool
    ) -> None:
        """Add and remove names; a first request without any is a wildcard."""
        if first:
            subscription.held.update(request.held_versions)
            if not request.names and not request.unsubscribed and request.type_url in _WHOLE:
                subscription.wildcard = True
        subscription.subscribe(request.names)
        if first:
            subscription.owes_answer = subscription.wildcard and not request.held_versions
            # "initial_resource_versions": what is unchanged since the last stream is not sent.
            current = snapshot.of_type(request.type_url)
            subscription.asked.difference_update(
                name
                for name, version in request.held_versions.items()
                if name in current and current[name].version == version
            )
        if request.unsubscribed:
            dropped = subscription.names.intersection(request.unsubscribed)
            subscription.unsubscribe(request.unsubscribed)
            if subscription.wildcard:
                # "Unsubscribing from Resources": the proxy does not know whether the wildcard holds
                # what it dropped by name, and has to be told.
                subscription.asked.update(dropped)

    def render(
        self,
        type_url: str,
        nonce: str,
        subscription: Subscription,
        update: Update,
        target: Snapshot,
    ) -> bytes:
        """Only what changed."""
        del subscription, target
        return render_delta_response(type_url, nonce, update.changed, update.removed)


class StateOfTheWorld:
    """The dialect of `StreamAggregatedResources`, which App Mesh's Envoy image speaks."""

    def __init__(self) -> None:
        self._last: dict[str, dict[tuple[str, str], PackedResource]] = {}
        self._named: set[str] = set()

    def subscribe(
        self, subscription: Subscription, request: Request, snapshot: Snapshot, *, first: bool
    ) -> None:
        """Take the names as the whole subscription; none at all may mean everything.

        "How the client specifies what resources to return": that is so for some types, as long as
        a stream has not named anything of the type.
        """
        if request.names:
            self._named.add(request.type_url)
        is_named = request.type_url in self._named
        if not is_named and not first:
            return
        names = set(request.names) - {WILDCARD}
        subscription.unsubscribe(subscription.names - names)
        subscription.subscribe(names - subscription.names)
        is_wildcard = WILDCARD in request.names if is_named else request.type_url in _WHOLE
        if is_wildcard != subscription.wildcard:
            change = subscription.subscribe if is_wildcard else subscription.unsubscribe
            change((WILDCARD,))
        if first:
            self._begin(subscription, request, snapshot)
        if request.type_url not in _WHOLE:
            # This dialect has no way to say that a resource does not exist.
            subscription.asked.intersection_update(snapshot.of_type(request.type_url))

    def _begin(self, subscription: Subscription, request: Request, snapshot: Snapshot) -> None:
        """Believe a proxy that has exactly what it should have from an earlier stream."""
        current = subscription.wanted(snapshot.of_type(request.type_url))
        if request.version and request.version == digest_versions(current.values()):
            subscription.held.update({each.name: each.version for each in current.values()})
            subscription.asked.difference_update(current)
            self._last[request.type_url] = _by_content(current.values())
        else:
            subscription.owes_answer = request.type_url in _WHOLE

    def render(
        self,
        type_url: str,
        nonce: str,
        subscription: Subscription,
        update: Update,
        target: Snapshot,
    ) -> bytes:
        """Of clusters and listeners everything, of the others what changed.

        What is to be removed stays in the response until its turn to go has come.
        """
        wanted = subscription.wanted(target.of_type(type_url))
        if type_url not in _WHOLE:
            is_all = len(wanted) == len(target.of_type(type_url))
            version = target.version_of(type_url) if is_all else digest_versions(wanted.values())
            return render_sotw_response(type_url, nonce, version, update.changed)
        known = self._last.get(type_url, {}) | _by_content(wanted.values())
        versions = subscription.held | {each.name: each.version for each in update.changed}
        whole = [
            known[content]
            for content in versions.items()
            if content in known and content[0] not in update.removed
        ]
        self._last[type_url] = _by_content(whole)
        return render_sotw_response(type_url, nonce, digest_versions(whole), whole)


def _find_culprits(update: Update, detail: str) -> frozenset[tuple[str, str]]:
    """What a response was rejected for.

    Envoy takes what it can of a response and names the rest: `Error adding/updating cluster(s)
    NAME: REASON` (its `CdsApiHelper` and `LdsApiImpl`).
    """
    contents = frozenset((resource.name, resource.version) for resource in update.changed)
    named = {
        (name, version)
        for name, version in contents
        if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", detail)
    }
    return frozenset(named) or contents


def _by_content(
    resources: Iterable[PackedResource],
) -> dict[tuple[str, str], PackedResource]:
    return {(resource.name, resource.version): resource for resource in resources}
