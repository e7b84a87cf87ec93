"""Opaque, tamper-proof page tokens."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from meshwright.api.errors import bad_request

_MAC_BYTES = 16


@dataclass(frozen=True, slots=True)
class PageTokens:
    """Makes and reads `nextToken`s.

    A token says after which resource a list goes on, so it survives inserts and deletes between
    pages. It is bound to what was listed.

    Attributes:
        secret: The key that tokens are signed with, shared by all control planes of a store.
    """

    secret: bytes

    def render(self, listed: Sequence[str], after: str) -> str:
        """The token with which a list goes on after a sort key.

        Args:
            listed: What is listed: operation, mesh, parent.
            after: The sort key of the last resource of this page.
        """
        content = json.dumps(after).encode()
        return urlsafe_b64encode(self._mac(listed, content) + content).decode().rstrip("=")

    def parse(self, listed: Sequence[str], token: str) -> str:
        """The sort key that a token holds.

        Raises:
            ApiError: BadRequestException where the token was altered or is of another list.
        """
        try:
            raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except ValueError:
            raw = b""
        mac, content = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(listed, content)):
            raise bad_request("nextToken: is not one that this list gave out; list from the start")
        return str(json.loads(content))

    def _mac(self, listed: Sequence[str], content: bytes) -> bytes:
        message = json.dumps(list(listed)).encode() + b"\n" + content
        return hmac.new(self.secret, message, hashlib.sha256).digest()[:_MAC_BYTES]
