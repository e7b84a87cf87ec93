"""What the demo shows: colours, tables and spinners on a terminal, plain lines in a pipe."""

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

STEPS = 6
Cell = str | bool
_PLAIN_WIDTH = 140
_INDENT = 5


class Screen:
    """Prints to standard output."""

    def __init__(self, console: Console | None = None) -> None:
        # A pipe has no width; lines must not be broken to fit one.
        made = console or Console(highlight=False)
        if not made.is_terminal:
            made.width = _PLAIN_WIDTH
        self._console = made

    def step(self, number: int, title: str) -> None:
        """Begin one of the six steps."""
        self._console.print()
        self._console.print(Text(f"{number}/{STEPS}  {title}", style="bold cyan"))

    def say(self, text: str, style: str = "") -> None:
        """Print a line of the step."""
        self._console.print(Text(" " * _INDENT + text, style=style), soft_wrap=True)

    def quote(self, text: str) -> None:
        """Print a line of another program's output."""
        self.say(f"| {text}" if text else "|", style="dim")

    def verdict(self, text: str, *, ok: bool) -> None:
        """Print a line that says whether something is as it should be."""
        self.say(text, style="green" if ok else "bold red")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
        """Print a table; a cell that is true or false becomes `ok` or `WRONG`."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column, no_wrap=True)
        for row in rows:
            table.add_row(*(_render_cell(cell) for cell in row))
        self._console.print(Padding.indent(table, _INDENT))

    @contextmanager
    def working(self, text: str) -> Generator[None]:
        """Show on a terminal that something is under way."""
        if self._console.is_terminal:
            with self._console.status(text):
                yield
        else:
            yield

    def track(self, text: str, parts: Sequence[int]) -> Generator[int]:
        """Give the parts one by one; a terminal shows how much of their sum is done."""
        columns = (TextColumn("     {task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(
            *columns,
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        ) as progress:
            task = progress.add_task(text, total=sum(parts))
            for part in parts:
                yield part
                progress.advance(task, part)


def _render_cell(cell: Cell) -> Text:
    if isinstance(cell, bool):
        return Text("ok", style="green") if cell else Text("WRONG", style="bold red")
    return Text(cell)
