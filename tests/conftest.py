"""Options of the whole test suite, and the one thing that its parts can't share by themselves."""

from __future__ import annotations

import sys

import pytest
from google.rpc import status_pb2

# Pulumi ships a copy of google.rpc.Status under another file name, and Envoy's API needs the
# original. protobuf takes only one of them in a process; a test run holds both parts, which
# otherwise never meet in one. The two have the same fields.
sys.modules.setdefault("pulumi.runtime.proto.status_pb2", status_pb2)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the switch that writes golden files anew, and the number of generated meshes."""
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
