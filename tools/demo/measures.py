"""The demo's measurements, as pure functions over what the mesh wrote down."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

from pytest_meshwright.control_plane import LogRecord


@dataclass(frozen=True, slots=True)
class LogAccount:
    """Whether the log of one proxy tells of every request once."""

    proxy: str
    served: int
    """Requests that the proxy served by its own count."""
    lines: int
    """Lines of its access log that came back from CloudWatch Logs."""
    twice: int
    """Lines that came back more than once."""

    @property
    def lost(self) -> int:
        """Requests without a line."""
        return max(self.served - (self.lines - self.twice), 0)

    @property
    def ok(self) -> bool:
        """Whether each request has exactly one line."""
        return self.lines == self.served and self.twice == 0


def account_for(proxy: str, served: int, lines: Sequence[str]) -> LogAccount:
    """Compare a proxy's own count with the lines that came back.

    A line holds the request's id and its start to the microsecond, so two requests never have the
    same one.
    """
    return LogAccount(proxy, served, len(lines), len(lines) - len(set(lines)))


def find_answered_at(records: Iterable[LogRecord], operation: str) -> datetime | None:
    """When the API answered the last successful call of an operation."""
    answers = [
        record.at
        for record in records
        if record.event == "api_request"
        and record.fields.get("operation") == operation
        and record.fields.get("http_status") == HTTPStatus.OK
    ]
    return answers[-1] if answers else None


def find_first_followed(lines: Iterable[str], route_version: int) -> datetime | None:
    """When the first request began that followed that version of its route.

    Args:
        lines: an access log in JSON with `start_time` and `route_version`; the last line may be
            under way.
        route_version: the route's version as the App Mesh API counts it.
    """
    starts = [
        datetime.fromisoformat(entry["start_time"])
        for entry in map(_parse_line, lines)
        if str(entry.get("route_version")) == str(route_version)
    ]
    return min(starts) if starts else None


def render_delay(since: datetime, until: datetime) -> str:
    """How long after `since` something happened, in milliseconds."""
    milliseconds = (until - since).total_seconds() * 1000
    if milliseconds < 0:
        # The change goes out when it is stored, at the same time as the answer.
        return f"{-milliseconds:.1f} ms before it"
    return f"{milliseconds:.1f} ms after it"


def split_evenly(total: int, parts: int) -> list[int]:
    """`total` as a sum of at most `parts` numbers that differ by one at most, without zeros."""
    small, larger = divmod(total, parts)
    sizes = [small + 1] * larger + [small] * (parts - larger)
    return [size for size in sizes if size]


def add_counts(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The sum of several tallies."""
    total: dict[str, int] = {}
    for count in counts:
        for name, number in count.items():
            total[name] = total.get(name, 0) + number
    return total


def _parse_line(line: str) -> dict[str, Any]:
    try:
        return json.loads(line)
    except ValueError:
        return {}
