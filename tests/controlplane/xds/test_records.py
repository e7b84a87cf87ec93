"""What is remembered of proxies, for how long, and what takes the place of what they refused."""

from __future__ import annotations

from meshwright.model.resources import Kind, ResourceKey
from meshwright.translate import Proxy
from meshwright.xds.records import UNCONNECTED_KEPT, ProxyRecord, ProxyRecords
from meshwright.xds.resources import CLUSTER, ENDPOINT, Snapshot
from tests.controlplane.meshes import DEMO
from tests.controlplane.xds.proxies import snapshot

FRONT = ResourceKey(DEMO, Kind.VIRTUAL_NODE, "front")
GOOD = snapshot(1, clusters={"a": "1"}, endpoints={"a": "1"})


def proxy(number: int) -> Proxy:
    """One of many that differ by their addresses."""
    return Proxy(FRONT, listener_address=f"10.0.{number // 256}.{number % 256}")


def refusing(*contents: tuple[str, str, str]) -> ProxyRecord:
    """The record of a proxy that has refused something after `GOOD`."""
    record = ProxyRecord(last_good=GOOD)
    record.rejected.append(frozenset(contents))
    return record


def versions(chosen: Snapshot, type_url: str) -> dict[str, str]:
    """The versions of a type in a snapshot, by name."""
    return {name: each.version for name, each in chosen.of_type(type_url).items()}


def test_a_proxy_that_comes_back_has_its_record():
    records = ProxyRecords()
    record = records.arrive(proxy(1))
    records.leave(proxy(1), record)

    assert records.arrive(proxy(1)) is record


def test_streams_of_equal_proxies_share_a_record_until_the_last_has_gone():
    records = ProxyRecords()
    record = records.arrive(proxy(0))
    assert records.arrive(proxy(0)) is record
    records.leave(proxy(0), record)
    for number in range(1, UNCONNECTED_KEPT + 2):
        records.leave(proxy(number), records.arrive(proxy(number)))

    assert records.arrive(proxy(0)) is record


def test_of_proxies_that_are_gone_only_the_latest_are_remembered():
    records = ProxyRecords()
    met = {number: records.arrive(proxy(number)) for number in range(UNCONNECTED_KEPT * 3)}
    for number, record in met.items():
        records.leave(proxy(number), record)

    kept = [number for number, record in met.items() if records.arrive(proxy(number)) is record]
    assert kept == list(met)[-UNCONNECTED_KEPT:]


def test_a_node_that_was_deleted_is_forgotten():
    records = ProxyRecords()
    record = records.arrive(proxy(1))
    records.forget(FRONT)
    records.leave(proxy(1), record)

    assert records.arrive(proxy(1)) is not record


def test_what_holds_all_of_what_was_refused_is_not_offered():
    record = refusing((CLUSTER, "a", "2"), (CLUSTER, "b", "bad"))

    chosen = record.choose(snapshot(3, clusters={"a": "2", "b": "bad"}, endpoints={"a": "1"}))

    assert versions(chosen, CLUSTER) == {"a": "1"}


def test_what_holds_only_a_part_of_it_is_offered():
    record = refusing((CLUSTER, "a", "2"), (CLUSTER, "b", "bad"))
    mended = snapshot(3, clusters={"a": "2", "b": "good"})

    assert record.choose(mended) is mended


def test_the_last_good_has_the_endpoints_of_today():
    record = refusing((CLUSTER, "a", "bad"))
    newer = snapshot(3, clusters={"a": "bad"}, endpoints={"a": "2", "b": "1"})

    chosen = record.choose(newer)

    assert versions(chosen, CLUSTER) == {"a": "1"}
    assert versions(chosen, ENDPOINT) == {"a": "2"}
    assert record.choose(newer) is chosen


def test_the_last_good_gets_what_it_waited_for():
    good = snapshot(1, clusters={"a": "1"}, pending=[(ENDPOINT, "a"), (ENDPOINT, "b")])
    record = ProxyRecord(last_good=good)
    record.rejected.append(frozenset([(CLUSTER, "a", "bad")]))

    chosen = record.choose(snapshot(3, clusters={"a": "bad"}, endpoints={"a": "2"}))

    assert versions(chosen, ENDPOINT) == {"a": "2"}
    assert chosen.pending == {(ENDPOINT, "b")}


def test_the_last_good_keeps_its_own_in_place_of_endpoints_that_were_refused():
    record = refusing((ENDPOINT, "a", "bad"))

    chosen = record.choose(snapshot(3, clusters={"a": "1"}, endpoints={"a": "bad"}))

    assert versions(chosen, ENDPOINT) == {"a": "1"}
