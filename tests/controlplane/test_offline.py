"""`meshwright render` and `meshwright explain` of a mesh as a control plane holds it."""

from __future__ import annotations

import yaml
from typer.testing import CliRunner

from meshwright.cli import app
from tests.controlplane.meshes import node_spec, service_spec

TCP = node_spec("b.internal")
TCP["listeners"][0]["portMapping"]["protocol"] = "tcp"
MESH = yaml.safe_dump_all(
    [
        {"meshName": "demo"},
        *(
            {"meshName": "demo", "virtualNodeName": name, "spec": spec}
            for name, spec in {
                "a": node_spec("a.internal"),
                "b": TCP,
                "front": node_spec("front.internal", backends=("a.local", "b.local")),
            }.items()
        ),
        *(
            {
                "meshName": "demo",
                "virtualServiceName": f"{name}.local",
                "spec": service_spec(node=name),
            }
            for name in "ab"
        ),
    ]
)
"""What is refused today, but may stand in a control plane since a later change."""

FINDING = "meshwright: PortProtocolsMixed: virtual node 'front' has the backends"


def test_what_lost_its_ground_is_rendered_and_its_finding_told():
    result = CliRunner().invoke(app, ["render", "--mesh", "-", "--node", "front"], input=MESH)

    assert (result.exit_code, result.stderr[: len(FINDING)]) == (0, FINDING)
    assert "static_resources" in yaml.safe_load(result.stdout)


def test_what_lost_its_ground_is_explained_and_its_finding_told():
    question = ["explain", "--mesh", "-", "--from", "front", "GET", "http://a.local:8080/"]
    result = CliRunner().invoke(app, question, input=MESH)

    assert (result.exit_code, result.stderr[: len(FINDING)]) == (0, FINDING)


def test_what_nests_too_deep_is_told_in_a_line():
    deep = "[" * 5_000
    result = CliRunner().invoke(app, ["render", "--mesh", "-", "--node", "front"], input=deep)

    assert (result.exit_code, result.stderr) == (2, "meshwright: -: nests too deeply\n")


def test_what_no_control_plane_could_hold_is_refused():
    route = {
        "meshName": "demo",
        "virtualServiceName": "c.local",
        "spec": service_spec(node="nobody"),
    }
    mesh = MESH + "---\n" + yaml.safe_dump(route)

    result = CliRunner().invoke(app, ["render", "--mesh", "-", "--node", "front"], input=mesh)

    assert (result.exit_code, result.stdout) == (2, "")
    assert "there is no virtual node 'nobody' in mesh 'demo'; create it first" in result.stderr
