"""How a store lies in one DynamoDB table: the items, their keys, and what fits into one.

    pk                  sk                            holds
    schema              schema                        the layout's version
    secret              secret                        the store's secret
    heads               OWNER/MESH                    a mesh's revision
    heads               schema                        the layout's version, once it has changed
    heads               entries                       another stamp with each entry that is put
    mesh/OWNER/MESH     resource/KIND/PARENT/NAME     a resource
    mesh/OWNER/MESH     change/REVISION/PART          what a revision changed (expires)
    answer/DIGEST       answer                        an answer by its client token (expires)
    spent/SIGNATURE     spent                         that a signed write was carried out (expires)
    entries/COLLECTION  NAME                          a text of no mesh, such as a signing key

All heads are in one partition, so that one small query polls all meshes. Of a key's parts only
the last may hold a slash as it is.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from meshwright.model.resources import Kind, MeshKey, Resource, ResourceKey
from meshwright.store.interface import Change, MeshHead, SpentSignature, StoreLimitError
from meshwright.store.records import parse_record, parse_record_object, render_record

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

Item = Mapping[str, Mapping[str, Any]]
"""An item as DynamoDB answers it: `{"revision": {"N": "7"}}`."""

NewItem = dict[str, "AttributeValueTypeDef"]

HEADS: Final = "heads"
SCHEMA_MARK: Final = "schema"
ENTRIES_MARK: Final = "entries"
"""Where among the heads the layout's version and the entries' stamp stand, so that whoever polls
the heads knows them too. No mesh has such a key."""

RESOURCES: Final = "resource/"
EXPIRY: Final = "expires_at"
"""The attribute that holds when an item may go, in seconds since the epoch."""

MAX_RECORD_BYTES: Final = 390_000
MAX_PART_BYTES: Final = 395_000
"""An item has at most 400 KB (409,600 bytes), its keys and attributes' names included
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html)."""

MAX_SORT_KEY_BYTES: Final = 1024
MAX_TRANSACTION_ITEMS: Final = 100
MAX_TRANSACTION_BYTES: Final = 4 * 1024 * 1024


def build_key(partition: str, sort: str) -> NewItem:
    """The key of an item."""
    return {"pk": {"S": partition}, "sk": {"S": sort}}


def mesh_partition(mesh: MeshKey) -> str:
    """The partition that holds a mesh's resources and changes."""
    return f"mesh/{_escape(mesh.owner)}/{mesh.name}"


def head_key(mesh: MeshKey) -> NewItem:
    """The key of a mesh's head."""
    return build_key(HEADS, f"{_escape(mesh.owner)}/{mesh.name}")


def resource_prefix(kind: Kind, parent: str) -> str:
    """How the sort keys of all resources of a kind in a parent begin; the names follow."""
    return f"{RESOURCES}{kind.value}/{_escape(parent)}/"


def resource_key(key: ResourceKey) -> NewItem:
    """The key of a resource's item.

    Raises:
        StoreLimitError: The names are too long for a key of DynamoDB's.
    """
    sort = resource_prefix(key.kind, key.parent) + key.name
    if len(sort.encode()) > MAX_SORT_KEY_BYTES:
        raise StoreLimitError(
            f"{key}: DynamoDB takes keys of up to {MAX_SORT_KEY_BYTES} bytes, and the names of "
            "this resource and what it lives in are longer; choose shorter names"
        )
    return build_key(mesh_partition(key.mesh), sort)


def change_sort_key(revision: int, part: int = 0) -> str:
    """The sort key of a part of what a revision changed."""
    return f"change/{revision:020d}/{part:03d}"


def answer_key(token: str) -> NewItem:
    """The key of an answer; tokens may be longer than a key may be."""
    return build_key(f"answer/{hashlib.sha256(token.encode()).hexdigest()}", "answer")


def build_spent_item(spent: SpentSignature) -> NewItem:
    """The item that says that a signature was spent."""
    return {**spent_key(spent), EXPIRY: {"N": str(math.ceil(spent.expires_at))}}


def spent_key(spent: SpentSignature) -> NewItem:
    """The key of that item."""
    return build_key(f"spent/{spent.signature}", "spent")


def entries_partition(collection: str) -> str:
    """The partition that holds the texts of a collection."""
    return f"entries/{collection}"


def parse_head(item: Item) -> MeshHead:
    """A head from its item."""
    owner, _, name = item["sk"]["S"].partition("/")
    mesh = MeshKey(_unescape(owner), name)
    return MeshHead(mesh, int(item["revision"]["N"]), float(item["committed_at"]["N"]))


def parse_resource(mesh: MeshKey, item: Item) -> Resource:
    """A resource from its item."""
    _, kind, parent, name = item["sk"]["S"].split("/", 3)
    return parse_record(ResourceKey(mesh, Kind(kind), name, _unescape(parent)), item["record"]["S"])


def build_resource_item(resource: Resource) -> NewItem:
    """The item of a resource.

    Raises:
        StoreLimitError: The resource is too large for an item.
    """
    record = render_record(resource)
    size = len(record.encode())
    if size > MAX_RECORD_BYTES:
        raise StoreLimitError(
            f"{resource.key}: has {size} bytes as JSON, and DynamoDB takes up to "
            f"{MAX_RECORD_BYTES} in one item; make it smaller, or use a SQLite store"
        )
    return {**resource_key(resource.key), "record": {"S": record}}


def build_change_items(head: MeshHead, changes: Sequence[Change], *, expiry: int) -> list[NewItem]:
    """The items that say what a revision changed: as few as hold it, in order."""
    parts: list[list[str]] = [[]]
    size = 0
    for change in changes:
        record = "null" if change.resource is None else render_record(change.resource)
        names = json.dumps([change.key.kind.value, change.key.parent, change.key.name])
        entry = f"[{names},{record}]"
        size += len(entry.encode()) + 1
        if parts[-1] and size > MAX_PART_BYTES:
            parts.append([])
            size = len(entry.encode()) + 1
        parts[-1].append(entry)
    return [
        {
            **build_key(mesh_partition(head.mesh), change_sort_key(head.revision, number)),
            "changes": {"S": f"[{','.join(part)}]"},
            "parts": {"N": str(len(parts))},
            EXPIRY: {"N": str(expiry)},
        }
        for number, part in enumerate(parts)
    ]


def parse_changes(mesh: MeshKey, items: Sequence[Item]) -> Mapping[int, Sequence[Change]]:
    """The changes of each revision of which all parts are there, in the order of revisions."""
    parts: dict[int, list[Item]] = {}
    for item in items:
        parts.setdefault(int(item["sk"]["S"].split("/")[1]), []).append(item)
    return {
        revision: [change for item in found for change in _parse_part(mesh, item)]
        for revision, found in parts.items()
        if len(found) == int(found[0]["parts"]["N"])
    }


def _parse_part(mesh: MeshKey, item: Item) -> Iterator[Change]:
    for (kind, parent, name), record in json.loads(item["changes"]["S"]):
        key = ResourceKey(mesh, Kind(kind), name, parent)
        yield Change(key, None if record is None else parse_record_object(key, record))


def measure_item(item: Mapping[str, Any]) -> int:
    """About how many bytes an item counts: the names and values of its attributes."""
    return sum(
        len(name.encode()) + len(str(value).encode())
        for name, attribute in item.items()
        for value in attribute.values()
    )


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("/", "%2F")


def _unescape(text: str) -> str:
    return text.replace("%2F", "/").replace("%25", "%")
