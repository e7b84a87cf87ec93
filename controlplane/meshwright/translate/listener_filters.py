"""Listener filters: what is found out about a connection before a filter chain is chosen for it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from meshwright.translate.envoy_api import (
    HttpInspector,
    OriginalDst,
    TlsInspector,
    build_extension,
)

INSPECTION_TIMEOUT: Final[dict[str, Any]] = {
    "listener_filters_timeout": {"seconds": 2},
    "continue_on_listener_filters_timeout": True,
}
"""What a listener says whose inspected connections may be ones in which the server speaks first.

The inspectors wait for the client's first bytes, and such a client for the server's
(user guide, troubleshooting-connectivity.md, "Unable to connect to a MySQL or SMTP server").
"""

HTTP_PROTOCOLS: Final = ("http/1.0", "http/1.1", "h2c")
"""What the inspector calls HTTP (Envoy's docs, listener_filters/http_inspector)."""


def restore_original_destination() -> dict[str, Any]:
    """Where redirected traffic wanted to go is its destination again."""
    return build_extension("envoy.filters.listener.original_dst", OriginalDst())


def inspect_tls(*, only_on: Collection[int] = ()) -> dict[str, Any]:
    """Find out whether a connection is TLS, and for which server name.

    Args:
        only_on: The destination ports that are looked at; empty for all.
    """
    inspector = build_extension("envoy.filters.listener.tls_inspector", TlsInspector())
    if only_on:
        inspector["filter_disabled"] = {"not_match": _build_ports_match(only_on)}
    return inspector


def inspect_http(
    *, only_on: Collection[int] = (), nowhere_on: Collection[int] = ()
) -> dict[str, Any]:
    """Find out whether a connection is HTTP; stands after the inspector of TLS.

    Args:
        only_on: The destination ports that are looked at; empty for all.
        nowhere_on: The ports that are not.
    """
    inspector = build_extension("envoy.filters.listener.http_inspector", HttpInspector())
    if only_on:
        inspector["filter_disabled"] = {"not_match": _build_ports_match(only_on)}
    elif nowhere_on:
        inspector["filter_disabled"] = _build_ports_match(nowhere_on)
    return inspector


def _build_ports_match(ports: Collection[int]) -> dict[str, Any]:
    rules: list[dict[str, Any]] = [
        {"destination_port_range": {"start": port, "end": port + 1}} for port in sorted(ports)
    ]
    return rules[0] if len(rules) == 1 else {"or_match": {"rules": rules}}
