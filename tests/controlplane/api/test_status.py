"""The status as it goes over HTTP."""

from __future__ import annotations

import asyncio
import json

import pytest

from meshwright.api.status import render_json
from tests.controlplane.loop_turns import count_turns

STATUS = {"mesh": "caf\u00e9", "incomplete": None, "proxies": [{"lag": 0.5}] * 500, "refusals": []}


def test_it_is_json():
    assert json.loads(asyncio.run(render_json(STATUS))) == STATUS


def test_pushes_have_their_turn_while_that_of_many_is_written(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("meshwright.turns._TURN_SECONDS", 0)

    _, turns = asyncio.run(count_turns(render_json(STATUS)))

    assert turns >= 500
