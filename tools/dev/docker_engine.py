"""The Docker engine: the one that answers, else Debian's, installed and started by hand.

MESHWRIGHT_DOCKER=off goes without. What is started here stays, as a service would; its log and
its process id are in the user's cache folder, and `./dev docker stop` ends it.
"""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from tools.dev.apt import install_packages
from tools.dev.caches import locked
from tools.dev.console import say
from tools.dev.paths import find_executable, get_cache_folder
from tools.dev.processes import SetupError, read_last_line, read_output, run_logged, succeeds

START_SECONDS = 60.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.2


def is_switched_off() -> bool:
    """Whether the user said MESHWRIGHT_DOCKER=off."""
    return os.environ.get("MESHWRIGHT_DOCKER", "").lower() in {"off", "no", "false", "0"}


def engine_answers() -> bool:
    """Whether a Docker client is there and its engine answers."""
    docker = find_executable("docker")
    # The client ends with 0 although it reached no engine, unless asked for the engine's version.
    return docker is not None and bool(
        read_output([docker, "version", "--format", "{{.Server.Version}}"])
    )


def prepare_engine() -> None:
    """See to it that a Docker engine answers.

    Raises:
        SetupError: none answers, and this is not root on Debian or Ubuntu, or it did not start.
    """
    if engine_answers():
        return
    with locked("docker"):
        if engine_answers():
            return
        if os.environ.get("DOCKER_HOST"):
            raise SetupError("the Docker engine that DOCKER_HOST names does not answer")
        if os.geteuid() != 0:
            raise SetupError("no Docker engine answers, and only root can start one")
        if own := find_own_engine():
            raise SetupError(f"dockerd (process {own}) does not answer: ./dev docker stop ends it")
        if not all(find_executable(name) for name in ("dockerd", "docker", "iptables")):
            install_packages(["docker.io", "iptables"], "the Docker engine")
        if not engine_answers():
            _start()


def _start() -> None:
    if Path("/run/systemd/system").is_dir():
        run_logged("starting docker.service", ["systemctl", "start", "docker"], log="systemctl")
        return
    dockerd = find_executable("dockerd")
    if dockerd is None:
        raise SetupError("the Docker engine was not installed: there is no dockerd")
    # dockerd refuses to start if the process id in the file belongs to any process by now.
    _get_pid_file().unlink(missing_ok=True)
    log = get_cache_folder() / "logs" / "dockerd.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [dockerd, "--pidfile", _get_pid_file()],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait_until_it_answers(process, log)
    except BaseException:  # Ctrl-C too: an engine that only half started is not left behind
        process.terminate()
        raise
    say(f"started dockerd (log: {log}); it stays until ./dev docker stop")


def _wait_until_it_answers(process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not engine_answers():
        if process.poll() is not None:
            raise SetupError(f"dockerd stopped: {read_last_line(log)} (log: {log})")
        if time.monotonic() > deadline:
            raise SetupError(f"dockerd gave no answer in {START_SECONDS:.0f} s (log: {log})")
        time.sleep(POLL_SECONDS)


def stop_engine() -> bool:
    """Stop the engine that ./dev started, and its containers; False if there is none.

    Raises:
        SetupError: it did not end in time.
    """
    process_id = find_own_engine()
    if process_id is None:
        return False
    deadline = time.monotonic() + STOP_SECONDS
    os.kill(process_id, signal.SIGTERM)
    while find_own_engine() is not None:
        if time.monotonic() > deadline:
            raise SetupError(f"dockerd (process {process_id}) did not stop; stop it by hand")
        time.sleep(POLL_SECONDS)
    return True


def find_own_engine() -> int | None:
    """The process id of the engine that ./dev started, if it runs."""
    with suppress(OSError, ValueError):
        process_id = int(_get_pid_file().read_text())
        # Process ids are used again: what has it now must be a dockerd, and no remains of one.
        status = Path(f"/proc/{process_id}/status").read_text()
        if "Name:\tdockerd\n" in status and "State:\tZ" not in status:
            return process_id
    return None


def _get_pid_file() -> Path:
    return get_cache_folder() / "dockerd.pid"


def image_exists(name: str) -> bool:
    """Whether the engine has the image."""
    return succeeds(["docker", "image", "inspect", name])
