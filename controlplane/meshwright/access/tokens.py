"""Tokens that proxies show: issued, signed, listed, revoked, by every replica alike.

A token is a JWT signed with HMAC-SHA-256 (RFC 7519); its subject is the one resource, or the mesh,
that it is for. What signs tokens and which are revoked is kept in the store:

    token-keys       KEY ID     its secret, when it was made, until when it is good
    tokens           TOKEN ID   what was issued, without the token itself
    revoked-tokens   TOKEN ID   until when it would have been good

Each replica follows the first and the last; the second is for people.
"""

from __future__ import annotations

import json
import math
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import jwt
import structlog

from meshwright.model.resources import ResourceId, build_arn, parse_resource_id
from meshwright.store import Store

KEYS: Final = "token-keys"
TOKENS: Final = "tokens"
REVOKED: Final = "revoked-tokens"

_ALGORITHM: Final = "HS256"
_ISSUER: Final = "meshwright"
_ALWAYS: Final = math.inf

_log = structlog.get_logger("meshwright.access")


class TokenError(Exception):
    """A token that is not good, or one that can't be found; the message says why."""


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """What is known of an issued token; times in seconds since the epoch.

    Attributes:
        token_id: What it is revoked by.
        scope: The ARN of the resource, or of the mesh, that it is for.
        key_id: What signed it.
        issued_at: When.
        expires_at: Until when it is good; None without an end.
        revoked: Whether it was revoked.
    """

    token_id: str
    scope: str
    key_id: str
    issued_at: float
    expires_at: float | None
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class TokenGrant:
    """What a token that was good when it was read entitles to.

    Attributes:
        token_id: Its id.
        key_id: What signed it.
        scope: The resource that it is for, or the mesh for all that the account has in it.
        expires_at: Until when it is good, in seconds since the epoch.
    """

    token_id: str
    key_id: str
    scope: ResourceId
    expires_at: float


@dataclass(frozen=True, slots=True)
class SigningKey:
    """What signs tokens.

    Attributes:
        secret: Its secret, in hexadecimal.
        made_at: When it was made, in seconds since the epoch.
        good_until: Until when what it has signed is good; None while it is the newest.
    """

    secret: str = field(repr=False)
    made_at: float
    good_until: float | None = None


_LOOK_SECONDS: Final = 60.0
"""How often tokens are looked at though nothing tells that they have changed."""


class Tokens:
    """The tokens of a store.

    Its writing methods, `refresh` and `follow` wait for the store; `read` and `find_fault` don't.

    Args:
        store: The store.
        region: The region that stands in ARNs.
        clock: Seconds since the epoch.
    """

    def __init__(
        self, store: Store, *, region: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._region = region
        self._clock = clock
        self._keys: Mapping[str, SigningKey] = {}
        self._revoked: Mapping[str, str] = {}
        self._stamp: str | None = None
        self._due_at = 0.0

    def follow(self) -> None:
        """Take over what any replica has written, where there may be something new.

        Of that the store's heads tell, which were read just before; and it is looked at once a
        minute for what they may have missed.

        Raises:
            StoreError: The store can't be read; what was known stays.
        """
        stamp, now = self._store.entries_stamp(), self._clock()
        if stamp is not None and stamp == self._stamp and now < self._due_at:
            return
        self.refresh()
        self._stamp, self._due_at = stamp, now + _LOOK_SECONDS

    def refresh(self) -> None:
        """Take over keys and revocations that any replica has written.

        Raises:
            StoreError: The store can't be read; what was known stays.
        """
        keys = self._store.entries(KEYS)
        self._revoked = self._store.entries(REVOKED)
        self._keys = {key_id: SigningKey(**json.loads(text)) for key_id, text in keys.items()}

    def issue(
        self,
        scope: ResourceId,
        *,
        seconds: float | None,
        recording: Callable[[TokenRecord], AbstractContextManager[None]] = nullcontext,
    ) -> tuple[str, TokenRecord]:
        """A new token, and what is kept of it.

        Args:
            scope: A virtual node or gateway, or a mesh for all that the account has in it.
            seconds: For how long it is good; None for always.
            recording: What the token is kept in, once it is known.
        """
        self.refresh()
        key_id, key = self._find_newest() or self._make_key(_new_key_id())
        now = self._clock()
        record = TokenRecord(
            token_id=secrets.token_hex(8),
            scope=build_arn(scope.key, region=self._region, account_id=scope.account_id),
            key_id=key_id,
            issued_at=now,
            expires_at=None if seconds is None else now + seconds,
        )
        claims: dict[str, Any] = {
            "iss": _ISSUER,
            "sub": record.scope,
            "jti": record.token_id,
            "iat": int(now),
        }
        if record.expires_at is not None:
            claims["exp"] = math.ceil(record.expires_at)
        token = jwt.encode(
            claims, bytes.fromhex(key.secret), algorithm=_ALGORITHM, headers={"kid": key_id}
        )
        with recording(record):
            self._store.put_entry(TOKENS, record.token_id, json.dumps(asdict(record)))
        return token, record

    def list_records(self) -> list[TokenRecord]:
        """Every token that was issued and could still be good, or was revoked before it ended."""
        self.refresh()
        found: list[TokenRecord] = []
        for token_id, text in self._store.entries(TOKENS).items():
            record = TokenRecord(**json.loads(text))
            if (record.expires_at or _ALWAYS) > self._clock():
                found.append(replace(record, revoked=token_id in self._revoked))
        return sorted(found, key=lambda record: (record.issued_at, record.token_id))

    def get(self, token_id: str) -> TokenRecord:
        """An issued token.

        Raises:
            TokenError: There is none of that id.
        """
        for record in self.list_records():
            if record.token_id == token_id:
                return record
        raise TokenError(f"there is no token {token_id!r} that is still good")

    def revoke(self, record: TokenRecord) -> None:
        """Make a token worthless, here at once and on other replicas within a second or two."""
        self._store.put_entry(REVOKED, record.token_id, str(record.expires_at or ""))
        self.refresh()
        self._forget_expired()

    def rotate(
        self,
        *,
        overlap_seconds: float,
        recording: Callable[[str], AbstractContextManager[None]] = nullcontext,
    ) -> str:
        """Sign with a new key from now on; the new key's id.

        Args:
            overlap_seconds: For how long what older keys have signed stays good.
            recording: What it is done in, once the new key's id is known.
        """
        self.refresh()
        until = self._clock() + overlap_seconds
        new_id = _new_key_id()
        with recording(new_id):
            for key_id, key in self._keys.items():
                # An earlier rotation may have said an earlier end, which stays.
                ended = replace(key, good_until=min(key.good_until or until, until))
                self._store.put_entry(KEYS, key_id, json.dumps(asdict(ended)))
            self._make_key(new_id)
        return new_id

    def read(self, token: str) -> TokenGrant:
        """What a token entitles to.

        Raises:
            TokenError: It is not one of ours, or no longer good.
        """
        try:
            key_id = str(jwt.get_unverified_header(token).get("kid", ""))
            key = self._keys.get(key_id)
            if key is None:
                raise TokenError(f"is signed with key {key_id!r}, which is not known (any more)")
            claims = jwt.decode(
                token,
                bytes.fromhex(key.secret),
                algorithms=[_ALGORITHM],
                issuer=_ISSUER,
                # Whether it has ended is for `find_fault`, which open streams are asked by too.
                options={"require": ["sub", "jti"], "verify_exp": False, "verify_iat": False},
            )
            scope = parse_resource_id(str(claims["sub"]), account_id="")
        except (jwt.PyJWTError, ValueError) as error:
            raise TokenError(f"is no token of this control plane: {error}") from None
        expires_at = float(claims.get("exp", _ALWAYS))
        grant = TokenGrant(str(claims["jti"]), key_id, scope, expires_at)
        fault = self.find_fault(grant)
        if fault is not None:
            raise TokenError(fault)
        return grant

    def find_fault(self, grant: TokenGrant) -> str | None:
        """Why a token is no longer good; None while it is."""
        now = self._clock()
        key = self._keys.get(grant.key_id)
        if grant.token_id in self._revoked:
            return f"{grant.token_id} was revoked"
        if grant.expires_at <= now:
            return f"{grant.token_id} has expired"
        if key is None or (key.good_until or _ALWAYS) <= now:
            return f"{grant.token_id} was signed with key {grant.key_id}, which was replaced"
        return None

    def _find_newest(self) -> tuple[str, SigningKey] | None:
        newest = [each for each in self._keys.items() if each[1].good_until is None]
        return max(newest, key=lambda each: (each[1].made_at, each[0]), default=None)

    def _make_key(self, key_id: str) -> tuple[str, SigningKey]:
        key = SigningKey(secrets.token_hex(32), self._clock())
        self._store.put_entry(KEYS, key_id, json.dumps(asdict(key)))
        _log.info("token_key_made", key_id=key_id)
        self._forget_expired()
        self.refresh()
        return key_id, key

    def _forget_expired(self) -> None:
        """Remove what can't be used any more, so that what all replicas follow stays small."""
        now = self._clock()
        for key_id, key in self._keys.items():
            if (key.good_until or _ALWAYS) <= now:
                self._store.remove_entry(KEYS, key_id)
        for token_id, until in self._revoked.items():
            if float(until or _ALWAYS) <= now:
                self._store.remove_entry(REVOKED, token_id)
        for token_id, text in self._store.entries(TOKENS).items():
            if (TokenRecord(**json.loads(text)).expires_at or _ALWAYS) <= now:
                self._store.remove_entry(TOKENS, token_id)


def _new_key_id() -> str:
    return secrets.token_hex(4)
