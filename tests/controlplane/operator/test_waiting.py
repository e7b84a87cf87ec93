"""`meshwright status` and `meshwright wait`, with proxies that acknowledge, dawdle or refuse."""
# pyright: reportAttributeAccessIssue=false
# xds-protos ships no type stubs.

from __future__ import annotations

import json
import queue
import re
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import grpc
import pytest
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as manager_pb2,
)
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2

from meshwright.operator.client import CommandError
from meshwright.operator.tables import describe_rejection
from meshwright.operator.waiting import wait_for_revision
from meshwright.xds.resources import CLUSTER, LISTENER, ROUTE
from pytest_meshwright.control_plane import ControlPlane
from pytest_meshwright.waiting import wait_until
from tests.controlplane.meshes import node_spec
from tests.controlplane.operator.conftest import Outcome, Run

Mood = Literal["acknowledge", "dawdle", "refuse"]


@contextmanager
def connected(control_plane: ControlPlane, node_id: str, mood: Mood) -> Generator[None]:
    """A proxy without Envoy: it asks for everything over delta ADS."""
    requests: queue.Queue[Any] = queue.Queue()
    for kind in (CLUSTER, LISTENER):
        requests.put(discovery_pb2.DeltaDiscoveryRequest(node={"id": node_id}, type_url=kind))
    with grpc.insecure_channel(str(control_plane.xds)) as channel:
        stub: Any = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel)
        stream = stub.DeltaAggregatedResources(iter(requests.get, None))
        listening = threading.Thread(target=lambda: listen(stream, requests, mood))
        listening.start()
        try:
            yield
        finally:
            stream.cancel()
            requests.put(None)
            listening.join()


def listen(stream: Iterator[Any], requests: queue.Queue[Any], mood: Mood) -> None:
    """Answer what is sent according to the mood, until the stream ends."""
    try:
        for response in stream:
            if mood == "dawdle":
                continue
            answer = discovery_pb2.DeltaDiscoveryRequest(
                type_url=response.type_url, response_nonce=response.nonce
            )
            if mood == "refuse":
                answer.error_detail.message = "no such thing"
            requests.put(answer)
            if response.type_url == LISTENER:
                requests.put(
                    discovery_pb2.DeltaDiscoveryRequest(
                        type_url=ROUTE, resource_names_subscribe=route_names(response)
                    )
                )
    except grpc.RpcError:
        return


def route_names(response: Any) -> list[str]:
    """The names of the route configurations that listeners ask for."""
    names: list[str] = []
    for resource in response.resources:
        listener, manager = Listener(), manager_pb2.HttpConnectionManager()
        resource.resource.Unpack(listener)
        for chain in [*listener.filter_chains, listener.default_filter_chain]:
            names += [
                manager.rds.route_config_name
                for each in chain.filters
                if each.typed_config.Unpack(manager) and manager.rds.route_config_name
            ]
    return names


@pytest.fixture
def node(appmesh: Any, mesh: str) -> str:
    """The id of a proxy whose virtual node has no backend."""
    appmesh.create_virtual_node(meshName=mesh, virtualNodeName="front", spec=node_spec("front"))
    return f"mesh/{mesh}/virtualNode/front"


def await_proxy(control_plane: ControlPlane, mesh: str) -> None:
    wait_until(lambda: control_plane.status(mesh).proxies, what="the proxy to be connected")


def test_wait_ends_when_every_proxy_has_the_revision(
    run: Run, control_plane: ControlPlane, mesh: str, node: str
):
    with connected(control_plane, node, "acknowledge"):
        await_proxy(control_plane, mesh)
        outcome = run("wait", "--mesh", mesh, "--timeout", "20")

    assert outcome.code == 0
    assert outcome.err.endswith(f"mesh {mesh}: 1 connected proxy has acknowledged revision 2\n")


def test_a_mesh_is_deleted_though_proxies_are_connected_and_who_is_left_is_told(
    run: Run, control_plane: ControlPlane, mesh: str, node: str
):
    with connected(control_plane, node, "acknowledge"):
        await_proxy(control_plane, mesh)
        deleted = run("mesh", "delete", mesh, "--recursive", "--yes")

    def knock() -> Outcome | None:
        with connected(control_plane, node, "acknowledge"):  # it comes again, as Envoy does
            shown = run("mesh", "show", mesh)
        return shown if "proxies ask for it still" in shown.err else None

    shown = wait_until(knock, what="the proxy to be refused")
    status = run("status", "--mesh", mesh)

    assert deleted.code == 0
    assert deleted.err == (
        "meshwright: 1 proxy was connected to it; what is still running keeps the configuration "
        "that it has, and is refused from now on\n"
    )
    told = (
        f"there is no mesh '{mesh}'; proxies ask for it still: virtualNode/front at "
        "ipv4:127.0.0.1; stop them, or make it again\n"
    )
    assert shown.err == f"meshwright: meshName: {told}"
    assert status.err == f"meshwright: {told}"


def test_wait_names_who_is_missing_when_time_runs_out(
    run: Run, control_plane: ControlPlane, mesh: str, node: str
):
    with connected(control_plane, node, "dawdle"):
        await_proxy(control_plane, mesh)
        outcome = run("wait", "--mesh", mesh, "--timeout", "0.3")

    assert outcome.code == 1
    assert f"mesh {mesh}: after 0.3 s, revision 2 is missing at virtualNode/front" in outcome.err


def test_wait_ends_at_once_when_a_proxy_has_rejected_the_revision(
    run: Run, control_plane: ControlPlane, mesh: str, node: str
):
    with connected(control_plane, node, "refuse"):
        wait_until(
            lambda: [each for each in control_plane.status(mesh).proxies if each.rejection],
            what="the rejection",
        )
        outcome = run("wait", "--mesh", mesh, "--timeout", "60")

    assert outcome.code == 1
    assert f"mesh {mesh}: revision 2 was rejected by virtualNode/front" in outcome.err
    assert "no such thing" in outcome.err


def test_status_has_a_line_for_each_proxy(
    run: Run, control_plane: ControlPlane, mesh: str, node: str
):
    with connected(control_plane, node, "acknowledge"):
        control_plane.wait_acknowledged(mesh, proxies=1)
        cells = run("status", "--mesh", mesh).out.strip().split("\t")

    assert (cells[:2], cells[-3:]) == ([mesh, "virtualNode/front"], ["2", "-", "-"])


def test_status_says_what_a_proxy_has_rejected_and_why(
    run: Run, control_plane: ControlPlane, mesh: str, node: str
):
    with connected(control_plane, node, "refuse"):
        wait_until(
            lambda: any(
                each.rejection and each.rejection.type == "RouteConfiguration"
                for each in control_plane.status(mesh).proxies
            ),
            what="the rejection of the routes",
        )
        told = run("status", "--mesh", mesh).out.strip().split("\t")[-1]

    assert re.fullmatch(r"revision 2, RouteConfiguration rds_\S+, rds_\S+: no such thing", told)


def test_what_a_rejection_names_is_bounded():
    told = {"type": "Cluster", "resources": [*"abcde"], "detail": "no", "revision": 2}
    built = told | {"type": "configuration", "resources": []}

    assert describe_rejection(told) == "revision 2, Cluster a, b, c and 2 more: no"
    assert describe_rejection(built) == "revision 2, configuration: no"


def test_status_of_all_meshes_as_json(run: Run, mesh: str):
    statuses = json.loads(run("status", "--json").out)

    assert mesh in [each["mesh"] for each in statuses]


def test_status_without_proxies_says_so(run: Run, mesh: str):
    assert run("status", "--mesh", mesh) == (0, "", "meshwright: no proxy is connected\n")


def status(revision: int, *acknowledged: int | None) -> dict[str, Any]:
    proxies = [
        {
            "resource": f"arn:aws:appmesh:r:a:mesh/m/virtualNode/n{position}",
            "peer": "p",
            "acknowledged_revision": each,
            "rejection": None,
        }
        for position, each in enumerate(acknowledged)
    ]
    return {"mesh": "m", "revision": revision, "proxies": proxies}


def test_the_revision_at_the_beginning_is_what_is_waited_for():
    seen = iter([status(1, None), status(2, 1)])
    reports: list[str] = []

    reached = wait_for_revision(lambda: next(seen), None, 60, reports.append)

    assert reached["proxies"][0]["acknowledged_revision"] == 1
    assert reports == ["waiting for revision 1 at virtualNode/n0 (p, at none)"]


def test_a_revision_that_the_control_plane_has_not_seen_yet_is_waited_for():
    seen = iter([status(1, 1), status(2, 2)])

    assert wait_for_revision(lambda: next(seen), 2, 60, lambda _: None)["revision"] == 2


def test_only_the_first_of_many_are_named():
    with pytest.raises(CommandError, match=r"virtualNode/n4 \(p, at none\) and 3 more$"):
        wait_for_revision(lambda: status(1, *[None] * 8), None, 0, lambda _: None)


def test_an_earlier_rejection_that_still_stands_ends_the_waiting_at_once():
    behind = status(3, 1)
    behind["proxies"][0]["rejection"] = {
        "type": "Cluster",
        "resources": ["c"],
        "detail": "no",
        "revision": 2,
        "stands_at_revision": 3,
    }

    with pytest.raises(CommandError) as caught:
        wait_for_revision(lambda: behind, None, 60, lambda _: None)

    assert str(caught.value) == (
        "mesh m: revision 3 is held back by an earlier rejection at virtualNode/n0 (p): revision "
        "2, Cluster c: no"
    )


def test_who_is_missing_has_what_it_rejected_before_told_of_it():
    behind = status(3, 1)
    told = {"type": "Cluster", "resources": ["c"], "detail": "no such\nthing", "revision": 2}
    behind["proxies"][0]["rejection"] = told

    with pytest.raises(
        CommandError, match=r"n0 \(p, at 1, having rejected revision 2, Cluster c: no"
    ):
        wait_for_revision(lambda: behind, None, 0, lambda _: None)
