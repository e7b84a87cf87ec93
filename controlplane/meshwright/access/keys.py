"""The access keys that the operator configures: from a file that may change, or one pair.

- access_key_id: PLATFORM
  secret_access_key: ...
  account_id: "111122223333"   # the server's without it
  access: write                # or read
  meshes: ["shop-*"]           # names and globs; ["*"] is all
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol, cast

import yaml

from meshwright.access.errors import AccessSettingsError
from meshwright.reloading import ReloadedFiles

Access = Literal["read", "write"]

MIN_SECRET_LENGTH: Final = 16
"""A shorter secret could be guessed from one signed request."""

MAX_FILE_BYTES: Final = 1024 * 1024

_KEY_ID: Final = re.compile(r"[\w.-]{1,128}", re.ASCII)
_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_REQUIRED: Final = ("access_key_id", "secret_access_key", "access", "meshes")
_FIELDS: Final = frozenset((*_REQUIRED, "account_id"))


@dataclass(frozen=True, slots=True)
class AccessKey:
    """One access key and what it permits.

    Attributes:
        access_key_id: The public half.
        secret_access_key: The secret half, never shown.
        account_id: The account that its holder acts for.
        access: `read`, or `write`, which includes reading.
        meshes: The names of meshes that it may be used on; `*`, `?` and `[...]` are wildcards.
    """

    access_key_id: str
    secret_access_key: str = field(repr=False)
    account_id: str
    access: Access = "write"
    meshes: tuple[str, ...] = ("*",)


class Keys(Protocol):
    """Where access keys are looked up."""

    def find(self, access_key_id: str) -> AccessKey | None:
        """The key of that id, or None."""
        ...


class FixedKeys:
    """Keys that stay as they are.

    Args:
        keys: The keys.
    """

    def __init__(self, keys: Sequence[AccessKey]) -> None:
        self._keys = {key.access_key_id: key for key in keys}

    def find(self, access_key_id: str) -> AccessKey | None:
        """The key of that id, or None."""
        return self._keys.get(access_key_id)


class KeyFile(ReloadedFiles[FixedKeys]):
    """Keys of a file; a change counts from the next request on.

    Args:
        path: The file.
        account_id: The account of keys that name none.

    Raises:
        AccessSettingsError: The file can't be used as it is now.
    """

    def __init__(self, path: Path, *, account_id: str) -> None:
        super().__init__(
            "--access-keys",
            [path],
            lambda: FixedKeys(_read_keys(path, account_id=account_id)),
            AccessSettingsError,
        )

    def find(self, access_key_id: str) -> AccessKey | None:
        """The key of that id, or None."""
        return self.refresh().find(access_key_id)


def _read_keys(path: Path, *, account_id: str) -> tuple[AccessKey, ...]:
    where = f"access keys {path}"
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise AccessSettingsError(f"{where}: can't be read: {error.strerror}") from None
    if mode & stat.S_IROTH:
        raise AccessSettingsError(
            f"{where}: is readable by everybody: chmod o-rwx it, and change the keys"
        )
    if len(text) > MAX_FILE_BYTES:
        raise AccessSettingsError(f"{where}: is larger than {MAX_FILE_BYTES} bytes")
    try:
        return parse_keys(text.decode(), account_id=account_id)
    except (AccessSettingsError, UnicodeDecodeError) as error:
        raise AccessSettingsError(f"{where}: {error}") from None


def build_pair(access_key_id: str, secret_access_key: str, *, account_id: str) -> AccessKey:
    """The key of a single pair, which permits everything.

    Raises:
        AccessSettingsError: One of the halves can't be used.
    """
    return _parse_key(
        "",
        {
            "access_key_id": access_key_id,
            "secret_access_key": secret_access_key,
            "access": "write",
            "meshes": ["*"],
        },
        account_id,
    )


def parse_keys(text: str, *, account_id: str) -> tuple[AccessKey, ...]:
    """The keys of a YAML text.

    Args:
        text: A list of keys.
        account_id: The account of keys that name none.

    Raises:
        AccessSettingsError: It is no such list; the message names the key and the field.
    """
    try:
        loaded: object = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # The parser's own words may quote a line, and so a secret.
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        raise AccessSettingsError(f"is not valid YAML{line}") from None
    if not isinstance(loaded, list) or not loaded:
        raise AccessSettingsError("must hold a list of at least one access key")
    entries = cast("list[object]", loaded)
    keys = [_parse_key(f"[{at}].", entry, account_id) for at, entry in enumerate(entries)]
    seen: set[str] = set()
    for at, key in enumerate(keys):
        if key.access_key_id in seen:
            raise AccessSettingsError(f"[{at}].access_key_id: {key.access_key_id!r} is there twice")
        seen.add(key.access_key_id)
    return tuple(keys)


def _parse_key(at: str, entry: object, account_id: str) -> AccessKey:
    if not isinstance(entry, dict):
        raise AccessSettingsError(f"{at.rstrip('.')}: must be an object with an access_key_id")
    fields = cast("Mapping[object, Any]", entry)
    for name in fields:
        if name not in _FIELDS:
            raise AccessSettingsError(f"{at}{name}: is none of {', '.join(sorted(_FIELDS))}")
    for name in _REQUIRED:
        if name not in fields:
            raise AccessSettingsError(f"{at}{name}: is required")
    return AccessKey(
        access_key_id=_parse_text(
            f"{at}access_key_id",
            fields["access_key_id"],
            _KEY_ID,
            "1 to 128 letters, digits and . _ -",
        ),
        secret_access_key=_parse_secret(f"{at}secret_access_key", fields["secret_access_key"]),
        account_id=_parse_text(
            f"{at}account_id", fields.get("account_id", account_id), _ACCOUNT, "12 digits in quotes"
        ),
        access=_parse_access(f"{at}access", fields["access"]),
        meshes=_parse_meshes(f"{at}meshes", fields["meshes"]),
    )


def _parse_text(name: str, value: object, pattern: re.Pattern[str], expected: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise AccessSettingsError(f"{name}: must be {expected}, got {value!r}")
    return value


def _parse_secret(name: str, value: object) -> str:
    if not isinstance(value, str) or len(value) < MIN_SECRET_LENGTH or not value.isprintable():
        raise AccessSettingsError(
            f"{name}: must be a text of at least {MIN_SECRET_LENGTH} printable characters"
        )
    return value


def _parse_access(name: str, value: object) -> Access:
    if value == "read" or value == "write":
        return cast("Access", value)
    raise AccessSettingsError(f"{name}: must be read or write, got {value!r}")


def _parse_meshes(name: str, value: object) -> tuple[str, ...]:
    patterns = cast("list[object]", value) if isinstance(value, list) else []
    if not patterns or not all(isinstance(each, str) and each for each in patterns):
        raise AccessSettingsError(f'{name}: must be a list of names or globs, such as ["*"]')
    return tuple(str(each) for each in patterns)
