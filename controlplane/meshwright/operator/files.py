"""Meshes as files: read for `apply`, written by `export`.

A file holds documents in the shapes of the AWS CLI's `--cli-input-json`: YAML documents, or JSON
objects one after another or in a list.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import yaml

from meshwright.operator.client import CommandError

_DEEPEST: Final = 60
"""Deeper than anything in the model, and where an alias that holds itself is given up."""

_JSON_SPACE: Final = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True, slots=True)
class Source:
    """One document of a file.

    Attributes:
        file: The file's name as it was given.
        position: Its place in the file, from 1.
        content: What it holds, as JSON has it.
    """

    file: str
    position: int
    content: object

    def __str__(self) -> str:
        return f"{self.file} document {self.position}"


def read_files(names: Sequence[str]) -> list[Source]:
    """The documents of files, in order; `-` is standard input.

    Raises:
        CommandError: A file can't be read, or is neither YAML nor JSON.
    """
    return [source for name in names for source in _read_file(name)]


def _read_file(name: str) -> Iterator[Source]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{name}: can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{name}: is no text in UTF-8") from None
    shown = "standard input" if name == "-" else name
    position = 0
    for document in _parse(shown, text):
        for content in cast("list[object]", document) if isinstance(document, list) else [document]:
            if content is not None:
                position += 1
                yield Source(shown, position, content)


def _parse(name: str, text: str) -> Iterable[object]:
    # JSON is tried first: it is much faster, and YAML takes no tabs.
    if (documents := _parse_json(text)) is not None:
        return documents
    try:
        _require_shallow(name, text)
        return list(yaml.load_all(text, Loader=yaml.CSafeLoader))
    except yaml.YAMLError as error:
        raise CommandError(f"{name}: is neither JSON nor YAML: {_one_line(error)}") from None


def _require_shallow(name: str, text: str) -> None:
    """Refuse what would run the loader out of its stack, which ends the process without a word."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                raise CommandError(f"{name}: nests deeper than {_DEEPEST} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _parse_json(text: str) -> list[object] | None:
    """JSON documents one after another, as `jq` prints them; None for what is no JSON."""
    decoder = json.JSONDecoder()
    documents: list[object] = []
    at = _skip_space(text, 0)
    try:
        while at < len(text):
            document, end = decoder.raw_decode(text, at)
            documents.append(document)
            at = _skip_space(text, end)
    except (ValueError, RecursionError):
        return None
    return documents


def _skip_space(text: str, at: int) -> int:
    space = _JSON_SPACE.match(text, at)
    return space.end() if space is not None else at


def _one_line(error: yaml.YAMLError) -> str:
    return " ".join(str(error).split())


def find_foreign_values(content: object, field: str = "", depth: int = 0) -> Iterator[str]:
    """What YAML can say and JSON can't, each as a message that begins with the field's path."""
    if depth > _DEEPEST:
        yield f"{field[:80]}...: nests too deeply, or holds itself"
        return
    match content:
        case dict():
            for name, value in cast("dict[Any, Any]", content).items():
                if not isinstance(name, str):
                    yield f"{field or 'document'}: the key {name!r} is no text; put it in quotes"
                    continue
                inside = f"{field}.{name}" if field else name
                yield from find_foreign_values(value, inside, depth + 1)
        case list():
            for position, value in enumerate(cast("list[Any]", content)):
                yield from find_foreign_values(value, f"{field}[{position}]", depth + 1)
        case float() if not math.isfinite(content):
            yield f"{field}: {content} is no number that JSON has"
        case None | str() | bool() | int() | float():
            return
        case _:
            kind = type(content).__name__
            yield f"{field}: is read as a {kind}; put it in quotes to make it text"


def render_documents(documents: Iterable[object]) -> str:
    """Documents as YAML that `read_files` reads as the same again."""
    return yaml.dump_all(
        documents,
        Dumper=yaml.CSafeDumper,
        sort_keys=False,
        allow_unicode=True,
        explicit_start=True,
        width=100,
    )
