"""What replicas write of their proxies: it comes back as it was, and fits into DynamoDB's items."""

from __future__ import annotations

from typing import Any

from meshwright.model.resources import MeshKey
from meshwright.presence.entries import (
    PROXIES_IN_PART,
    Heartbeat,
    Standing,
    describe,
    parse_heartbeats,
    parse_refusals,
    parse_rows,
    render_heartbeat,
    render_refusals,
    render_rows,
)
from meshwright.xds.proxy_status import STANDS_AT, ProxyStatus
from meshwright.xds.refusals import KEPT, Refusal
from tests.controlplane.meshes import DEMO

MAX_ITEM_BYTES = 400 * 1024
"""https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""

REJECTION: dict[str, Any] = {
    "type": "Cluster",
    "resources": ["a", "b"],
    "detail": "no such thing",
    "revision": 8,
    "at": 1003.5,
}
CURRENT = ProxyStatus(
    *("arn:front", "mesh/demo/virtualNode/front", "ipv4:10.0.0.7:1234", "1.40.0"),
    *(1001.25, 1002.5, 7, True, 0.0, None),
)
BEHIND = CURRENT._replace(is_current=False, lag=4.0, rejection=REJECTION, acknowledged_revision=6)


def test_a_proxy_that_has_all_has_the_revision_that_its_replica_has_come_to():
    part = render_rows([CURRENT], now=2000.0)

    assert [*describe(parse_rows(part), revision=9, now=2010.0)] == [
        CURRENT._replace(acknowledged_revision=9)
    ]


def test_a_proxy_that_is_behind_keeps_its_revision_and_its_lag_grows():
    part = render_rows([BEHIND], now=2000.0)

    assert [*describe(parse_rows(part), revision=9, now=2010.0)] == [BEHIND._replace(lag=14.0)]


def test_what_holds_a_proxy_back_does_so_in_the_revision_that_its_replica_has_come_to():
    held = BEHIND._replace(rejection=REJECTION | {STANDS_AT: 8})
    part = render_rows([held], now=2000.0)

    [told] = describe(parse_rows(part), revision=9, now=2010.0)
    assert told.rejection == REJECTION | {STANDS_AT: 9}


def test_no_lag_is_negative():
    part = render_rows([BEHIND], now=2000.0)

    assert [each.lag for each in describe(parse_rows(part), revision=9, now=1990.0)] == [0.0]


def test_a_part_of_the_largest_rows_fits_into_an_item():
    rejection = REJECTION | {"detail": "☃" * 100_000, "resources": ["☃" * 500] * 1_000}
    name = "☃" * 255
    proxy = BEHIND._replace(
        resource=f"arn:aws:appmesh:us-east-1:000000000000:mesh/{name}/virtualNode/{name}",
        node_id=f"arn:aws:appmesh:us-east-1:000000000000:mesh/{name}/virtualNode/{name}",
        envoy_version="9" * 10_000,
        rejection=rejection,
    )
    part = render_rows([proxy] * PROXIES_IN_PART, now=2000.0)

    [first, *_] = describe(parse_rows(part), revision=9, now=2000.0)
    assert len(part.encode()) < MAX_ITEM_BYTES
    assert first.rejection is not None
    assert first.rejection["detail"] == "☃" * 2_000 + "..."
    assert first.rejection["resources"] == ["☃" * 500] * 2


def test_refusals_come_back_as_they_were():
    refusal = Refusal("mesh/demo/virtualNode/front", "front", "ipv4:10.0.0.7:1", "no", 3, 1.5, 2.5)

    assert parse_refusals(render_refusals([refusal])) == [refusal]


def test_the_largest_refusals_fit_into_an_item():
    name = "☃" * 255
    refusal = Refusal(
        f"mesh/{name}/virtualNode/{name}", "☃" * 100_000, "ipv4:1", "☃" * 100_000, 1, 1.0, 2.0
    )

    text = render_refusals([refusal] * KEPT)

    assert len(text.encode()) < MAX_ITEM_BYTES
    assert len(parse_refusals(text)[0].reason) == 1_000


def test_a_heartbeat_comes_back_as_it_was():
    beat = Heartbeat("machine:4580", "machine 0.0.0.0:4580", 2000.5, {DEMO: Standing(7, 3, 12)})

    assert parse_heartbeats(render_heartbeat("i1", beat)) == {"i1": beat}


def test_a_heartbeat_of_very_many_meshes_is_several_items():
    meshes = {MeshKey("000000000000", f"{n:0255}"): Standing(7, n, 1) for n in range(1_000)}
    beat = Heartbeat("machine:4580", "machine 0.0.0.0:4580", 2000.5, meshes)

    entries = render_heartbeat("i1", beat)
    assert max(len(text.encode()) for text in entries.values()) < MAX_ITEM_BYTES
    assert parse_heartbeats(entries) == {"i1": beat}


def test_a_heartbeat_that_was_half_written_is_as_old_as_its_older_half():
    meshes = {MeshKey("000000000000", str(n)): Standing(7, n, 1) for n in range(400)}
    old = render_heartbeat("i1", Heartbeat("machine:4580", "machine 0.0.0.0:4580", 2000.0, meshes))
    new = render_heartbeat("i1", Heartbeat("machine:4580", "machine 0.0.0.0:4580", 2005.0, meshes))

    assert len(old) == 2
    assert parse_heartbeats({**old, "i1/0": new["i1/0"]})["i1"].at == 2000.0
