"""The table of `meshwright serve`'s flags, held to the command."""

from __future__ import annotations

import re
from typing import Any

import pytest
import typer

from meshwright.cli import app
from tools.dev.paths import CHECKOUT

PAGE = (CHECKOUT / "docs" / "control-plane.md").read_text()
ROWS = {
    row[1]: (row[2], row[3])
    for row in re.finditer(
        r"^\| `(--[a-z-]+)`(?: \(.*?\))? \| `(\w+)` \| (.*) \|$", PAGE, re.MULTILINE
    )
}
SERVE: Any = typer.main.get_command(app)
FLAGS = {
    each.opts[0]: each for each in SERVE.commands["serve"].params if not each.hidden and each.envvar
}


def test_each_flag_stands_in_the_table_and_no_other():
    assert list(ROWS) == list(FLAGS)


@pytest.mark.parametrize("flag", ROWS)
def test_a_flag_s_variable_and_default_are_those_of_the_command(flag: str):
    variable, default = ROWS[flag]
    declared = FLAGS[flag].default
    is_number = isinstance(declared, float)
    plain = {None: "none", False: "off"}.get(declared) or (
        f"{declared:g}" if is_number else declared
    )

    assert variable == FLAGS[flag].envvar
    # What is found out at the start, or comes from elsewhere, is told in words.
    assert declared is None or f"{plain}" in default.replace(",", "")
