"""The status of a mesh when the store can't be read, and when a replica is behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from dataclasses import asdict
from typing import Any, cast

import pytest

from meshwright.graph.findings import Finding
from meshwright.meshes import Meshes
from meshwright.model.resources import Kind, MeshKey, ResourceKey
from meshwright.operator.waiting import find_missing
from meshwright.presence.reading import Elsewhere, OtherReplicas, ReplicaProxy, ReplicaRefusal
from meshwright.status import Statuses
from meshwright.store import StoreError
from meshwright.xds.proxy_status import ProxyStatus
from meshwright.xds.refusals import Refusal
from tests.controlplane.loop_turns import count_turns
from tests.controlplane.meshes import DEMO, build_resource, commit, demo_resources, node_spec
from tests.controlplane.xds.distributing import Client, build_distribution

ELSEWHERE = ProxyStatus(
    *("arn:aws:appmesh:r:a:mesh/demo/virtualNode/blue", "blue", "ipv4:10.0.0.7:1", "1.40.0"),
    *(1.0, 2.0, 1, True, 0.0, None),
)


class Others:
    """What other replicas say, perhaps after an event, or why that is not known."""

    def __init__(
        self,
        *proxies: ProxyStatus,
        findings: Sequence[Finding] = (),
        refusals: Sequence[Refusal] = (),
        failure: StoreError | None = None,
        patience: threading.Event | None = None,
    ) -> None:
        self._patience = patience
        self._findings = [*findings]
        self._refusals = [ReplicaRefusal("other", each) for each in refusals]
        self._proxies = [ReplicaProxy("other", each) for each in proxies]
        self._failure = failure

    def read(self, mesh: MeshKey) -> Elsewhere:
        """The proxies, or the failure."""
        assert mesh
        if self._patience is not None:
            self._patience.wait()
        if self._failure is not None:
            raise self._failure
        return Elsewhere(self._proxies, self._findings, self._refusals)


def run(test: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(test, 30))


async def render(meshes: Meshes, others: Others, mesh: MeshKey = DEMO) -> Any:
    """The status through a replica that has one proxy, `front`."""
    distribution = build_distribution(meshes)
    Client(distribution, "front")
    statuses = Statuses(meshes, distribution, cast("OtherReplicas", others), "own")
    return await statuses.render(mesh)


def test_proxies_of_all_replicas_stand_together(meshes: Meshes):
    status = run(render(meshes, Others(ELSEWHERE)))

    shown = [(each["resource"].rpartition("/")[2], each["replica"]) for each in status["proxies"]]
    assert shown == [("blue", "other"), ("front", "own")]
    assert (status["replica"], status["incomplete"]) == ("own", None)


def test_what_several_replicas_find_wrong_stands_there_once(meshes: Meshes):
    finding = Finding("arn", "DiscoveryFailed", "", "nobody knows", "ask")
    status = run(render(meshes, Others(ELSEWHERE, findings=[finding, finding])))

    assert status["findings"] == [asdict(finding)]


def refused(name: str, peer: str, at: float) -> Refusal:
    """A proxy that was refused once."""
    return Refusal(f"mesh/demo/virtualNode/{name}", name, peer, "no token", 1, at, at)


def test_refusals_of_all_replicas_stand_together_the_latest_first(meshes: Meshes):
    async def test() -> Any:
        distribution = build_distribution(meshes)
        distribution.refuse(ResourceKey(DEMO, Kind.VIRTUAL_NODE, "front"), "f", "h:1", "no token")
        elsewhere = Others(refusals=[refused("blue", "i:1", 5.0), refused("green", "i:1", 7.0)])
        statuses = Statuses(meshes, distribution, cast("OtherReplicas", elsewhere), "own")
        return await statuses.render(DEMO)

    shown = [(each["resource"], each["replica"]) for each in run(test())["refusals"]]
    assert shown == [
        ("mesh/demo/virtualNode/front", "own"),
        ("mesh/demo/virtualNode/green", "other"),
        ("mesh/demo/virtualNode/blue", "other"),
    ]


def test_who_was_let_in_by_any_replica_since_is_not_called_refused(meshes: Meshes):
    host = ELSEWHERE.peer.rpartition(":")[0]
    before, after = ELSEWHERE.connected_at - 0.5, ELSEWHERE.connected_at + 0.5
    elsewhere = Others(
        ELSEWHERE,
        refusals=[
            refused("blue", f"{host}:2", before),
            refused("blue", "ipv4:10.0.0.8:2", before),
            refused("green", f"{host}:2", before),
            refused("blue", f"{host}:3", after),
        ],
    )
    status = run(render(meshes, elsewhere))

    shown = {(each["node_id"], each["peer"]) for each in status["refusals"]}
    assert shown == {
        *(("blue", "ipv4:10.0.0.8:2"), ("green", f"{host}:2"), ("blue", f"{host}:3")),
    }


def test_without_the_store_it_is_what_is_known_here_and_says_so(meshes: Meshes):
    status = run(render(meshes, Others(failure=StoreError("store 's' can't be used"))))

    assert [each["replica"] for each in status["proxies"]] == ["own"]
    assert status["incomplete"] == "store 's' can't be used"
    assert find_missing(status, status["revision"]) == (
        "an unknown part of the proxies of other replicas than own: store 's' can't be used"
    )


def test_a_store_that_does_not_answer_is_not_waited_for(
    meshes: Meshes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("meshwright.status._PATIENCE_SECONDS", 0.1)
    over = threading.Event()
    try:
        status = run(render(meshes, Others(patience=over)))
    finally:
        over.set()

    assert status["incomplete"] == f"store {meshes.store.url!r} has not answered within 0.1 s"


def test_without_the_store_a_mesh_that_is_not_known_here_is_not_said_to_be_missing(meshes: Meshes):
    with pytest.raises(StoreError):
        run(render(meshes, Others(failure=StoreError("gone")), DEMO._replace(name="other")))


def test_a_mesh_that_is_nowhere_has_no_status(meshes: Meshes):
    assert run(render(meshes, Others(), DEMO._replace(name="other"))) is None


def test_a_proxy_whose_replica_has_not_seen_the_revision_has_a_lag(meshes: Meshes):
    """As long as the revision has been known to the replica that is asked."""

    async def test() -> Any:
        distribution = build_distribution(meshes)
        statuses = Statuses(meshes, distribution, cast("OtherReplicas", Others(ELSEWHERE)), "own")
        commit(meshes, *demo_resources())
        while True:
            status = await statuses.render(DEMO)
            assert status is not None
            [proxy] = status["proxies"]
            if proxy["lag_seconds"]:
                return status["revision"], proxy["acknowledged_revision"]

    assert run(test()) == (2, 1)


def test_pushes_have_their_turn_while_the_status_of_many_is_made(
    meshes: Meshes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("meshwright.turns._TURN_SECONDS", 0)

    async def test() -> int:
        status, turns = await count_turns(render(meshes, Others(*[ELSEWHERE] * 500)))
        assert len(status["proxies"]) == 501
        return turns

    assert run(test()) >= 500


def test_what_is_found_in_a_mesh_is_looked_for_again_when_it_has_changed(meshes: Meshes):
    async def test() -> list[list[str]]:
        distribution = build_distribution(meshes)
        statuses = Statuses(meshes, distribution, cast("OtherReplicas", Others()), "own")
        seen: list[list[str]] = []
        for backend in ("gone", "gone", "color.demo.local"):
            spec = {"backends": [{"virtualService": {"virtualServiceName": backend}}]}
            commit(meshes, build_resource(Kind.VIRTUAL_NODE, "lone", node_spec("lone") | spec))
            status = await statuses.render(DEMO)
            assert status is not None
            seen.append([each["code"] for each in status["findings"]])
        return seen

    assert run(test()) == [["BackendMissing"], ["BackendMissing"], []]
