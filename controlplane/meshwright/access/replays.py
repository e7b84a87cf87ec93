"""Writes whose signature was seen before are not carried out again.

A signature is spent once its write was answered with success; while the write is under way it is
taken. One that failed, or whose client was gone before the answer, spends nothing: an SDK's retry
within the same second may carry the same signature.

What one process has answered it knows by itself. What another one has, or this one before it was
started anew, the store knows: there a signature is spent by the commit of its write.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

from meshwright.access.errors import AccessError, invalid_signature, signature_used
from meshwright.access.signatures import Claim
from meshwright.store import SpentSignature

MAX_REMEMBERED: Final = 250_000
"""How many signatures are remembered: over 800 writes a second for as long as one is good."""

MAX_PRESIGNED_WRITE: Final = timedelta(minutes=15)
"""How long a presigned write is good, whatever it says, so that memory stays bounded."""

Spend = Callable[[], None]
"""Says that a write was answered with success, so that its signature is spent."""


_MARGIN: Final = timedelta(minutes=1)
"""How much longer the store keeps a signature, since control planes' clocks differ."""


def build_spent_signature(claim: Claim, now: datetime) -> SpentSignature:
    """The signature of a write, as the store keeps it."""
    until = _find_end(claim) + _MARGIN
    return SpentSignature(
        signature=f"{claim.access_key_id}/{claim.signature}",
        spent_at=now.timestamp(),
        expires_at=until.timestamp(),
    )


def _find_end(claim: Claim) -> datetime:
    """Until when a write's signature is good."""
    return min(claim.valid_until, claim.signed_at + MAX_PRESIGNED_WRITE)


class SpentSignatures:
    """The signatures of writes that can't be used again, for as long as they would be good.

    Not safe to use from several threads.

    Args:
        limit: How many are remembered; beyond, writes are refused rather than replays let in.
    """

    def __init__(self, limit: int = MAX_REMEMBERED) -> None:
        self._limit = limit
        self._under_way: set[bytes] = set()
        self._spent: set[bytes] = set()
        self._by_expiry: list[tuple[float, bytes]] = []

    def __len__(self) -> int:
        return len(self._spent)

    @contextmanager
    def use(self, claim: Claim, now: datetime) -> Generator[Spend]:
        """Carry out a write in this context; call its value once it is answered with success.

        Raises:
            AccessError: InvalidSignatureException for a replay; ServiceUnavailableException,
                after which SDKs try again, where the same request is still under way or there
                is no room to remember another.
        """
        self._forget_expired(now)
        # Two keys with one secret sign alike.
        signature = claim.access_key_id.encode() + bytes.fromhex(claim.signature)
        if signature in self._spent:
            raise signature_used()
        if claim.is_presigned and now > claim.signed_at + MAX_PRESIGNED_WRITE:
            raise invalid_signature(
                "Signature expired: a presigned write is good for 15 minutes after it was signed"
            )
        if signature in self._under_way:
            raise AccessError(
                "ServiceUnavailableException", "the same signed write is still under way; try again"
            )
        if len(self._spent) + len(self._under_way) >= self._limit:
            raise AccessError(
                "ServiceUnavailableException",
                f"more than {self._limit} writes within minutes: try again in a moment",
            )
        until = _find_end(claim)
        self._under_way.add(signature)
        try:
            yield lambda: self._spend(signature, until)
        finally:
            self._under_way.discard(signature)

    def _spend(self, signature: bytes, until: datetime) -> None:
        self._spent.add(signature)
        heapq.heappush(self._by_expiry, (until.timestamp(), signature))

    def _forget_expired(self, now: datetime) -> None:
        while self._by_expiry and self._by_expiry[0][0] < now.timestamp():
            self._spent.discard(heapq.heappop(self._by_expiry)[1])
