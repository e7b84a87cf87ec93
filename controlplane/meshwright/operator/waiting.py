"""Waiting until every connected proxy has acknowledged a revision."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from meshwright.operator.client import REFUSED, CommandError
from meshwright.operator.tables import describe_incomplete, describe_rejection, proxy_name

_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 1.0


def wait_for_revision(
    read_status: Callable[[], Mapping[str, Any]],
    revision: int | None,
    timeout_seconds: float,
    report: Callable[[str], None],
) -> Mapping[str, Any]:
    """Wait until a mesh has come to a revision and all of its proxies have acknowledged it.

    Args:
        read_status: Asks for the mesh's status.
        revision: The revision; None stands for the one that the mesh has at the beginning.
        timeout_seconds: For how long.
        report: Told what is missing, whenever that changes.

    Returns:
        The status that satisfied it.

    Raises:
        CommandError: The time ran out, or a proxy has rejected the revision, which time does not
            mend; the message names the proxies.
    """
    deadline = time.monotonic() + timeout_seconds
    reported = ""
    while True:
        asked_at = time.monotonic()
        status = read_status()
        # Statuses of very many proxies are work: most of the time is left to the proxies' own.
        pause = min(_LONGEST_PAUSE_SECONDS, max(_PAUSE_SECONDS, 3 * (time.monotonic() - asked_at)))
        wanted: int = status["revision"] if revision is None else revision
        revision = wanted
        missing = find_missing(status, wanted)
        if not missing:
            return status
        rejected = [
            proxy
            for proxy in status["proxies"]
            if proxy["rejection"] and _stands_at(proxy["rejection"]) >= wanted
        ]
        if rejected:
            reasons = "; ".join(
                f"{proxy_name(each)} ({each['peer']}): {describe_rejection(each['rejection'])}"
                for each in rejected
            )
            is_this = any(each["rejection"]["revision"] >= wanted for each in rejected)
            what = "was rejected by" if is_this else "is held back by an earlier rejection at"
            raise CommandError(
                f"mesh {status['mesh']}: revision {wanted} {what} {reasons}", REFUSED
            )
        if time.monotonic() >= deadline:
            raise CommandError(
                f"mesh {status['mesh']}: after {timeout_seconds:g} s, revision {wanted} is missing "
                f"at {missing}",
                REFUSED,
            )
        if missing != reported:
            reported = missing
            report(f"waiting for revision {wanted} at {missing}")
        time.sleep(min(pause, max(0.0, deadline - time.monotonic())))


def find_missing(status: Mapping[str, Any], revision: int) -> str:
    """Who has not acknowledged a revision, in words; empty where everybody has."""
    if status["revision"] < revision:
        return f"the control plane itself, which is at {status['revision']}"
    incomplete = describe_incomplete(status)
    if incomplete:
        return f"an unknown part of {incomplete}"
    behind = [
        f"{proxy_name(proxy)} ({proxy['peer']}, at {proxy['acknowledged_revision'] or 'none'}"
        f"{_describe_earlier(proxy)})"
        for proxy in status["proxies"]
        if (proxy["acknowledged_revision"] or 0) < revision
    ]
    more = f" and {len(behind) - 5} more" if len(behind) > 5 else ""
    return ", ".join(behind[:5]) + more


def _stands_at(rejection: Mapping[str, Any]) -> int:
    """The newest revision in which what was rejected stands, with nothing else on its way."""
    return rejection.get("stands_at_revision", rejection["revision"])


def _describe_earlier(proxy: Mapping[str, Any]) -> str:
    """What a proxy has rejected and not made up for, in words; empty where nothing."""
    rejection = proxy["rejection"]
    return f", having rejected {describe_rejection(rejection)}" if rejection else ""
