"""The command line: every command, from the file that it lives in.

A command imports what it works with when it runs: none has to wait for the server's parts that only
`serve` needs, and help for none at all.
"""

from __future__ import annotations

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
)
attach(app)
app.add_typer(token_app)
app.add_typer(store_app)
app.command("serve")(serve_command)
app.command("bootstrap")(bootstrap_command)
app.command("render")(render_command)
app.command("explain")(explain_command)


@app.callback()
def _root() -> None:  # pyright: ignore[reportUnusedFunction] - typer calls it
    """A control plane that serves the App Mesh API and drives Envoys over xDS."""


def main() -> None:
    """The console script `meshwright`."""
    app()
