"""The command line: every command, from the file that it lives in.

A command imports what it works with when it runs: none has to wait for the server's parts that only
`serve` needs, and help for none at all.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from meshwright.bootstrap_commands import bootstrap_command
from meshwright.offline_commands import explain_command, render_command
from meshwright.operator.commands import attach
from meshwright.operator.tokens import token_app
from meshwright.serve_command import serve_command
from meshwright.store_commands import store_app

app = typer.Typer(
    name="meshwright",
    help="A control plane that serves the App Mesh API and drives Envoys over xDS.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # the others keep the ends of lines in docstrings
)
attach(app)
app.add_typer(token_app)
app.add_typer(store_app)
app.command("serve")(serve_command)
app.command("bootstrap")(bootstrap_command)
app.command("render")(render_command)
app.command("explain")(explain_command)


def _print_version(is_asked: bool) -> None:  # noqa: FBT001 - typer's form of a callback
    if is_asked:
        typer.echo(f"meshwright {version('meshwright')}")
        raise typer.Exit


@app.callback()
def _root(  # pyright: ignore[reportUnusedFunction] - typer calls it
    _: Annotated[  # noqa: FBT002 - typer makes a flag of it
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """A control plane that serves the App Mesh API and drives Envoys over xDS."""


def main() -> None:
    """The console script `meshwright`."""
    app()
