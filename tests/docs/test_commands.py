"""Every command in README and docs is run: a page's `sh` blocks, as one script, in order.

Each page has a network of its own, so that commands may use the default ports. `./dev` commands are
not run here: `tests/e2e` runs the demo, and whoever reads this runs the tests.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.provider.language_hosts import link_language_hosts
from tools.dev.paths import is_ci

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
RUN_ELSEWHERE = re.compile(r"(git clone|cd|\./dev) ")


def script_of(page: Path) -> str:
    """The commands of a page that are run here."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).splitlines()
    return "\n".join(line for line in lines if not RUN_ELSEWHERE.match(f"{line} "))


def in_own_network(script: Path) -> list[str]:
    """The command that runs a script with a loopback device of its own."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return ["bash", str(script)]
    return [
        *(unshare, "--net", "--map-root-user", "--pid", "--fork", "--kill-child"),
        *("bash", "-c", 'ip link set lo up && bash "$0"', str(script)),
    ]


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if script_of(page)],
    ids=lambda page: page.name,
)
def test_the_commands_of_a_page_work(page: Path, tmp_path: Path):
    script = tmp_path / "page.sh"
    script.write_text(f"set -euo pipefail\n{script_of(page)}\n")
    scripts = Path(sys.executable).parent
    hosts = link_language_hosts(tmp_path / "hosts")
    if hosts is None and "pulumi package add" in script.read_text() and not is_ci():
        pytest.skip("there is no language host for Pulumi's CLI; ./dev setup --only go builds it")

    outcome = subprocess.run(
        in_own_network(script),
        cwd=tmp_path,
        env={
            **os.environ,
            "HOME": str(tmp_path),
            "PATH": f"{scripts}:{hosts}:{os.environ['PATH']}",
            "AWS_PAGER": "",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )

    assert outcome.returncode == 0, outcome.stdout
