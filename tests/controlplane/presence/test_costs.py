"""What docs/store.md says that knowing each other's proxies costs on DynamoDB, as it counts it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from meshwright.meshes import Meshes
from meshwright.presence.entries import (
    PROXIES_IN_PART,
    REPLICAS,
    Heartbeat,
    Standing,
    proxies_collection,
    refusals_name,
    render_heartbeat,
    render_refusals,
    render_rows,
)
from meshwright.presence.reading import OtherReplicas
from meshwright.status import Statuses
from meshwright.store.dynamodb import DynamoDbStore
from meshwright.xds.proxy_status import ProxyStatus
from meshwright.xds.refusals import KEPT, Refusal
from tests.controlplane.meshes import DEMO, commit, demo_resources
from tests.controlplane.xds.distributing import build_distribution

# As long as those of real meshes.
PROXY = ProxyStatus(
    "arn:aws:appmesh:eu-central-1:123456789012:mesh/shop-production/virtualNode/checkout-api",
    "mesh/shop-production/virtualNode/checkout-api",
    *("ipv4:10.0.113.27:43218", "1.40.0", 1_700_000_000.123456, 1_700_000_000.123456),
    *(12_345, True, 0.0, None),
)
BEAT = Heartbeat(
    "ip-10-0-113-27:4580", "ip-10-0-113-27 0.0.0.0:4580", 1e9, {DEMO: Standing(7, 3, 12)}
)

REFUSAL = Refusal(
    *("mesh/shop-production/virtualNode/checkout-api", PROXY.node_id, PROXY.peer),
    f"node id '{PROXY.node_id}': a token is needed: send it as the stream's metadata "
    "authorization: Bearer TOKEN (meshwright token issue makes one)",
    *(12_345, 1_700_000_000.123456, 1_700_000_000.123456),
)


class Meter:
    """Adds up the units that a store's requests consume."""

    def __init__(self, store: DynamoDbStore) -> None:
        self._units = 0.0
        events: Any = store._table.client.meta.events
        events.register("provide-client-params.dynamodb", self._ask)
        events.register("after-call.dynamodb", self._add)

    def read(self) -> float:
        """The units since the last reading."""
        units, self._units = self._units, 0.0
        return units

    def _ask(self, params: dict[str, Any], **_: object) -> dict[str, Any]:
        return {**params, "ReturnConsumedCapacity": "TOTAL"}

    def _add(self, parsed: dict[str, Any], **_: object) -> None:
        consumed = parsed.get("ConsumedCapacity", [])
        for each in consumed if isinstance(consumed, list) else [consumed]:
            self._units += each["CapacityUnits"]


@pytest.fixture
def store(new_table: Callable[[], str]) -> Iterator[DynamoDbStore]:
    with closing(DynamoDbStore(new_table())) as store:
        yield store


@pytest.fixture
def meter(store: DynamoDbStore) -> Meter:
    return Meter(store)


def test_a_heartbeat_is_one_write_unit(store: DynamoDbStore, meter: Meter):
    store.write_entries(REPLICAS, render_heartbeat("0123456789abcdef", BEAT))

    assert meter.read() == 1


def test_sixteen_proxies_are_four_write_units(store: DynamoDbStore, meter: Meter):
    part = render_rows([PROXY] * PROXIES_IN_PART, 1e9)
    store.write_entries(proxies_collection(DEMO), {"0123456789abcdef/0": part})

    assert meter.read() == 4


def test_two_refusals_are_a_write_unit(store: DynamoDbStore, meter: Meter):
    refusals = render_refusals([REFUSAL] * KEPT)
    store.write_entries(proxies_collection(DEMO), {refusals_name("0123456789abcdef"): refusals})

    assert meter.read() <= KEPT / 2


def test_a_look_is_two_read_units_and_one_for_sixteen_proxies_that_are_new(
    store: DynamoDbStore, meter: Meter
):
    async def look() -> list[tuple[int, float]]:
        meshes = Meshes(store)
        commit(meshes, *demo_resources())
        distribution = build_distribution(meshes)
        statuses = Statuses(meshes, distribution, OtherReplicas(store, "own"), "own")
        looks: list[tuple[int, float]] = []
        for edition in (1, 1, 2):
            part = render_rows([PROXY] * PROXIES_IN_PART, 1e9)
            store.write_entries(proxies_collection(DEMO), {"0123456789abcdef/0": part})
            standing = {DEMO: Standing(7, edition, PROXIES_IN_PART)}
            beat = Heartbeat("other", "there", store.now(), standing)
            store.write_entries(REPLICAS, render_heartbeat("0123456789abcdef", beat))
            meter.read()
            status = await statuses.render(DEMO)
            assert status is not None
            looks.append((len(status["proxies"]), meter.read()))
        return looks

    assert asyncio.run(look()) == [(16, 3), (16, 2), (16, 3)]
