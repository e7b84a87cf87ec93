"""The path of the demo: from a Pulumi program to real traffic through real Envoys."""

from typing import Any

import pytest

from pytest_meshwright.aws import AwsEmulator
from pytest_meshwright.lab import Service
from pytest_meshwright.shares import judge_shares
from pytest_meshwright.waiting import wait_until
from tests.e2e.conftest import COLOR_URL, NAMES, ColorMesh, StartMesh

REQUESTS = 1000


def judge(front: Service, blue: int, green: int) -> list[str]:
    """What is wrong with the shares of so many requests."""
    tally = front.call(COLOR_URL, requests=REQUESTS)
    verdicts = judge_shares({"color-blue": blue, "color-green": green}, tally.answers)
    failures = [f"{count} times {failure}" for failure, count in tally.failures.items()]
    return [*failures, *(str(verdict) for verdict in verdicts if not verdict.ok)]


@pytest.mark.parametrize("delta", [True, False], ids=["delta", "state-of-the-world"])
def test_traffic_follows_the_weights_before_and_after_a_change(delta: bool, start_mesh: StartMesh):
    mesh = start_mesh(state_of_the_world=() if delta else NAMES)

    before = judge(mesh.front, 80, 20)
    mesh.change_weights(50)
    after = judge(mesh.front, 50, 50)

    assert (before, after) == ([], [])


def test_no_request_fails_while_the_weights_change(color_mesh: ColorMesh):
    color_mesh.front.application.start_probe(COLOR_URL)
    color_mesh.change_weights(0)

    records = color_mesh.front.application.stop_probe()

    assert {record.status for record in records} == {200}


def test_a_weight_of_nothing_gets_nothing(color_mesh: ColorMesh):
    color_mesh.change_weights(0)

    assert color_mesh.front.call(COLOR_URL, requests=200).answers == {"color-green": 200}


def test_the_access_log_tells_which_version_of_the_route_a_request_followed(
    color_mesh: ColorMesh,
):
    color_mesh.front.call(COLOR_URL)
    version = color_mesh.change_weights(50)
    color_mesh.front.call(COLOR_URL)

    def read_versions() -> list[Any]:
        lines = color_mesh.front.read_access_log()
        return [line["route_version"] for line in lines] if len(lines) == 2 else []

    versions = wait_until(read_versions, what="two lines in front's access log")
    assert [str(each) for each in versions] == [str(version - 1), str(version)]


def test_only_the_proxy_that_is_concerned_is_told_of_a_change(color_mesh: ColorMesh):
    before = len(color_mesh.lab.control_plane.log_records("push"))

    color_mesh.change_weights(50)

    pushes = color_mesh.lab.control_plane.log_records("push")[before:]
    assert [(push.fields["resource"].split("/")[-1], push.fields["type"]) for push in pushes] == [
        ("front", "RouteConfiguration")
    ]


def test_cloudwatch_logs_holds_each_request_of_each_proxy_once(
    color_mesh: ColorMesh, meshwright_aws: AwsEmulator, request: pytest.FixtureRequest
):
    lab = color_mesh.lab
    group = f"/meshwright/{request.node.name}"
    shippers = [lab.ship_logs(service, meshwright_aws, group) for service in lab.services.values()]
    color_mesh.front.call(COLOR_URL, requests=REQUESTS)
    served = {name: service.count_requests() for name, service in lab.services.items()}

    lab.stop()

    lines = {shipper.stream.name: shipper.stream.read() for shipper in shippers}
    assert {name: len(each) for name, each in lines.items()} == served
    assert {name: len(set(each)) for name, each in lines.items()} == served


def test_a_host_that_is_no_backend_is_not_reached(color_mesh: ColorMesh):
    tally = color_mesh.front.call("http://color-blue.demo.local:8080/", requests=5)

    assert tally.answers == {}


def test_destroying_leaves_no_mesh_and_proxies_that_keep_nothing_alive(color_mesh: ColorMesh):
    color_mesh.stack.destroy()

    client = color_mesh.lab.control_plane.client()
    meshes = client.list_meshes()["meshes"]
    client.close()
    assert (meshes, color_mesh.lab.control_plane.find_status("demo")) == ([], None)


def test_traffic_goes_on_while_the_control_plane_is_gone(color_mesh: ColorMesh):
    color_mesh.lab.control_plane.kill()

    assert judge(color_mesh.front, 80, 20) == []
