"""Tests of carrying a file's lines to CloudWatch Logs, each exactly once."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from pytest_meshwright import logs
from pytest_meshwright.aws import AwsEmulator
from pytest_meshwright.errors import HarnessError
from pytest_meshwright.logs import LONGEST_EVENT, LogShipper, LogStream
from pytest_meshwright.waiting import wait_until

MakeStream = Callable[[], LogStream]


@pytest.fixture
def stream(meshwright_aws: AwsEmulator, request: pytest.FixtureRequest) -> LogStream:
    """A log stream that is the test's own."""
    return LogStream(meshwright_aws.logs, f"/meshwright/{request.node.name}", "front")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file that is shipped; it does not exist yet."""
    return tmp_path / "access.log"


class Unreliable:
    """A client of CloudWatch Logs whose first answers get lost, or whose first calls do."""

    def __init__(self, client: Any, *, failures: int, carried_out: bool) -> None:
        self._client = client
        self._failures = failures
        self._carried_out = carried_out

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def put_log_events(self, **arguments: Any) -> Any:
        """Put events, or fail to."""
        if self._failures:
            self._failures -= 1
            if self._carried_out:
                self._client.put_log_events(**arguments)
            raise ReadTimeoutError(endpoint_url="logs")
        return self._client.put_log_events(**arguments)


def test_lines_arrive_in_order_and_once(file: Path, stream: LogStream):
    lines = [f"line {number}" for number in range(25_000)]
    with LogShipper(file, stream):
        file.write_text("".join(f"{line}\n" for line in lines))

    assert stream.read() == lines


def test_lines_that_are_written_while_the_end_is_asked_for(
    file: Path, stream: LogStream, monkeypatch: pytest.MonkeyPatch
):
    shipper = LogShipper(file, stream)
    looked: list[Path] = []

    def look_too_early(path: Path) -> bool:
        looked.append(path)
        if len(looked) > 1:
            return path.is_file()
        file.write_text("the last line\n")
        shipper._ending.set()
        return False

    monkeypatch.setattr(Path, "exists", look_too_early)
    shipper.start().stop()

    assert stream.read() == ["the last line"]


def test_lines_of_a_writer_that_writes_on_while_they_are_shipped(file: Path, stream: LogStream):
    script = "import sys\nfor n in range(20000): print(f'line {n}', flush=True)"
    with LogShipper(file, stream) as shipper, file.open("w") as output:
        subprocess.run([sys.executable, "-c", script], stdout=output, check=True)
        shipper.stop()

    assert stream.read() == [f"line {number}" for number in range(20_000)]


def test_lines_appear_while_the_file_grows(file: Path, stream: LogStream):
    with LogShipper(file, stream) as shipper, file.open("w") as output:
        print("first", file=output, flush=True)
        wait_until(lambda: shipper.shipped == 1, what="the first line")
        print("second", file=output, flush=True)
        wait_until(lambda: shipper.shipped == 2, what="the second line")

    assert stream.read() == ["first", "second"]


def test_a_last_line_without_its_end_is_shipped_at_the_stop(file: Path, stream: LogStream):
    with LogShipper(file, stream):
        file.write_text("whole\nhalf")

    assert stream.read() == ["whole", "half"]


def test_a_file_that_never_appears_ships_nothing(file: Path, stream: LogStream):
    with LogShipper(file, stream):
        pass

    assert stream.read() == []


def test_empty_lines_are_left_out(file: Path, stream: LogStream):
    with LogShipper(file, stream):
        file.write_text("one\n\n\ntwo\n")

    assert stream.read() == ["one", "two"]


def test_a_line_that_is_longer_than_an_event_becomes_several(file: Path, stream: LogStream):
    # Two bytes a character, so that a cut by bytes alone would break one.
    line = "é" * LONGEST_EVENT
    with LogShipper(file, stream):
        file.write_text(f"{line}\n")

    pieces = stream.read()
    assert [len(piece.encode()) <= LONGEST_EVENT for piece in pieces] == [True] * len(pieces)
    assert "".join(pieces) == line


def test_batches_stay_below_the_bounds_of_the_api(file: Path, stream: LogStream):
    sizes: list[tuple[int, int]] = []

    class Counting(Unreliable):
        def put_log_events(self, **arguments: Any) -> Any:
            """Put events and remember their sizes."""
            events = arguments["logEvents"]
            size = sum(len(event["message"].encode()) + logs.EVENT_OVERHEAD for event in events)
            sizes.append((len(events), size))
            return super().put_log_events(**arguments)

    client: Any = Counting(stream.client, failures=0, carried_out=False)
    file.write_text("x\n" * 15_000 + f"{'y' * 500}\n" * 5_000)
    with LogShipper(file, LogStream(client, stream.group, stream.name)):
        pass

    assert max(events for events, _ in sizes) <= logs.MOST_EVENTS
    assert max(size for _, size in sizes) <= logs.MOST_BYTES


@pytest.mark.parametrize("carried_out", [True, False])
def test_a_lost_answer_neither_doubles_nor_loses_lines(
    carried_out: bool, file: Path, stream: LogStream
):
    client: Any = Unreliable(stream.client, failures=2, carried_out=carried_out)
    lines = [f"line {number}" for number in range(100)]
    with LogShipper(file, LogStream(client, stream.group, stream.name)):
        file.write_text("".join(f"{line}\n" for line in lines))

    assert stream.read() == lines


def test_lines_that_cannot_be_delivered_are_an_error(file: Path, stream: LogStream):
    client: Any = Unreliable(stream.client, failures=10**9, carried_out=False)
    file.write_text("lost\n")
    shipper = LogShipper(file, LogStream(client, stream.group, stream.name)).start()

    with pytest.raises(HarnessError, match=r"could not ship all of .*0 lines arrived; last error"):
        shipper.stop(timeout=0.3)


def test_a_stream_that_has_events_already_keeps_them(file: Path, stream: LogStream):
    stream.create()
    stream.put(["before"])
    with LogShipper(file, stream):
        file.write_text("after\n")

    assert stream.read() == ["before", "after"]


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    import threading

    yield
    wait_until(
        lambda: not [each for each in threading.enumerate() if each.name.startswith("ship-")],
        what="the shippers' threads to end",
        seen=threading.enumerate,
    )
