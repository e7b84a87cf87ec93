"""What is DynamoDB's own: its limits, what polling costs, what expires, what is under way."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from meshwright.model.resources import Kind, MeshKey, ResourceKey, mesh_resource_key
from meshwright.store import (
    Change,
    MeshHead,
    MeshState,
    RevisionConflictError,
    SpentSignature,
    StoredAnswer,
    StoreError,
    StoreLimitError,
)
from meshwright.store.dynamodb import DynamoDbStore
from meshwright.store.dynamodb_items import measure_item
from tests.controlplane.clock import Clock
from tests.controlplane.meshes import DEMO, build_resource, demo_resources
from tests.controlplane.store.requests_seen import count_requests

CHANGES = [Change(resource.key, resource) for resource in demo_resources()]
NODE = ResourceKey(DEMO, Kind.VIRTUAL_NODE, "front")


def put_nodes(
    store: DynamoDbStore,
    count: int,
    *,
    after: int = 0,
    fill: str = "",
    spent: SpentSignature | None = None,
) -> MeshHead:
    node = build_resource(Kind.VIRTUAL_NODE, "node", {"fill": fill})
    keys = [ResourceKey(DEMO, Kind.VIRTUAL_NODE, f"node-{n:04d}") for n in range(count)]
    changes = [Change(key, replace(node, key=key)) for key in keys]
    return store.commit(
        DEMO, expected_revision=after, changes=changes, committed_at=1.0, spent=spent
    )


# What polling costs


def put_40_meshes(store: DynamoDbStore) -> None:
    mesh = build_resource(Kind.MESH, "demo", {})
    for n in range(40):
        key = mesh_resource_key(MeshKey("000000000000", f"mesh-{n}"))
        changes = [Change(key, replace(mesh, key=key))]
        at = 1763912345.123456
        store.commit(key.mesh, expected_revision=0, changes=changes, committed_at=at)


def test_all_heads_are_one_request(dynamodb_store: DynamoDbStore) -> None:
    put_40_meshes(dynamodb_store)
    with count_requests(dynamodb_store) as names:
        assert len(dynamodb_store.heads()) == 40
    assert names == ["Query"]


def test_the_heads_of_40_meshes_cost_one_read_unit(
    dynamodb_store: DynamoDbStore, dynamodb: Any, table: str
) -> None:
    put_40_meshes(dynamodb_store)
    answer = dynamodb.query(
        TableName=table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": "heads"}},
        ConsistentRead=True,
        ReturnConsumedCapacity="TOTAL",
    )
    assert answer["ConsumedCapacity"]["CapacityUnits"] == 1.0


def test_a_signed_commit_is_one_request_of_five_small_items(
    dynamodb_store: DynamoDbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a transaction each costs two write units for each KB; DynamoDB Local does not say so."""
    mesh = build_resource(Kind.MESH, "demo", {})
    client = dynamodb_store._table.client
    transact, written = client.transact_write_items, list[Any]()

    def note(**request: Any) -> Any:
        written.extend(request["TransactItems"])
        return transact(**request)

    monkeypatch.setattr(client, "transact_write_items", note)
    with count_requests(dynamodb_store) as names:
        dynamodb_store.commit(
            DEMO,
            expected_revision=0,
            changes=[Change(mesh.key, mesh)],
            committed_at=1.0,
            answer=StoredAnswer("token", "digest", "{}"),
            spent=SpentSignature("KEY/" + "0f" * 32, 1.0, 2.0),
        )
    assert names == ["TransactWriteItems"]
    assert len(written) == 5
    assert all(measure_item(each["Put"]["Item"]) < 1024 for each in written if "Put" in each)


# Limits


SIGNED = SpentSignature("KEY/signature", spent_at=1.0, expires_at=2e9)
AT_MOST = pytest.mark.parametrize(
    ("most", "spent"), [(98, None), (97, SIGNED)], ids=["unsigned", "signed"]
)
"""How many resources docs/store.md says that a commit takes, without and with access keys."""


@AT_MOST
def test_as_many_changes_as_the_documentation_says_fit_into_a_commit(
    dynamodb_store: DynamoDbStore, most: int, spent: SpentSignature | None
) -> None:
    head = put_nodes(dynamodb_store, most, spent=spent)
    assert len(dynamodb_store.load(DEMO).resources) == most
    changes = dynamodb_store.changes(DEMO, after=0)
    assert changes is not None
    assert (changes[0], len(changes[1])) == (head, most)


@AT_MOST
def test_one_more_is_refused_with_the_bound(
    dynamodb_store: DynamoDbStore, most: int, spent: SpentSignature | None
) -> None:
    with pytest.raises(StoreLimitError, match="100 items") as caught:
        put_nodes(dynamodb_store, most + 1, spent=spent)
    assert "\n" not in str(caught.value)
    assert dynamodb_store.head(DEMO).revision == 0


def test_large_resources_are_kept_and_followed(dynamodb_store: DynamoDbStore) -> None:
    """Their changes take several items."""
    put_nodes(dynamodb_store, 9, fill="é" * 100_000)
    state, changes = dynamodb_store.load(DEMO), dynamodb_store.changes(DEMO, after=0)
    assert changes is not None
    assert [change.resource for change in changes[1]] == list(state.resources)
    assert {each.spec["fill"] for each in state.resources} == {"é" * 100_000}


def test_a_resource_too_large_for_an_item_is_refused_with_the_bound(
    dynamodb_store: DynamoDbStore,
) -> None:
    with pytest.raises(StoreLimitError, match=r"'node-0000': has \d+ bytes"):
        put_nodes(dynamodb_store, 1, fill="é" * 200_000)


def test_the_largest_resource_fits(dynamodb_store: DynamoDbStore) -> None:
    """The bound leaves room for the longest key and for what an item holds beside."""
    name = "n" * 900
    node = build_resource(Kind.VIRTUAL_NODE, name, {"fill": ""})
    size = 390_000 - len('{"arn":"","spec":{"fill":""},"uid":"uid","version":1,"createdAt":1.0,')
    size -= len('"lastUpdatedAt":1.0,"resourceOwner":"000000000000","tags":[]}') + len(node.arn)
    node = replace(node, spec={"fill": "x" * size})
    change = Change(node.key, node)
    dynamodb_store.commit(DEMO, expected_revision=0, changes=[change], committed_at=1.0)
    assert dynamodb_store.changes(DEMO, after=0) == (MeshHead(DEMO, 1, 1.0), [change])
    larger = Change(node.key, replace(node, spec={"fill": "x" * (size + 1)}))
    with pytest.raises(StoreLimitError):
        dynamodb_store.commit(DEMO, expected_revision=1, changes=[larger], committed_at=1.0)


def test_a_commit_too_large_for_a_transaction_is_refused_with_the_bound(
    dynamodb_store: DynamoDbStore,
) -> None:
    with pytest.raises(StoreLimitError, match="4194304"):
        put_nodes(dynamodb_store, 12, fill="x" * 200_000)
    assert dynamodb_store.load(DEMO).resources == ()


def test_names_too_long_for_a_key_are_refused(dynamodb_store: DynamoDbStore) -> None:
    route = build_resource(Kind.ROUTE, "é" * 255, {}, parent="é" * 255)
    with pytest.raises(StoreLimitError, match="1024 bytes"):
        dynamodb_store.commit(
            DEMO, expected_revision=0, changes=[Change(route.key, route)], committed_at=1.0
        )


# What expires


def commit_with_answer(store: DynamoDbStore, body: str, *, after: int) -> None:
    store.commit(
        DEMO,
        expected_revision=after,
        changes=CHANGES,
        committed_at=1.0,
        answer=StoredAnswer("token", "digest", body),
    )


def test_an_answer_is_kept_for_a_day(table_url: str) -> None:
    clock = Clock()
    with closing(DynamoDbStore(table_url, clock=clock)) as store:
        commit_with_answer(store, "first", after=0)
        clock.now += 24 * 3600
        assert store.find_answer("token") == StoredAnswer("token", "digest", "first")
        clock.now += 1
        assert store.find_answer("token") is None


def test_an_answer_that_has_expired_makes_room_for_another(table_url: str) -> None:
    clock = Clock()
    with closing(DynamoDbStore(table_url, clock=clock)) as store:
        commit_with_answer(store, "first", after=0)
        clock.now += 24 * 3600 + 1
        commit_with_answer(store, "second", after=1)
        assert store.find_answer("token") == StoredAnswer("token", "digest", "second")


def remove_change(dynamodb: Any, table: str, revision: int) -> Any:
    """Remove a revision's changes as DynamoDB does after they have expired; what was removed."""
    key = {"pk": {"S": "mesh/000000000000/demo"}, "sk": {"S": f"change/{revision:020d}/000"}}
    gone = dynamodb.delete_item(TableName=table, Key=key, ReturnValues="ALL_OLD")
    assert "expires_at" in gone["Attributes"]
    return gone["Attributes"]


def test_changes_that_have_expired_are_not_known(
    dynamodb_store: DynamoDbStore, dynamodb: Any, table: str
) -> None:
    for revision in range(3):
        put_nodes(dynamodb_store, 1, after=revision)
    remove_change(dynamodb, table, 2)
    assert dynamodb_store.changes(DEMO, after=0) is None
    assert dynamodb_store.changes(DEMO, after=1) is None
    assert dynamodb_store.changes(DEMO, after=2) is not None


def test_a_mesh_is_loaded_without_its_changes(table_url: str, dynamodb: Any, table: str) -> None:
    clock = Clock()
    with closing(DynamoDbStore(table_url, clock=clock)) as store:
        put_nodes(store, 3)
        before = store.load(DEMO)
        remove_change(dynamodb, table, 1)
        clock.now += 3601
        with count_requests(store) as names:
            assert store.load(DEMO) == before
        assert len(names) == 4, "it waits for nothing"


def test_a_mesh_is_loaded_though_somebody_removed_its_changes(
    dynamodb_store: DynamoDbStore, dynamodb: Any, table: str
) -> None:
    put_nodes(dynamodb_store, 3)
    before = dynamodb_store.load(DEMO)
    remove_change(dynamodb, table, 1)
    assert dynamodb_store.load(DEMO) == before


# What is under way


def test_a_load_completes_what_a_transaction_has_not_shown_yet(
    dynamodb_store: DynamoDbStore, dynamodb: Any, table: str
) -> None:
    """A head may be seen before the other items of its transaction."""
    put_nodes(dynamodb_store, 2)
    query = {
        "TableName": table,
        "KeyConditionExpression": "pk = :pk AND begins_with(sk, :prefix)",
        "ExpressionAttributeValues": {
            ":pk": {"S": "mesh/000000000000/demo"},
            ":prefix": {"S": "resource/"},
        },
    }
    earlier = dynamodb.query(**query)["Items"]
    put_nodes(dynamodb_store, 2, after=1, fill="new")
    gone = ResourceKey(DEMO, Kind.VIRTUAL_NODE, "node-0001")
    dynamodb_store.commit(DEMO, expected_revision=2, changes=[Change(gone, None)], committed_at=3.0)
    expected = dynamodb_store.load(DEMO)
    for item in earlier:
        dynamodb.put_item(TableName=table, Item=item)
    assert dynamodb_store.load(DEMO) == expected
    assert [each.spec for each in expected.resources] == [{"fill": "new"}]


def test_a_load_waits_for_the_changes_of_a_head(
    dynamodb_store: DynamoDbStore, dynamodb: Any, table: str
) -> None:
    """They tell what else the head's transaction has not shown yet."""
    put_nodes(dynamodb_store, 1)
    partition = {"pk": {"S": "mesh/000000000000/demo"}}
    key = {**partition, "sk": {"S": "resource/virtualNode//node-0000"}}
    earlier = dynamodb.get_item(TableName=table, Key=key)["Item"]
    put_nodes(dynamodb_store, 1, after=1, fill="new")
    late = remove_change(dynamodb, table, 2)
    dynamodb.put_item(TableName=table, Item=earlier)
    heads_read: list[object] = []

    def show_the_changes(**_: object) -> None:
        heads_read.append(None)
        if len(heads_read) == 3:  # in the second attempt
            dynamodb.put_item(TableName=table, Item=late)

    dynamodb_store._table.client.meta.events.register(
        "before-call.dynamodb.TransactGetItems", show_the_changes
    )
    assert [each.spec for each in dynamodb_store.load(DEMO).resources] == [{"fill": "new"}]


def test_a_commit_whose_answer_is_lost_is_carried_out_once(
    dynamodb_store: DynamoDbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = dynamodb_store._table.client._endpoint.http_session  # pyright: ignore
    send = session.send
    lost: list[object] = []

    def lose_the_first_answer(request: Any) -> Any:
        answer = send(request)
        if not lost:
            lost.append(answer)
            raise ReadTimeoutError(endpoint_url=request.url)
        return answer

    monkeypatch.setattr(session, "send", lose_the_first_answer)
    assert put_nodes(dynamodb_store, 2).revision == 1
    assert lost
    assert dynamodb_store.head(DEMO).revision == 1


def interrupt_restore(store: DynamoDbStore, monkeypatch: pytest.MonkeyPatch) -> MeshState:
    """Restore a mesh of 60 nodes and be killed after the first 25; the mesh as it should be."""
    node = build_resource(Kind.VIRTUAL_NODE, "node", {})
    keys = [ResourceKey(DEMO, Kind.VIRTUAL_NODE, f"node-{n:04d}") for n in range(60)]
    state = MeshState(
        MeshHead(DEMO, 7, 2.5),
        (*demo_resources()[:1], *(replace(node, key=key) for key in keys)),
    )
    client = store._table.client
    write = client.batch_write_item
    written: list[object] = []

    def write_once(**arguments: Any) -> Any:
        if written:
            raise KeyboardInterrupt
        written.append(arguments)
        return write(**arguments)

    with monkeypatch.context() as patch:
        patch.setattr(client, "batch_write_item", write_once)
        with pytest.raises(KeyboardInterrupt):
            store.restore(state, expected_revision=0)
    return state


def test_an_interrupted_restore_is_not_served(
    dynamodb_store: DynamoDbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_restore(dynamodb_store, monkeypatch)
    assert dynamodb_store.heads() == []
    assert dynamodb_store.load(DEMO) == MeshState(MeshHead(DEMO, 0, 0.0), ())
    assert dynamodb_store.list(None, Kind.MESH, limit=9) == []


def test_a_mesh_that_is_being_restored_takes_no_writes(
    dynamodb_store: DynamoDbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_restore(dynamodb_store, monkeypatch)
    with pytest.raises(StoreError, match="is being copied into it"):
        dynamodb_store.commit(DEMO, expected_revision=0, changes=CHANGES, committed_at=1.0)


def test_an_interrupted_restore_can_be_done_again(
    dynamodb_store: DynamoDbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = interrupt_restore(dynamodb_store, monkeypatch)
    state = replace(whole, resources=whole.resources[:2])
    dynamodb_store.restore(state, expected_revision=0)
    assert dynamodb_store.load(DEMO) == state
    assert [each.key.name for each in dynamodb_store.list(None, Kind.MESH, limit=9)] == ["demo"]
    assert (
        dynamodb_store.commit(DEMO, expected_revision=7, changes=CHANGES, committed_at=1.0).revision
        == 8
    )


def test_a_restore_that_another_one_overtook_is_refused(
    dynamodb_store: DynamoDbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = MeshState(MeshHead(DEMO, 7, 2.5), demo_resources())
    write_all = type(dynamodb_store._table).write_all

    def overtake(table: Any, requests: Any) -> None:
        monkeypatch.setattr(type(dynamodb_store._table), "write_all", write_all)
        dynamodb_store.restore(state, expected_revision=0)
        write_all(table, requests)

    monkeypatch.setattr(type(dynamodb_store._table), "write_all", overtake)
    with pytest.raises(RevisionConflictError):
        dynamodb_store.restore(state, expected_revision=0)
    assert sorted(each.key for each in dynamodb_store.load(DEMO).resources) == sorted(
        each.key for each in state.resources
    )
