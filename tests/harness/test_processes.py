"""Tests that child processes never outlive their owner, however it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_meshwright.errors import HarnessError
from pytest_meshwright.processes import ProcessGroup
from pytest_meshwright.reaper import find_marked
from pytest_meshwright.waiting import wait_until

FOREVER = "import signal; signal.pause()"
# A process that ignores requests to end, with a child that left its session.
STUBBORN = (
    "import signal, subprocess, sys\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    f"subprocess.Popen([sys.executable, '-c', {FOREVER!r}], start_new_session=True)\n"
    "print('started', flush=True)\n"
    "signal.pause()\n"
)
OWNER = (
    "import pathlib, signal, sys\n"
    "from pytest_meshwright.processes import ProcessGroup\n"
    "group = ProcessGroup()\n"
    "child = group.start('child', [sys.executable, '-c', sys.argv[1]], pathlib.Path(sys.argv[2]))\n"
    "while 'started' not in child.stdout.read_text(): pass\n"
    "print(group.mark, flush=True)\n"
    "signal.pause()\n"
)


def test_output_goes_to_two_files(group: ProcessGroup, folder: Path):
    script = "import sys; print('out'); print('err', file=sys.stderr)"
    child = group.start("talker", [sys.executable, "-c", script], folder)

    wait_until(lambda: not child.is_running, what="the child to end")

    assert (child.stdout.read_text(), child.stderr.read_text()) == ("out\n", "err\n")


def test_a_program_that_is_not_there_is_named(group: ProcessGroup, folder: Path):
    with pytest.raises(HarnessError, match=r"cannot start ghost: .*no-such-program"):
        group.start("ghost", ["/no-such-program"], folder)


def test_an_ended_process_is_reported_with_the_end_of_its_log(group: ProcessGroup, folder: Path):
    child = group.start("broken", [sys.executable, "-c", "raise SystemExit('no port')"], folder)
    wait_until(lambda: not child.is_running, what="the child to end")

    with pytest.raises(HarnessError, match=r"broken ended with code 1.*\nno port"):
        child.require_running()


def test_stop_kills_what_ignores_the_request(group: ProcessGroup, folder: Path):
    child = group.start("stubborn", [sys.executable, "-c", STUBBORN], folder)
    wait_until(lambda: "started" in child.stdout.read_text(), what="the child to start")

    assert child.stop(timeout=0.1) == -signal.SIGKILL


def test_closing_a_group_ends_grandchildren_in_sessions_of_their_own(folder: Path):
    with ProcessGroup() as group:
        child = group.start("stubborn", [sys.executable, "-c", STUBBORN], folder)
        wait_until(lambda: "started" in child.stdout.read_text(), what="the child to start")
        wait_until(lambda: len(group.survivors()) == 2, what="the grandchild to start")

    assert find_marked(group.mark) == []


@pytest.mark.parametrize("last_signal", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_nothing_outlives_an_owner_that_is_killed(folder: Path, last_signal: signal.Signals):
    command = [sys.executable, "-c", OWNER, STUBBORN, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        mark = owner.stdout.readline().strip()
        assert len(find_marked(mark)) == 2

        os.kill(owner.pid, last_signal)

        wait_until(lambda: not find_marked(mark), what="the children of a killed owner to end")


def test_nothing_outlives_an_owner_whose_whole_process_group_is_killed(folder: Path):
    command = [sys.executable, "-c", OWNER, STUBBORN, str(folder)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as owner:
        assert owner.stdout is not None
        mark = owner.stdout.readline().strip()

        os.killpg(owner.pid, signal.SIGKILL)

        wait_until(lambda: not find_marked(mark), what="the children of a killed owner to end")
