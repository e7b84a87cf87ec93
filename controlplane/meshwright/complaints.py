"""What the commands say on standard error, and how they end when they can't go on."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer


def complain(message: str) -> None:
    """Say what is wrong."""
    typer.echo(f"meshwright: {message}", err=True)


def fail(message: str, exit_code: int = 2) -> NoReturn:
    """Say what is wrong, and end."""
    complain(message)
    sys.exit(exit_code)
