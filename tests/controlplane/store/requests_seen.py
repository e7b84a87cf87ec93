"""Counts what a DynamoDB store asks for."""

from __future__ import annotations

from typing import Any

from meshwright.store.dynamodb import DynamoDbStore


class count_requests:  # noqa: N801 - it reads as a function
    """The names of the operations that a store asks of DynamoDB while in this block."""

    def __init__(self, store: DynamoDbStore) -> None:
        self.names: list[str] = []
        self.events = store._table.client.meta.events

    def _count(self, model: Any, **_: Any) -> None:
        self.names.append(model.name)

    def __enter__(self) -> list[str]:
        self.events.register("before-call.dynamodb", self._count)
        return self.names

    def __exit__(self, *_: object) -> None:
        self.events.unregister("before-call.dynamodb", self._count)
