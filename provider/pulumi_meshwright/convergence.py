"""Waiting until the proxies have what was changed: one watch for a mesh, however many changes.

Each changed resource would have to wait for the same proxies, one after the other. But whoever
waits for a revision waits for all before it, so that the newest change takes the waiting over and
lets the earlier ones go:

    create A (revision 5) ---- waits ---- relieved by B
                 create B (revision 6) ------------------- waits until all have acknowledged 6

An update so ends when its last change has arrived, and costs one wait, not one for each resource.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

_FIRST_PAUSE: Final = 0.05  # seconds; doubled each time up to the longest
_LONGEST_PAUSE: Final = 1.0
_MOST_NAMED: Final = 5  # proxies that a message names

Status: TypeAlias = Mapping[str, Any]
"""A mesh's status, as the control plane answers it: its revision, and its proxies."""

ReadStatus: TypeAlias = Callable[[str, float | None], Awaitable[Status | None]]
"""Asks for the status of a mesh, which is None where it does not exist (any more); the number says
for how many seconds at most the control plane is asked again when it can't answer."""


class NotConvergedError(Exception):
    """Proxies don't have what was changed; in one line, with their names."""


@dataclass(slots=True, eq=False)
class _Waiter:
    """Who waits for a mesh.

    Attributes:
        revision: What all proxies shall have acknowledged.
        since: The earliest revision whose rejection is to be told, of those taken over.
        is_alone: Whether it waits to the end, whatever else is waited for.
        let_go: Set when a newer change has taken over, or when all waiting ends.
    """

    revision: int
    since: int
    is_alone: bool = False
    let_go: asyncio.Event = field(default_factory=asyncio.Event)


class Convergence:
    """The waiting for one control plane's proxies.

    Args:
        read_status: Asks for a mesh's status.
        timeout: Seconds for which a revision is waited for at most.
    """

    def __init__(self, read_status: ReadStatus, timeout: float) -> None:
        self.read_status = read_status
        self._timeout = timeout
        self._waiting: dict[str, _Waiter] = {}
        self._alone: list[_Waiter] = []
        self._cancelled = False

    async def wait(
        self,
        mesh: str,
        revision: int | None = None,
        *,
        without: str = "",
        timeout: float | None = None,
        alone: bool = False,
        tell: Callable[[str], None] | None = None,
    ) -> Status | None:
        """Wait until all connected proxies of a mesh have acknowledged a revision.

        Args:
            mesh: The mesh's name.
            revision: The revision; None stands for the one that the mesh has now.
            without: The ARN of a resource that was removed; its proxies have nothing to wait for.
            timeout: Seconds, where they are not those of the settings.
            alone: Whether to wait to the end whatever else is waited for; for a caller who needs
                the status.
            tell: Told once who is waited for, if anybody is.

        Returns:
            The status that satisfied it; None where the mesh is gone, or where a newer change has
            taken the waiting over.

        Raises:
            NotConvergedError: Time ran out, a proxy has rejected it, or all waiting was ended.
        """
        patience = self._timeout if timeout is None else timeout
        status = await self.read_status(mesh, patience)
        if status is None:
            return None
        wanted = int(status["revision"]) if revision is None else revision
        waiter = _Waiter(wanted, wanted, is_alone=True) if alone else self._take_over(mesh, wanted)
        if waiter is None:
            return None
        if alone:
            self._alone.append(waiter)
        try:
            return await self._watch(mesh, waiter, without, patience, tell)
        finally:
            if alone:
                self._alone.remove(waiter)
            elif self._waiting.get(mesh) is waiter:
                del self._waiting[mesh]

    def cancel(self) -> None:
        """End all waiting at once."""
        self._cancelled = True
        for waiter in (*self._waiting.values(), *self._alone):
            waiter.let_go.set()

    def _take_over(self, mesh: str, revision: int) -> _Waiter | None:
        earlier = self._waiting.get(mesh)
        if earlier is not None and earlier.revision > revision:
            earlier.since = min(earlier.since, revision)
            return None  # whoever waits for the later one waits for this one too
        waiter = _Waiter(revision, min(revision, earlier.since if earlier else revision))
        if earlier is not None:
            earlier.let_go.set()
        self._waiting[mesh] = waiter
        return waiter

    async def _watch(
        self,
        mesh: str,
        waiter: _Waiter,
        without: str,
        patience: float,
        tell: Callable[[str], None] | None,
    ) -> Status | None:
        deadline, pause, told = time.monotonic() + patience, _FIRST_PAUSE, tell is None
        while True:
            status = await self.read_status(mesh, max(0.0, deadline - time.monotonic()))
            if status is None:
                return None
            proxies = [each for each in status["proxies"] if each["resource"] != without]
            # While a program goes on, its next change may mend what was rejected earlier.
            rejected_at = _stands_at if waiter.is_alone else _rejected_at
            rejected = [each for each in proxies if rejected_at(each) >= waiter.since]
            if rejected:
                reasons = "; ".join(f"{_name(each)}: {_reason(each)}" for each in rejected)
                raise NotConvergedError(f"mesh '{mesh}': rejected by {reasons}")
            missing = _missing(status, proxies, waiter.revision)
            if not missing:
                return status
            what = f"revision {waiter.revision} is missing at {missing}"
            if time.monotonic() >= deadline:
                raise NotConvergedError(f"mesh '{mesh}': after {patience:g} s, {what}")
            if not told and tell is not None:
                told = True
                tell(f"waiting for proxies: mesh '{mesh}': {what}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(waiter.let_go.wait(), pause)
            if self._cancelled:
                raise NotConvergedError(f"cancelled while waiting: mesh '{mesh}': {what}")
            if waiter.let_go.is_set():
                return None
            pause = min(pause * 2, _LONGEST_PAUSE)


def _rejected_at(proxy: Mapping[str, Any]) -> int:
    """The revision that a proxy has rejected and not made up for, or 0."""
    return int(proxy["rejection"]["revision"]) if proxy["rejection"] else 0


def _stands_at(proxy: Mapping[str, Any]) -> int:
    """The newest revision in which what a proxy has rejected still stands, or 0."""
    rejection: Mapping[str, Any] = proxy["rejection"] or {"revision": 0}
    return int(rejection.get("stands_at_revision", rejection["revision"]))


def _reason(proxy: Mapping[str, Any]) -> str:
    return " ".join(str(proxy["rejection"]["detail"]).split())


def _name(proxy: Mapping[str, Any]) -> str:
    """A proxy's virtual node or virtual gateway, and its address."""
    return f"{'/'.join(str(proxy['resource']).split('/')[2:])} ({proxy['peer']})"


def _refused(proxy: Mapping[str, Any]) -> str:
    """What a proxy has rejected and not made up for, in words; empty where nothing."""
    rejected = _rejected_at(proxy)
    return f", which has rejected revision {rejected}: {_reason(proxy)}" if rejected else ""


def find_reached(status: Status) -> int:
    """The latest revision that all connected proxies have acknowledged."""
    if not status["proxies"]:
        return int(status["revision"])
    return min(int(each["acknowledged_revision"] or 0) for each in status["proxies"])


def _missing(status: Status, proxies: list[Mapping[str, Any]], revision: int) -> str:
    """Who has not acknowledged a revision, in words; empty where everybody has."""
    if status["revision"] < revision:
        return f"the control plane itself, which is at {status['revision']}"
    if status.get("incomplete"):
        return f"proxies of other control planes, which are not known: {status['incomplete']}"
    behind = [
        _name(each) + _refused(each)
        for each in proxies
        if (each["acknowledged_revision"] or 0) < revision
    ]
    more = f" and {len(behind) - _MOST_NAMED} more" if len(behind) > _MOST_NAMED else ""
    return ", ".join(behind[:_MOST_NAMED]) + more
