"""What a batch changes, for people: a line a resource, with the fields that differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

import typer

_SIGNS: Final = {"create": ("+", "green"), "update": ("~", "yellow"), "delete": ("-", "red")}
_DONE: Final = {"create": "created", "update": "changed", "delete": "deleted"}
_PLANNED: Final = {"create": "to create", "update": "to change", "delete": "to delete"}


def render_changes(outcome: Mapping[str, Any]) -> Iterator[str]:
    """The lines for what was or would be done, and a summary at the end."""
    changes: Sequence[Mapping[str, Any]] = outcome["changes"]
    for change in changes:
        sign, color = _SIGNS[change["action"]]
        version = f"  (version {change['version']})" if change["action"] == "update" else ""
        yield typer.style(f"{sign} {describe_path(change['resource'])}{version}", fg=color)
        if change["action"] == "update":
            yield from _render_fields(change["before"], change["after"])
    words = _PLANNED if outcome["dryRun"] else _DONE
    counts = {
        action: sum(change["action"] == action for change in changes)
        for action in ("create", "update", "delete")
    }
    summary = ", ".join(f"{count} {words[action]}" for action, count in counts.items())
    state = "is at" if outcome["dryRun"] or not changes else "is now at"
    yield (
        f"mesh {outcome['mesh']} {state} revision {outcome['revision']}: {summary}, "
        f"{outcome['unchanged']} unchanged"
    )


def describe_path(path: str) -> str:
    """A resource's path in words: `mesh/demo/virtualRouter/a/route/b` is `route a/b`."""
    parts = path.split("/")
    kind, names = parts[-2], parts[3::2] or parts[1:2]
    words = "".join(f" {each.lower()}" if each.isupper() else each for each in kind)
    return f"{words} {'/'.join(names)}"


def _render_fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    old, new = dict(_leaves(before)), dict(_leaves(after))
    for field in [*old, *(field for field in new if field not in old)]:
        if field not in new:
            yield f"    - {field}: {old[field]}"
        elif field not in old:
            yield f"    + {field}: {new[field]}"
        elif old[field] != new[field]:
            yield f"    ~ {field}: {old[field]} -> {new[field]}"


def _leaves(value: Any, field: str = "") -> Iterator[tuple[str, str]]:
    match value:
        case dict() if value:
            members = cast("dict[str, Any]", value)
            for name, each in members.items():
                if name == "tags" and not field:
                    for tag in each:
                        yield f"tags.{tag['key']}", json.dumps(tag["value"])
                else:
                    yield from _leaves(each, f"{field}.{name}" if field else name)
        case list() if value:
            for position, each in enumerate(cast("list[Any]", value)):
                yield from _leaves(each, f"{field}[{position}]")
        case _:
            yield field, json.dumps(value, ensure_ascii=False)
