"""Property values of the engine as plain Python data, and back, without losing what is secret.

The engine sends a value that is not known yet (during a preview) as a certain string; here it is
`UNKNOWN`. Secrets travel as wrapped values; plain data drops the wrapping, and `wrap_like` puts it
back where an earlier value had it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final, TypeAlias

from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.runtime import rpc


class Unknown(Enum):
    """The type of `UNKNOWN`, an enum so that the type checker can tell it apart."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN
"""A value that will be known only after the resource that it comes from has been created."""

Plain: TypeAlias = "bool | int | float | str | Unknown | list[Plain] | dict[str, Plain] | None"
"""What JSON can say, and `UNKNOWN`."""

COMPUTED: Final = PropertyValue(rpc.UNKNOWN)
"""`UNKNOWN` as the engine writes it (the SDK's own `Computed` can't be sent)."""


def plain(value: PropertyValue | None) -> Plain:
    """A property value as plain data; whole numbers become ints; absent is None."""
    raw = None if value is None else value.value
    if isinstance(raw, str):
        return UNKNOWN if raw == rpc.UNKNOWN else raw
    if isinstance(raw, float):
        return int(raw) if raw.is_integer() else raw
    if raw is None or isinstance(raw, bool):
        return raw
    if isinstance(raw, Sequence):
        return [plain(item) for item in raw]
    if isinstance(raw, Mapping):
        return plain_map(raw)
    # Assets and resource references have no place in a mesh; their text makes the check fail.
    return str(raw)


def plain_map(values: Mapping[str, PropertyValue]) -> dict[str, Plain]:
    """`plain` of each value; members that are null are left out, as if they weren't there."""
    return {key: plain(value) for key, value in values.items() if value.value is not None}


def wrap(value: Plain) -> PropertyValue:
    """Plain data as a property value."""
    if value is UNKNOWN:
        return COMPUTED
    if isinstance(value, list):
        return PropertyValue([wrap(item) for item in value])
    if isinstance(value, dict):
        return PropertyValue({key: wrap(item) for key, item in value.items()})
    if isinstance(value, int) and not isinstance(value, bool):
        return PropertyValue(float(value))
    return PropertyValue(value)


def wrap_like(value: Plain, earlier: PropertyValue | None) -> PropertyValue:
    """`wrap`, and secret wherever `earlier` was secret at the same place."""
    if earlier is None:
        return wrap(value)
    before = earlier.value
    if isinstance(value, dict) and isinstance(before, Mapping):
        members = before
        wrapped = PropertyValue({k: wrap_like(v, members.get(k)) for k, v in value.items()})
    elif isinstance(value, list) and isinstance(before, Sequence) and not isinstance(before, str):
        items = before
        # Items of a list can move: one secret item makes the whole list secret.
        wrapped = wrap(value).with_secret(any(item.contains_secret() for item in items))
    else:
        wrapped = wrap(value)
    return wrapped.with_secret(wrapped.is_secret or earlier.is_secret)


def is_unknown(value: PropertyValue) -> bool:
    """Whether the value itself, not something in it, will be known only later."""
    return value.value == rpc.UNKNOWN


def is_known(value: Plain) -> bool:
    """Whether nothing in the value is `UNKNOWN`."""
    if isinstance(value, list):
        return all(is_known(item) for item in value)
    if isinstance(value, dict):
        return all(is_known(item) for item in value.values())
    return value is not UNKNOWN
