"""Connections: those whose other end vanishes, those that only wait, those that hold too much."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    PingReceived,
    StreamEnded,
    StreamReset,
)

from meshwright.xds.transport.sockets import Upkeep
from pytest_meshwright.waiting import wait_until
from tests.controlplane.access.ads import ads_address, asking, make_demo
from tests.controlplane.access.serving import TIMEOUT, Server, serving
from tests.controlplane.relay import Relay
from tests.controlplane.xds.frames import connect_frames
from tests.controlplane.xds.raw import first_request

STREAMS_PER_CONNECTION = Upkeep().max_streams


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A control plane that soon misses whom it does not hear."""
    with serving(tmp_path_factory.mktemp("silence"), "--xds-keepalive-seconds", "0.5") as server:
        make_demo(server)
        yield server


def count_proxies(server: Server) -> int:
    """How many proxies the mesh's status shows."""
    page = f"{server.url()}/meshwright/v1/meshes/demo/status"
    return len(httpx.get(page, trust_env=False, timeout=TIMEOUT).json()["proxies"])


def test_connections_that_began_together_end_within_a_fifth_of_their_age():
    ages = [Upkeep(age_seconds=100).draw_age() for _ in range(1_000)]

    # Spread evenly over 20 s: that a thousand leave out a fifth of it has odds of 10 to the -96.
    assert 90 <= min(ages) < 94
    assert 106 < max(ages) <= 110


def test_a_proxy_that_vanishes_is_forgotten(server: Server):
    """The network has gone: nothing comes any more, and nobody has closed the connection."""
    with Relay([ads_address(server)]) as relay, asking(relay.address, secure=False) as stream:
        next(stream.responses)
        assert count_proxies(server) == 1
        relay.freeze()
        wait_until(lambda: count_proxies(server) == 0, what="it to be missed", timeout=TIMEOUT)


def test_a_proxy_that_only_answers_pings_is_kept(server: Server):
    with connect_frames(ads_address(server)) as client:
        client.open_stream(first_request())
        seen: list[Event] = []
        for event in client.events():
            seen.append(event)
            if sum(isinstance(each, PingReceived) for each in seen) == 4:
                break

    assert not [each for each in seen if isinstance(each, StreamEnded | StreamReset)]


def test_a_stream_too_many_on_a_connection_is_refused_and_the_others_go_on(server: Server):
    with connect_frames(ads_address(server)) as client:
        streams = [client.open_stream(first_request()) for _ in range(STREAMS_PER_CONNECTION + 1)]
        answered: set[int] = set()
        refused: list[StreamReset] = []
        for event in client.events():
            if isinstance(event, DataReceived):
                answered.add(event.stream_id or 0)
            elif isinstance(event, StreamReset):
                refused.append(event)
            if len(answered) == STREAMS_PER_CONNECTION and refused:
                break

    assert [(each.stream_id, each.error_code) for each in refused] == [
        (streams[-1], ErrorCodes.REFUSED_STREAM)
    ]
