"""DynamoDB Local as a child process that ends with the one that started it, however that ends."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 60.0
_MAIN_CLASS = "software.amazon.dynamodb.services.local.main.ServerRunner"

# Ends when its standard input does, or with the server; SIGKILL of the tests closes that too.
_KEEPER = """
import subprocess, sys, threading
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
def end():
    sys.stdin.read()
    child.kill()
threading.Thread(target=end, daemon=True).start()
sys.exit(child.wait())
"""


@contextmanager
def run_dynamodb_local(jars: Path, folder: Path) -> Iterator[str]:
    """Run a DynamoDB Local in memory, and yield its URL once it answers.

    Args:
        jars: The folder that holds it.
        folder: Where its log goes.
    """
    port = _find_free_port()
    java = ["java", "-Xmx384m", f"-Djava.library.path={jars}", "-cp", f"{jars}/*", _MAIN_CLASS]
    log = folder / "dynamodb-local.log"
    with log.open("wb") as output:
        keeper = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", "-c", _KEEPER),
                *(*java, "-inMemory", "-disableTelemetry", "-port", str(port)),
            ],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for the tests, which end it when they are done
        )
    with keeper:
        try:
            _wait(keeper, port, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            assert keeper.stdin is not None
            keeper.stdin.close()


def _wait(keeper: subprocess.Popen[bytes], port: int, log: Path) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_SECONDS
    while keeper.poll() is None and time.monotonic() < deadline:
        try:
            opener.open(f"http://127.0.0.1:{port}/", timeout=5).close()
        except urllib.error.HTTPError as error:
            error.close()  # it answers: it wants a signature
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"DynamoDB Local does not answer; its log: {log.read_text()[-2000:]}")


def _find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
