"""The operator's files: read anew when they have changed, the last good state kept till then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import structlog

_log = structlog.get_logger("meshwright")

T = TypeVar("T")


class ReloadedFiles(Generic[T]):
    """What the files of one option of `meshwright serve` say, as they are now.

    A state of the files that can't be used, such as one of which only half has been written yet,
    leaves the last good one in place, and is said once: in the log, and by `refusal`.

    Args:
        option: The option that names the files, for the log and for metrics.
        paths: The files.
        read: Reads them.
        refused: What `read` raises where they can't be used.

    Attributes:
        option: The option.
        value: What the files say, or last said that could be used.
        refusal: Why they can't be used as they are now; empty where they can.

    Raises:
        Exception: What `read` raises, where they can't be used from the start.
    """

    def __init__(
        self,
        option: str,
        paths: Sequence[Path],
        read: Callable[[], T],
        refused: type[Exception],
    ) -> None:
        self.option = option
        self._paths = paths
        self._read = read
        self._refused = refused
        self._seen = self._identify()
        self.value = read()
        self.refusal = ""

    def refresh(self) -> T:
        """What they say, after they were read again if they have changed since the last look."""
        seen = self._identify()
        if seen == self._seen:
            return self.value
        # Before they are read, so that what is written meanwhile is noticed at the next look.
        self._seen = seen
        files = [str(path) for path in self._paths]
        try:
            self.value = self._read()
        except self._refused as error:
            reason = str(error)
            if reason != self.refusal:
                _log.error(
                    "files_refused",
                    option=self.option,
                    files=files,
                    reason=reason,
                    remedy="mend them; until then, what they said before counts",
                )
            self.refusal = reason
        else:
            self.refusal = ""
            _log.info("files_reloaded", option=self.option, files=files)
        return self.value

    def _identify(self) -> tuple[tuple[int, ...] | None, ...]:
        return tuple(_identity_of(path) for path in self._paths)


def _identity_of(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
