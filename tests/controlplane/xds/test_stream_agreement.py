"""A stream and its proxy, driven at random: whatever happens, they come to agree."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from meshwright.xds.resources import CLUSTER, LISTENER, ROUTE, Snapshot
from tests.controlplane.xds.proxies import DialectName, FakeProxy, snapshot

versions = st.dictionaries(st.sampled_from("abc"), st.sampled_from("123"), max_size=3)


class ProxyMachine(RuleBasedStateMachine):
    """Offers, acknowledgements, rejections and reconnects in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.revision = 1
        self.target = snapshot(1)
        self.refused: set[tuple[str, str, str]] = set()
        self.proxy = FakeProxy.start("delta", self.target)

    @initialize(dialect=st.sampled_from(["delta", "sotw"]))
    def connect(self, dialect: DialectName) -> None:
        """Begin with a stream of one dialect, subscribed as Envoy does it."""
        self.proxy = FakeProxy.start(dialect, self.target)
        for type_url in (CLUSTER, LISTENER):
            self.proxy.subscribe(type_url)
        self.proxy.subscribe(ROUTE, ["a", "b", "c"])

    @rule(clusters=versions, listeners=versions, routes=versions)
    def change(
        self, clusters: dict[str, str], listeners: dict[str, str], routes: dict[str, str]
    ) -> None:
        """What the proxy should have changes."""
        self.revision += 1
        self.target = snapshot(self.revision, clusters=clusters, listeners=listeners, routes=routes)
        self.proxy.offer(self.target)

    @precondition(lambda self: self.proxy.unanswered)
    @rule()
    def acknowledge(self) -> None:
        """The proxy accepts a response."""
        self.proxy.acknowledge()

    @precondition(lambda self: self.proxy.unanswered)
    @rule()
    def reject_and_mend(self) -> None:
        """The proxy refuses a response, and gets an empty configuration instead."""
        rejection = self.proxy.reject()
        self.refused |= {(rejection.type_url, *content) for content in rejection.contents}
        self.revision += 1
        self.target = Snapshot(self.revision, {})
        self.proxy.offer(self.target)

    @rule()
    def reconnect(self) -> None:
        """The proxy comes back on a new stream, with what it has."""
        held, dialect = self.proxy.held, self.proxy.dialect
        self.refused.clear()
        self.proxy = FakeProxy.start(dialect, self.target)
        self.proxy.held = held
        for type_url, names in ((CLUSTER, ()), (LISTENER, ()), (ROUTE, ("a", "b", "c"))):
            more = {"held_versions": dict(held.get(type_url, {}))} if dialect == "delta" else {}
            self.proxy.subscribe(type_url, names, **more)

    @invariant()
    def a_settled_proxy_has_what_it_should_have(self) -> None:
        """The server never believes a proxy up to date that is not."""
        if self.proxy.stream.settled:
            for type_url in (CLUSTER, LISTENER, ROUTE):
                wanted = {
                    name: each.version for name, each in self.target.of_type(type_url).items()
                }
                held = self.proxy.held.get(type_url, {})
                if self.proxy.dialect == "sotw" and type_url == ROUTE:
                    # This dialect leaves it to the proxy to forget routes that nothing refers to.
                    held = {name: held[name] for name in wanted}
                assert held == wanted

    def teardown(self) -> None:
        """Once everything is acknowledged, the proxy is settled, unless it should have the bad."""
        self.proxy.acknowledge_all()
        assert self.proxy.stream.settled or self.refused & self.target.contents()


ProxyMachine.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=25,
    deadline=None,
)
test_a_stream_and_its_proxy_agree = ProxyMachine.TestCase
