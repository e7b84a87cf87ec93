"""Who gets what when a mesh changes, and what becomes of rejections."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from meshwright.discovery.cloud_map import CloudMap
from meshwright.discovery.credentials import Credentials
from meshwright.discovery.outside import LiveOutside
from meshwright.meshes import Meshes
from meshwright.model.resources import Kind
from meshwright.store import Change
from meshwright.translate.lookups import CloudMapService, Instance
from meshwright.xds.distribution import Distribution, NotBuiltError, Pace
from meshwright.xds.proxy_status import STANDS_AT
from meshwright.xds.resources import CLUSTER, ENDPOINT
from meshwright.xds.stream import Response
from meshwright.xds.unknown_proxies import UnknownProxyError
from meshwright.xds.wire import Request
from tests.controlplane.meshes import DEMO, build_resource, commit, node_spec
from tests.controlplane.xds.distributing import (
    Client,
    build_distribution,
    fail_at,
    refuses_version_2,
    run,
    split,
    until,
)

ROUTES = "RouteConfiguration"


def test_a_change_reaches_those_who_see_it_and_nobody_else(meshes: Meshes):
    async def test() -> None:
        distribution = build_distribution(meshes)
        front, blue = Client(distribution, "front"), Client(distribution, "blue")
        front.sent.clear()
        blue.sent.clear()

        commit(meshes, split({"blue": 1, "green": 1}, 2))
        await until(lambda: bool(front.sent))

        assert (front.sent, blue.sent) == ([(ROUTES, ["rds_egress_http_15001"])], [])

    run(test)


def test_of_a_proxy_that_left_no_configuration_is_remembered(meshes: Meshes):
    async def test() -> None:
        distribution = build_distribution(meshes, remembered_seconds=0.01)
        front, blue = Client(distribution, "front"), Client(distribution, "blue")

        distribution.disconnect(front.connection)

        await until(lambda: list(distribution._builder._last) == [blue.connection.proxy])

    run(test)


def test_whom_a_change_does_not_concern_has_acknowledged_it(meshes: Meshes):
    async def test() -> None:
        distribution = build_distribution(meshes)
        front, blue = Client(distribution, "front"), Client(distribution, "blue")

        commit(meshes, split({"blue": 1, "green": 1}, 2))
        await until(lambda: front.status.acknowledged_revision == 2)

        assert blue.status.acknowledged_revision == 2

    run(test)


def test_a_proxy_that_comes_to_others_of_its_virtual_node_gets_what_they_have(meshes: Meshes):
    async def test() -> None:
        distribution = build_distribution(meshes)
        first = Client(distribution, "front")

        second = Client(distribution, "front")

        # The very same: nothing is translated or serialized again, also in a storm of them.
        assert second.connection.stream.target is first.connection.stream.target

    run(test)


def test_a_proxy_that_comes_after_a_change_that_nobody_followed_gets_the_change(meshes: Meshes):
    async def test() -> None:
        distribution = build_distribution(meshes)
        gone = Client(distribution, "front")
        distribution.disconnect(gone.connection)
        blue = Client(distribution, "blue")

        commit(meshes, split({"blue": 1, "green": 1}, 2))
        await until(lambda: blue.status.acknowledged_revision == 2)

        after = Client(distribution, "front").connection.stream.target
        assert after.contents() != gone.connection.stream.target.contents()

    run(test)


def test_a_burst_of_changes_is_one_push(meshes: Meshes):
    async def test() -> None:
        distribution = build_distribution(meshes, Pace(quiet_seconds=0.05, longest_seconds=5))
        front = Client(distribution, "front")
        front.sent.clear()

        for weight in range(1, 6):
            commit(meshes, split({"blue": weight, "green": 1}, weight + 1))
        await until(lambda: front.status.acknowledged_revision == 6)

        assert front.sent == [(ROUTES, ["rds_egress_http_15001"])]

    run(test)


def test_a_rejection_is_in_the_status_until_something_better_is_accepted(meshes: Meshes):
    async def test() -> None:
        distribution = build_distribution(meshes)
        front = Client(distribution, "front", refuses_version_2)
        commit(meshes, split({"blue": 1}, 2))
        await until(lambda: front.status.rejection is not None)
        rejected = front.status
        commit(meshes, split({"green": 1}, 3))
        await until(lambda: front.status.acknowledged_revision == 3)

        assert rejected.rejection is not None
        assert rejected.rejection["detail"] == "no good"
        assert rejected.rejection["resources"] == ["rds_egress_http_15001"]
        assert rejected.acknowledged_revision == 1
        assert front.status.rejection is None

    run(test)


def test_a_new_proxy_of_a_node_that_rejects_gets_its_last_good_configuration(meshes: Meshes):
    async def test() -> None:
        distribution = build_distribution(meshes)
        first = Client(distribution, "front", refuses_version_2)
        good = first.connection.stream.target.contents()
        commit(meshes, split({"blue": 1}, 2))
        await until(lambda: first.status.rejection is not None)

        second = Client(distribution, "front", refuses_version_2)

        assert second.connection.stream.target.contents() == good

    run(test)


def test_a_new_proxy_that_rejects_gets_the_last_good_of_those_who_have_left(meshes: Meshes):
    async def test() -> None:
        distribution = build_distribution(meshes)
        left = Client(distribution, "front")
        good = left.connection.stream.target.contents()
        distribution.disconnect(left.connection)
        commit(meshes, split({"blue": 1}, 2))
        await until(lambda: distribution.revision(DEMO) == 2)

        new = Client(distribution, "front", refuses_version_2)

        assert new.connection.stream.target.contents() == good
        assert new.status.acknowledged_revision == 1
        assert new.status.rejection is not None

    run(test)


def test_a_rejected_configuration_is_sent_once(meshes: Meshes):
    async def test() -> None:
        distribution = build_distribution(meshes)
        front = Client(distribution, "front", refuses_version_2)
        green = Client(distribution, "green")
        front.sent.clear()
        commit(meshes, split({"blue": 1}, 2))
        await until(lambda: front.status.rejection is not None)
        before = list(front.sent)
        commit(meshes, build_resource(Kind.VIRTUAL_NODE, "other", node_spec("other")))
        commit(meshes, build_resource(Kind.VIRTUAL_NODE, "blue", node_spec("blue.elsewhere")))
        await until(lambda: green.status.acknowledged_revision == 4)

        # Refused, and what was there put back; nothing more although the mesh went on.
        assert front.sent == before
        assert before == [(ROUTES, ["rds_egress_http_15001"])] * 2

    run(test)


def test_a_rejection_stands_in_later_revisions_that_mend_nothing(meshes: Meshes):
    async def test() -> None:
        distribution = build_distribution(meshes)
        front = Client(distribution, "front", refuses_version_2)
        green = Client(distribution, "green")
        commit(meshes, split({"blue": 1}, 2))
        await until(lambda: front.status.rejection is not None)
        commit(meshes, build_resource(Kind.VIRTUAL_NODE, "blue", node_spec("blue.elsewhere")))
        await until(lambda: green.status.acknowledged_revision == 3)

        rejection = front.status.rejection
        assert rejection is not None
        assert (rejection["revision"], rejection[STANDS_AT]) == (2, 3)

    run(test)


def test_while_something_better_is_on_its_way_a_rejection_is_not_told_to_stand(meshes: Meshes):
    async def test() -> None:
        distribution = build_distribution(meshes)
        front = Client(distribution, "front", refuses_version_2)
        commit(meshes, split({"blue": 1}, 2))
        await until(lambda: front.status.rejection is not None)
        front.connection.wake = lambda: None  # it takes its time
        commit(meshes, split({"green": 1}, 3))
        await until(lambda: front.connection.stream.target.revision == 3)

        rejection = front.status.rejection
        assert rejection is not None
        assert STANDS_AT not in rejection

    run(test)


def test_what_was_refused_together_with_something_else_comes_once_that_is_mended(meshes: Meshes):
    """Both clusters stand in the response that was refused, and the proxy does not say which."""

    def refuses_blue(response: Response) -> bool:
        return any(b"blue.bad" in each.any_bytes for each in response.update.changed)

    async def test() -> None:
        distribution = build_distribution(meshes)
        front = Client(distribution, "front", refuses_blue)
        commit(
            meshes,
            build_resource(Kind.VIRTUAL_NODE, "blue", node_spec("blue.bad")),
            build_resource(Kind.VIRTUAL_NODE, "green", node_spec("green.elsewhere")),
        )
        await until(lambda: front.status.rejection is not None)

        commit(meshes, build_resource(Kind.VIRTUAL_NODE, "blue", node_spec("blue.good")))
        await until(lambda: front.status.acknowledged_revision == 3)

        held = front.connection.stream.target.of_type(CLUSTER).values()
        assert any(b"green.elsewhere" in each.any_bytes for each in held)
        assert front.status.rejection is None

    run(test)


def test_a_proxy_that_refuses_everything_keeps_others_like_it_from_nothing(meshes: Meshes):
    async def test() -> None:
        distribution = build_distribution(meshes)
        good = Client(distribution, "front")
        bad = Client(distribution, "front", refuse=lambda _: True)
        bad.sent.clear()
        for version in (2, 3):
            commit(meshes, split({"blue": version, "green": 1}, version))
        await until(lambda: good.connection.acknowledged_revision == 3)

        assert distribution.connections(DEMO) == [good.connection, bad.connection]
        assert good.status.rejection is None
        assert bad.status.rejection is not None
        # Once, and nothing of what was there before.
        assert [kind for kind, _ in bad.sent] == [ROUTES]

    run(test)


def test_who_refuses_the_stand_in_too_goes_on_telling_what_it_refused_first(meshes: Meshes):
    """Whoever waits for the revision that was refused finds it; the stand-in is of an older one."""

    async def test() -> None:
        distribution = build_distribution(meshes)
        front = Client(distribution, "front")
        front.refuse = lambda response: response.type_url.endswith(ROUTES)
        front.sent.clear()
        commit(meshes, split({"blue": 1}, 2))
        await until(lambda: front.status.rejection is not None)
        late = Client(distribution, "front", refuse=lambda _: True)

        # The change, and then what was there before.
        assert front.sent == [(ROUTES, ["rds_egress_http_15001"])] * 2
        told = [each.status.rejection for each in (front, late)]
        assert [each and each["revision"] for each in told] == [2, 2]

    run(test)


def test_a_rejection_is_over_once_the_proxy_has_what_is_right_of_the_same_revision(meshes: Meshes):
    """Endpoints and secrets change without the mesh."""

    def refuses_bad_endpoints(response: Response) -> bool:
        return any(b"10.0.0.66" in each.any_bytes for each in response.update.changed)

    async def test() -> None:
        found = [Instance("10.0.0.1")]

        def discover(service: CloudMapService) -> list[Instance]:
            return list(found) if service.service == "green" else []

        outside = LiveOutside(CloudMap(discover, 0.01), Credentials(dict))
        distribution = build_distribution(meshes, outside=outside)
        where = {"awsCloudMap": {"namespaceName": "demo", "serviceName": "green"}}
        spec = node_spec("green") | {"serviceDiscovery": where}
        commit(meshes, build_resource(Kind.VIRTUAL_NODE, "green", spec))
        front = Client(distribution, "front", refuses_bad_endpoints)
        request = Request(ENDPOINT, names=("cds_egress_demo_green_http_8080",))
        distribution.receive(front.connection, request)
        await until(lambda: front.status.is_current)

        found[:] = [Instance("10.0.0.66")]
        await until(lambda: front.status.rejection is not None)
        found[:] = [Instance("10.0.0.2")]
        await until(lambda: front.status.is_current)

        assert front.status.rejection is None

    run(test)


def test_a_proxy_whose_configuration_cannot_be_built_is_not_called_current(
    meshes: Meshes, monkeypatch: pytest.MonkeyPatch
):
    """The reason is told like a rejection, so that whoever waits for the revision is told it."""

    async def test() -> None:
        distribution = build_distribution(meshes)
        front, blue = Client(distribution, "front"), Client(distribution, "blue")
        fail_at(distribution, 2, monkeypatch)
        commit(meshes, split({"blue": 1, "green": 1}, 2))
        await until(lambda: blue.status.acknowledged_revision == 2)
        status = front.status

        assert (status.is_current, status.acknowledged_revision) == (False, 1)
        assert status.lag > 0
        assert status.rejection is not None
        assert (status.rejection["type"], status.rejection["revision"]) == ("configuration", 2)
        assert "could not build the configuration: KeyError: 'lost'" in status.rejection["detail"]
        assert read_metrics(distribution)["meshwright_rejections_total configuration"] == 1

    run(test)


def test_a_configuration_that_can_be_built_again_is_pushed_and_the_reason_is_gone(
    meshes: Meshes, monkeypatch: pytest.MonkeyPatch
):
    async def test() -> None:
        distribution = build_distribution(meshes)
        front = Client(distribution, "front")
        fail_at(distribution, 2, monkeypatch)
        commit(meshes, split({"blue": 1, "green": 1}, 2))
        await until(lambda: front.status.rejection is not None)
        front.sent.clear()
        commit(meshes, split({"blue": 3, "green": 1}, 3))
        await until(lambda: front.status.is_current)

        assert (front.sent, front.status.rejection) == ([(ROUTES, ["rds_egress_http_15001"])], None)

    run(test)


def test_a_new_proxy_gets_the_last_good_where_none_can_be_built(
    meshes: Meshes, monkeypatch: pytest.MonkeyPatch
):
    async def test() -> None:
        distribution = build_distribution(meshes)
        first = Client(distribution, "front")
        good = first.connection.stream.target
        fail_at(distribution, 2, monkeypatch)
        commit(meshes, split({"blue": 1, "green": 1}, 2))
        await until(lambda: first.status.rejection is not None)

        second = Client(distribution, "front")

        assert second.connection.stream.target is good
        assert not second.status.is_current

    run(test)


def test_a_proxy_without_any_configuration_is_told_why(
    meshes: Meshes, monkeypatch: pytest.MonkeyPatch
):
    async def test() -> None:
        distribution = build_distribution(meshes)
        fail_at(distribution, 1, monkeypatch)

        with pytest.raises(
            NotBuiltError, match="could not build the configuration: KeyError: 'lost'"
        ):
            Client(distribution, "front")

        assert distribution.count_proxies() == {}

    run(test)


def test_the_proxies_of_a_deleted_node_are_closed(meshes: Meshes):
    async def test() -> None:
        distribution = build_distribution(meshes)
        front = Client(distribution, "front")

        meshes.commit(
            meshes.graph(DEMO), [Change(front.connection.proxy.key, None)], committed_at=3.0
        )
        await until(lambda: bool(front.closed))

        assert front.closed == ["virtual node 'front' was deleted from mesh 'demo'"]

    run(test)


def read_metrics(distribution: Distribution) -> dict[str, float]:
    """The metrics without the buckets, by their names with their labels."""
    text = distribution.metrics.render().decode()
    return {
        sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if "le" not in sample.labels
    }


def test_metrics_tell_how_changes_reach_proxies(meshes: Meshes):
    async def test() -> dict[str, float]:
        distribution = build_distribution(meshes, Pace(quiet_seconds=0.05, longest_seconds=5))
        front, _ = Client(distribution, "front"), Client(distribution, "blue")
        front.sent.clear()
        for weight in (1, 2, 3):
            commit(meshes, split({"blue": weight, "green": 1}, weight + 1))
        await until(lambda: bool(front.sent))
        return read_metrics(distribution)

    metrics = asyncio.run(asyncio.wait_for(test(), 10))

    assert metrics["meshwright_connected_proxies virtualNode"] == 2
    assert metrics["meshwright_convergence_seconds_count"] == 1
    assert metrics["meshwright_queue_seconds_count"] == 1
    assert metrics["meshwright_merged_changes_total"] == 2


def test_metrics_count_rejections_by_type(meshes: Meshes):
    async def test() -> dict[str, float]:
        distribution = build_distribution(meshes)
        Client(distribution, "front", refuse=lambda response: response.type_url == CLUSTER)
        return read_metrics(distribution)

    metrics = asyncio.run(asyncio.wait_for(test(), 10))

    assert metrics["meshwright_rejections_total Cluster"] >= 1


def test_an_unknown_node_is_told_what_there_is(meshes: Meshes):
    async def test() -> None:
        with pytest.raises(UnknownProxyError, match="one of its virtual nodes: blue, front, green"):
            Client(build_distribution(meshes), "purple")

    run(test)
