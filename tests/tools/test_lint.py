"""./dev lint runs every check and sums up."""

import pytest

from tools.dev.lint import Check, build_checks, run_checks

PASSING = Check("good", "nothing", ("true",))
FAILING = Check("bad", "nothing", ("false",))


def test_one_failed_check_fails_the_whole() -> None:
    assert run_checks([PASSING, FAILING, PASSING]) == 1


def test_it_passes_when_all_pass() -> None:
    assert run_checks([PASSING, PASSING]) == 0


def test_checks_after_a_failed_one_run_and_are_summed_up(
    capfd: pytest.CaptureFixture[str],
) -> None:
    run_checks([FAILING, Check("last", "nothing", ("echo", "ran"))])
    lines = capfd.readouterr().out.splitlines()
    assert "ran" in lines
    assert lines[-2:] == ["failed bad (0 s)", "passed last (0 s)"]


def test_nothing_is_changed_unless_asked() -> None:
    words = [str(word) for check in build_checks(fix=False) for word in check.command]
    assert "--fix" not in words
    assert "--check" in words
