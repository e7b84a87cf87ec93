"""Carries a file's lines to CloudWatch Logs, as the awslogs driver does, and reads them back."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import botocore.exceptions

from pytest_meshwright.errors import HarnessError

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

# The bounds of PutLogEvents, from its reference.
MOST_EVENTS = 10_000
MOST_BYTES = 1_048_576
EVENT_OVERHEAD = 26
LONGEST_EVENT = MOST_BYTES - EVENT_OVERHEAD

_INTERVAL = 0.1
_READ_SIZE = 1 << 20
_DELIVERY_TIMEOUT = 30.0
_PUT_ERRORS = (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError)


@dataclass(frozen=True, slots=True)
class LogStream:
    """A stream of a log group."""

    client: "CloudWatchLogsClient"
    group: str
    name: str

    def create(self) -> None:
        """Create the group and the stream where they are missing."""
        for create in (self._create_group, self._create_stream):
            with contextlib.suppress(self.client.exceptions.ResourceAlreadyExistsException):
                create()

    def _create_group(self) -> None:
        self.client.create_log_group(logGroupName=self.group)

    def _create_stream(self) -> None:
        self.client.create_log_stream(logGroupName=self.group, logStreamName=self.name)

    def put(self, messages: list[str]) -> None:
        """Append events with the time of now; the messages must fit into one call."""
        now = time.time_ns() // 1_000_000
        answer = self.client.put_log_events(
            logGroupName=self.group,
            logStreamName=self.name,
            logEvents=[{"timestamp": now, "message": message} for message in messages],
        )
        if rejected := answer.get("rejectedLogEventsInfo"):
            raise HarnessError(f"CloudWatch Logs rejected events of {self}: {rejected}")

    def read(self) -> list[str]:
        """The messages of all events, oldest first, through all pages."""
        messages: list[str] = []
        answer = self.client.get_log_events(
            logGroupName=self.group, logStreamName=self.name, startFromHead=True
        )
        while True:
            messages += [event.get("message", "") for event in answer["events"]]
            token = answer["nextForwardToken"]
            # The end of a stream is where the token stays the same; a page may be empty before.
            answer = self.client.get_log_events(
                logGroupName=self.group,
                logStreamName=self.name,
                startFromHead=True,
                nextToken=token,
            )
            if answer["nextForwardToken"] == token and not answer["events"]:
                return messages

    def __str__(self) -> str:
        return f"{self.group}:{self.name}"


class LogShipper:
    """Follows a file that another process appends to, and ships each of its lines exactly once.

    The file may appear later; it must not be rotated. Empty lines are left out, as CloudWatch Logs
    takes no empty event; a line longer than an event may be becomes several. The stream must be
    the shipper's own: where an answer was lost, the number of its events tells whether the batch
    arrived.
    """

    def __init__(self, path: Path, stream: LogStream) -> None:
        self._path = path
        self._stream = stream
        self._ending = threading.Event()
        self._abandoned = threading.Event()
        self._shipped = 0
        self._before = 0
        self._last_error = ""
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"ship-{stream}", daemon=True)

    @property
    def shipped(self) -> int:
        """How many events CloudWatch Logs has."""
        return self._shipped

    @property
    def stream(self) -> LogStream:
        """Where the lines go."""
        return self._stream

    def start(self) -> Self:
        """Create the stream, and follow the file from its beginning."""
        self._stream.create()
        self._before = len(self._stream.read())
        self._thread.start()
        return self

    def stop(self, timeout: float = _DELIVERY_TIMEOUT) -> None:
        """Ship what the file holds by now, an unfinished last line included, and end.

        Stop the writer first: what it writes later is not shipped.

        Raises:
            HarnessError: CloudWatch Logs did not take everything within `timeout` seconds.
        """
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        if self._abandoned.is_set():
            return
        if self._thread.is_alive():
            self._abandoned.set()
            raise HarnessError(
                f"could not ship all of {self._path} to {self._stream} in {timeout:g} s; "
                f"{self._shipped} lines arrived; last error: {self._last_error or 'none'}"
            )
        if self._failure is not None:
            raise HarnessError(f"shipping {self._path} failed: {self._failure}") from self._failure

    def abandon(self) -> None:
        """End without shipping the rest; `stop` then waits for nothing."""
        self._abandoned.set()
        self._ending.set()

    def _run(self) -> None:
        try:
            for batch in _batch_lines(self._follow()):
                self._deliver(batch)
        except BaseException as error:
            # stop() raises it in the caller's thread.
            self._failure = error

    def _follow(self) -> "Iterator[str | None]":
        """The file's lines as they come; None where there are no more for now."""
        while True:
            # Asked before looking: a file that was there before the end was asked for is read.
            is_last = self._ending.is_set()
            if self._path.exists():
                break
            if is_last:
                return
            self._ending.wait(_INTERVAL)
        rest = b""
        with self._path.open("rb") as file:
            while True:
                # Asked before reading: what was written before the end was asked for is read.
                is_last = self._ending.is_set()
                while chunk := file.read(_READ_SIZE):
                    *lines, rest = (rest + chunk).split(b"\n")
                    yield from (line.decode(errors="replace") for line in lines)
                yield None
                if is_last:
                    break
                self._ending.wait(_INTERVAL)
        yield rest.decode(errors="replace")

    def _deliver(self, batch: list[str]) -> None:
        """Put a batch until it has arrived."""
        while not self._abandoned.is_set():
            try:
                self._stream.put(batch)
                break
            except _PUT_ERRORS as error:
                self._last_error = str(error)
            if self._arrived(batch):
                break
            self._abandoned.wait(_INTERVAL)
        else:
            return
        self._shipped += len(batch)

    def _arrived(self, batch: list[str]) -> bool:
        # A batch is taken as a whole or not at all, so counting tells a lost answer from a lost
        # request; without that a retry could ship lines twice.
        while not self._abandoned.is_set():
            try:
                count = len(self._stream.read()) - self._before
                return count >= self._shipped + len(batch)
            except _PUT_ERRORS as error:
                self._last_error = str(error)
            self._abandoned.wait(_INTERVAL)
        return False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _batch_lines(lines: "Iterator[str | None]") -> Iterator[list[str]]:
    """Batches that one call takes; None ends a batch."""
    batch: list[str] = []
    size = 0
    for line in lines:
        for event in _split_event(line or ""):
            length = len(event.encode()) + EVENT_OVERHEAD
            if batch and (len(batch) == MOST_EVENTS or size + length > MOST_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(event)
            size += length
        if line is None and batch:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _split_event(line: str) -> Iterator[str]:
    """The line in pieces that are no longer than an event may be; nothing for an empty line."""
    content = line.encode()
    while len(content) > LONGEST_EVENT:
        end = LONGEST_EVENT
        # Not in the middle of a character: its later bytes begin with the bits 10.
        while content[end] & 0xC0 == 0x80:
            end -= 1
        yield content[:end].decode()
        content = content[end:]
    if content:
        yield content.decode()
