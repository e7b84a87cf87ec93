"""Which process counts as the Docker engine that ./dev started."""

import os
import subprocess
from pathlib import Path

from tools.dev.docker_engine import find_own_engine, stop_engine


def write_process_id(cache: Path, process_id: int) -> None:
    cache.mkdir(parents=True)
    (cache / "dockerd.pid").write_text(str(process_id))


def await_first_line(process: "subprocess.Popen[bytes]") -> None:
    """Popen returns a moment before the kernel names the process after its new program."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"ready\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"ready\n"


def test_without_a_file_there_is_none(cache: Path) -> None:
    assert not cache.exists()
    assert find_own_engine() is None


def test_another_process_with_its_old_id_is_left_alone(cache: Path) -> None:
    write_process_id(cache, os.getpid())
    assert stop_engine() is False


def test_a_process_named_dockerd_is_it_and_is_stopped(cache: Path, tmp_path: Path) -> None:
    dockerd = tmp_path / "dockerd"
    dockerd.write_bytes(Path("/bin/cat").read_bytes())
    dockerd.chmod(0o755)
    with subprocess.Popen([dockerd], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        await_first_line(process)
        write_process_id(cache, process.pid)
        assert find_own_engine() == process.pid
        assert stop_engine() is True
    assert process.returncode == -15
