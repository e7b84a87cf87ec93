"""DynamoDB Local: AWS's own emulator of DynamoDB, a Java program, in the user's cache folder.

    MESHWRIGHT_DYNAMODB_LOCAL -> cache -> Maven, with Java and Maven installed by root on Debian

What lies in its folder is jars and native libraries. It runs as a child process that ends with the
one that started it, however that ends.
"""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.dev.caches import find_or_make, replace_folder
from tools.dev.console import say
from tools.dev.maven import fetch_jars, prepare_java
from tools.dev.paths import CHECKOUT, get_cache_folder

# Of tools/dynamodb-local/pom.xml.
DYNAMODB_LOCAL_VERSION = "3.1.0"

POM = CHECKOUT / "tools" / "dynamodb-local" / "pom.xml"

_START_SECONDS = 60.0
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


def get_cached_dynamodb_local() -> Path:
    """Where DynamoDB Local of the pinned version lies once it was fetched."""
    return get_cache_folder() / "dynamodb-local" / DYNAMODB_LOCAL_VERSION


def find_dynamodb_local() -> Path | None:
    """A folder with DynamoDB Local that is there already."""
    named = os.environ.get("MESHWRIGHT_DYNAMODB_LOCAL")
    candidates = (Path(named) if named else None, get_cached_dynamodb_local())
    return next((each for each in candidates if each and any(each.glob("*.jar"))), None)


def prepare_dynamodb_local() -> Path:
    """The folder of DynamoDB Local, fetched if it is not there; Java to run it is there too.

    Raises:
        SetupError: it can't be fetched, or there is no Java that is new enough.
    """
    prepare_java("DynamoDB Local")
    return find_or_make("dynamodb-local", find_dynamodb_local, _make)


def _make(scratch: Path) -> None:
    jars, what = scratch / "jars", f"DynamoDB Local {DYNAMODB_LOCAL_VERSION}"
    fetch_jars(POM, jars, scratch / "repository", what=what, log="dynamodb-local")
    replace_folder(jars, get_cached_dynamodb_local())
    say(f"{what} is in {get_cached_dynamodb_local()}")


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
    deadline = time.monotonic() + _START_SECONDS
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
