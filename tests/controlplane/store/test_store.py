"""What every store promises, whatever its engine."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from meshwright.model.resources import Kind, MeshKey, Resource, ResourceKey, mesh_resource_key
from meshwright.store import (
    Change,
    MeshHead,
    RevisionConflictError,
    SignatureSpentError,
    SpentSignature,
    Store,
    StoredAnswer,
    open_store,
)
from tests.controlplane.meshes import DEMO, build_resource, demo_resources

NODE = ResourceKey(DEMO, Kind.VIRTUAL_NODE, "front")

# moto checks conditions and writes in two steps, between which another thread may write.
among_others = pytest.mark.parametrize("new_store", ["sqlite", "dynamodb"], indirect=True)


def puts(resources: Sequence[Resource]) -> list[Change]:
    return [Change(resource.key, resource) for resource in resources]


def commit(store: Store, *changes: Change, after: int, mesh: MeshKey = DEMO) -> MeshHead:
    return store.commit(mesh, expected_revision=after, changes=changes, committed_at=after + 0.25)


def named(kind: Kind, name: str, parent: str = "") -> Change:
    resource = build_resource(kind, name, {}, parent=parent)
    return Change(resource.key, resource)


def build_mesh(owner: str, name: str) -> Change:
    key = mesh_resource_key(MeshKey(owner, name))
    return Change(key, replace(build_resource(Kind.MESH, "demo", {}), key=key))


def test_a_mesh_that_never_was_is_at_revision_0(store: Store) -> None:
    assert store.head(DEMO) == MeshHead(DEMO, 0, 0.0)


def test_a_new_store_has_no_meshes(store: Store) -> None:
    assert store.heads() == []


def test_what_was_committed_is_loaded(store: Store) -> None:
    resources = demo_resources()
    head = store.commit(DEMO, expected_revision=0, changes=puts(resources), committed_at=1.5)
    state = store.load(DEMO)
    assert state.head == head == MeshHead(DEMO, 1, 1.5)
    assert sorted(state.resources, key=lambda each: each.key) == sorted(
        resources, key=lambda each: each.key
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"spec": {"b": [1, 2.5, None, True], "a": {"ключ": "\u2028 ☃ \U0001f9ed \x00"}}},
        {"tags": (("b", "1"), ("a", ""))},
        {"created_at": 1763912345.123456, "last_updated_at": 1763912345.654321},
        {"shared_with": ("111111111111", "222222222222")},
        {"version": 2**53 + 1, "uid": "0f2c", "resource_owner": "111111111111"},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_resource_comes_back_as_it_was(store: Store, fields: dict[str, Any]) -> None:
    resource = replace(build_resource(Kind.VIRTUAL_NODE, "front", {}), **fields)
    commit(store, Change(NODE, resource), after=0)
    assert store.find(NODE) == resource


def test_the_order_of_a_specs_members_is_kept(store: Store) -> None:
    resource = build_resource(Kind.VIRTUAL_NODE, "front", {"b": 1, "a": 2})
    commit(store, Change(NODE, resource), after=0)
    found = store.find(NODE)
    assert found is not None
    assert list(found.spec) == ["b", "a"]


def test_a_deleted_resource_is_gone(store: Store) -> None:
    commit(store, named(Kind.VIRTUAL_NODE, "front"), after=0)
    commit(store, Change(NODE, None), after=1)
    assert store.find(NODE) is None
    assert store.load(DEMO).resources == ()


def test_the_last_of_several_changes_to_one_resource_counts(store: Store) -> None:
    node = build_resource(Kind.VIRTUAL_NODE, "front", {})
    changes = [Change(NODE, node), Change(NODE, None), Change(NODE, replace(node, version=2))]
    head = commit(store, *changes, after=0)
    assert store.load(DEMO).resources == (replace(node, version=2),)
    assert store.changes(DEMO, after=0) == (head, changes)


def test_revisions_go_on_after_a_mesh_was_deleted(store: Store) -> None:
    commit(store, build_mesh(*DEMO), after=0)
    commit(store, Change(mesh_resource_key(DEMO), None), after=1)
    assert [head.revision for head in store.heads()] == [2]
    assert commit(store, build_mesh(*DEMO), after=2).revision == 3


@pytest.mark.parametrize("expected", [0, 2])
def test_a_commit_to_another_revision_is_refused_and_changes_nothing(
    store: Store, expected: int
) -> None:
    commit(store, named(Kind.VIRTUAL_NODE, "front"), after=0)
    before = store.load(DEMO)
    with pytest.raises(RevisionConflictError, match="is at revision 1"):
        commit(store, Change(NODE, None), named(Kind.VIRTUAL_NODE, "b"), after=expected)
    assert store.load(DEMO) == before


def test_a_commit_needs_changes(store: Store) -> None:
    with pytest.raises(ValueError, match="changes"):
        commit(store, after=0)


@among_others
def test_of_concurrent_commits_to_one_revision_one_wins(store: Store) -> None:
    barrier = threading.Barrier(8)
    won: list[str] = []

    def write(name: str) -> None:
        barrier.wait()
        try:
            commit(store, named(Kind.VIRTUAL_NODE, name), after=0)
        except RevisionConflictError:
            return
        won.append(name)

    threads = [threading.Thread(target=write, args=(f"node-{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [resource.key.name for resource in store.load(DEMO).resources] == won


@among_others
def test_a_load_among_commits_is_of_one_revision(store: Store) -> None:
    """Each commit writes its number into all of ten nodes, so that a mixture would show."""
    keys = [ResourceKey(DEMO, Kind.VIRTUAL_NODE, f"node-{n}") for n in range(10)]
    done = threading.Event()

    def write() -> None:
        node = build_resource(Kind.VIRTUAL_NODE, "node", {})
        try:
            for revision in range(30):
                nodes = [replace(node, key=key, version=revision + 1) for key in keys]
                commit(store, *puts(nodes), after=revision)
        finally:
            done.set()

    writer = threading.Thread(target=write)
    writer.start()
    loads = 0
    while not done.is_set() or loads == 0:
        state = store.load(DEMO)
        loads += 1
        assert {each.version for each in state.resources} <= {state.head.revision}
        assert len(state.resources) == (10 if state.head.revision else 0)
    writer.join()


# Changes


def test_changes_are_given_in_order_with_the_head_that_they_lead_to(store: Store) -> None:
    first, second = named(Kind.VIRTUAL_NODE, "b"), named(Kind.VIRTUAL_NODE, "a")
    commit(store, first, second, after=0)
    head = commit(store, Change(first.key, None), after=1)
    assert store.changes(DEMO, after=0) == (head, [first, second, Change(first.key, None)])
    assert store.changes(DEMO, after=1) == (head, [Change(first.key, None)])


def test_there_are_no_changes_after_the_newest_revision(store: Store) -> None:
    head = commit(store, named(Kind.VIRTUAL_NODE, "b"), after=0)
    assert store.changes(DEMO, after=1) == (head, [])


def test_changes_after_a_revision_that_is_not_there_yet_are_not_known(store: Store) -> None:
    commit(store, named(Kind.VIRTUAL_NODE, "b"), after=0)
    assert store.changes(DEMO, after=2) is None


def test_changes_of_one_mesh_are_not_those_of_another(store: Store) -> None:
    other = MeshKey(DEMO.owner, "demo-2")
    commit(store, build_mesh(*other), after=0, mesh=other)
    assert store.changes(DEMO, after=0) == (MeshHead(DEMO, 0, 0.0), [])


# Lists

NAMES = ["-", "A", "a", "a b", "a-b", "a.b", "a/b", "ab", "a%", "a%2Fb", "b", "é", "\u00ff", "☃"]


def test_resources_are_listed_by_kind_and_name(store: Store) -> None:
    commit(store, *(named(Kind.VIRTUAL_NODE, name) for name in reversed(NAMES)), after=0)
    commit(store, named(Kind.VIRTUAL_ROUTER, "a"), after=1)
    listed = store.list(DEMO, Kind.VIRTUAL_NODE, limit=100)
    assert [resource.key.name for resource in listed] == sorted(NAMES)


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_pages_lead_through_the_whole_list(store: Store, limit: int) -> None:
    commit(store, *(named(Kind.VIRTUAL_NODE, name) for name in NAMES), after=0)
    names: list[str] = []
    while page := store.list(
        DEMO, Kind.VIRTUAL_NODE, after=names[-1] if names else "", limit=limit
    ):
        assert len(page) <= limit
        names += [resource.key.name for resource in page]
    assert names == sorted(NAMES)


def test_a_page_goes_on_after_a_name_that_is_gone(store: Store) -> None:
    commit(store, *(named(Kind.VIRTUAL_NODE, name) for name in "ac"), after=0)
    listed = store.list(DEMO, Kind.VIRTUAL_NODE, after="b", limit=9)
    assert [resource.key.name for resource in listed] == ["c"]


@pytest.mark.parametrize("router", ["a", "a/b", "a%2Fb", "a-b"])
def test_routes_are_listed_by_their_router(store: Store, router: str) -> None:
    routers = ["a", "a/b", "a%2Fb", "a-b"]
    commit(store, *(named(Kind.ROUTE, f"in {each}", each) for each in routers), after=0)
    listed = store.list(DEMO, Kind.ROUTE, parent=router, limit=9)
    assert [resource.key for resource in listed] == [
        ResourceKey(DEMO, Kind.ROUTE, f"in {router}", router)
    ]


def test_meshes_are_listed_by_name_and_owner(store: Store) -> None:
    meshes = [("2", "a"), ("1", "b"), ("1", "a"), ("3", "a-b"), ("1", "A")]
    for owner, name in meshes:
        commit(store, build_mesh(owner, name), after=0, mesh=MeshKey(owner, name))
    names: list[tuple[str, str]] = []
    after = ""
    while page := store.list(None, Kind.MESH, after=after, limit=2):
        names += [(each.key.mesh.name, each.key.mesh.owner) for each in page]
        after = "/".join(names[-1])
    assert names == [("A", "1"), ("a", "1"), ("a", "2"), ("a-b", "3"), ("b", "1")]


def test_a_deleted_mesh_is_not_listed(store: Store) -> None:
    commit(store, build_mesh(*DEMO), after=0)
    commit(store, Change(mesh_resource_key(DEMO), None), after=1)
    assert store.list(None, Kind.MESH, limit=9) == []


def test_meshes_of_one_name_and_several_owners_are_kept_apart(store: Store) -> None:
    other = MeshKey("111111111111", "demo")
    commit(store, named(Kind.VIRTUAL_NODE, "front"), after=0)
    assert store.find(NODE._replace(mesh=other)) is None
    assert store.load(other).resources == ()


# Answers and the secret


def answer(token: str, body: str = '{"a": "é"}') -> StoredAnswer:
    return StoredAnswer(token, "digest", body)


def commit_with(store: Store, kept: StoredAnswer, *, after: int, mesh: MeshKey = DEMO) -> None:
    store.commit(
        mesh,
        expected_revision=after,
        changes=[build_mesh(*mesh)],
        committed_at=1.0,
        answer=kept,
    )


def test_an_answer_is_found_by_its_token(store: Store) -> None:
    kept = answer("000000000000/" + "long" * 1000)
    commit_with(store, kept, after=0)
    assert store.find_answer(kept.token) == kept
    assert store.find_answer("000000000000/other") is None


def test_an_answer_is_not_kept_where_the_commit_is_refused(store: Store) -> None:
    with pytest.raises(RevisionConflictError):
        commit_with(store, answer("token"), after=1)
    assert store.find_answer("token") is None


def test_a_token_that_was_answered_meanwhile_refuses_the_commit(store: Store) -> None:
    """As when two control planes get one request at the same time, for two meshes."""
    commit_with(store, answer("token"), after=0)
    other = MeshKey(DEMO.owner, "other")
    with pytest.raises(RevisionConflictError, match="token"):
        commit_with(store, answer("token", "{}"), after=0, mesh=other)
    assert store.head(other).revision == 0
    assert store.find_answer("token") == answer("token")


def test_an_answer_is_kept_without_a_commit(store: Store) -> None:
    store.keep_answer(answer("token"))
    with pytest.raises(RevisionConflictError, match="token"):
        store.keep_answer(answer("token", "{}"))
    assert store.find_answer("token") == answer("token")
    assert store.heads() == []


SIGNATURE = SpentSignature("KEY/" + "0f" * 32, 1_700_000_000, 1_700_000_360)


def commit_signed(store: Store, *, after: int, spent: SpentSignature = SIGNATURE) -> None:
    changes = [named(Kind.VIRTUAL_NODE, f"node-{after}")]
    store.commit(DEMO, expected_revision=after, changes=changes, committed_at=1.0, spent=spent)


def test_a_signature_is_good_for_one_commit(store: Store) -> None:
    commit_signed(store, after=0)
    with pytest.raises(SignatureSpentError):
        commit_signed(store, after=1)
    assert store.head(DEMO).revision == 1


def test_a_commit_that_is_refused_spends_no_signature(store: Store) -> None:
    with pytest.raises(RevisionConflictError):
        commit_signed(store, after=1)
    commit_signed(store, after=0)


def test_a_signature_is_good_for_one_thing_of_whatever_kind(store: Store) -> None:
    store.spend(SIGNATURE)
    with pytest.raises(SignatureSpentError):
        store.spend(SIGNATURE)
    with pytest.raises(SignatureSpentError):
        commit_signed(store, after=0)


def test_a_signature_is_spent_with_the_answer_or_neither_is_kept(store: Store) -> None:
    store.keep_answer(answer("token"), SIGNATURE)
    with pytest.raises(SignatureSpentError):
        store.keep_answer(answer("other"), SIGNATURE)
    assert store.find_answer("other") is None


def test_a_signature_can_be_freed(store: Store) -> None:
    commit_signed(store, after=0)
    store.unspend(SIGNATURE)
    commit_signed(store, after=1)
    store.unspend(replace(SIGNATURE, signature="never was"))


def test_another_user_of_the_store_knows_what_was_spent(store: Store, store_url: str) -> None:
    commit_signed(store, after=0)
    with closing(open_store(store_url)) as other, pytest.raises(SignatureSpentError):
        commit_signed(other, after=1)


def test_the_secret_stays_the_same(store: Store, store_url: str) -> None:
    secret = store.secret()
    assert len(secret) == 32
    with closing(open_store(store_url)) as again:
        assert again.secret() == store.secret() == secret


def test_two_stores_differ_in_their_secrets(store: Store, other_store: Store) -> None:
    assert store.secret() != other_store.secret()


# Several users


def test_everything_is_there_when_the_store_is_opened_again(store: Store, store_url: str) -> None:
    commit_with(store, answer("token"), after=0)
    state = store.load(DEMO)
    store.close()
    with closing(open_store(store_url)) as again:
        assert again.load(DEMO) == state
        assert again.find_answer("token") == answer("token")


def test_a_stores_url_opens_the_same_store(store: Store) -> None:
    commit(store, named(Kind.VIRTUAL_NODE, "front"), after=0)
    with closing(open_store(store.url)) as again:
        assert again.head(DEMO) == store.head(DEMO)


def test_another_user_of_the_store_sees_a_commit(store: Store, store_url: str) -> None:
    with closing(open_store(store_url)) as other:
        head = commit(store, named(Kind.VIRTUAL_NODE, "front"), after=0)
        assert other.heads() == [head]
        with pytest.raises(RevisionConflictError):
            commit(other, named(Kind.VIRTUAL_NODE, "b"), after=0)
        second = commit(other, named(Kind.VIRTUAL_NODE, "b"), after=1)
    assert store.head(DEMO) == second


@among_others
def test_a_new_store_can_be_opened_by_many_at_once(store_url: str) -> None:
    barrier = threading.Barrier(8)
    opened: list[Store] = []
    errors: list[Exception] = []

    def open_it() -> None:
        barrier.wait()
        try:
            opened.append(open_store(store_url))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    secrets = {store.secret() for store in opened}
    for store in opened:
        store.close()
    assert errors == []
    assert len(secrets) == 1


def test_an_entry_is_replaced_by_the_next_of_its_name(store: Store) -> None:
    store.put_entry("keys", "a", "1")
    store.put_entry("keys", "a", "☃")
    assert store.entries("keys") == {"a": "☃"}


def test_a_removed_entry_is_gone_and_others_stay(store: Store) -> None:
    store.put_entry("keys", "a", "1")
    store.put_entry("keys", "b", "2")
    store.put_entry("other", "a", "3")
    store.remove_entry("keys", "a")
    store.remove_entry("keys", "never was")
    assert (store.entries("keys"), store.entries("other")) == ({"b": "2"}, {"a": "3"})


def test_a_new_store_has_no_entries(store: Store) -> None:
    assert store.entries("keys") == {}


def test_many_entries_are_kept_and_forgotten_together(store: Store) -> None:
    """More than DynamoDB takes in a request."""
    store.put_entry("keys", "was there", "1")
    contents = {f"key-{n}": str(n) for n in range(60)}
    store.write_entries("keys", {**contents, "was there": None, "never was": None})
    assert store.entries("keys") == contents


def test_no_entries_at_all_can_be_written(store: Store) -> None:
    store.write_entries("keys", {})
    assert store.entries("keys") == {}


def test_the_stores_time_is_that_of_the_world(store: Store) -> None:
    store.heads()
    assert abs(store.now() - time.time()) < 60
