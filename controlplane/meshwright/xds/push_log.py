"""The log's lines about what was sent: one for all proxies that were sent the same together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
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
                "resource": self.arn,
                "type": short_type(self.type_url),
                "sent": {each.name: each.version for each in self.update.changed},
                "removed": list(self.update.removed),
                "revision": self.revision,
                "peers": self.peers[start : start + _PEERS_IN_A_LINE],
            }


class PushLog:
    """Collects what is sent in one turn of the event loop, and writes it down after that."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._pushes: dict[tuple[object, ...], _Push] = {}

    def note(self, arn: str, type_url: str, revision: int, update: Update, peer: str) -> None:
        """Take note that a proxy was sent something.

        Args:
            arn: The ARN of its virtual node or gateway.
            type_url: The type of what was sent.
            revision: The revision of the mesh that it was made from.
            update: What was sent.
            peer: Where the proxy is.
        """
        if not self._pushes:
            self._loop.call_soon(self._write)
        # Proxies of one virtual node share the very resources, so that identity tells them apart.
        same = (arn, type_url, revision, update.removed, *map(id, update.changed))
        push = self._pushes.get(same)
        if push is None:
            push = self._pushes[same] = _Push(arn, type_url, revision, update)
        push.peers.append(peer)

    def _write(self) -> None:
        pushes, self._pushes = self._pushes, {}
        _log.info("push", **{LINES: [line for push in pushes.values() for line in push.render()]})
