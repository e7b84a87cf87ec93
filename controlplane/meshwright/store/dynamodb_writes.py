"""The writes of a commit as one DynamoDB transaction takes them, each with its condition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from meshwright.model.resources import mesh_resource_key
from meshwright.store.dynamodb_items import (
    EXPIRY,
    MAX_TRANSACTION_BYTES,
    MAX_TRANSACTION_ITEMS,
    Item,
    answer_key,
    build_resource_item,
    build_spent_item,
    head_key,
    measure_item,
    resource_key,
)
from meshwright.store.interface import (
    ANSWERS_KEPT_SECONDS,
    Change,
    MeshHead,
    SpentSignature,
    StoredAnswer,
    StoreLimitError,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef


def build_head_write(
    table: str, head: MeshHead, changes: Sequence[Change], *, expiry: int
) -> TransactWriteItemTypeDef:
    """The head after a commit, on condition that it is what it was before, and not being restored.

    Args:
        table: The table's name.
        head: The head.
        changes: What the commit changes.
        expiry: Until when its changes are kept, in seconds since the epoch.
    """
    update = "SET revision = :next, committed_at = :at, changes_expire = :expiry"
    values: dict[str, Any] = {
        ":expiry": {"N": str(expiry)},
        ":next": {"N": str(head.revision)},
        ":at": {"N": repr(head.committed_at)},
    }
    own = [change for change in changes if change.key == mesh_resource_key(head.mesh)]
    if own and own[-1].resource is not None:
        update += ", present = :present"
        values[":present"] = {"BOOL": True}
    elif own:
        update += " REMOVE present"
    condition = "attribute_not_exists(pk)"
    if head.revision > 1:
        condition = "revision = :expected AND attribute_not_exists(restoring)"
        values[":expected"] = {"N": str(head.revision - 1)}
    return {
        "Update": {
            "TableName": table,
            "Key": head_key(head.mesh),
            "UpdateExpression": update,
            "ConditionExpression": condition,
            "ExpressionAttributeValues": values,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
    }


def build_put(table: str, item: Item) -> TransactWriteItemTypeDef:
    """An item, in the place of the last one of its key."""
    return {"Put": {"TableName": table, "Item": item}}


def build_resource_write(table: str, change: Change) -> TransactWriteItemTypeDef:
    """What becomes of a resource."""
    if change.resource is None:
        return {"Delete": {"TableName": table, "Key": resource_key(change.key)}}
    return build_put(table, build_resource_item(change.resource))


def build_answer_write(table: str, answer: StoredAnswer, *, now: int) -> TransactWriteItemTypeDef:
    """An answer, on condition that none is kept for its client token; `now` is since the epoch."""
    return {
        "Put": {
            "TableName": table,
            "Item": {
                **answer_key(answer.token),
                "request_digest": {"S": answer.request_digest},
                "body": {"S": answer.body},
                EXPIRY: {"N": str(now + ANSWERS_KEPT_SECONDS)},
            },
            "ConditionExpression": f"attribute_not_exists(pk) OR {EXPIRY} < :now",
            "ExpressionAttributeValues": {":now": {"N": str(now)}},
        }
    }


def build_spent_write(table: str, spent: SpentSignature) -> TransactWriteItemTypeDef:
    """A signature, on condition that it was not spent before."""
    return {
        "Put": {
            "TableName": table,
            "Item": build_spent_item(spent),
            "ConditionExpression": "attribute_not_exists(pk)",
        }
    }


def require_small(writes: Sequence[TransactWriteItemTypeDef], changes: Sequence[Change]) -> None:
    """Check that a commit fits into one transaction.

    Raises:
        StoreLimitError: It does not.
    """
    remedy = "make them in smaller steps, or use a SQLite store"
    if len(writes) > MAX_TRANSACTION_ITEMS:
        raise StoreLimitError(
            f"changes: {len(changes)} at once are too many for a transaction of DynamoDB, which "
            f"takes {MAX_TRANSACTION_ITEMS} items and a few of them for the store itself; {remedy}"
        )
    size = sum(measure_item(write["Put"]["Item"]) for write in writes if "Put" in write)
    if size > MAX_TRANSACTION_BYTES:
        raise StoreLimitError(
            f"changes: {size} bytes at once are too many for a transaction of DynamoDB, which "
            f"takes {MAX_TRANSACTION_BYTES}; {remedy}"
        )
