"""`meshwright status --watch`, as a process that Ctrl-C ends: in a pipe and on a terminal."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from meshwright.operator.commands import _without_growth
from pytest_meshwright.control_plane import ControlPlane
from pytest_meshwright.waiting import wait_until
from tests.controlplane.access.serving import MESHWRIGHT, TIMEOUT
from tests.controlplane.meshes import node_spec
from tests.controlplane.operator.test_waiting import connected


class Watch:
    """A running `status --watch` and what it has printed."""

    def __init__(self, process: subprocess.Popen[bytes], out: Path, err: Path) -> None:
        self._process = process
        self._out = out
        self._err = err

    def lines(self) -> list[str]:
        """What it has printed."""
        return self._out.read_text().splitlines()

    def wait_for(self, text: str) -> None:
        """Wait until it has printed something."""
        wait_until(
            lambda: text in self._out.read_text() + self._err.read_text(),
            what=f"it to print {text!r}",
            timeout=TIMEOUT,
        )

    def interrupt(self) -> tuple[int, str]:
        """Press Ctrl-C; how it ended, and what it wrote to standard error."""
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(TIMEOUT), self._err.read_text()


@contextmanager
def watching(control_plane: ControlPlane, folder: Path, *options: str) -> Generator[Watch]:
    """Run the command with its output in files."""
    out, err = folder / "out", folder / "err"
    environment = os.environ | {"MESHWRIGHT_ENDPOINT": control_plane.url}
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            [MESHWRIGHT, "status", "--watch", *options],
            stdout=stdout,
            stderr=stderr,
            env=environment,
        )
    try:
        yield Watch(process, out, err)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def front(appmesh: Any, mesh: str) -> str:
    """The id of a virtual node that proxies can be for."""
    appmesh.create_virtual_node(meshName=mesh, virtualNodeName="front", spec=node_spec("front"))
    return f"mesh/{mesh}/virtualNode/front"


def test_in_a_pipe_all_lines_are_printed_again_when_one_has_changed(
    control_plane: ControlPlane, appmesh: Any, mesh: str, front: str, tmp_path: Path
):
    with watching(control_plane, tmp_path, "--mesh", mesh) as watch:
        watch.wait_for("no proxy is connected")
        with connected(control_plane, front, "acknowledge"):
            watch.wait_for(f"{mesh}\tvirtualNode/front")
            appmesh.update_virtual_node(
                meshName=mesh, virtualNodeName="front", spec=node_spec("front", port=9090)
            )
            wait_until(
                lambda: watch.lines()[-1].split("\t")[6] == "3",
                what="the next revision to be shown",
                timeout=TIMEOUT,
            )


def test_a_proxy_that_is_refused_again_is_not_printed_again():
    first = {"resource": "a", "peer": "ipv4:10.0.0.1:1", "count": 1, "at": "t1", "reason": "no"}
    other = first | {"resource": "b"}
    again = first | {"peer": "ipv4:10.0.0.1:2", "count": 2, "at": "t2"}
    before = {"mesh": "m", "replica": "r", "proxies": [], "refusals": [other, first]}

    assert _without_growth(before | {"refusals": [again, other]}) == _without_growth(before)
    assert _without_growth(before | {"refusals": [other]}) != _without_growth(before)


def test_as_json_there_is_a_document_for_each_change(
    control_plane: ControlPlane, mesh: str, tmp_path: Path
):
    with watching(control_plane, tmp_path, "--mesh", mesh, "--json") as watch:
        watch.wait_for(mesh)
        watch.wait_for("]\n")

        [status] = json.loads("\n".join(watch.lines()))

    assert (status["mesh"], status["proxies"]) == (mesh, [])


def test_ctrl_c_ends_it_without_a_traceback(control_plane: ControlPlane, mesh: str, tmp_path: Path):
    with watching(control_plane, tmp_path, "--mesh", mesh) as watch:
        watch.wait_for("no proxy is connected")

        code, errors = watch.interrupt()

    assert code == 130
    assert errors == "meshwright: no proxy is connected\n"


def test_when_the_control_plane_is_gone_it_says_so(
    control_plane: ControlPlane, mesh: str, tmp_path: Path
):
    del mesh
    with watching(control_plane, tmp_path, "--endpoint", "http://127.0.0.1:1") as watch:
        watch.wait_for("meshwright: http://127.0.0.1:1 can't be reached")


def test_on_a_terminal_it_is_a_table_that_leaves_no_trace(
    control_plane: ControlPlane, mesh: str, front: str
):
    master, slave = pty.openpty()
    environment = os.environ | {
        "MESHWRIGHT_ENDPOINT": control_plane.url,
        "TERM": "xterm",
        "COLUMNS": "200",
    }
    with connected(control_plane, front, "acknowledge"):
        process = subprocess.Popen(
            [MESHWRIGHT, "status", "--watch", "--mesh", mesh],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
        )
        os.close(slave)
        shown = b""
        while b"virtualNode/front" not in shown:
            shown += os.read(master, 65536)
        process.send_signal(signal.SIGINT)
        rest = b""
        while b"\x1b[?1049l" not in rest:  # back from the alternate screen
            rest += os.read(master, 65536)
        code = process.wait(TIMEOUT)
        os.close(master)

    assert code == 130
    assert b"REVISION" in shown
