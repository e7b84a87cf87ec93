"""Options of the whole test suite, and the one thing that its parts can't share by themselves."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient
from google.rpc import status_pb2

from tests.fields import Recorder

# Pulumi ships a copy of google.rpc.Status under another file name, and Envoy's API needs the
# original. protobuf takes only one of them in a process; a test run holds both parts, which
# otherwise never meet in one. The two have the same fields.
sys.modules.setdefault("pulumi.runtime.proto.status_pb2", status_pb2)

API_CALL = "_make_api_call"
"""Every operation of a boto3 client goes through it; no event of botocore's has the parameters as
they were given."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of this project's own tests."""
    parser.addoption(
        "--record-fields",
        type=Path,
        metavar="FOLDER",
        help="write down which fields of the model the tests send, for docs/fields.md",
    )
    parser.addoption(
        "--meshes",
        type=int,
        help="how many meshes to generate at random and have Envoy validate; by default a few, "
        "always the same",
    )
    parser.addoption(
        "--rewrite-golden",
        action="store_true",
        help="write the expected Envoy resources of tests/controlplane/translate/testdata anew",
    )


@pytest.fixture(scope="session", autouse=True)
def record_fields(request: pytest.FixtureRequest) -> Iterator[None]:
    """Write down the fields that tests send, where that is asked for."""
    folder: Path | None = request.config.getoption("--record-fields")
    if folder is None:
        yield
        return
    recorder = Recorder(folder)
    call: Any = getattr(BaseClient, API_CALL)

    def recording_call(self: Any, operation: str, parameters: Any) -> Any:
        test = os.environ["PYTEST_CURRENT_TEST"].partition("::")[0]
        recorder.note(operation, parameters, test)
        return call(self, operation, parameters)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseClient, API_CALL, recording_call)
        yield
    recorder.write(f"process-{os.getpid()}")
