"""The control plane is killed and comes back: Envoys keep what they have, and get nothing again.

MESHWRIGHT_OUTAGE_SECONDS says how long it is away: a minute in CI, some seconds elsewhere.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Final

from pytest_meshwright.lab import Lab, Service
from pytest_meshwright.waiting import wait_until
from tests.e2e.conftest import COLOR_URL, StartMesh

OUTAGE_SECONDS: Final = float(
    os.environ.get("MESHWRIGHT_OUTAGE_SECONDS", "60" if os.environ.get("CI") == "true" else "3")
)
LEAST_RATE: Final = 10
"""How many requests a second there are at least of the 100 that each caller aims at."""

STATE_OF_THE_WORLD: Final = ("front-too", "color-blue")
"""The proxies that speak it; the others speak delta."""

UPDATES: Final = (
    r"^(cluster_manager\.cds|listener_manager\.lds|http\..*\.rds\..*)\.update_(success|rejected)$"
)
"""Envoy's counters of the clusters, listeners and routes that it was sent."""

CONNECTED: Final = "control_plane.connected_state"


def count_updates(services: Mapping[str, Service]) -> dict[str, dict[str, int]]:
    return {name: service.envoy.admin.read_stats(UPDATES) for name, service in services.items()}


def is_connected(service: Service) -> bool:
    """Whether its Envoy has a stream to the control plane, by its own word."""
    return bool(service.envoy.admin.read_stats(rf"^{CONNECTED}$")[CONNECTED])


def test_an_outage_fails_no_request_and_nothing_unchanged_is_sent_after_it(
    meshwright_lab: Lab, start_mesh: StartMesh
):
    front_too = meshwright_lab.add_service(
        "front-too", mesh="demo", node_id="mesh/demo/virtualNode/front", delta=False
    )
    mesh = start_mesh(state_of_the_world=STATE_OF_THE_WORLD)
    services, control_plane = meshwright_lab.services, meshwright_lab.control_plane
    before = count_updates(services)
    callers = [mesh.front, front_too]
    for caller in callers:
        caller.application.start_probe(COLOR_URL)

    control_plane.kill()
    back_at = time.monotonic() + OUTAGE_SECONDS
    wait_until(
        lambda: time.monotonic() >= back_at and not any(map(is_connected, services.values())),
        what="the outage to be over, and all Envoys to have noticed it",
        timeout=OUTAGE_SECONDS + 60,
        interval=0.1,
    )
    control_plane.start()
    control_plane.wait_acknowledged("demo", proxies=len(services), timeout=60)

    answers = [caller.application.stop_probe() for caller in callers]
    assert [{record.status for record in each} for each in answers] == [{200}, {200}]
    assert min(map(len, answers)) >= LEAST_RATE * OUTAGE_SECONDS
    assert count_updates(services) == before
