"""A control plane with access keys, for clients that are programs of their own."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator

import pytest

from tests.controlplane.access.serving import Server, serving

SECRET = "a secret of enough length"
REGION = "eu-west-1"

_numbers = itertools.count()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a writer's and a reader's key, where a mesh has at most one virtual service."""
    folder = tmp_path_factory.mktemp("clients")
    keys = [
        {"access_key_id": "WRITER", "access": "write", "meshes": ["*"]},
        {"access_key_id": "READER", "access": "read", "meshes": ["*"]},
    ]
    keys_file, quotas_file = folder / "keys.yaml", folder / "quotas.yaml"
    keys_file.touch(mode=0o600)
    keys_file.write_text(json.dumps([{"secret_access_key": SECRET, **key} for key in keys]))
    quotas_file.write_text(json.dumps({"virtual_services_per_mesh": 1}))
    flags = ("--access-keys", keys_file, "--quotas", quotas_file)
    with serving(folder, *flags) as server:
        yield server


@pytest.fixture
def name() -> str:
    """A mesh's name that no other test uses."""
    return f"mesh-{os.getpid()}-{next(_numbers)}"


def client_environment(url: str, key_id: str = "WRITER", secret: str = SECRET) -> dict[str, str]:
    """What AWS's tools read: an endpoint and a key, and nothing else of this machine's."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": url,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": key_id,
        "AWS_SECRET_ACCESS_KEY": secret,
    }
