"""Access logs of mesh nodes: where they go and what a line says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi_meshwright as meshwright

if TYPE_CHECKING:
    from collections.abc import Mapping


def build_log_format(fields: Mapping[str, str]) -> meshwright.LoggingFormatArgs:
    """A JSON format: one object a line, its keys in the order of `fields`.

    Args:
        fields: Envoy's format strings by key, for instance `{"status": "%RESPONSE_CODE%"}`.

    Raises:
        ValueError: There is no field, hence nothing to write.
    """
    if not fields:
        raise ValueError("access_log_format is empty: leave it out for Envoy's own format")
    return meshwright.LoggingFormatArgs(
        json=[meshwright.JsonFormatRefArgs(key=key, value=value) for key, value in fields.items()]
    )


def build_logging(path: str, fields: Mapping[str, str] | None) -> meshwright.LoggingArgs:
    """Access logs into a file, such as `/dev/stdout`, in Envoy's own format or as JSON."""
    file = meshwright.FileAccessLogArgs(
        path=path, format=None if fields is None else build_log_format(fields)
    )
    return meshwright.LoggingArgs(access_log=meshwright.AccessLogArgs(file=file))
