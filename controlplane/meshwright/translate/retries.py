"""Retry policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from meshwright.model.retry_events import CONDITIONS, STATUS_CODES
from meshwright.translate.durations import build_duration
from meshwright.translate.envoy_api import PreviousHosts, build_extension

DEFAULT_RETRIES: Final = 2
_HOST_ATTEMPTS: Final = 5

_TCP_CONDITIONS: Final[Mapping[str, str]] = {"connection-error": "connect-failure"}
"""User guide, envoy-defaults.md: the event is equivalent to Envoy's connect-failure."""


def build_retry_policy(policy: Mapping[str, Any] | None) -> dict[str, Any]:
    """A route's retry policy, or App Mesh's default where it declares none.

    gRPC retry events have the names of Envoy's conditions.
    """
    if policy is None:
        return _build_default()
    http_events: list[str] = policy.get("httpRetryEvents", [])
    codes = sorted({code for event in http_events for code in STATUS_CODES.get(event, ())})
    conditions = [
        *(each for event in http_events for each in CONDITIONS.get(event, ())),
        *(_TCP_CONDITIONS[event] for event in policy.get("tcpRetryEvents", ())),
        *policy.get("grpcRetryEvents", ()),
        *(["retriable-status-codes"] if codes else []),
    ]
    return {
        "retry_on": ",".join(dict.fromkeys(conditions)),
        "num_retries": {"value": policy["maxRetries"]},
        "per_try_timeout": build_duration(policy["perRetryTimeout"]),
        "retriable_status_codes": codes,
        **_build_other_hosts(),
    }


def _build_default() -> dict[str, Any]:
    """2 retries on gRPC UNAVAILABLE, HTTP 503, connect-failure, refused-stream and reset.

    Source: App Mesh user guide, envoy-defaults.md.
    """
    return {
        "retry_on": "reset,unavailable,retriable-status-codes,connect-failure,refused-stream",
        "num_retries": {"value": DEFAULT_RETRIES},
        "retriable_status_codes": [503],
        **_build_other_hosts(),
    }


def _build_other_hosts() -> dict[str, Any]:
    """Retries avoid the hosts that were tried, as far as others can be found."""
    return {
        "retry_host_predicate": [
            build_extension("envoy.retry_host_predicates.previous_hosts", PreviousHosts())
        ],
        "host_selection_retry_max_attempts": _HOST_ATTEMPTS,
    }
