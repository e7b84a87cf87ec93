"""The control plane is killed and comes back: Envoys keep what they have, and get nothing again."""

from __future__ import annotations

import pytest

from pytest_meshwright.waiting import wait_until
from tests.e2e.conftest import COLOR_URL, NAMES, ColorMesh, StartMesh

UPDATES = (
    r"^(cluster_manager\.cds|listener_manager\.lds|http\..*\.rds\..*)\.update_(success|rejected)$"
)
"""Envoy's counters of the clusters, listeners and routes that it was sent."""


def count_updates(mesh: ColorMesh) -> dict[str, dict[str, int]]:
    return {
        name: service.envoy.admin.read_stats(UPDATES) for name, service in mesh.lab.services.items()
    }


@pytest.mark.parametrize("delta", [True, False], ids=["delta", "state-of-the-world"])
def test_after_an_outage_nothing_unchanged_is_sent_again(delta: bool, start_mesh: StartMesh):
    mesh = start_mesh(delta=delta)
    control_plane = mesh.lab.control_plane
    before = count_updates(mesh)
    mesh.front.application.start_probe(COLOR_URL)

    control_plane.kill()
    wait_until(
        lambda: (
            not any(
                service.envoy.admin.read_stats(r"^control_plane\.connected_state$")[
                    "control_plane.connected_state"
                ]
                for service in mesh.lab.services.values()
            )
        ),
        what="the Envoys to notice",
    )
    control_plane.start()
    control_plane.wait_acknowledged("demo", proxies=len(NAMES), timeout=60)

    answers = mesh.front.application.stop_probe()
    assert {record.status for record in answers} == {200}
    assert count_updates(mesh) == before
