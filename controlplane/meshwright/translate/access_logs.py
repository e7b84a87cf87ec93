"""Access logs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from meshwright.model.resources import Resource
from meshwright.translate.envoy_api import FileAccessLog, build_extension, build_struct


def build_access_logs(node: Resource) -> list[dict[str, Any]]:
    """The access loggers of a virtual node, the same for what comes in and what goes out.

    Without a format, lines have Envoy's default format, as they had under App Mesh
    (https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage).
    """
    return list(_file_loggers(node.spec.get("logging", {}).get("accessLog", {})))


def _file_loggers(access_log: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    file = access_log.get("file")
    if file is None:
        return
    settings: dict[str, Any] = {"path": file["path"]}
    log_format: Mapping[str, Any] = file.get("format", {})
    if "text" in log_format:
        text = log_format["text"]
        line = text if text.endswith("\n") else f"{text}\n"
        settings["log_format"] = {"text_format_source": {"inline_string": line}}
    elif "json" in log_format:
        members = {pair["key"]: pair["value"] for pair in log_format["json"]}
        settings["log_format"] = {"json_format": build_struct(members)}
    yield build_extension("envoy.access_loggers.file", FileAccessLog(**settings))
