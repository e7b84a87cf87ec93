"""From a store's URL to the store."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from meshwright.store.interface import Store, StoreError
from meshwright.store.sqlite import SqliteStore


def open_store(url: str, *, create: bool = True) -> Store:
    """Open the store that a URL names.

    Args:
        url: `sqlite:///relative/path.db` or `sqlite:////absolute/path.db`, as SQLAlchemy writes
            them; or `dynamodb://TABLE?region=us-east-1`, with `&endpoint=URL` where DynamoDB is
            not AWS's own.
        create: Make it where it does not exist.

    Raises:
        StoreError: The URL is none of these, or the store can't be opened.
    """
    match urlsplit(url).scheme:
        case "sqlite":
            return SqliteStore(_parse_path(url), create=create)
        case "dynamodb":
            # What of botocore it needs takes a tenth of a second to import: not for SQLite.
            from meshwright.store.dynamodb import DynamoDbStore

            return DynamoDbStore(url, create=create)
        case _:
            raise StoreError(
                f"store {url!r}: expected sqlite:///PATH, for instance sqlite:///mesh.db, or "
                "dynamodb://TABLE?region=us-east-1"
            )


def _parse_path(url: str) -> str:
    parts = urlsplit(url)
    if parts.netloc or len(parts.path) < 2:
        raise StoreError(f"store {url!r} names no file: write sqlite:///PATH, with three slashes")
    if parts.query or parts.fragment:
        raise StoreError(
            f"store {url!r}: sqlite:///PATH takes no options; in a path write ? as %3F, # as %23"
        )
    return unquote(parts.path[1:])
