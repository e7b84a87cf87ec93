"""What the command line loads: a command that asks a server does not wait for a server's parts."""

from __future__ import annotations

import subprocess
import sys

import pytest

SERVER_PARTS = {
    *("boto3", "botocore", "cryptography", "envoy", "google.protobuf", "grpc", "h2", "starlette"),
    *("structlog", "uvicorn"),
    *(
        f"meshwright.{part}"
        for part in (
            *("access", "api", "bootstrap", "discovery", "graph", "meshes", "offline", "server"),
            *("store", "translate", "xds"),
        )
    ),
}
"""What a command that only talks to a server, or prints help, has no need of."""

SIGNING = {"botocore"}
"""What it takes to sign requests and to send them."""

PROGRAM = """
import sys
from meshwright.cli import app
try:
    app(sys.argv[1:])
finally:
    print(*sys.modules, file=sys.stderr)
"""


def loaded_by(*arguments: str) -> set[str]:
    """The modules that a command has loaded when it ends."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=False
    )
    return set(ran.stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    "arguments",
    ["--help", "serve --help", "render --help", "mesh --help", "store --help", "bootstrap --help"],
)
def test_help_loads_nothing_of_the_server(arguments: str) -> None:
    assert loaded_by(*arguments.split()) & SERVER_PARTS == set()


def test_asking_a_server_loads_nothing_of_it_but_what_signs_requests() -> None:
    # Port 1 is reserved and never served: the command has sent its request when it fails.
    loaded = loaded_by("mesh", "list", "--endpoint", "http://127.0.0.1:1")

    assert loaded & SERVER_PARTS == SIGNING
