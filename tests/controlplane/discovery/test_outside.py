"""What proxies need from outside: a service is followed from the first who needs it to the last."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

import pytest

from meshwright.discovery.credentials import Credentials
from meshwright.discovery.outside import LiveOutside
from meshwright.model.resources import Kind, MeshKey, ResourceKey
from meshwright.translate.lookups import CloudMapService, EndpointsLookup

MESH = MeshKey("000000000000", "demo")
FRONT = ResourceKey(MESH, Kind.VIRTUAL_NODE, "front")
BACK = ResourceKey(MESH, Kind.VIRTUAL_NODE, "back")
COLOR = EndpointsLookup("color", CloudMapService("demo.local", "color"), 80, 80, "IPv4_ONLY")
SHAPE = EndpointsLookup("shape", CloudMapService("demo.local", "shape"), 80, 80, "IPv4_ONLY")


class FakeCloudMap:
    """Notes what it is told to follow, each time that it is."""

    def __init__(self) -> None:
        self.told: list[set[str]] = []

    def watch(self, watcher: Any) -> None:
        """Nothing ever changes."""

    def need(self, services: Collection[CloudMapService]) -> None:
        """Take note."""
        self.told.append({each.service for each in services})


@pytest.fixture
def cloud_map() -> FakeCloudMap:
    """What is followed."""
    return FakeCloudMap()


@pytest.fixture
def outside(cloud_map: FakeCloudMap) -> LiveOutside:
    """The outside of nobody yet."""
    return LiveOutside(cast("Any", cloud_map), Credentials(dict))


def test_a_service_is_followed_for_all_who_need_it(outside: LiveOutside, cloud_map: FakeCloudMap):
    outside.need(FRONT, (COLOR,))
    outside.need(BACK, (COLOR, SHAPE))

    assert cloud_map.told == [{"color"}, {"color", "shape"}]


def test_a_service_that_is_followed_already_is_no_news(
    outside: LiveOutside, cloud_map: FakeCloudMap
):
    outside.need(FRONT, (COLOR,))
    outside.need(BACK, (COLOR,))

    assert cloud_map.told == [{"color"}]


def test_a_service_is_followed_until_the_last_needs_it_no_more(
    outside: LiveOutside, cloud_map: FakeCloudMap
):
    outside.need(FRONT, (COLOR,))
    outside.need(BACK, (COLOR,))
    outside.need(FRONT, ())
    outside.need(BACK, ())

    assert cloud_map.told == [{"color"}, set()]


def test_who_needs_another_service_frees_the_last(outside: LiveOutside, cloud_map: FakeCloudMap):
    outside.need(FRONT, (COLOR,))
    outside.need(FRONT, (SHAPE,))

    assert cloud_map.told == [{"color"}, {"shape"}]


def test_two_clusters_of_one_service_need_it_once(outside: LiveOutside, cloud_map: FakeCloudMap):
    other_port = EndpointsLookup("color-8080", COLOR.service, 8080, 8080, "IPv4_ONLY")
    outside.need(FRONT, (COLOR, other_port))
    outside.need(FRONT, (COLOR,))
    outside.need(FRONT, ())

    assert cloud_map.told == [{"color"}, set()]
