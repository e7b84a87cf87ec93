"""./dev lock: requirements.lock, the exact packages of the environment with their hashes.

It is one file for all platforms and Python versions, and names no package index: whoever installs
it uses the index that their machine is set up with.
"""

import subprocess
import tempfile
from pathlib import Path

from tools.dev.paths import CHECKOUT, SCRIPTS

LOCK = CHECKOUT / "requirements.lock"


def write_lock(*, upgrade: bool) -> int:
    """Resolve the workspace's requirements anew and write the lock; uv's exit code.

    Versions that the lock already holds are kept where they still fit, unless `upgrade`.
    """
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / LOCK.name
        if LOCK.exists() and not upgrade:
            draft.write_text(LOCK.read_text())
        options = ["--universal", "--python-version", "3.11", "--generate-hashes", "--quiet"]
        layout = ["--no-header", "--no-annotate"]
        command = [SCRIPTS / "uv", "pip", "compile", *options, *layout, "--group", "dev"]
        done = subprocess.run(
            [*command, "--output-file", draft, "pyproject.toml"], cwd=CHECKOUT, check=False
        )
        if done.returncode == 0:
            LOCK.write_text(render_lock(draft.read_text(), CHECKOUT))
    return done.returncode


def render_lock(compiled: str, checkout: Path) -> str:
    """What uv wrote, with the paths of the workspace's own packages relative to the checkout."""
    return compiled.replace(f"-e {checkout.as_uri()}/", "-e ./")
