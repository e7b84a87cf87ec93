"""Several control planes behind a load balancer, and proxies that are spread over them."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import grpc
import pytest
from botocore.config import Config
from typer.testing import CliRunner

from meshwright.cli import app
from meshwright.presence.entries import REPLICAS
from meshwright.store import open_store
from meshwright.xds.resources import LISTENER
from pytest_meshwright.addresses import AddressBlock
from pytest_meshwright.processes import ProcessGroup
from pytest_meshwright.waiting import wait_until
from tests.controlplane.access.ads import asking, tls_flags
from tests.controlplane.meshes import node_spec
from tests.controlplane.presence.cluster import (
    TIMEOUT,
    StartCluster,
    await_status,
    have_revision,
    write,
)
from tests.controlplane.presence.reconnecting import ReconnectingProxy
from tests.controlplane.replicas import Replica
from tests.controlplane.restarting import restartable


class Outcome(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


def run(replica: Replica, *arguments: str) -> Outcome:
    """Run a command against a replica."""
    environment = {"MESHWRIGHT_ENDPOINT": replica.url}
    outcome = CliRunner().invoke(app, arguments, env=environment)
    return Outcome(outcome.exit_code, outcome.stdout, outcome.stderr)


def listener_versions(proxies: list[ReconnectingProxy]) -> list[dict[str, str]]:
    return [dict(each.held.get(LISTENER, {})) for each in proxies]


@pytest.mark.parametrize("engine", ["dynamodb", "sqlite"])
def test_through_any_replica_status_shows_the_proxies_of_all(
    engine: str, start_cluster: StartCluster, tmp_path: Path
) -> None:
    store = f"sqlite:///{tmp_path}/mesh.db" if engine == "sqlite" else None
    cluster = start_cluster(2, store=store)
    cluster.spread(4)

    shown = [run(each, "status", "--mesh", "demo").out.splitlines() for each in cluster.replicas]
    cells = [line.split("\t") for line in shown[0]]
    assert sorted(shown[0]) == sorted(shown[1])
    assert Counter(line[4] for line in cells) == {"replica-0": 2, "replica-1": 2}
    assert {tuple(line[-3:]) for line in cells} == {("3", "-", "-")}
    for replica in cluster.replicas:
        [listed] = run(replica, "mesh", "list").out.splitlines()
        assert listed.split("\t")[-1] == "4"


def test_a_write_through_one_reaches_the_proxies_of_all(start_cluster: StartCluster) -> None:
    cluster = start_cluster(3)
    proxies = cluster.spread(6)
    before = listener_versions(proxies)

    revision = write(cluster.replicas[0], "front", port=9090)
    fronts = [each for each in proxies if each.node_id.endswith("front")]
    wait_until(
        lambda: all(
            each.held[LISTENER] != held
            for each, held in zip(proxies, before, strict=True)
            if each in fronts
        ),
        what="the proxies to have it",
        timeout=TIMEOUT,
    )
    outcome = run(cluster.replicas[1], "wait", "--mesh", "demo", "--revision", str(revision))

    assert outcome.code == 0, outcome.err
    assert len({tuple(each.held[LISTENER].items()) for each in fronts}) == 1
    others = [each for each in proxies if each not in fronts]
    assert listener_versions(others) == [
        held for each, held in zip(proxies, before, strict=True) if each in others
    ]


def test_wait_through_a_replica_without_proxies_waits_for_those_of_the_other(
    start_cluster: StartCluster,
) -> None:
    cluster = start_cluster(2)
    first, second = cluster.replicas
    quick = cluster.connect(first.xds)
    slow = cluster.connect(first.xds, "back")
    await_status(second, lambda status: have_revision(status, 3, 2))
    slow.mood = "hold"
    write(second, "front", port=9090)
    write(second, "back", port=9090)

    early = run(second, "wait", "--mesh", "demo", "--timeout", "2")
    slow.acknowledge_now()
    late = run(second, "wait", "--mesh", "demo", "--timeout", str(TIMEOUT))

    assert early.code == 1
    assert "revision 5 is missing at virtualNode/back" in early.err
    assert late.code == 0, late.err
    assert late.err.endswith("2 connected proxies have acknowledged revision 5\n")
    assert {port_of(each) for each in (quick, slow)} == {"9090"}


def port_of(proxy: ReconnectingProxy) -> str:
    """The port that a proxy's node listens on, by the names of its clusters."""
    ports = {
        name.rpartition("_")[2]
        for clusters in proxy.held.values()
        for name in clusters
        if name.startswith("cds_ingress_")
    }
    [port] = ports
    return port


def test_the_proxies_of_a_killed_replica_move_to_others_and_are_sent_nothing_again(
    start_cluster: StartCluster,
) -> None:
    cluster = start_cluster(3)
    first, second, killed = cluster.replicas
    proxies = cluster.spread(6)
    before = [list(each.received) for each in proxies]
    versions = [{kind: dict(held) for kind, held in each.held.items()} for each in proxies]

    killed.process.kill()
    status = await_status(
        first,
        lambda status: (
            have_revision(status, 3, 6)
            and {each.replica for each in status.proxies} == {first.name, second.name}
        ),
    )

    assert sum(each.streams > 1 for each in proxies) >= 2
    assert [each.received for each in proxies] == before
    assert [each.held for each in proxies] == versions
    assert len({each.peer for each in status.proxies}) == 6

    revision = write(second, "front", port=9090)
    await_status(first, lambda status: have_revision(status, revision, 6))
    ports = Counter(port_of(each) for each in proxies)
    assert ports == {"9090": 3, "8080": 3}


def test_writes_go_on_while_a_replica_is_killed_and_none_is_lost(
    start_cluster: StartCluster,
) -> None:
    cluster = start_cluster(3)
    proxies = cluster.spread(6)
    url = cluster.balance_api()
    # Each keeps a connection, so that together they write through all replicas.
    clients = [make_client(url, cluster.stack) for _ in range(3)]
    ports = range(9000, 9012)

    for port in ports:
        if port == ports[len(ports) // 2]:
            cluster.replicas[-1].process.kill()
        clients[port % len(clients)].update_virtual_node(
            meshName="demo", virtualNodeName="front", spec=node_spec("front", port=port)
        )
    outcome = run(cluster.replicas[0], "wait", "--mesh", "demo", "--timeout", str(TIMEOUT))
    status = await_status(
        cluster.replicas[1],
        lambda status: (
            have_revision(status, 3 + len(ports), len(proxies))
            and {each.replica for each in status.proxies} == {"replica-0", "replica-1"}
        ),
    )

    assert outcome.code == 0, outcome.err
    assert status.revision == 3 + len(ports)
    assert Counter(port_of(each) for each in proxies) == {str(ports[-1]): 3, "8080": 3}


def make_client(url: str, stack: ExitStack) -> Any:
    """An unmodified boto3 client, which asks again where a connection is lost."""
    session: Any = boto3.session.Session("meshwright", "meshwright", region_name="us-east-1")
    client = session.client("appmesh", endpoint_url=url, config=Config(proxies={}))
    stack.callback(client.close)
    return client


def test_a_killed_control_plane_that_is_back_does_not_show_proxies_of_before(
    tmp_path: Path,
) -> None:
    with ExitStack() as stack:
        block, group = stack.enter_context(AddressBlock()), stack.enter_context(ProcessGroup())
        control_plane = stack.enter_context(restartable(tmp_path, group, block))
        client: Any = control_plane.client()
        stack.callback(client.close)
        client.create_mesh(meshName="demo")
        client.create_virtual_node(meshName="demo", virtualNodeName="front", spec=node_spec("f"))
        proxy = ReconnectingProxy(str(control_plane.xds), "mesh/demo/virtualNode/front")
        stack.enter_context(proxy)
        [before] = control_plane.wait_acknowledged("demo", proxies=1, timeout=TIMEOUT).proxies
        with closing(open_store(f"sqlite:///{control_plane.store}")) as store:
            wait_until(lambda: store.entries(REPLICAS), what="it to be told", timeout=TIMEOUT)

        control_plane.kill()
        control_plane.start()

        [after] = control_plane.wait_acknowledged("demo", proxies=1, timeout=TIMEOUT).proxies
        assert after.connected_at > before.connected_at


def test_the_proxies_of_a_stopped_replica_are_not_shown_any_more(
    start_cluster: StartCluster,
) -> None:
    cluster = start_cluster(2)
    first, stopped = cluster.replicas
    proxy = cluster.connect(stopped.xds)
    await_status(first, lambda status: have_revision(status, 3, 1))

    assert stopped.process.stop(TIMEOUT) == 0

    assert first.status("demo").proxies == ()
    assert proxy.streams >= 1
    assert stopped.errors() == []


def test_a_rejection_at_one_replica_is_seen_at_the_other(start_cluster: StartCluster) -> None:
    cluster = start_cluster(2)
    first, second = cluster.replicas
    proxy = cluster.connect(first.xds)
    await_status(second, lambda status: have_revision(status, 3, 1))
    proxy.mood = "refuse once"
    revision = write(second, "front", port=9090)

    status = await_status(second, lambda status: status.proxies[0].rejection is not None)
    outcome = run(second, "wait", "--mesh", "demo", "--timeout", str(TIMEOUT))

    [shown] = status.proxies
    assert shown.rejection is not None
    assert (shown.rejection.detail, shown.rejection.revision) == ("no such thing", revision)
    assert (shown.replica, shown.acknowledged_revision) == (first.name, 3)
    assert outcome.code == 1
    assert f"revision {revision} was rejected by virtualNode/front" in outcome.err


def test_a_proxy_that_one_replica_refuses_is_seen_at_the_other(start_cluster: StartCluster) -> None:
    cluster = start_cluster(2)
    first, second = cluster.replicas
    cluster.connect(first.xds, "nobody")

    [refusal] = await_status(second, lambda status: bool(status.refusals)).refusals
    outcome = run(second, "status", "--mesh", "demo")

    assert (refusal["node_id"], refusal["replica"]) == (
        "mesh/demo/virtualNode/nobody",
        first.name,
    )
    assert "there is no virtual node 'nobody' in mesh 'demo'" in outcome.out


def test_a_proxy_that_is_behind_has_a_lag_that_grows(start_cluster: StartCluster) -> None:
    cluster = start_cluster(2)
    first, second = cluster.replicas
    proxy = cluster.connect(first.xds)
    await_status(second, lambda status: have_revision(status, 3, 1))
    proxy.mood = "hold"
    write(second, "front", port=9090)

    for replica in cluster.replicas:
        lag = await_status(replica, lambda status: status.proxies[0].lag_seconds > 0)
        await_status(
            replica,
            lambda status, lag=lag: status.proxies[0].lag_seconds > lag.proxies[0].lag_seconds + 1,
        )
    proxy.acknowledge_now()
    for replica in cluster.replicas:
        await_status(replica, lambda status: status.proxies[0].lag_seconds == 0)


def test_a_token_revoked_through_one_replica_ends_streams_at_another(
    start_cluster: StartCluster, tmp_path: Path
) -> None:
    cluster = start_cluster(2, *tls_flags(tmp_path))
    first, second = cluster.replicas
    token = run(first, "token", "issue", "--for", "mesh/demo/virtualNode/front").out.strip()
    [row] = run(second, "token", "list").out.splitlines()
    metadata = [("authorization", f"Bearer {token}")]

    with asking(second.xds, metadata=metadata) as stream:
        next(stream.responses)
        assert run(first, "token", "revoke", row.split("\t")[0]).code == 0
        error = stream.expect_end()

    assert error.code() == grpc.StatusCode.UNAUTHENTICATED


def test_a_store_without_proxies_has_nothing_about_replicas(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1)
    [replica] = cluster.replicas
    with cluster.stack:
        cluster.connect(replica.xds)
        await_status(replica, lambda status: have_revision(status, 3, 1))
    with closing(open_store(cluster.store)) as store:
        wait_until(lambda: not store.entries(REPLICAS), what="the entry to go", timeout=TIMEOUT)
