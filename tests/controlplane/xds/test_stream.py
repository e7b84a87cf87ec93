"""The stream's state machine, against the exchanges of the xDS protocol document."""

from __future__ import annotations

import pytest

from meshwright.xds.resources import CLUSTER, ENDPOINT, LISTENER, ROUTE, digest_versions
from meshwright.xds.wire import Request
from tests.controlplane.xds.proxies import DialectName, FakeProxy, snapshot

BOTH = pytest.mark.parametrize("dialect", ["delta", "sotw"])

WHOLE = snapshot(1, clusters={"a": "1", "b": "1"}, listeners={"l": "1"}, routes={"r": "1"})


def started(dialect: DialectName) -> FakeProxy:
    """A proxy that has, and has acknowledged, all of `WHOLE`."""
    proxy = FakeProxy.start(dialect, WHOLE)
    proxy.subscribe(CLUSTER)
    proxy.acknowledge_all()
    proxy.subscribe(LISTENER)
    proxy.acknowledge_all()
    proxy.subscribe(ROUTE, ["r"])
    proxy.acknowledge_all()
    proxy.log.clear()
    return proxy


@BOTH
def test_a_first_request_without_names_gets_everything(dialect: DialectName):
    proxy = FakeProxy.start(dialect, WHOLE)

    proxy.subscribe(CLUSTER)

    assert proxy.log == [("Cluster", ["a", "b"], [])]


@BOTH
def test_a_first_request_is_answered_even_where_there_is_nothing(dialect: DialectName):
    proxy = FakeProxy.start(dialect, snapshot(1))

    proxy.subscribe(CLUSTER)

    assert proxy.log == [("Cluster", [], [])]


@BOTH
def test_a_proxy_that_has_everything_is_settled(dialect: DialectName):
    assert started(dialect).stream.settled


@BOTH
def test_a_proxy_that_has_not_asked_for_everything_is_not_settled(dialect: DialectName):
    proxy = FakeProxy.start(dialect, WHOLE)
    proxy.subscribe(CLUSTER)
    proxy.acknowledge_all()

    assert not proxy.stream.settled


@BOTH
def test_what_is_unchanged_is_not_sent_again(dialect: DialectName):
    proxy = started(dialect)

    proxy.offer(snapshot(2, clusters={"a": "1", "b": "1"}, listeners={"l": "1"}, routes={"r": "2"}))

    assert proxy.log == [("RouteConfiguration", ["r"], [])]


@BOTH
def test_an_acknowledgement_is_not_answered(dialect: DialectName):
    proxy = started(dialect)

    assert proxy.stream.next_responses() == []


@BOTH
def test_what_is_referred_to_goes_before_what_refers(dialect: DialectName):
    proxy = started(dialect)

    proxy.offer(
        snapshot(
            2, clusters={"a": "1", "b": "1", "c": "1"}, listeners={"l": "1"}, routes={"r": "2"}
        )
    )
    before_acknowledgement = list(proxy.log)
    proxy.acknowledge()

    assert before_acknowledgement == [("Cluster", ["c"], [])]
    assert proxy.log[1:] == [("RouteConfiguration", ["r"], [])]


@BOTH
def test_removals_come_last(dialect: DialectName):
    proxy = started(dialect)

    proxy.offer(snapshot(2, clusters={"a": "1"}, listeners={"l": "1"}, routes={"r": "2"}))
    while_in_use = dict(proxy.held[CLUSTER])
    proxy.acknowledge_all()

    assert while_in_use == {"a": "1", "b": "1"}
    assert proxy.log == [("RouteConfiguration", ["r"], []), ("Cluster", [], ["b"])]
    assert proxy.held[CLUSTER] == {"a": "1"}


@BOTH
def test_a_cluster_to_be_removed_stays_while_others_change(dialect: DialectName):
    proxy = started(dialect)

    proxy.offer(snapshot(2, clusters={"a": "2", "c": "1"}, listeners={"l": "1"}, routes={"r": "2"}))

    assert proxy.held[CLUSTER] == {"a": "2", "b": "1", "c": "1"}


@BOTH
def test_changes_while_a_response_is_in_flight_are_sent_as_one(dialect: DialectName):
    proxy = started(dialect)
    for revision in (2, 3, 4):
        proxy.offer(
            snapshot(
                revision,
                clusters={"a": str(revision), "b": "1"},
                listeners={"l": "1"},
                routes={"r": "1"},
            )
        )

    proxy.acknowledge_all()

    assert proxy.log == [("Cluster", ["a"], []), ("Cluster", ["a"], [])]
    assert proxy.held[CLUSTER]["a"] == "4"


@BOTH
def test_what_was_rejected_is_not_sent_again(dialect: DialectName):
    proxy = started(dialect)
    bad = snapshot(2, clusters={"a": "bad", "b": "1"}, listeners={"l": "1"}, routes={"r": "1"})
    proxy.offer(bad)

    rejection = proxy.reject("a is bad")
    proxy.offer(bad)

    assert (rejection.contents, rejection.detail) == ({("a", "bad")}, "a is bad")
    assert proxy.log == [("Cluster", ["a"], [])]


@BOTH
def test_after_a_rejection_the_last_good_is_put_back(dialect: DialectName):
    proxy = started(dialect)
    proxy.offer(
        snapshot(2, clusters={"a": "bad", "b": "1"}, listeners={"l": "1"}, routes={"r": "1"})
    )
    proxy.reject()

    proxy.offer(WHOLE)
    proxy.acknowledge_all()

    assert proxy.held[CLUSTER] == {"a": "1", "b": "1"}
    assert proxy.stream.settled


@BOTH
def test_a_new_version_is_sent_after_a_rejection(dialect: DialectName):
    proxy = started(dialect)
    proxy.offer(
        snapshot(2, clusters={"a": "bad", "b": "1"}, listeners={"l": "1"}, routes={"r": "1"})
    )
    proxy.reject()

    proxy.offer(
        snapshot(3, clusters={"a": "good", "b": "1"}, listeners={"l": "1"}, routes={"r": "1"})
    )
    proxy.acknowledge_all()

    assert proxy.held[CLUSTER] == {"a": "good", "b": "1"}


@BOTH
def test_what_was_rejected_with_others_is_sent_once_those_are_mended(dialect: DialectName):
    proxy = started(dialect)
    proxy.offer(
        snapshot(2, clusters={"a": "2", "b": "bad"}, listeners={"l": "1"}, routes={"r": "1"})
    )
    proxy.reject("one of these is bad")

    proxy.offer(
        snapshot(3, clusters={"a": "2", "b": "good"}, listeners={"l": "1"}, routes={"r": "1"})
    )
    proxy.acknowledge_all()

    assert proxy.held[CLUSTER] == {"a": "2", "b": "good"}
    assert proxy.stream.settled


@BOTH
def test_what_is_not_named_by_a_rejection_is_sent_without_what_is(dialect: DialectName):
    proxy = FakeProxy.start(dialect, snapshot(1, clusters={"a": "1", "b": "bad"}))
    proxy.subscribe(CLUSTER)

    rejection = proxy.reject("Error adding/updating cluster(s) b: it is bad")
    proxy.acknowledge_all()

    assert rejection.contents == {("b", "bad")}
    assert proxy.held[CLUSTER]["a"] == "1"
    assert [names for _, names, _ in proxy.log] == [["a", "b"], ["a"]]


@BOTH
def test_a_stale_nonce_is_no_acknowledgement(dialect: DialectName):
    proxy = started(dialect)
    proxy.offer(snapshot(2, clusters={"a": "2", "b": "1"}, listeners={"l": "1"}, routes={"r": "1"}))

    proxy.stream.receive(Request(CLUSTER, nonce="stale"))

    assert not proxy.stream.settled
    assert proxy.stream.next_responses() == []


@BOTH
def test_an_updated_cluster_gets_its_endpoints_again(dialect: DialectName):
    first = snapshot(1, clusters={"a": "1", "b": "1"}, endpoints={"a": "1", "b": "1"})
    proxy = FakeProxy.start(dialect, first)
    proxy.subscribe(CLUSTER)
    proxy.subscribe(ENDPOINT, ["a", "b"])
    proxy.acknowledge_all()
    proxy.log.clear()

    proxy.offer(snapshot(2, clusters={"a": "2", "b": "1"}, endpoints={"a": "1", "b": "1"}))
    proxy.acknowledge_all()

    assert proxy.log == [("Cluster", ["a"], []), ("ClusterLoadAssignment", ["a"], [])]


@BOTH
def test_changed_endpoints_go_out_alone(dialect: DialectName):
    proxy = FakeProxy.start(dialect, snapshot(1, clusters={"a": "1"}, endpoints={"a": "1"}))
    proxy.subscribe(CLUSTER)
    proxy.subscribe(ENDPOINT, ["a"])
    proxy.acknowledge_all()
    proxy.log.clear()

    proxy.offer(snapshot(2, clusters={"a": "1"}, endpoints={"a": "2"}))

    assert proxy.log == [("ClusterLoadAssignment", ["a"], [])]


@BOTH
def test_a_further_name_is_answered_alone(dialect: DialectName):
    target = snapshot(1, routes={"r": "1", "s": "1"})
    proxy = FakeProxy.start(dialect, target)
    proxy.subscribe(ROUTE, ["r"])
    proxy.acknowledge_all()

    proxy.subscribe(ROUTE, ["s"])

    assert proxy.log[1:] == [("RouteConfiguration", ["s"], [])]


@BOTH
def test_a_name_that_is_not_there_yet_is_sent_once_it_is(dialect: DialectName):
    proxy = FakeProxy.start(dialect, snapshot(1))
    proxy.subscribe(ROUTE, ["r"])
    proxy.acknowledge_all()

    proxy.offer(snapshot(2, routes={"r": "1"}))

    assert proxy.log[-1] == ("RouteConfiguration", ["r"], [])


def test_delta_says_at_once_that_a_name_does_not_exist():
    proxy = FakeProxy.start("delta", snapshot(1))

    proxy.subscribe(ROUTE, ["r"])

    assert proxy.log == [("RouteConfiguration", [], ["r"])]


def test_delta_sends_again_what_is_asked_for_again():
    proxy = started("delta")

    proxy.subscribe(ROUTE, ["r"])

    assert proxy.log == [("RouteConfiguration", ["r"], [])]


def test_delta_sends_nothing_for_a_name_that_is_no_longer_wanted():
    proxy = started("delta")
    proxy.stream.receive(Request(ROUTE, unsubscribed=("r",)))

    proxy.offer(snapshot(2, clusters={"a": "1", "b": "1"}, listeners={"l": "1"}, routes={"r": "2"}))

    assert proxy.log == []


def wants(proxy: FakeProxy) -> tuple[bool, set[str]]:
    """Which clusters a proxy is sent changes of: whether all, and which of `a`, `b` and `c`."""
    held = proxy.stream.target.of_type(CLUSTER)
    version = str(proxy.stream.target.revision + 1)
    proxy.log.clear()
    proxy.offer(snapshot(int(version), clusters=dict.fromkeys((*held, version), version)))
    proxy.acknowledge_all()
    names = {name for _, names, _ in proxy.log for name in names}
    return version in names, names & {"a", "b", "c"}


ABC = snapshot(1, clusters={"a": "1", "b": "1", "c": "1"})


def test_state_of_the_world_takes_a_list_without_the_wildcard_as_its_end():
    """The example of "How the client specifies what resources to return"."""
    proxy = FakeProxy.start("sotw", ABC)
    seen: list[tuple[bool, set[str]]] = []

    for names in ((), ("*", "a"), ("a",), ()):
        proxy.names[CLUSTER] = set(names)
        proxy.stream.receive(Request(CLUSTER, names=names))
        proxy.take()
        proxy.acknowledge_all()
        seen.append(wants(proxy))

    assert seen == [
        (True, {"a", "b", "c"}),
        (True, {"a", "b", "c"}),
        (False, {"a"}),
        (False, set()),
    ]


def test_delta_ends_the_wildcard_only_when_told_to():
    """The example of "How the client specifies what resources to return"."""
    proxy = FakeProxy.start("delta", ABC)
    seen: list[tuple[bool, set[str]]] = []

    for request in (
        Request(CLUSTER),
        Request(CLUSTER, names=("a",)),
        Request(CLUSTER, unsubscribed=("*",)),
        Request(CLUSTER, unsubscribed=("a",)),
    ):
        proxy.stream.receive(request)
        proxy.take()
        proxy.acknowledge_all()
        seen.append(wants(proxy))

    assert seen == [
        (True, {"a", "b", "c"}),
        (True, {"a", "b", "c"}),
        (False, {"a"}),
        (False, set()),
    ]


def test_delta_says_what_becomes_of_a_name_that_a_wildcard_may_hold():
    """The exception of "Unsubscribing from Resources": the proxy does not know whether it does."""
    proxy = FakeProxy.start("delta", snapshot(1, clusters={"a": "1"}))
    proxy.subscribe(CLUSTER, ["*", "a", "gone"])
    proxy.acknowledge_all()
    proxy.log.clear()

    proxy.stream.receive(Request(CLUSTER, unsubscribed=("a", "gone", "never")))
    proxy.take()

    assert proxy.log == [("Cluster", ["a"], ["gone"])]


@BOTH
def test_a_first_wildcard_by_its_name_is_answered_even_where_there_is_nothing(dialect: DialectName):
    proxy = FakeProxy.start(dialect, snapshot(1))

    proxy.subscribe(CLUSTER, ["*"])

    assert proxy.log == [("Cluster", [], [])]


@BOTH
def test_a_name_that_is_no_longer_wanted_is_sent_again_when_it_is_wanted_again(
    dialect: DialectName,
):
    proxy = started(dialect)
    gone, back = (
        (Request(ROUTE, unsubscribed=("r",)), Request(ROUTE, names=("r",)))
        if dialect == "delta"
        else (Request(ROUTE, names=()), Request(ROUTE, names=("r",)))
    )

    proxy.stream.receive(gone)
    proxy.take()
    nothing = list(proxy.log)
    proxy.stream.receive(back)
    proxy.take()

    assert (nothing, proxy.log) == ([], [("RouteConfiguration", ["r"], [])])


def test_delta_sends_a_reconnecting_proxy_only_what_has_changed():
    proxy = FakeProxy.start("delta", WHOLE)

    proxy.subscribe(CLUSTER, held_versions={"a": "1", "b": "0", "gone": "1"})
    proxy.acknowledge_all()

    assert proxy.log == [("Cluster", ["b"], []), ("Cluster", [], ["gone"])]


def test_delta_sends_an_up_to_date_proxy_nothing():
    proxy = FakeProxy.start("delta", WHOLE)

    proxy.subscribe(CLUSTER, held_versions={"a": "1", "b": "1"})
    proxy.subscribe(LISTENER, held_versions={"l": "1"})
    proxy.subscribe(ROUTE, ["r"], held_versions={"r": "1"})

    assert proxy.log == []
    assert proxy.stream.settled


def test_state_of_the_world_sends_an_up_to_date_proxy_nothing():
    proxy = FakeProxy.start("sotw", WHOLE)
    for type_url, names in ((CLUSTER, ()), (LISTENER, ()), (ROUTE, ("r",))):
        version = digest_versions(WHOLE.of_type(type_url).values())
        proxy.subscribe(type_url, names, version=version)

    assert proxy.log == []
    assert proxy.stream.settled


PENDING = snapshot(1, clusters={"a": "1"}, pending=[(ENDPOINT, "a")])


@BOTH
def test_what_will_come_is_not_said_to_be_missing(dialect: DialectName):
    proxy = FakeProxy.start(dialect, PENDING)
    proxy.subscribe(CLUSTER)
    proxy.acknowledge_all()
    proxy.log.clear()

    proxy.subscribe(ENDPOINT, ["a"])

    assert proxy.log == []


@BOTH
def test_what_will_come_is_sent_when_it_is_there(dialect: DialectName):
    proxy = FakeProxy.start(dialect, PENDING)
    proxy.subscribe(CLUSTER)
    proxy.acknowledge_all()
    proxy.subscribe(ENDPOINT, ["a"])
    proxy.log.clear()

    proxy.offer(snapshot(1, clusters={"a": "1"}, endpoints={"a": "1"}))

    assert proxy.log == [("ClusterLoadAssignment", ["a"], [])]


def test_a_proxy_keeps_what_it_has_of_what_will_come():
    proxy = FakeProxy.start("delta", PENDING)
    proxy.subscribe(CLUSTER)
    proxy.acknowledge_all()
    proxy.log.clear()

    proxy.subscribe(ENDPOINT, ["a"], held_versions={"a": "0"})

    assert proxy.log == []
    assert proxy.stream.settled
