"""Requests to one DynamoDB table: consistent, paged, tried again where it is busy."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from botocore.exceptions import ClientError

from meshwright.store.dynamodb_items import Item, NewItem, build_key
from meshwright.store.dynamodb_table import error_code, named_errors
from meshwright.store.interface import StoreError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef, WriteRequestTypeDef

_PAUSES: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
"""The longest pauses between attempts, in seconds; each is cut at random."""

# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html and others
_BATCH_GET: Final = 100
_BATCH_WRITE: Final = 25


class CancelledError(Exception):
    """A transaction was not carried out.

    Attributes:
        reasons: Why, item by item: `{"Code": "ConditionalCheckFailed", "Item": {...}}`.
    """

    def __init__(self, reasons: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(str(reasons))
        self.reasons = reasons


class ConditionError(Exception):
    """A conditional write found another item than it was to."""


def attempts() -> Iterator[None]:
    """One attempt, and then one after each pause."""
    yield
    for pause in _PAUSES:
        time.sleep(pause * random.random())  # noqa: S311 - it spreads load and hides nothing
        yield


@dataclass(frozen=True, slots=True)
class Table:
    """One table. Every method raises a StoreError of one line where DynamoDB fails.

    Attributes:
        client: The client, safe to use from any thread.
        name: The table's name.
        url: The store's URL, for messages.
    """

    client: DynamoDBClient
    name: str
    url: str

    def get(self, key: NewItem) -> Item | None:
        """One item, or None."""
        with named_errors(self.url):
            answer = self.client.get_item(TableName=self.name, Key=key, ConsistentRead=True)
        return answer.get("Item")

    def get_all(self, keys: Sequence[NewItem]) -> Sequence[Item]:
        """The items of these keys that there are, in any order."""
        found: list[Item] = []
        for start in range(0, len(keys), _BATCH_GET):
            waiting: Sequence[Any] = keys[start : start + _BATCH_GET]
            for _ in attempts():
                with named_errors(self.url):
                    answer = self.client.batch_get_item(
                        RequestItems={self.name: {"Keys": waiting, "ConsistentRead": True}}
                    )
                found += answer["Responses"].get(self.name, ())
                waiting = answer["UnprocessedKeys"].get(self.name, {"Keys": ()})["Keys"]
                if not waiting:
                    break
            else:
                raise self._overloaded()
        return found

    def get_settled(self, key: NewItem) -> Item | None:
        """One item, read when no transaction that writes to it is under way."""
        for _ in attempts():
            try:
                with named_errors(self.url):
                    answer = self.client.transact_get_items(
                        TransactItems=[{"Get": {"TableName": self.name, "Key": key}}]
                    )
            except StoreError as error:
                if _find_reasons(error) is None:
                    raise
                continue
            return answer["Responses"][0].get("Item")
        raise self._overloaded()

    def query(
        self, partition: str, prefix: str = "", *, after: str = "", limit: int | None = None
    ) -> Iterator[Item]:
        """The items of a partition, by their sort keys.

        Args:
            partition: The partition.
            prefix: How the sort keys begin.
            after: Only those whose sort key, without the prefix, is after this.
            limit: At most so many.
        """
        condition = "pk = :pk"
        values: dict[str, Any] = {":pk": {"S": partition}}
        if prefix:
            condition += " AND begins_with(sk, :prefix)"
            values[":prefix"] = {"S": prefix}
        start = build_key(partition, prefix + after) if after else None
        return self._query(condition, values, start, limit)

    def query_between(self, partition: str, low: str, high: str) -> Iterator[Item]:
        """The items of a partition from one sort key to another, both included."""
        values = {":pk": {"S": partition}, ":low": {"S": low}, ":high": {"S": high}}
        return self._query("pk = :pk AND sk BETWEEN :low AND :high", values)

    def _query(
        self,
        condition: str,
        values: Mapping[str, Any],
        start: Mapping[str, Any] | None = None,
        limit: int | None = None,
    ) -> Iterator[Item]:
        left = limit
        while left is None or left > 0:
            options: dict[str, Any] = {"ExclusiveStartKey": start} if start else {}
            if left is not None:
                options["Limit"] = left
            with named_errors(self.url):
                answer = self.client.query(
                    TableName=self.name,
                    KeyConditionExpression=condition,
                    ExpressionAttributeValues=values,
                    ConsistentRead=True,
                    **options,
                )
            items = answer["Items"]
            yield from items
            left = None if left is None else left - len(items)
            start = answer.get("LastEvaluatedKey")
            if not start:
                return

    def put_new(self, item: NewItem) -> None:
        """Put an item where there is none of its key.

        Raises:
            ConditionError: There is one.
        """
        with named_errors(self.url):
            try:
                self.client.put_item(
                    TableName=self.name,
                    Item=item,
                    ConditionExpression="attribute_not_exists(pk)",
                )
            except ClientError as error:
                _raise_condition(error)

    def update(
        self, key: NewItem, update: str, *, condition: str, values: Mapping[str, Any]
    ) -> None:
        """Change an item.

        Raises:
            ConditionError: The condition is not met.
        """
        with named_errors(self.url):
            try:
                self.client.update_item(
                    TableName=self.name,
                    Key=key,
                    UpdateExpression=update,
                    ConditionExpression=condition,
                    ExpressionAttributeValues=values,
                )
            except ClientError as error:
                _raise_condition(error)

    def write_together(self, writes: Sequence[TransactWriteItemTypeDef]) -> None:
        """Carry out all writes or none.

        Raises:
            CancelledError: None was carried out.
        """
        try:
            with named_errors(self.url):
                self.client.transact_write_items(TransactItems=writes)
        except StoreError as error:
            reasons = _find_reasons(error)
            if reasons is None:
                raise
            raise CancelledError(reasons) from error

    def write_all(self, requests: Sequence[WriteRequestTypeDef]) -> None:
        """Carry out writes one by one, in any order."""
        for start in range(0, len(requests), _BATCH_WRITE):
            waiting: Sequence[Any] = requests[start : start + _BATCH_WRITE]
            for _ in attempts():
                with named_errors(self.url):
                    answer = self.client.batch_write_item(RequestItems={self.name: waiting})
                waiting = answer["UnprocessedItems"].get(self.name, ())
                if not waiting:
                    break
            else:
                raise self._overloaded()

    def _overloaded(self) -> StoreError:
        return StoreError(f"store {self.url!r}: DynamoDB is too busy; try again")


def _find_reasons(error: StoreError) -> Sequence[Mapping[str, Any]] | None:
    """Why a transaction was cancelled; None where the error is another one."""
    cause = error.__cause__
    if not isinstance(cause, ClientError) or error_code(cause) != "TransactionCanceledException":
        return None
    return cast("Sequence[Mapping[str, Any]]", cause.response.get("CancellationReasons", ()))


def _raise_condition(error: ClientError) -> None:
    if error_code(error) != "ConditionalCheckFailedException":
        raise error
    raise ConditionError from error
