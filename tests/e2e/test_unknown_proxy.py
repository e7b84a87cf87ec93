"""An Envoy that nobody knows is told what was expected, and the log says who knocked."""

import pytest

from pytest_meshwright.lab import Lab
from pytest_meshwright.waiting import wait_until


@pytest.mark.parametrize("delta", [True, False], ids=["delta", "state-of-the-world"])
@pytest.mark.parametrize(
    ("node_id", "expected"),
    [
        ("mesh/demo/virtualNode/nobody", "mesh/demo/virtualNode/NAME"),
        ("mesh/nowhere/virtualNode/front", "there is no mesh 'nowhere'"),
        ("just-a-name", "virtualNode/"),
    ],
)
def test_an_unknown_node_id_is_answered_with_what_was_expected(
    node_id: str, expected: str, delta: bool, meshwright_lab: Lab
):
    client = meshwright_lab.control_plane.client()
    client.create_mesh(meshName="demo")
    client.close()

    stranger = meshwright_lab.add_service("x", mesh="demo", node_id=node_id, delta=delta)

    # Envoy writes down the gRPC error that it got.
    wait_until(
        lambda: expected in stranger.envoy.log.read_text(),
        what=f"Envoy to be told {expected!r}",
        timeout=30,
        seen=stranger.envoy.log.read_text,
    )
    refusals = meshwright_lab.control_plane.log_records("proxy_refused")
    assert {(each.level, each.fields["node_id"]) for each in refusals} == {("warning", node_id)}
    assert refusals[0].fields["peer"].startswith("ipv4:127.")
