"""Tests of running the real Pulumi engine over programs of this process."""

import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import grpc
import pulumi
import pytest
from pulumi.automation import CommandError

import pulumi_meshwright as meshwright
from pytest_meshwright.control_plane import ControlPlane
from pytest_meshwright.errors import HarnessError
from pytest_meshwright.plugin import MakeStack
from pytest_meshwright.pulumi_stack import (
    CHANNEL_OPTIONS,
    PULUMI_VARIABLE,
    PulumiStack,
    get_pulumi,
)
from pytest_meshwright.reaper import find_marked
from pytest_meshwright.waiting import wait_until

MARK = "MESHWRIGHT_STACK_TEST"
# A program that never ends, so that the engine waits for it.
ENDLESS = """
import pathlib, sys, threading
from pytest_meshwright.pulumi_stack import PulumiStack

def program():
    print("running", flush=True)
    threading.Event().wait()

PulumiStack(program, folder=pathlib.Path(sys.argv[1])).up()
"""


def greet() -> None:
    config = pulumi.Config()
    pulumi.export("greeting", f"hello {config.require('name')}")


def test_a_program_is_brought_up_with_its_settings(tmp_path: Path):
    lines: list[str] = []

    stack = PulumiStack(greet, folder=tmp_path, config={"name": "world"})
    outputs = stack.up(on_output=lines.append).outputs

    assert outputs["greeting"].value == "hello world"
    assert "Resources:" in lines


def test_a_folder_that_holds_the_stack_is_taken_up_again(tmp_path: Path):
    PulumiStack(greet, folder=tmp_path, config={"name": "world"}).up()

    again = PulumiStack(greet, folder=tmp_path)

    assert again.stack.outputs()["greeting"].value == "hello world"


def test_a_failing_program_leaves_nothing_open(tmp_path: Path):
    stack = PulumiStack(greet, folder=tmp_path)

    # Warnings of what stays open are errors here, in this test or the next.
    with pytest.raises(CommandError, match="Missing required configuration variable"):
        stack.preview()


def make_mesh() -> None:
    meshwright.Mesh("demo", name="demo")


def test_the_provider_beside_this_python_talks_to_the_labs_control_plane(
    meshwright_pulumi_stack: MakeStack, meshwright_control_plane: ControlPlane
):
    stack = meshwright_pulumi_stack(make_mesh)

    preview = stack.preview().change_summary
    stack.up()

    assert preview == {"create": 2}
    assert meshwright_control_plane.status("demo").revision == 1


def test_what_is_there_is_refreshed_and_destroyed(
    meshwright_pulumi_stack: MakeStack, meshwright_control_plane: ControlPlane
):
    stack = meshwright_pulumi_stack(make_mesh)
    stack.up()

    refreshed = stack.refresh().summary.resource_changes
    stack.destroy()

    assert refreshed == {"same": 2}
    assert meshwright_control_plane.find_status("demo") is None


def test_the_named_cli_comes_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(PULUMI_VARIABLE, "/bin/true")

    assert get_pulumi() == Path("/bin/true")


def test_without_a_cli_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(PULUMI_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(HarnessError, match="found no Pulumi CLI: set MESHWRIGHT_PULUMI"):
        get_pulumi()


@pytest.mark.parametrize("last_signal", [signal.SIGINT, signal.SIGKILL])
def test_an_engine_ends_with_the_process_that_runs_it(
    last_signal: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(MARK, str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        try:
            assert owner.stdout.readline() == "running\n"
            assert find_engines(tmp_path)
            owner.send_signal(last_signal)
            wait_until(lambda: not find_engines(tmp_path), what="the engine to end")
        finally:
            # The program itself was told to go on for ever.
            owner.kill()

    wait_until(lambda: not find_marked(str(tmp_path), MARK), what="everything to end")


def find_engines(folder: Path) -> list[str]:
    found = find_marked(str(folder), MARK)
    return [process.command for process in found if "--non-interactive" in process.command]


def test_an_engine_is_reached_at_a_port_where_an_earlier_one_ended():
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{reserved.getsockname()[1]}"
    method = "/pulumirpc.Engine/Log"
    with grpc.insecure_channel(address, options=CHANNEL_OPTIONS) as earlier:
        with pytest.raises(grpc.RpcError):
            cast("Any", earlier).unary_unary(method)(b"", timeout=5)
        server = grpc.server(ThreadPoolExecutor(1))
        server.add_generic_rpc_handlers((_Answering(),))
        server.add_insecure_port(address)
        server.start()

        with grpc.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
            answer = cast("Any", channel).unary_unary(method)(b"", timeout=5)
        server.stop(None).wait()

    assert answer == b"taken"


class _Answering(grpc.GenericRpcHandler):
    """Answers every call."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        return grpc.unary_unary_rpc_method_handler(lambda _request, _context: b"taken")
