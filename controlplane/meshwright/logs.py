"""The control plane's own log: one JSON object a line, or something nicer on a terminal."""

from __future__ import annotations

import logging
import sys
from json import JSONEncoder
from typing import Any, Final, Literal

import structlog

LINES: Final = "lines"
"""The key of an event's lines, where it has several: what each says besides or instead.

Making an event costs more than writing it down, and some happen to a thousand proxies at once.
"""

LogFormat = Literal["auto", "json", "console"]


def configure_logging(log_format: LogFormat, level: str) -> None:
    """Send all log lines to standard error.

    Args:
        log_format: `json`, `console`, or `auto`: console on a terminal and JSON elsewhere.
        level: The lowest level that is written: debug, info, warning or error.
    """
    as_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    renderers: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, _Lines(_render_json)]
        if as_json
        else [_Lines(structlog.dev.ConsoleRenderer())]
    )
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries' warnings go the same way, so that no line of the log is of another form.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *renderers,
            ],
            foreign_pre_chain=shared,
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


class _Lines:
    """Renders an event, line by line where it has several."""

    def __init__(self, render: structlog.typing.Processor) -> None:
        self._render = render

    def __call__(self, logger: Any, method: str, event: structlog.typing.EventDict) -> Any:
        lines = event.pop(LINES, None)
        if lines is None:
            return self._render(logger, method, event)
        return "\n".join(str(self._render(logger, method, {**event, **line})) for line in lines)


_encode_json = JSONEncoder(default=repr).encode


def _render_json(logger: Any, method: str, event: structlog.typing.EventDict) -> str:
    """What structlog's JSONRenderer renders, with an encoder that is made once."""
    del logger, method
    return _encode_json(event)
