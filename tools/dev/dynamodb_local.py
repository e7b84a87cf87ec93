"""DynamoDB Local: AWS's own emulator of DynamoDB, a Java program, in the user's cache folder.

    MESHWRIGHT_DYNAMODB_LOCAL -> cache -> Maven, with Java and Maven installed by root on Debian

What lies in its folder is jars and native libraries. It runs as a child process that ends with the
one that started it, however that ends.
"""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.dev.apt import install_packages
from tools.dev.caches import locked, replace_folder, scratch_folder
from tools.dev.console import say
from tools.dev.paths import CHECKOUT, find_executable, get_cache_folder
from tools.dev.processes import SetupError, run_logged

# Of tools/dynamodb-local/pom.xml.
DYNAMODB_LOCAL_VERSION = "3.1.0"

# DynamoDB Local 3 is compiled for this version of Java.
MINIMUM_JAVA = 17

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
    _prepare_java()
    if found := find_dynamodb_local():
        return found
    with locked("dynamodb-local"):
        if found := find_dynamodb_local():
            return found
        with scratch_folder("dynamodb-local") as scratch:
            _fetch(scratch / "jars", scratch / "repository")
            replace_folder(scratch / "jars", get_cached_dynamodb_local())
    say(f"DynamoDB Local {DYNAMODB_LOCAL_VERSION} is in {get_cached_dynamodb_local()}")
    return get_cached_dynamodb_local()


def parse_java_version(text: str) -> int | None:
    """`openjdk version "17.0.15" 2025-04-15` -> 17; None if that is no such text."""
    match = re.search(r'version "(?:1\.)?(\d+)', text)
    return int(match[1]) if match else None


def _find_java_version() -> int | None:
    """The version of the Java on PATH, if one is there and runs."""
    java = find_executable("java")
    if java is None:
        return None
    # It prints its version on standard error.
    command = [java, "-version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    return parse_java_version(done.stderr) if done.returncode == 0 else None


def _prepare_java() -> None:
    version = _find_java_version()
    if version is None:
        install_packages(["default-jre-headless"], "DynamoDB Local")
        version = _find_java_version()
    if version is None or version < MINIMUM_JAVA:
        seen = f"Java {version}" if version else "none"
        raise SetupError(
            f"DynamoDB Local needs Java {MINIMUM_JAVA} or later, and PATH leads to {seen}"
        )


def _fetch(target: Path, repository: Path) -> None:
    if find_executable("mvn") is None:
        install_packages(["maven"], "fetching DynamoDB Local")
    run_logged(
        f"fetching DynamoDB Local {DYNAMODB_LOCAL_VERSION} with Maven",
        [
            *("mvn", "--batch-mode", "--file", POM),
            # Its plugins and second copies of the jars are of no use afterwards.
            f"-Dmaven.repo.local={repository}",
            *("dependency:copy-dependencies", f"-DoutputDirectory={target}"),
        ],
        log="dynamodb-local",
        hint="some 50 MB, once",
    )


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
