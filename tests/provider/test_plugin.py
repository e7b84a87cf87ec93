"""The executable that the engine starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from pulumi_meshwright.package import package_version
from pulumi_meshwright.schema import build_schema
from pytest_meshwright.pulumi_stack import get_pulumi
from pytest_meshwright.waiting import wait_until

PLUGIN = Path(sys.executable).with_name("pulumi-resource-meshwright")


def test_started_by_hand_it_says_who_should_start_it() -> None:
    done = subprocess.run([PLUGIN, "--help"], capture_output=True, text=True, check=True)

    assert "The Pulumi engine starts it: run `pulumi up`." in done.stdout


def test_it_tells_its_version() -> None:
    done = subprocess.run([PLUGIN, "--version"], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == package_version()


def test_it_tells_its_port_and_ends_on_a_signal() -> None:
    with subprocess.Popen([PLUGIN, "127.0.0.1:1"], stdout=subprocess.PIPE, text=True) as plugin:
        assert plugin.stdout is not None
        assert int(plugin.stdout.readline()) > 0
        plugin.terminate()
        assert plugin.wait(timeout=10) == 0


def test_it_ends_when_the_engine_is_gone() -> None:
    # A shell stands in for the engine: it starts the plugin, tells its process id, and dies.
    script = '"$0" 127.0.0.1:1 >&2 & echo $!; exec sleep 600'
    with subprocess.Popen(
        ["sh", "-c", script, str(PLUGIN)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as engine:
        assert engine.stdout is not None
        assert engine.stderr is not None
        plugin = Path("/proc") / engine.stdout.readline().strip()
        assert int(engine.stderr.readline()) > 0
        engine.kill()

        wait_until(lambda: not plugin.exists(), what="the plugin to end", timeout=10)


def test_the_cli_reads_the_whole_schema_from_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [get_pulumi(), "package", "get-schema", PLUGIN],
        env={**os.environ, "PULUMI_HOME": str(tmp_path), "PULUMI_SKIP_UPDATE_CHECK": "true"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    told, built = json.loads(done.stdout), build_schema(package_version())
    assert (told["name"], told["version"]) == (built["name"], built["version"])
    assert told["resources"].keys() == built["resources"].keys()
    assert told["types"].keys() == built["types"].keys()
    assert told["functions"].keys() == built["functions"].keys()
