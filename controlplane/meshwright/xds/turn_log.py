"""The log's lines about streams and what is sent on them, written once for each turn of the loop.

Proxies come, go and are sent something by the thousand, and a line of its own for each would cost
more than sending does. So lines are collected; what several were sent together makes one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

import structlog

from meshwright.logs import LINES
from meshwright.xds.metrics import short_type
from meshwright.xds.subscription import Update

_PEERS_IN_A_LINE: Final = 100

_log = structlog.get_logger("meshwright.xds")


@dataclass(frozen=True, slots=True)
class _Push:
    """What was sent, and to whom."""

    arn: str
    type_url: str
    revision: int
    update: Update
    peers: list[str] = field(default_factory=list[str])

    def render(self) -> Iterator[dict[str, Any]]:
        """Its lines in the log."""
        for start in range(0, len(self.peers), _PEERS_IN_A_LINE):
            yield {
                "event": "push",
                "resource": self.arn,
                "type": short_type(self.type_url),
                "sent": {each.name: each.version for each in self.update.changed},
                "removed": list(self.update.removed),
                "revision": self.revision,
                "peers": self.peers[start : start + _PEERS_IN_A_LINE],
            }


class TurnLog:
    """Collects lines in one turn of the event loop, and writes them down after that, in order."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lines: list[Mapping[str, Any] | _Push] = []
        self._pushes: dict[tuple[object, ...], _Push] = {}

    def note(self, event: str, **told: Any) -> None:
        """Take note of an event.

        Args:
            event: Its name.
            told: What there is to say of it.
        """
        self._add({"event": event, **told})

    def note_push(self, arn: str, type_url: str, revision: int, update: Update, peer: str) -> None:
        """Take note that a proxy was sent something.

        Args:
            arn: The ARN of its virtual node or gateway.
            type_url: The type of what was sent.
            revision: The revision of the mesh that it was made from.
            update: What was sent.
            peer: Where the proxy is.
        """
        # Proxies of one virtual node share the very resources, so that identity tells them apart.
        same = (arn, type_url, revision, update.removed, *map(id, update.changed))
        push = self._pushes.get(same)
        if push is None:
            push = self._pushes[same] = _Push(arn, type_url, revision, update)
            self._add(push)
        push.peers.append(peer)

    def _add(self, line: Mapping[str, Any] | _Push) -> None:
        if not self._lines:
            self._loop.call_soon(self._write)
        self._lines.append(line)

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        self._pushes.clear()
        rendered = (line.render() if isinstance(line, _Push) else (line,) for line in lines)
        _log.info("streams", **{LINES: list(chain.from_iterable(rendered))})
