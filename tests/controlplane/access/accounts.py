"""Two accounts, of which one has a mesh and the other a share in it, each with an access key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from typer.testing import CliRunner

from meshwright.cli import app
from tests.controlplane.access.serving import Server

OWNER: Final = "111111111111"
GUEST: Final = "222222222222"
SECRETS: Final = {"OWNER": "o" * 32, "GUEST": "g" * 32}


def write_keys(
    folder: Path,
    accounts: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] = SECRETS,
) -> Path:
    """The file with a key of each account, of which `READER` only reads.

    Args:
        folder: Where it is written.
        accounts: Each key's account; without them, those of this module.
        secrets: Each key's secret.
    """
    file = folder / "keys.yaml"
    file.touch(mode=0o600)
    keys = [
        {
            "access_key_id": key_id,
            "secret_access_key": secrets[key_id],
            "account_id": account,
            "access": "read" if key_id == "READER" else "write",
            "meshes": ["*"],
        }
        for key_id, account in (accounts or {"OWNER": OWNER, "GUEST": GUEST}).items()
    ]
    file.write_text(json.dumps(keys))
    return file


def run(
    server: Server, *arguments: str, key: str = "OWNER", code: int = 0, **variables: str
) -> str:
    """Run a command with a key, and other variables of the environment; what it printed."""
    environment = {
        "MESHWRIGHT_ENDPOINT": server.url(),
        "MESHWRIGHT_ACCESS_KEY_ID": key,
        "MESHWRIGHT_SECRET_ACCESS_KEY": SECRETS[key],
        **variables,
    }
    outcome = CliRunner().invoke(app, arguments, env=environment)
    assert outcome.exit_code == code, outcome.output
    return outcome.output.strip()
