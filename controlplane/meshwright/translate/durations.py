"""Durations: App Mesh's value and unit as Envoy's seconds and nanoseconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MILLISECOND_NANOS = 1_000_000


def build_duration(duration: Mapping[str, Any]) -> dict[str, int]:
    """A duration such as `{"value": 250, "unit": "ms"}`."""
    if duration["unit"] == "ms":
        return build_millis(duration["value"])
    return {"seconds": duration["value"]}


def build_millis(milliseconds: int) -> dict[str, int]:
    """A duration in milliseconds."""
    seconds, rest = divmod(milliseconds, 1000)
    return {"seconds": seconds, "nanos": rest * _MILLISECOND_NANOS}
