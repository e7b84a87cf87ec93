"""Runs the demo from its first step to its last, and leaves nothing running, whatever happens."""

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from pulumi.automation import CommandError

from pytest_meshwright.errors import HarnessError
from tools.demo.interrupts import ignore_interrupts, interruptible
from tools.demo.screen import Screen
from tools.demo.stage import Stage
from tools.demo.steps import (
    change_weights,
    create_mesh,
    destroy_mesh,
    read_logs_back,
    send_first_requests,
    show_how_to_poke,
    start_everything,
)

_INTERRUPTED = 130


def run_demo(*, keep: bool, requests: int) -> int:
    """Run the demo and return its exit code.

    Args:
        keep: leave everything running after the last look, until Ctrl-C, instead of destroying it.
        requests: how many requests to send before and after the change.

    Returns:
        0: everything was as it should be; 1: something was not; 130: interrupted.
    """
    screen = Screen()
    with interruptible():
        try:
            return _run(screen, keep=keep, requests=requests)
        except KeyboardInterrupt:
            screen.say("interrupted; nothing is left running")
            return _INTERRUPTED
        except CommandError:
            screen.verdict("pulumi failed, its own words stand above; all is stopped", ok=False)
            return 1
        except HarnessError as error:
            screen.verdict(f"the demo failed, all is stopped: {error}", ok=False)
            return 1
        except BrokenPipeError:
            # Whoever read the output is gone; the interpreter must not try to flush it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1


def _run(screen: Screen, *, keep: bool, requests: int) -> int:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(
        prefix="meshwright-demo-", ignore_cleanup_errors=True
    ) as folder:
        with Stage(Path(folder)) as stage:
            start_everything(screen, stage)
            stack = create_mesh(screen, stage)
            right = [
                send_first_requests(screen, stage, requests),
                change_weights(screen, stage, stack, requests),
                read_logs_back(screen, stage),
            ]
            if keep:
                _keep_running(screen, stage)
            else:
                right.append(destroy_mesh(screen, stage, stack))
            ignore_interrupts()
        for process in stage.leftovers:
            screen.verdict(f"had to be killed: {process}", ok=False)
        right.append(not stage.leftovers)
    screen.say(f"nothing is left running; {time.monotonic() - began:.0f} s in all")
    return 0 if all(right) else 1


def _keep_running(screen: Screen, stage: Stage) -> None:
    show_how_to_poke(screen, stage)
    try:
        while True:
            signal.pause()
    except KeyboardInterrupt:
        screen.say("stopping everything")
