"""The guard at the API's door: from a request to its caller."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime

from meshwright.access.canonical import RequestHead
from meshwright.access.errors import AccessError
from meshwright.access.keys import AccessKey, Keys
from meshwright.access.permissions import Caller
from meshwright.access.replays import Spend, SpentSignatures, build_spent_signature
from meshwright.access.signatures import Claim, check_signature, check_time, parse_claim
from meshwright.store import SpentSignature


@dataclass(frozen=True, slots=True)
class Candidate:
    """A request whose head may be that of a signed one; its body is still to be read."""

    head: RequestHead
    claim: Claim
    key: AccessKey


class Guard:
    """Tells who calls.

    Args:
        keys: The access keys, or None to let everybody in.
        account_id: The account that callers act for where there are no keys.
        clock: The time, in UTC.
    """

    def __init__(
        self,
        keys: Keys | None,
        *,
        account_id: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._keys = keys
        self._account_id = account_id
        self._clock = clock
        self._spent = SpentSignatures()

    @property
    def has_keys(self) -> bool:
        """Whether requests must be signed."""
        return self._keys is not None

    def check_head(self, head: RequestHead) -> Candidate | None:
        """Check everything that can be checked before the body is read.

        Returns:
            What is to be identified with the body; None where no signature is asked for.

        Raises:
            AccessError: The request can't be let in, whatever its body.
        """
        if self._keys is None:
            _require_no_page(head)
            return None
        claim = parse_claim(head)
        key = self._keys.find(claim.access_key_id)
        if key is None:
            raise AccessError(
                "UnrecognizedClientException",
                "The security token included in the request is invalid: this control plane has no "
                f"access key {claim.access_key_id!r}",
            )
        check_time(claim, self._clock())
        return Candidate(head, claim, key)

    def identify(self, candidate: Candidate | None, body: bytes) -> Caller:
        """Who makes the request.

        Raises:
            AccessError: The signature does not match.
        """
        if candidate is None:
            return Caller(self._account_id)
        key = candidate.key
        check_signature(candidate.head, candidate.claim, key.secret_access_key, body)
        return Caller(key.account_id, key)

    def build_signature(self, candidate: Candidate) -> SpentSignature:
        """What the store is to keep of a write's signature."""
        return build_spent_signature(candidate.claim, self._clock())

    def once(self, candidate: Candidate) -> AbstractContextManager[Spend]:
        """Carry out a write in this context, unless it is a replay.

        Its value is to be called once the request is answered with success.

        Raises:
            AccessError: See `SpentSignatures.use`.
        """
        return self._spent.use(candidate.claim, self._clock())


def _require_no_page(head: RequestHead) -> None:
    """Check that it is no web page that asks, in a browser that can reach this machine's loopback.

    Browsers send some requests for any page, whatever their body, and tell the page's origin with
    all but GETs (https://fetch.spec.whatwg.org/#append-a-request-origin-header); nothing else
    that calls this API does.

    Raises:
        AccessError: It is one.
    """
    if any(name.lower() == "origin" for name, _ in head.headers):
        raise AccessError(
            "AccessDeniedException",
            "web pages are not served where there are no access keys, since any page in a browser "
            "on this machine could ask; give --access-keys",
        )
