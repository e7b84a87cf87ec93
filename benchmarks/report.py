"""What a benchmark found: tables with the date, the command and the machine they were measured on.

`Report.show` prints them; `write_section` keeps them in docs/benchmarks.md, between two markers of
the benchmark's own, so that what is written around the markers stays.
"""

import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of figures; the first column says what each row measured.

    Attributes:
        title: what the rows have in common, such as `requests per second`.
        columns: the columns' headings, with their units.
        rows: as many cells each as there are columns, ready to be read.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Report:
    """All that one run of a benchmark found.

    Attributes:
        name: the benchmark's, as in `./dev bench NAME`.
        command: the whole command line, so that a reader can run it again.
        tables: what was measured.
        measured_at: when, by UTC.
    """

    name: str
    command: str
    tables: Sequence[Table]
    measured_at: datetime

    @property
    def heading(self) -> str:
        """Date, command and machine in one line."""
        machine = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
        return f"{self.measured_at:%Y-%m-%d}, `{self.command}`, {machine}"

    def show(self) -> None:
        """Print the tables on stdout: boxes on a terminal, Markdown in a pipe."""
        console = Console(highlight=False)
        if not console.is_terminal:
            console.out(self.to_markdown(), highlight=False)
            return
        console.print(escape(self.heading))
        for table in self.tables:
            drawn = RichTable(title=escape(table.title))
            for position, column in enumerate(table.columns):
                drawn.add_column(escape(column), justify="right" if position else "left")
            for row in table.rows:
                drawn.add_row(*map(escape, row))
            console.print(drawn)

    def to_markdown(self) -> str:
        """The same as Markdown."""
        parts = [f"Measured {self.heading}."]
        parts += [_to_markdown(table) for table in self.tables]
        return "\n\n".join(parts)


def build_report(name: str, tables: Sequence[Table]) -> Report:
    """A report of what was measured just now by the command that runs."""
    command = " ".join(["./dev", *sys.argv[1:]])
    return Report(name, command, tables, datetime.now(UTC))


def write_section(report: Report, page: Path) -> None:
    """Put a report in place of the one before it on a page.

    Raises:
        ValueError: the page has no such section: `<!-- bench NAME -->` ... `<!-- end -->`.
    """
    begin, end = f"<!-- bench {report.name} -->", "<!-- end -->"
    before, found, rest = page.read_text().partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise ValueError(f"{page} has no section between {begin!r} and {end!r}")
    page.write_text(f"{before}{begin}\n{report.to_markdown()}\n{end}{after}")


def _to_markdown(table: Table) -> str:
    rule = [":--", *["--:"] * (len(table.columns) - 1)]
    lines = [_to_row(cells) for cells in (table.columns, rule, *table.rows)]
    return f"**{table.title}**\n\n" + "\n".join(lines)


def _to_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
