"""`./dev demo` itself, as a newcomer runs it: what it prints, and that nothing of it is left."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from pytest_meshwright.errors import WaitTimeoutError
from pytest_meshwright.reaper import CONTAINER_LABEL, find_marked, kill_marked
from pytest_meshwright.waiting import wait_until

ROOT = Path(__file__).parents[2]
MARK = "MESHWRIGHT_DEMO_TEST"
PATIENCE = 240.0


class Demo:
    """A running `./dev demo`, in a process group of its own as a shell would start it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.mark = uuid.uuid4().hex
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self._output = folder / "output.txt"
        self._groups: set[str] = set()
        environment = {**os.environ, MARK: self.mark, "TMPDIR": str(self.temporary)}
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [ROOT / "dev", "demo", *options],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self._output.read_text()

    def wait_for(self, text: str) -> None:
        """Wait until it has printed a text."""

        def is_there() -> bool:
            self.note_groups()
            return text in self.output or self.process.poll() is not None

        wait_until(is_there, what=repr(text), timeout=PATIENCE, seen=lambda: self.output)
        assert text in self.output, self.output

    def wait(self) -> int:
        """Wait for its end, and return its exit code."""

        def has_ended() -> bool:
            self.note_groups()
            return self.process.poll() is not None

        wait_until(has_ended, what="the demo's end", timeout=PATIENCE, seen=lambda: self.output)
        return self.process.wait()

    def find_remains(self) -> list[str]:
        """Processes, folders and containers that it left."""
        remains = [str(process) for process in find_marked(self.mark, MARK)]
        remains += [folder.name for folder in self.temporary.glob("meshwright-demo-*")]
        return remains + [name for mark in self._groups for name in find_containers(mark)]

    def note_groups(self) -> None:
        """Remember the marks of its process groups, to find their containers by at the end."""
        for process in find_marked(self.mark, MARK):
            self._groups.update(re.findall(r"reaper\.py (\w+)", process.command))


def find_containers(mark: str) -> list[str]:
    """The names of the containers that a process group has."""
    if shutil.which("docker") is None:
        return []
    label = f"label={CONTAINER_LABEL}={mark}"
    command = ["docker", "ps", "--all", "--format", "{{.Names}}", "--filter", label]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()


@pytest.fixture
def demos(tmp_path: Path) -> Iterator[list[Demo]]:
    """The demos that the test starts; whatever they leave is ended after it."""
    started: list[Demo] = []
    yield started
    for demo in started:
        demo.process.kill()
        demo.process.wait()
        # Its reapers carry the mark as well, and need a moment for their work.
        with suppress(WaitTimeoutError):
            wait_until(lambda mark=demo.mark: not find_marked(mark, MARK), what="the demo's end")
        kill_marked(demo.mark, MARK)


def test_the_demo_shows_its_six_steps_and_leaves_nothing(tmp_path: Path, demos: list[Demo]):
    demo = Demo(tmp_path)
    demos.append(demo)

    code = demo.wait()

    output = demo.output
    assert (code, demo.find_remains()) == (0, []), output
    assert re.findall(r"^(\d)/6 ", output, re.MULTILINE) == ["1", "2", "3", "4", "5", "6"]
    assert re.search(r"AWS emulator +(LocalStack|moto) \S+ in", output)
    assert re.search(r"\+  meshwright:index:Route color created", output)
    for share in ("80.0%", "20.0%", "50.0%"):
        assert re.search(rf"color-\w+ +{share} +\d+\.\d% +\d+ +\d+ to \d+ +ok", output)
    assert re.search(r"first request that followed the new weights +\d+\.\d ms", output)
    assert re.search(r"every proxy had acknowledged them +\d+\.\d ms", output)
    for proxy in ("front", "color-blue", "color-green"):
        assert re.search(rf":{proxy} +(\d+) +\1 +0 +0 +ok", output)
    assert "meshes that the API lists: none" in output
    assert "\x1b" not in output


@pytest.mark.parametrize(
    "moment", ["1/6", "meshwright:index:Mesh demo creat", "Route color updating"]
)
def test_ctrl_c_at_any_moment_leaves_nothing(moment: str, tmp_path: Path, demos: list[Demo]):
    demo = Demo(tmp_path)
    demos.append(demo)
    demo.wait_for(moment)

    # As a terminal does: everything in the foreground gets the signal.
    os.killpg(demo.process.pid, signal.SIGINT)

    assert (demo.wait(), demo.find_remains()) == (130, []), demo.output
    assert demo.output.rstrip().endswith("interrupted; nothing is left running")
    assert "Traceback" not in demo.output


def test_sigterm_leaves_nothing(tmp_path: Path, demos: list[Demo]):
    demo = Demo(tmp_path)
    demos.append(demo)
    demo.wait_for("meshwright:index:Mesh demo creat")

    demo.process.terminate()

    assert (demo.wait(), demo.find_remains()) == (130, []), demo.output


def test_a_killed_demo_leaves_no_process(tmp_path: Path, demos: list[Demo]):
    demo = Demo(tmp_path)
    demos.append(demo)
    demo.wait_for("2/6")

    demo.process.kill()

    demo.wait()
    wait_until(
        lambda: not [each for each in demo.find_remains() if not each.startswith("meshwright-")],
        what="the reaper to end everything",
        seen=demo.find_remains,
    )


def test_keep_leaves_it_running_and_says_how_to_poke_at_it(tmp_path: Path, demos: list[Demo]):
    demo = Demo(tmp_path, "--keep", "--requests", "200")
    demos.append(demo)
    demo.wait_for("state and logs:")
    commands = {
        name: shlex.split(command)
        for name, command in re.findall(r"^ +(.+?):  (.+)$", demo.output, re.MULTILINE)
    }
    admin = re.search(r"front's Envoy: (\S+)", demo.output)
    assert admin is not None, demo.output

    outcomes = {
        name: subprocess.run(
            ["env", *command], capture_output=True, text=True, check=False, timeout=60
        ).stdout
        for name, command in commands.items()
    }
    state = httpx.get(f"{admin.group(1)}/ready", trust_env=False).text
    os.killpg(demo.process.pid, signal.SIGINT)

    assert '"service":"color-' in outcomes["through the mesh"]
    assert '"virtualNodeName": "color-blue"' in outcomes["the API"]
    assert '"acknowledged_revision"' in outcomes["the proxies"]
    assert state.strip() == "LIVE"
    assert (demo.wait(), demo.find_remains()) == (0, []), demo.output
