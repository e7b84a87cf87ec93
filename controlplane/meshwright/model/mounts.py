"""What lies beside a proxy: the names of the files and the socket where it finds its secrets."""

from __future__ import annotations

from typing import Final

CHAIN_FILE: Final = "tls.crt"
KEY_FILE: Final = "tls.key"
AUTHORITIES_FILE: Final = "ca.crt"
"""What a mapped certificate consists of, by the names that Kubernetes' TLS secrets have."""

DEFAULT_SDS_SOCKET: Final = "/run/spire/sockets/agent.sock"
"""SPIRE's own, which the App Mesh controller for Kubernetes took too."""
