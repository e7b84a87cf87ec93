"""What the control plane does besides answering: it follows the store and the operator's files."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from meshwright.access.tokens import Tokens
from meshwright.meshes import Meshes
from meshwright.reloading import ReloadedFiles
from meshwright.store import StoreError
from meshwright.xds.metrics import Metrics
from meshwright.xds.server import XdsServer

_log = structlog.get_logger("meshwright")

_FOLLOW_SECONDS: Final = 0.5
"""How often the store is asked whether another process has written to it."""


@dataclass(frozen=True, slots=True)
class Following:
    """Takes over what other processes have written to the store: meshes, and tokens if asked."""

    meshes: Meshes
    tokens: Tokens | None

    def __call__(self) -> None:
        """Take over what is new, in whatever thread."""
        self.meshes.catch_up_all()
        if self.tokens is not None:
            self.tokens.follow()


async def follow(catch_up: Following, xds: XdsServer, metrics: Metrics) -> None:
    """Follow the store, and end streams that would not be let in any more, for ever.

    An outage of the store is a line at each end, and a metric meanwhile.
    """
    is_cut_off = False
    while True:
        metrics.store_reachable(not is_cut_off)
        await asyncio.sleep(_FOLLOW_SECONDS)
        try:
            xds.end_unwelcome()
            await asyncio.to_thread(catch_up)
        except StoreError as error:
            if not is_cut_off:
                _log.error("store_unreachable", error=str(error))
            is_cut_off = True
        except Exception:
            _log.exception("unexpected_error", doing="following the store")
        else:
            if is_cut_off:
                _log.info("store_reachable_again")
            is_cut_off = False


async def watch(files: Sequence[ReloadedFiles[Any]]) -> None:
    """Take over what the operator changes in files, for ever."""
    while True:
        await asyncio.sleep(_FOLLOW_SECONDS)
        for each in files:
            try:
                each.refresh()
            except Exception:
                _log.exception("unexpected_error", doing=f"reading the files of {each.option}")
