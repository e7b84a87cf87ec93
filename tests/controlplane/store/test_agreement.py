"""Every engine and a plain dict, driven side by side: they must answer alike, always."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from meshwright.model.resources import Kind, MeshKey, Resource, ResourceKey, mesh_resource_key
from meshwright.store import (
    Change,
    MeshHead,
    MeshState,
    RevisionConflictError,
    SignatureSpentError,
    SpentSignature,
    Store,
    StoredAnswer,
    open_store,
)
from tests.controlplane.meshes import build_resource
from tests.controlplane.store.dict_store import DictStore

CONFLICT = "a conflict"
SPENT = "a replay"

# Few names, so that rules meet; odd ones, because engines build their keys of them.
names = st.sampled_from(["a", "a/b", "a%2Fb", "a-b", "A", "é", "#1", "☃"])
meshes = st.builds(MeshKey, st.sampled_from(["000000000000", "111111111111"]), names)
# Within one day, for which answers are kept.
moments = st.floats(1_700_000_000, 1_700_080_000)
tokens = st.sampled_from(["t", "t/1", "T"])
collections = st.sampled_from(["keys", "proxies/000000000000/a", "proxies/000000000000/a/b"])
signatures = st.builds(
    SpentSignature, st.sampled_from(["KEY/1", "KEY/2", "OTHER/1"]), st.just(1.0), st.just(1e10)
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def resource_keys(draw: st.DrawFn, mesh: MeshKey) -> ResourceKey:
    kind = draw(st.sampled_from(Kind))
    if kind is Kind.MESH:
        return mesh_resource_key(mesh)
    parent = draw(names) if kind.parent is not Kind.MESH else ""
    return ResourceKey(mesh, kind, draw(names), parent)


@st.composite
def changes_of(draw: st.DrawFn, mesh: MeshKey) -> Sequence[Change]:
    return [
        Change(key, draw(st.none() | resources_of(key)))
        for key in draw(st.lists(resource_keys(mesh), min_size=1, max_size=4))
    ]


def resources_of(key: ResourceKey) -> st.SearchStrategy[Resource]:
    template = build_resource(Kind.MESH, "demo", {})

    def build(**fields: Any) -> Resource:
        return replace(template, key=key, **fields)

    return st.builds(
        build,
        spec=st.dictionaries(st.text(), json_values, max_size=3),
        version=st.integers(1, 2**40),
        last_updated_at=st.floats(0, 1e12),
        tags=st.lists(st.tuples(st.text(), st.text()), max_size=2).map(tuple),
    )


class StoresAgree(RuleBasedStateMachine):
    """Rules are the interface's methods; each compares all stores' answers with the model's."""

    def __init__(self, open_stores: Callable[[ExitStack], Mapping[str, Store]]) -> None:
        super().__init__()
        self.open = ExitStack()
        self.model = DictStore()
        self.written: set[MeshKey] = set()
        self.stores = dict(open_stores(self.open))

    def teardown(self) -> None:
        """Compare everything once more, and let go of the stores."""
        for head in self.model.heads():
            self.agree_on_mesh(head.mesh)
        for store in self.stores.values():
            store.close()
        self.open.close()

    def agree(self, expected: Any, ask: Callable[[Store], Any]) -> None:
        """Require the same answer of every store."""
        for name, store in self.stores.items():
            assert ask(store) == expected, name

    @rule(data=st.data(), mesh=meshes, behind=st.sampled_from([0, 0, 0, 0, 1, -1]))
    def commit(self, data: st.DataObject, mesh: MeshKey, behind: int) -> None:
        """Commit, now and then on another revision than the mesh is at."""
        arguments: dict[str, Any] = {
            "expected_revision": max(0, self.model.head(mesh).revision - behind),
            "changes": data.draw(changes_of(mesh)),
            "committed_at": data.draw(moments),
            "answer": data.draw(
                st.none() | st.builds(StoredAnswer, tokens, st.text(max_size=3), st.text())
            ),
            "spent": data.draw(st.none() | signatures),
        }
        self.written.add(mesh)
        self.agree(commit_to(self.model, mesh, arguments), lambda s: commit_to(s, mesh, arguments))

    @rule(data=st.data(), mesh=meshes, behind=st.sampled_from([0, 0, 1]), ahead=st.integers(1, 9))
    def restore(self, data: st.DataObject, mesh: MeshKey, behind: int, ahead: int) -> None:
        """Put a mesh here as it was elsewhere, now and then where one is."""
        expected = max(0, self.model.head(mesh).revision - behind)
        keys = data.draw(st.lists(resource_keys(mesh), max_size=3, unique=True))
        resources = [data.draw(resources_of(key)) for key in keys]
        head = MeshHead(mesh, expected + ahead, data.draw(moments))
        state = MeshState(head, tuple(resources))
        self.written.add(mesh)
        self.agree(
            restore_to(self.model, state, expected),
            lambda store: restore_to(store, state, expected),
        )

    @rule(key=meshes.flatmap(resource_keys))
    def find(self, key: ResourceKey) -> None:
        """Find a resource."""
        self.agree(self.model.find(key), lambda store: store.find(key))

    @rule(mesh=meshes, after=st.integers(0, 12))
    def changes(self, mesh: MeshKey, after: int) -> None:
        """Follow a mesh."""
        self.agree(
            self.model.changes(mesh, after=after), lambda store: store.changes(mesh, after=after)
        )

    @rule(
        mesh=meshes,
        kind=st.sampled_from([kind for kind in Kind if kind is not Kind.MESH]),
        parent=names,
        after=st.just("") | names,
        limit=st.integers(1, 4),
    )
    def list_resources(
        self, mesh: MeshKey, kind: Kind, parent: str, after: str, limit: int
    ) -> None:
        """List what is in a mesh or a resource."""
        within = parent if kind.parent is not Kind.MESH else ""

        def ask(store: Store | DictStore) -> Sequence[Resource]:
            return list(store.list(mesh, kind, parent=within, after=after, limit=limit))

        self.agree(ask(self.model), ask)

    @rule(after=st.just("") | meshes.map(lambda mesh: mesh.name), limit=st.integers(1, 4))
    def list_meshes(self, after: str, limit: int) -> None:
        """List meshes."""

        def ask(store: Store | DictStore) -> Sequence[Resource]:
            return list(store.list(None, Kind.MESH, after=after and f"{after}/5", limit=limit))

        self.agree(ask(self.model), ask)

    @rule(token=tokens)
    def find_answer(self, token: str) -> None:
        """Find an answer."""
        self.agree(self.model.find_answer(token), lambda store: store.find_answer(token))

    @rule(token=tokens, signature=st.none() | signatures)
    def keep_answer(self, token: str, signature: SpentSignature | None) -> None:
        """Keep an answer without a commit."""
        answer = StoredAnswer(token, "digest", "{}")
        kept = keep_in(self.model, answer, signature)
        self.agree(kept, lambda store: keep_in(store, answer, signature))

    @rule(signature=signatures)
    def spend(self, signature: SpentSignature) -> None:
        """Spend a signature on something else than a commit."""
        self.agree(spend_in(self.model, signature), lambda store: spend_in(store, signature))

    @rule(signature=signatures)
    def unspend(self, signature: SpentSignature) -> None:
        """Let a signature be used again."""
        self.agree(self.model.unspend(signature), lambda store: store.unspend(signature))

    @rule(
        collection=collections,
        contents=st.dictionaries(names, st.none() | st.text(), max_size=4),
    )
    def write_entries(self, collection: str, contents: Mapping[str, str | None]) -> None:
        """Keep some texts and forget others."""
        self.model.write_entries(collection, contents)
        for store in self.stores.values():
            store.write_entries(collection, contents)
        self.agree(self.model.entries(collection), lambda store: store.entries(collection))

    @rule()
    def open_again(self) -> None:
        """Close every store and open it again."""
        for name, store in self.stores.items():
            again = open_store(store.url)
            assert again.secret() == store.secret()
            store.close()
            self.stores[name] = again

    @invariant()
    def what_was_written_to_is_the_same(self) -> None:
        """Heads, and the whole of the meshes that the last step wrote to."""
        heads = {head.mesh: head for head in self.model.heads()}
        self.agree(heads, lambda store: {head.mesh: head for head in store.heads()})
        while self.written:
            self.agree_on_mesh(self.written.pop())

    def agree_on_mesh(self, mesh: MeshKey) -> None:
        """Require the same whole mesh of every store."""
        self.agree(self.model.load(mesh), lambda store: sorted_state(store, mesh))
        self.agree(self.model.head(mesh), lambda store: store.head(mesh))


def commit_to(store: Store | DictStore, mesh: MeshKey, arguments: Mapping[str, Any]) -> Any:
    try:
        return store.commit(mesh, **arguments)
    except RevisionConflictError:
        return CONFLICT
    except SignatureSpentError:
        return SPENT


def keep_in(
    store: Store | DictStore, answer: StoredAnswer, signature: SpentSignature | None
) -> Any:
    try:
        return store.keep_answer(answer, signature)
    except RevisionConflictError:
        return CONFLICT
    except SignatureSpentError:
        return SPENT


def spend_in(store: Store | DictStore, signature: SpentSignature) -> Any:
    try:
        return store.spend(signature)
    except SignatureSpentError:
        return SPENT


def restore_to(store: Store | DictStore, state: MeshState, expected: int) -> Any:
    try:
        return store.restore(state, expected_revision=expected)
    except RevisionConflictError:
        return CONFLICT


def sorted_state(store: Store, mesh: MeshKey) -> MeshState:
    state = store.load(mesh)
    return replace(state, resources=tuple(sorted(state.resources, key=lambda each: each.key)))


def drive(
    open_stores: Callable[[ExitStack], Mapping[str, Store]], *, examples: int, steps: int
) -> None:
    class Machine(StoresAgree):
        def __init__(self) -> None:
            super().__init__(open_stores)

    limits = settings(max_examples=examples, stateful_step_count=steps, deadline=None)
    run_state_machine_as_test(Machine, settings=limits)


def open_sqlite(stack: ExitStack) -> Store:
    folder = stack.enter_context(TemporaryDirectory())
    return open_store(f"sqlite:///{Path(folder)}/mesh.db")


def test_sqlite_agrees_with_a_dict() -> None:
    drive(lambda stack: {"sqlite": open_sqlite(stack)}, examples=40, steps=20)


def test_dynamodb_and_sqlite_agree_with_a_dict(new_table: Callable[[], str]) -> None:
    def open_stores(stack: ExitStack) -> Mapping[str, Store]:
        return {"sqlite": open_sqlite(stack), "dynamodb": open_store(new_table())}

    drive(open_stores, examples=12, steps=12)
