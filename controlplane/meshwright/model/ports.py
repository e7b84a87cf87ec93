"""What stands in port mappings: the protocol that is not HTTP, and ports that are the proxy's own.

Source: App Mesh user guide, envoy-metrics.md and getting-started-ecs.md.
"""

from __future__ import annotations

from typing import Final

INGRESS_PORT: Final = 15000
EGRESS_PORT: Final = 15001
PROXY_PORTS: Final = frozenset({INGRESS_PORT, EGRESS_PORT})
"""Where a proxy itself listens for what is redirected to it."""

TCP: Final = "tcp"
"""The one protocol of listeners whose connections are not HTTP requests."""
