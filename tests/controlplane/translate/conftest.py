"""The real Envoy that judges what the translation makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.controlplane.translate.validation import Judge, write_certificates


@pytest.fixture(scope="module")
def judge(meshwright_envoy_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Judge:
    folder = tmp_path_factory.mktemp("judge")
    write_certificates(folder)
    return Judge(meshwright_envoy_binary, folder)
