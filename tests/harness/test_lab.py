"""Tests of a lab: real control plane, real Envoys, and everything gone at the end."""

from pathlib import Path

import dnslib
import httpx
import pytest

from pytest_meshwright.aws import AwsEmulator
from pytest_meshwright.errors import HarnessError
from pytest_meshwright.lab import Lab, Service
from pytest_meshwright.logs import LogStream
from pytest_meshwright.reaper import find_marked


def create_node(lab: Lab, name: str) -> None:
    """A mesh `demo` with one virtual node that logs its requests' paths."""
    client = lab.control_plane.client()
    client.create_mesh(meshName="demo")
    client.create_virtual_node(
        meshName="demo",
        virtualNodeName=name,
        spec={
            "listeners": [{"portMapping": {"port": 8080, "protocol": "http"}}],
            "serviceDiscovery": {"dns": {"hostname": f"{name}.demo.local"}},
            "logging": {
                "accessLog": {
                    "file": {
                        "path": "/dev/stdout",
                        "format": {"json": [{"key": "path", "value": "%REQ(:PATH)%"}]},
                    }
                }
            },
        },
    )
    client.close()


@pytest.fixture
def echo(meshwright_lab: Lab) -> Service:
    """A ready service `echo` of mesh `demo`."""
    create_node(meshwright_lab, "echo")
    service = meshwright_lab.add_service("echo", mesh="demo", hostname="echo.demo.local")
    return service.wait_ready()


def test_requests_reach_the_application_through_its_envoy(echo: Service):
    answer = httpx.get(f"http://{echo.ingress}/through", trust_env=False)

    assert (answer.json()["service"], "x-envoy-upstream-service-time" in answer.headers) == (
        "echo",
        True,
    )


def test_the_access_log_and_the_count_agree(echo: Service, meshwright_lab: Lab):
    for number in range(5):
        httpx.get(f"http://{echo.ingress}/{number}", trust_env=False)
    count = echo.count_requests()

    meshwright_lab.stop()

    assert count == 5
    assert [line["path"] for line in echo.read_access_log()] == [f"/{n}" for n in range(5)]


def test_the_labs_dns_knows_its_services(echo: Service, meshwright_lab: Lab):
    question = dnslib.DNSRecord.question("echo.demo.local")

    answer = dnslib.DNSRecord.parse(
        question.send(meshwright_lab.dns.address, meshwright_lab.dns.port, timeout=5)
    )

    assert [str(record.rdata) for record in answer.rr] == [echo.addresses.listener]


def test_logs_are_shipped_to_the_end(
    echo: Service, meshwright_lab: Lab, meshwright_aws: AwsEmulator, request: pytest.FixtureRequest
):
    group = f"/meshwright/{request.node.name}"
    meshwright_lab.ship_logs(echo, meshwright_aws, group)
    httpx.get(f"http://{echo.ingress}/last", trust_env=False)

    meshwright_lab.stop()

    assert LogStream(meshwright_aws.logs, group, "echo").read() == ['{"path":"/last"}']


def test_a_restarted_control_plane_serves_the_same_proxies(echo: Service, meshwright_lab: Lab):
    api, xds = meshwright_lab.control_plane.api, meshwright_lab.control_plane.xds

    meshwright_lab.control_plane.restart()

    assert (meshwright_lab.control_plane.api, meshwright_lab.control_plane.xds) == (api, xds)
    status = meshwright_lab.control_plane.wait_acknowledged("demo", proxies=1)
    assert status.proxies[0].node_id == echo.node_id


def test_a_killed_control_plane_comes_back_with_what_it_knew(meshwright_lab: Lab):
    create_node(meshwright_lab, "echo")
    revision = meshwright_lab.control_plane.status("demo").revision

    meshwright_lab.control_plane.kill()
    meshwright_lab.control_plane.start()

    assert meshwright_lab.control_plane.status("demo").revision == revision


def test_an_unknown_mesh_has_no_status(meshwright_lab: Lab):
    with pytest.raises(HarnessError, match="the control plane has no mesh 'nowhere'"):
        meshwright_lab.control_plane.status("nowhere")


def test_two_labs_run_side_by_side_on_the_same_ports(tmp_path: Path):
    with Lab(tmp_path / "one") as one, Lab(tmp_path / "two") as two:
        for lab in (one, two):
            create_node(lab, "echo")
            lab.add_service("echo", mesh="demo").wait_ready()

        assert one.control_plane.api.port == two.control_plane.api.port
        assert one.services["echo"].ingress != two.services["echo"].ingress


def test_after_a_stop_nothing_runs_and_nothing_had_to_be_killed(tmp_path: Path):
    with Lab(tmp_path / "lab") as lab:
        create_node(lab, "echo")
        lab.add_service("echo", mesh="demo").wait_ready()

    assert (lab.leftovers, find_marked(lab.group.mark)) == ([], [])


def test_a_lab_whose_control_plane_does_not_start_is_stopped_again(tmp_path: Path):
    lab = Lab(tmp_path / "lab")
    lab.folder.mkdir()
    # A folder where the file of the store should be.
    lab.control_plane.store.mkdir()

    with pytest.raises(HarnessError, match="control-plane ended with code"):
        lab.start()

    assert find_marked(lab.group.mark) == []
