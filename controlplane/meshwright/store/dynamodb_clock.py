"""The time by DynamoDB's own clock, which all control planes on one table share.

Machines' clocks differ, and what one of them has written must not look old or new to another one
for that. Each answer of DynamoDB tells the time in its `Date` header.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class ServerClock:
    """A clock that each answer to a client sets.

    Args:
        client: The client.
        clock: Seconds since the epoch, used until there is an answer.
        elapsed: Seconds that only go forward.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        clock: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._elapsed = elapsed
        self._ahead = clock() - elapsed()
        client.meta.events.register("after-call.dynamodb", self._take)

    def now(self) -> float:
        """Seconds since the epoch, right to a second."""
        return self._elapsed() + self._ahead

    def _take(self, parsed: Mapping[str, Any], **_: object) -> None:
        date = parsed.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if date is not None:
            # The header has whole seconds, the past half of one on the average.
            self._ahead = parsedate_to_datetime(date).timestamp() + 0.5 - self._elapsed()
