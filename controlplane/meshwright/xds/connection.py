"""One stream of one proxy, as the distribution knows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from meshwright.translate import Proxy
from meshwright.xds.records import ProxyRecord
from meshwright.xds.stream import ProxyStream
from meshwright.xds.wire import Node


@dataclass(slots=True, eq=False)
class Connection:
    """One stream of one proxy.

    Attributes:
        proxy: The proxy.
        node: What it said of itself.
        peer: Where it comes from, as gRPC writes it.
        arn: The ARN of its virtual node.
        record: What is remembered of proxies like it.
        stream: Its state machine.
        wake: Called when there may be something to send.
        close: Called with a reason when the proxy's resource is gone.
        connected_at: When it came, in seconds since the epoch.
        acknowledged_revision: The revision whose configuration it last acknowledged whole.
        acknowledged_at: When it did, in seconds since the epoch.
        behind_since: When something changed for it that it has not acknowledged, by the loop's
            clock.
        rejection: What it last refused itself, until it has accepted something later.
    """

    proxy: Proxy
    node: Node
    peer: str
    arn: str
    record: ProxyRecord
    stream: ProxyStream
    wake: Callable[[], None]
    close: Callable[[str], None]
    connected_at: float
    acknowledged_revision: int | None = None
    acknowledged_at: float | None = None
    behind_since: float | None = None
    rejection: dict[str, Any] | None = None
