"""Errors without the secrets of the resource that they are about.

What the control plane says of a wrong field may repeat its value, and so may a proxy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pulumi_meshwright.resources import ResourceError
from pulumi_meshwright.values import UNKNOWN, plain

if TYPE_CHECKING:
    from collections.abc import Generator

    from pulumi.provider.experimental.property_value import PropertyValue

    from pulumi_meshwright.resources import Properties

HIDDEN: Final = "[secret]"

_SHORTEST: Final = 3
"""Of a shorter secret any text has copies by chance; to hide them would tell it."""


@contextmanager
def hiding(*properties: Properties) -> Generator[None]:
    """Raise a `ResourceError` with the secrets among these properties hidden in its text."""
    try:
        yield
    except ResourceError as error:
        error.args = (redact(str(error), find_secrets(*properties)),)
        raise


def redact(text: str, secrets: set[str]) -> str:
    """A text without secrets, as they are and as error messages quote them."""
    forms = {
        form
        for secret in secrets
        for form in (
            *(secret, " ".join(secret.split())),
            *(repr(secret)[1:-1], json.dumps(secret)[1:-1]),
        )
        if len(form) >= _SHORTEST
    }
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, HIDDEN)
    return text


def find_secrets(*properties: Properties) -> set[str]:
    """The texts and numbers in properties that are secret."""
    return set[str]().union(
        *(
            _find(value, secret=False)
            for values in properties
            for value in values.values()
            if value.contains_secret()
        )
    )


def _find(value: PropertyValue, *, secret: bool) -> set[str]:
    secret = secret or value.is_secret
    raw = value.value
    if isinstance(raw, Mapping):
        return set[str]().union(*(_find(each, secret=secret) for each in raw.values()))
    if isinstance(raw, Sequence) and not isinstance(raw, str):
        return set[str]().union(*(_find(each, secret=secret) for each in raw))
    seen = plain(value)
    if not secret or seen is UNKNOWN or seen is None or isinstance(seen, bool):
        return set()
    return {str(seen)}
