"""Where each field of the model is exercised: docs/fields.md, and how it comes about.

`./dev test tests/e2e --record-fields FOLDER` writes down what the behaviour tests send, and
`.venv/bin/python -m tests.fields FOLDER` writes the page from it and from the golden cases.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

from botocore.model import ListShape, Shape, StructureShape

from meshwright.model.documents import parse_documents
from meshwright.model.resources import Kind
from meshwright.model.service import load_service_model

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "fields.md"
GOLDEN = ROOT / "tests" / "controlplane" / "translate" / "testdata"

INTRODUCTION = """\
# Fields

Each leaf field of the seven specifications, one golden case of the translation that has it
(`tests/controlplane/translate/testdata/`), and one test in which real Envoys act on it.
`tests/docs/test_fields.py` holds the page to the model and to the tests.
"""

Usage = dict[tuple[Kind, str], str]
"""Where a field of a specification is used: the name of a golden case or the path of a test."""


def model_fields() -> Iterator[tuple[Kind, str]]:
    """Every leaf field of the specifications, such as `listeners[].portMapping.port`."""
    for kind in Kind:
        shape = load_service_model().shape_for(f"{kind.value[0].upper()}{kind.value[1:]}Spec")
        for field in _shape_leaves(shape, ""):
            yield kind, field


@cache
def golden_cases() -> Usage:
    """A golden case for each field that one has; the first by name."""
    found: Usage = {}
    for path in sorted(GOLDEN.glob("*/mesh.yaml")):
        for document in parse_documents(path.read_text()):
            for field in value_leaves(document.parameters.get("spec", {}), ""):
                found.setdefault((document.kind, field), path.parent.name)
    return found


def read_page() -> dict[tuple[Kind, str], tuple[str, str]]:
    """The golden case and the test of each field on the page."""
    rows: dict[tuple[Kind, str], tuple[str, str]] = {}
    kind = Kind.MESH
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            kind = Kind(line.removeprefix("## "))
        elif row := re.fullmatch(r"\| `(.+)` \| (\S*) \| (\S*) \|", line):
            rows[kind, row[1]] = (row[2], row[3])
    return rows


def render_page(behaviour: Usage) -> str:
    """The page, for the tests that are said to exercise the fields."""
    golden = golden_cases()
    lines = [INTRODUCTION]
    last = None
    for kind, field in model_fields():
        if kind is not last:
            lines += ["", f"## {kind.value}", "", "| field | golden case | test |", "|---|---|---|"]
            last = kind
        case, test = golden.get((kind, field), ""), behaviour.get((kind, field), "")
        lines.append(f"| `{field}` | {case} | {test} |")
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def value_leaves(value: Any, field: str) -> Iterator[str]:
    """The leaf fields of a specification, without the positions in lists."""
    match value:
        case dict():
            for name, each in cast("dict[str, Any]", value).items():
                yield from value_leaves(each, f"{field}.{name}" if field else name)
        case list() | tuple():
            for each in cast("list[Any]", value):
                yield from value_leaves(each, f"{field}[]")
        case _:
            yield field


def _shape_leaves(shape: Shape, field: str) -> Iterator[str]:
    match shape:
        case StructureShape():
            for name, member in shape.members.items():
                yield from _shape_leaves(member, f"{field}.{name}" if field else name)
        case ListShape():
            yield from _shape_leaves(shape.member, f"{field}[]")
        case _:
            yield field


class Recorder:
    """Writes down the fields that tests send to a control plane.

    Args:
        folder: Where to; each process has a file of its own.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sent: dict[str, set[str]] = {}

    def note(self, operation: str, parameters: Mapping[str, Any], test: str) -> None:
        """Take note of a call that creates or updates something."""
        verb, name = operation[:6], operation[6:]
        if verb in ("Create", "Update") and "spec" in parameters:
            kind = f"{name[0].lower()}{name[1:]}"
            for field in value_leaves(parameters["spec"], ""):
                self._sent.setdefault(f"{kind} {field}", set()).add(test)

    def write(self, process: str) -> None:
        """Write down what was sent."""
        self._folder.mkdir(parents=True, exist_ok=True)
        sent = {field: sorted(tests) for field, tests in self._sent.items()}
        (self._folder / f"{process}.json").write_text(json.dumps(sent))


def _read_recorded(folder: Path) -> Usage:
    found: dict[tuple[Kind, str], set[str]] = {}
    for path in folder.glob("*.json"):
        recorded: dict[str, list[str]] = json.loads(path.read_text())
        for name, tests in recorded.items():
            kind, _, field = name.partition(" ")
            found.setdefault((Kind(kind), field), set()).update(tests)
    return {field: min(tests) for field, tests in found.items()}


if __name__ == "__main__":
    PAGE.write_text(render_page(_read_recorded(Path(sys.argv[1]))))
