"""`meshwright serve` as a process: its flags, its log, its stop, who knocks at its doors."""
# pyright: reportAttributeAccessIssue=false
# xds-protos ships no type stubs.

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import grpc
import pytest
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2

from pytest_meshwright.addresses import AddressBlock
from pytest_meshwright.control_plane import ControlPlane
from pytest_meshwright.processes import ProcessGroup
from pytest_meshwright.waiting import wait_until
from tests.controlplane.restarting import restartable

MESHWRIGHT = Path(sys.executable).with_name("meshwright")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    return subprocess.run(
        [MESHWRIGHT, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env={**os.environ, "TERM": "dumb", "COLUMNS": "200", **environment},
    )


@pytest.fixture
def own_control_plane(tmp_path: Path) -> Iterator[ControlPlane]:
    """A control plane that a test may stop and restart."""
    with (
        AddressBlock() as block,
        ProcessGroup() as group,
        restartable(tmp_path, group, block) as control_plane,
    ):
        yield control_plane


def test_health(control_plane: ControlPlane):
    with urllib.request.urlopen(f"{control_plane.url}/healthz") as answer:
        assert json.load(answer) == {"status": "ok"}


def test_metrics_are_for_whoever_scrapes(control_plane: ControlPlane):
    with urllib.request.urlopen(f"{control_plane.url}/metrics") as answer:
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert b"# TYPE meshwright_convergence_seconds histogram" in answer.read()


def test_it_stops_cleanly_on_sigterm(own_control_plane: ControlPlane):
    code = own_control_plane.stop()

    assert (code, own_control_plane.log_records()[-1].event) == (0, "stopped")


def test_what_was_acknowledged_is_there_after_kill_9(own_control_plane: ControlPlane):
    client: Any = own_control_plane.client()
    client.create_mesh(meshName="demo")
    own_control_plane.kill()

    own_control_plane.restart()

    assert own_control_plane.client().describe_mesh(meshName="demo")["mesh"]["meshName"] == "demo"


def test_a_request_is_logged_with_operation_mesh_and_revision(
    control_plane: ControlPlane, mesh: str
):
    # The line is written once the answer is under way.
    record = wait_until(
        lambda: next(
            (
                each.fields
                for each in control_plane.log_records("api_request")
                if each.fields.get("mesh") == mesh
            ),
            None,
        ),
        what="the log line of the request",
    )

    assert (record["operation"], record["http_status"], record["revision"]) == (
        "CreateMesh",
        200,
        1,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--api", "nonsense"], "--api 'nonsense': expected HOST:PORT, for instance"),
        (["--api", "0.0.0.0:0"], "--api '0.0.0.0:0': without access keys only loopback addresses"),
        (["--xds", "0.0.0.0:0"], "--xds '0.0.0.0:0': without TLS only loopback"),
        (["--xds", "example.com:1"], "--xds 'example.com:1': HOST must be an IP address"),
        (["--store", "mysql://x"], "store 'mysql://x': expected sqlite:///PATH"),
        (["--account-id", "12"], "--account-id '12': expected 12 digits"),
        (["--log-format", "xml"], "--log-format 'xml': expected auto, json or console"),
    ],
    ids=lambda each: each[0] if isinstance(each, list) else "",
)
def test_a_bad_setting_is_one_line_that_names_it(
    arguments: list[str], message: str, tmp_path: Path
):
    outcome = run("serve", *arguments, MESHWRIGHT_STORE=f"sqlite:///{tmp_path}/store.db")

    assert outcome.returncode == 2
    assert outcome.stderr.startswith(f"meshwright: {message}")
    assert outcome.stderr.count("\n") == 1


def test_an_address_in_use_is_one_line(control_plane: ControlPlane, tmp_path: Path):
    taken = control_plane.url.removeprefix("http://")

    outcome = run("serve", "--api", taken, "--store", f"sqlite:///{tmp_path}/store.db")

    assert outcome.stderr == f"meshwright: --api {taken} can't be bound: Address already in use\n"


def test_settings_come_from_the_environment_too(control_plane: ControlPlane, tmp_path: Path):
    outcome = run(
        "serve",
        MESHWRIGHT_API=control_plane.url.removeprefix("http://"),
        MESHWRIGHT_STORE=f"sqlite:///{tmp_path}/store.db",
    )

    assert "can't be bound" in outcome.stderr


@pytest.mark.parametrize("command", [["--help"], ["serve", "--help"], ["render", "--help"]])
def test_help_teaches(command: list[str]):
    assert "Usage: meshwright" in run(*command).stdout


def test_the_version_is_told(control_plane: ControlPlane):
    (serving,) = [each for each in control_plane.log_records() if each.event == "serving"]

    assert run("--version").stdout == f"meshwright {version('meshwright')}\n"
    assert serving.fields["version"] == version("meshwright")


def test_help_fills_its_lines():
    """Docstrings' own ends of lines would leave words alone on theirs."""
    lines = run("mesh", "apply", "--help", COLUMNS="80").stdout.splitlines()

    assert [line.strip() for line in lines if "against the mesh as it would" in line] == [
        "Everything is checked first, against the mesh as it would be, and every"
    ]
    assert any(line.strip().startswith("problem is shown with its document") for line in lines)


def knock(control_plane: ControlPlane, request: Any, *, delta: bool = True) -> grpc.RpcError:
    """Open a stream with one request, and return the error that it ends with."""
    with grpc.insecure_channel(str(control_plane.xds)) as channel:
        stub: Any = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel)
        call = stub.DeltaAggregatedResources if delta else stub.StreamAggregatedResources
        with pytest.raises(grpc.RpcError) as caught:
            next(call(iter([request]), timeout=10))
        return caught.value


@pytest.mark.parametrize("delta", [True, False], ids=["delta", "sotw"])
def test_an_unknown_node_is_told_what_was_expected_and_logged(
    control_plane: ControlPlane, mesh: str, delta: bool
):
    node_id = f"mesh/{mesh}/virtualNode/nobody"
    kind = discovery_pb2.DeltaDiscoveryRequest if delta else discovery_pb2.DiscoveryRequest

    error: Any = knock(control_plane, kind(node={"id": node_id}), delta=delta)

    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert f"expected mesh/{mesh}/virtualNode/NAME or its ARN" in error.details()
    refused = wait_until(
        lambda: [
            each
            for each in control_plane.log_records("proxy_refused")
            if each.fields["node_id"] == node_id
        ],
        what="the log line about who knocked",
    )
    assert "there is no virtual node 'nobody'" in refused[0].fields["reason"]


@pytest.mark.parametrize("node_id", ["", "front", "mesh/demo/virtualNode", "arn:aws:iam::1:x"])
def test_a_node_id_that_names_no_resource(control_plane: ControlPlane, node_id: str):
    request = discovery_pb2.DeltaDiscoveryRequest(node={"id": node_id})

    error: Any = knock(control_plane, request)

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "expected an ARN such as" in error.details()


def test_node_metadata_that_makes_no_sense(control_plane: ControlPlane):
    request = discovery_pb2.DeltaDiscoveryRequest(node={"id": "mesh/demo/virtualNode/front"})
    request.node.metadata.update({"meshwright": {"interception": "magic"}})

    error: Any = knock(control_plane, request)

    assert "interception must be transparent or explicit, got 'magic'" in error.details()
