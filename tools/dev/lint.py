"""./dev lint: every check by name, all of them run, and a summary at the end."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from tools.dev.console import render_duration
from tools.dev.paths import SCRIPTS
from tools.dev.processes import run_foreground


@dataclass(frozen=True, slots=True)
class Check:
    """A check: its name, what it looks at and its command."""

    name: str
    subject: str
    command: tuple[str | Path, ...]


def build_checks(*, fix: bool) -> tuple[Check, ...]:
    """The checks in their order: the quick ones first; with `fix` they repair what they can."""
    ruff = SCRIPTS / "ruff"
    format_options = () if fix else ("--check",)
    return (
        Check("ruff check", "rules of style", (ruff, "check", *(("--fix",) if fix else ()))),
        Check("ruff format", "layout of the text", (ruff, "format", *format_options)),
        Check("import-linter", "which part may import which", (SCRIPTS / "lint-imports",)),
        Check("pyright", "types", (SCRIPTS / "pyright",)),
    )


def run_checks(checks: Sequence[Check]) -> int:
    """Run all checks, those after a failed one too; 0 if all passed, else 1."""
    console = Console(highlight=False, soft_wrap=True)
    results: list[tuple[Check, int, float]] = []
    for check in checks:
        console.print(f"[bold]{check.name}[/bold]: {check.subject}")
        began = time.monotonic()
        code = run_foreground(check.command)
        results.append((check, code, time.monotonic() - began))
        console.print()
    for check, code, seconds in results:
        verdict = "[green]passed[/green]" if code == 0 else "[red]failed[/red]"
        console.print(f"{verdict} {check.name} ({render_duration(seconds)})")
    return int(any(code for _, code, _ in results))
