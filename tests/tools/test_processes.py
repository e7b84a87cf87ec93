"""Running other programs: what a failure says, and that nothing outlives an interruption."""

import time
from pathlib import Path

import pytest

from tools.dev import processes
from tools.dev.processes import Patience, SetupError, read_output, run_foreground, run_logged

pytestmark = pytest.mark.usefixtures("cache")


def test_a_failure_is_one_line_with_the_last_word_and_the_log(cache: Path) -> None:
    with pytest.raises(SetupError) as failure:
        run_logged("making it", ["sh", "-c", "echo first; echo no space left; exit 3"], log="it")
    log = cache / "logs" / "it.log"
    assert str(failure.value) == f"making it: failed: no space left (log: {log})"


def test_a_command_that_is_not_there_is_named() -> None:
    with pytest.raises(SetupError, match=r"making it: .*no-such-command"):
        run_logged("making it", ["no-such-command"], log="it")


def test_silence_is_given_up_before_the_whole_time_is_over() -> None:
    patience = Patience(seconds=60, first_output_seconds=0.1)
    with pytest.raises(SetupError, match="no answer in 0 s"):
        run_logged("asking", ["sleep", "60"], log="it", patience=patience)


def test_children_of_an_interrupted_command_are_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_file = tmp_path / "id"

    def interrupt(*_: object) -> str | None:
        while not (id_file.exists() and id_file.read_text().strip()):
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(processes, "_wait", interrupt)
    grandchild = f"sleep 60 & echo $! > {id_file}; wait"
    with pytest.raises(KeyboardInterrupt):
        run_logged("working", ["sh", "-c", grandchild], log="it")
    status = Path(f"/proc/{id_file.read_text().strip()}/stat")
    deadline = time.monotonic() + 10
    while status.exists() and " Z " not in status.read_text():
        assert time.monotonic() < deadline, "the grandchild still runs"


def test_in_the_foreground_a_signals_code_is_the_shells() -> None:
    assert run_foreground(["sh", "-c", "kill -TERM $$"]) == 128 + 15


@pytest.mark.parametrize("command", [["no-such-command"], ["false"], ["sleep", "60"]])
def test_output_of_what_does_not_work_is_none(command: list[str]) -> None:
    assert read_output(command, seconds=0.2) is None
