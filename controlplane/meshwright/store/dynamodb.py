"""The DynamoDB store: one table that several control planes share (its layout: dynamodb_items)."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from meshwright.model.resources import Kind, MeshKey, Resource, ResourceKey, mesh_resource_key
from meshwright.store.dynamodb_clock import ServerClock
from meshwright.store.dynamodb_items import (
    ENTRIES_MARK,
    EXPIRY,
    HEADS,
    RESOURCES,
    SCHEMA_MARK,
    Item,
    answer_key,
    build_change_items,
    build_key,
    build_resource_item,
    build_spent_item,
    change_sort_key,
    entries_partition,
    head_key,
    mesh_partition,
    parse_changes,
    parse_head,
    parse_resource,
    resource_key,
    resource_prefix,
    spent_key,
)
from meshwright.store.dynamodb_requests import CancelledError, ConditionError, Table, attempts
from meshwright.store.dynamodb_table import (
    connect,
    parse_table_url,
    parse_version,
    prepare_table,
    require_known_schema,
)
from meshwright.store.dynamodb_writes import (
    build_answer_write,
    build_head_write,
    build_put,
    build_resource_write,
    build_spent_write,
    require_small,
)
from meshwright.store.interface import (
    CHANGES_KEPT,
    Change,
    MeshHead,
    MeshState,
    RevisionConflictError,
    SignatureSpentError,
    SpentSignature,
    StoredAnswer,
    StoreError,
    require_changes,
    require_restorable,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef, WriteRequestTypeDef

CHANGES_KEPT_SECONDS: Final = 3600
"""How long changes are kept; a control plane that runs is never as far behind."""

_SETTLING_REVISIONS: Final = 16
"""Of how many revisions before the head a part may still be under way; see `load`."""

_MESHES_AT_ONCE: Final = 100

_BUSY: Final = frozenset(
    {"None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
)
_FAILED: Final = "ConditionalCheckFailed"


class DynamoDbStore:
    """A store in one DynamoDB table.

    Args:
        url: `dynamodb://TABLE?region=REGION&endpoint=URL`.
        create: Make the table where it does not exist.
        clock: Seconds since the epoch, for what expires.

    Raises:
        StoreError: The URL is of another form, or the table can't be used.
    """

    def __init__(
        self, url: str, *, create: bool = True, clock: Callable[[], float] = time.time
    ) -> None:
        client, address = connect(parse_table_url(url))
        self._dynamodb_clock = ServerClock(client)
        self._table = Table(client, address.table, address.url)
        self._clock = clock
        # As far as the heads have told.
        self._schema = 0
        self._entries_stamp = ""
        try:
            prepare_table(client, address, create=create)
        except BaseException:
            client.close()
            raise

    @property
    def url(self) -> str:
        """Where the store is, as `meshwright serve --store` takes it."""
        return self._table.url

    # Reading

    def heads(self) -> Sequence[MeshHead]:
        """The heads of all meshes there are or ever were.

        One consistent query, which costs one read unit for each 4 KB of heads, some 40 meshes.
        Asked twice a second, as `meshwright serve` does, that is 172,800 read units a day.

        Raises:
            StoreError: A newer version has changed the layout since. Commits are refused then too.
        """
        heads: list[MeshHead] = []
        for item in self._table.query(HEADS):
            if item["sk"]["S"] == SCHEMA_MARK:
                self._schema = parse_version(item)
                require_known_schema(self._schema, self.url)
            elif item["sk"]["S"] == ENTRIES_MARK:
                self._entries_stamp = item["stamp"]["S"]
            else:
                heads.append(parse_head(item))
        return [head for head in heads if head.revision]  # 0: it is being restored

    def head(self, mesh: MeshKey) -> MeshHead:
        """The head of one mesh; revision 0 for one that never was."""
        item = self._table.get(head_key(mesh))
        return MeshHead(mesh, 0, 0.0) if item is None else parse_head(item)

    def load(self, mesh: MeshKey) -> MeshState:
        """A mesh with all its resources, consistent at one revision.

        A query is no snapshot: of a transaction under way it may show some items and not others
        (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html,
        "Read-committed"). So the head is read before and after by a transaction of its own, which
        is refused while another one on the head is under way: what the query showed is then no
        newer than the second head. What it may lack stands in the changes of the newest
        revisions, and these are carried out once more on what was read. A head may be seen before
        its changes too, so those are waited for.
        """
        state = None
        for _ in attempts():
            state, is_settled = self._read_state(mesh)
            if is_settled and state is not None:
                return state
        if state is None:
            raise StoreError(f"store {self.url!r}: mesh {mesh.name!r} changes too fast to be read")
        return state  # no commit takes as long as these attempts: somebody removed its changes

    def _read_state(self, mesh: MeshKey) -> tuple[MeshState | None, bool]:
        """A mesh, or None where it was not of one revision; and whether its last commit is over."""
        first = self._table.get_settled(head_key(mesh))
        if first is None or "restoring" in first:
            head = MeshHead(mesh, 0, 0.0) if first is None else parse_head(first)
            return MeshState(head, ()), True
        items = [*self._table.query(mesh_partition(mesh), RESOURCES)]
        last = self._table.get_settled(head_key(mesh))
        if last is None or "restoring" in last:
            return None, False
        seen, head = parse_head(first).revision, parse_head(last)
        changes = self._read_changes(
            mesh, after=max(0, seen - _SETTLING_REVISIONS), until=head.revision
        )
        if any(revision not in changes for revision in range(seen + 1, head.revision + 1)):
            return None, False
        resources = {each.key: each for each in (parse_resource(mesh, item) for item in items)}
        for change in _newest_changes(changes, head.revision):
            resources.pop(change.key, None)
            if change.resource is not None:
                resources[change.key] = change.resource
        is_settled = head.revision in changes or not self._has_changes(last)
        return MeshState(head, tuple(resources.values())), is_settled

    def _has_changes(self, head: Item) -> bool:
        """Whether the changes of the last commit are kept still."""
        return "changes_expire" in head and int(head["changes_expire"]["N"]) > self._clock()

    def changes(self, mesh: MeshKey, *, after: int) -> tuple[MeshHead, Sequence[Change]] | None:
        """What was committed after a revision, or None where that is no longer kept."""
        head = self.head(mesh)
        if not 0 <= head.revision - after <= CHANGES_KEPT:
            return None
        found = self._read_changes(mesh, after=after, until=head.revision)
        revisions = range(after + 1, head.revision + 1)
        if any(revision not in found for revision in revisions):
            return None
        return head, [change for revision in revisions for change in found[revision]]

    def _read_changes(
        self, mesh: MeshKey, *, after: int, until: int
    ) -> Mapping[int, Sequence[Change]]:
        if after >= until:
            return {}
        low, high = change_sort_key(after + 1), change_sort_key(until, 999)
        return parse_changes(mesh, [*self._table.query_between(mesh_partition(mesh), low, high)])

    def find(self, key: ResourceKey) -> Resource | None:
        """One resource, or None where there is none."""
        item = self._table.get(resource_key(key))
        return None if item is None else parse_resource(key.mesh, item)

    def list(
        self, mesh: MeshKey | None, kind: Kind, *, parent: str = "", after: str = "", limit: int
    ) -> Sequence[Resource]:
        """Up to `limit` resources of a kind after a sort key, by name."""
        if mesh is None:
            return [*islice(self._meshes(after), limit)]
        prefix = resource_prefix(kind, parent)
        items = self._table.query(mesh_partition(mesh), prefix, after=after, limit=limit)
        return [parse_resource(mesh, item) for item in items]

    def _meshes(self, after: str) -> Iterator[Resource]:
        """The meshes that exist, after a sort key, by name and owner."""
        after_name, _, after_owner = after.partition("/")
        present = (parse_head(item) for item in self._table.query(HEADS) if "present" in item)
        names = sorted((head.mesh.name, head.mesh.owner) for head in present)
        meshes = [
            MeshKey(owner, name)
            for name, owner in names
            if (name, owner) > (after_name, after_owner)
        ]
        for start in range(0, len(meshes), _MESHES_AT_ONCE):
            batch = {mesh_partition(mesh): mesh for mesh in meshes[start : start + _MESHES_AT_ONCE]}
            keys = [resource_key(mesh_resource_key(mesh)) for mesh in batch.values()]
            found = {item["pk"]["S"]: item for item in self._table.get_all(keys)}
            for partition, mesh in batch.items():
                if partition in found:  # else it was deleted just now
                    yield parse_resource(mesh, found[partition])

    # Writing

    def commit(
        self,
        mesh: MeshKey,
        *,
        expected_revision: int,
        changes: Sequence[Change],
        committed_at: float,
        answer: StoredAnswer | None = None,
        spent: SpentSignature | None = None,
    ) -> MeshHead:
        """Carry out changes to one mesh, all or none.

        Raises:
            RevisionConflictError: The mesh is not at `expected_revision`, or the answer's token
                was answered meanwhile.
            SignatureSpentError: The signature was spent before.
            StoreLimitError: The changes are too many or too large for one transaction.
        """
        require_known_schema(self._schema, self.url)
        require_changes(changes)
        head = MeshHead(mesh, expected_revision + 1, committed_at)
        # A transaction may write to an item once; the change items below hold every change.
        last_ones = {change.key: change for change in changes}.values()
        expiry = int(self._clock()) + CHANGES_KEPT_SECONDS
        change_items = build_change_items(head, changes, expiry=expiry)
        conditional: dict[str, TransactWriteItemTypeDef] = {
            "head": build_head_write(self._table.name, head, changes, expiry=expiry)
        }
        if answer is not None:
            conditional["answer"] = self._build_answer_write(answer)
        if spent is not None:
            conditional["spent"] = build_spent_write(self._table.name, spent)
        writes: list[TransactWriteItemTypeDef] = [
            *conditional.values(),
            *(build_resource_write(self._table.name, change) for change in last_ones),
            *(build_put(self._table.name, each) for each in change_items),
        ]
        require_small(writes, changes)
        for _ in attempts():
            try:
                self._table.write_together(writes)
            except CancelledError as error:
                self._explain(error, list(conditional), head)
                continue
            return head
        raise RevisionConflictError(f"mesh {mesh.name!r} is being changed by others")

    def _build_answer_write(self, answer: StoredAnswer) -> TransactWriteItemTypeDef:
        return build_answer_write(self._table.name, answer, now=int(self._clock()))

    def _explain(
        self, error: CancelledError, conditional: Sequence[str], head: MeshHead | None = None
    ) -> None:
        """Raise what a refused transaction means; return where it should be tried again.

        Args:
            error: The refusal.
            conditional: What the transaction's first items are, those with conditions.
            head: What the mesh's head would have become, where that is the first of them.
        """
        codes = [str(reason.get("Code", "None")) for reason in error.reasons]
        failed = {name for name, code in zip(conditional, codes, strict=False) if code == _FAILED}
        if "spent" in failed:
            raise SignatureSpentError from error
        if head is not None and "head" in failed:
            name, old = head.mesh.name, error.reasons[0].get("Item", {})
            if "restoring" in old:
                raise StoreError(
                    f"store {self.url!r}: mesh {name!r} is being copied into it; wait for "
                    "`meshwright store copy`, or run that again where it was interrupted"
                ) from error
            revision = old["revision"]["N"] if old else 0
            raise RevisionConflictError(
                f"mesh {name!r} is at revision {revision}, not {head.revision - 1}"
            ) from error
        if "answer" in failed:
            raise RevisionConflictError("the client token was answered meanwhile") from error
        if not set(codes) <= _BUSY:
            raise StoreError(f"store {self.url!r} refused a commit: {error}") from error

    def find_answer(self, token: str) -> StoredAnswer | None:
        """The answer that was kept for a client token within the last day, or None."""
        item = self._table.get(answer_key(token))
        # DynamoDB takes up to days to remove what has expired.
        if item is None or int(item[EXPIRY]["N"]) < int(self._clock()):
            return None
        return StoredAnswer(token, item["request_digest"]["S"], item["body"]["S"])

    def keep_answer(self, answer: StoredAnswer, spent: SpentSignature | None = None) -> None:
        """Keep the answer to a request that comes to no commit.

        Raises:
            RevisionConflictError: The answer's token was answered meanwhile.
            SignatureSpentError: The signature was spent before.
        """
        writes = {"answer": self._build_answer_write(answer)}
        if spent is not None:
            writes["spent"] = build_spent_write(self._table.name, spent)
        for _ in attempts():
            try:
                self._table.write_together([*writes.values()])
            except CancelledError as error:
                self._explain(error, list(writes))
                continue
            return
        raise RevisionConflictError("the client token is being answered by others")

    def spend(self, spent: SpentSignature) -> None:
        """Spend a signature on something else than a commit.

        Raises:
            SignatureSpentError: It was spent before.
        """
        try:
            self._table.put_new(build_spent_item(spent))
        except ConditionError as error:
            raise SignatureSpentError from error

    def unspend(self, spent: SpentSignature) -> None:
        """Let a signature be used again, if it was spent."""
        self._table.write_all([{"DeleteRequest": {"Key": spent_key(spent)}}])

    def secret(self) -> bytes:
        """32 random bytes that all users of this store share, made at its first use."""
        key = build_key("secret", "secret")
        item = self._table.get(key)
        if item is None:
            with suppress(ConditionError):  # another control plane was faster
                self._table.put_new({**key, "value": {"B": secrets.token_bytes(32)}})
            item = self._table.get(key)
            assert item is not None
        return bytes(item["value"]["B"])

    def entries(self, collection: str) -> Mapping[str, str]:
        """The texts of a collection by their names."""
        items = self._table.query(entries_partition(collection))
        return {item["sk"]["S"]: item["content"]["S"] for item in items}

    def entries_stamp(self) -> str:
        """What is another one once an entry was put or removed, as of the last `heads()`."""
        return self._entries_stamp

    def put_entry(self, collection: str, name: str, content: str) -> None:
        """Keep a text under a name, in the place of the last one."""
        self.write_entries(collection, {name: content})
        self._stamp_entries()

    def remove_entry(self, collection: str, name: str) -> None:
        """Forget a text, if there is one of that name."""
        self.write_entries(collection, {name: None})
        self._stamp_entries()

    def _stamp_entries(self) -> None:
        # After the entry and not with it: a query may show one half of a transaction under way,
        # and whoever saw the stamp alone would not look again.
        key = build_key(HEADS, ENTRIES_MARK)
        self._table.write_all([{"PutRequest": {"Item": {**key, "stamp": {"S": uuid.uuid4().hex}}}}])

    def write_entries(self, collection: str, contents: Mapping[str, str | None]) -> None:
        """Keep texts under their names, and forget those that are None, 25 in a request."""
        partition = entries_partition(collection)
        writes: list[WriteRequestTypeDef] = []
        for name, text in contents.items():
            key = build_key(partition, name)
            if text is None:
                writes.append({"DeleteRequest": {"Key": key}})
            else:
                writes.append({"PutRequest": {"Item": {**key, "content": {"S": text}}}})
        self._table.write_all(writes)

    def now(self) -> float:
        """The time by DynamoDB's clock."""
        return self._dynamodb_clock.now()

    def restore(self, state: MeshState, *, expected_revision: int) -> None:
        """Put a whole mesh here as it was elsewhere, at its own revision.

        A mesh may be larger than a transaction, so its head says that it is being restored until
        all is there; until then nobody can write to it, and it is neither loaded nor listed.

        Raises:
            RevisionConflictError: The mesh is not at `expected_revision`, or has resources.
        """
        require_restorable(state, expected_revision)
        mesh, mark = state.head.mesh, {"S": str(uuid.uuid4())}
        puts: list[WriteRequestTypeDef] = [
            {"PutRequest": {"Item": build_resource_item(resource)}} for resource in state.resources
        ]
        found = self._table.get(head_key(mesh)) or {}
        leftovers = [*self._table.query(mesh_partition(mesh), RESOURCES)]
        if leftovers and "restoring" not in found:
            raise RevisionConflictError(f"mesh {mesh.name!r} has resources")
        expected = "revision = :expected"
        self._update_head(
            mesh,
            "SET restoring = :mark, revision = :expected,"
            " committed_at = if_not_exists(committed_at, :zero)",
            expected if expected_revision else f"attribute_not_exists(pk) OR {expected}",
            {":mark": mark, ":expected": {"N": str(expected_revision)}, ":zero": {"N": "0"}},
        )
        self._table.write_all(
            [{"DeleteRequest": {"Key": {"pk": each["pk"], "sk": each["sk"]}}} for each in leftovers]
        )
        self._table.write_all(puts)
        has_mesh = any(each.key == mesh_resource_key(mesh) for each in state.resources)
        self._update_head(
            mesh,
            f"SET revision = :revision, committed_at = :at{', present = :mark' if has_mesh else ''}"
            " REMOVE restoring, changes_expire",
            "restoring = :mark",
            {
                ":mark": mark,
                ":revision": {"N": str(state.head.revision)},
                ":at": {"N": repr(state.head.committed_at)},
            },
        )

    def _update_head(
        self, mesh: MeshKey, update: str, condition: str, values: Mapping[str, Any]
    ) -> None:
        try:
            self._table.update(head_key(mesh), update, condition=condition, values=values)
        except ConditionError as error:
            raise RevisionConflictError(f"mesh {mesh.name!r} was written to meanwhile") from error

    def close(self) -> None:
        """Close the connections."""
        self._table.client.close()


def _newest_changes(changes: Mapping[int, Sequence[Change]], newest: int) -> Sequence[Change]:
    """The changes of the revisions that lead to the newest one without a gap, in order."""
    oldest = newest
    while oldest in changes:
        oldest -= 1
    return [change for each in range(oldest + 1, newest + 1) for change in changes[each]]
