"""Tests of what the demo shows, on a terminal and in a pipe."""

import io

from rich.console import Console

from tools.demo.screen import Screen


def make_screen(*, terminal: bool) -> tuple[Screen, io.StringIO]:
    output = io.StringIO()
    console = Console(
        file=output, force_terminal=terminal, width=60, highlight=False, _environ={"TERM": "xterm"}
    )
    return Screen(console), output


def test_a_pipe_gets_plain_lines():
    screen, output = make_screen(terminal=False)

    screen.step(3, "requests")
    screen.quote(" +  meshwright:index:Mesh [demo] creating")
    screen.table(("target", "verdict"), [("color-blue", True), ("color-green", False)])
    screen.verdict("nothing is left", ok=True)

    assert [line.rstrip() for line in output.getvalue().splitlines()] == [
        "",
        "3/6  requests",
        "     |  +  meshwright:index:Mesh [demo] creating",
        "     target       verdict",
        "     color-blue   ok",
        "     color-green  WRONG",
        "     nothing is left",
    ]


def test_a_pipe_gets_a_long_line_whole():
    screen, output = make_screen(terminal=False)

    screen.say("x" * 300)

    assert output.getvalue() == f"     {'x' * 300}\n"


def test_a_pipe_gets_no_progress():
    screen, output = make_screen(terminal=False)

    with screen.working("starting"):
        parts = list(screen.track("requests", [1, 2]))

    assert (parts, output.getvalue()) == ([1, 2], "")


def test_a_terminal_gets_colours_and_progress():
    screen, output = make_screen(terminal=True)

    list(screen.track("requests", [1, 2]))
    screen.verdict("wrong", ok=False)

    assert "requests" in output.getvalue()
    assert "\x1b[1;31m" in output.getvalue()
