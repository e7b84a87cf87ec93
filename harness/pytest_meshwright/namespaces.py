"""Linux network namespaces: machines of their own, as far as addresses and iptables go.

A namespace is held by an open file of this process and by the processes started in it. It ends
with them, however they end, and its interfaces and rules with it: there is nothing to remove.
Only root can make one.
"""

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from pytest_meshwright.errors import HarnessError

TOOLS = ("ip", "iptables", "ip6tables", "setpriv")

_CLONE_NEWNET = 0x40000000
_CURRENT = "/proc/thread-self/ns/net"


def why_no_namespaces() -> str | None:
    """Why namespaces with redirected traffic can't be had here; None where they can."""
    if sys.platform != "linux":
        return "network namespaces need Linux"
    if os.geteuid() != 0:
        return "network namespaces need root"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return f"network namespaces need {', '.join(missing)}, not installed"
    try:
        with NetworkNamespace("trial") as trial:
            trial.run("iptables", "-w", "-t", "nat", "-S")
    except HarnessError as error:
        return f"network namespaces can't be had: {error}"
    return None


class NetworkNamespace:
    """A network namespace with its loopback interface up and nothing else.

    What a thread does inside `entered()` happens in it: sockets that it makes stay there for good,
    and processes that it starts run there.
    """

    def __init__(self, name: str) -> None:
        """Make a namespace.

        Args:
            name: what messages call it.

        Raises:
            HarnessError: the system refuses.
        """
        self.name = name
        home = os.open(_CURRENT, os.O_RDONLY)
        try:
            _call("unshare", _CLONE_NEWNET)
            self._file = os.open(_CURRENT, os.O_RDONLY)
        finally:
            _call("setns", home, _CLONE_NEWNET)
            os.close(home)
        self.run("ip", "link", "set", "lo", "up")

    @property
    def path(self) -> str:
        """A file that stands for the namespace as long as this process holds it."""
        return f"/proc/{os.getpid()}/fd/{self._file}"

    @contextmanager
    def entered(self) -> Generator[None]:
        """Let the calling thread be in the namespace for a while.

        Raises:
            HarnessError: the system refuses.
        """
        home = os.open(_CURRENT, os.O_RDONLY)
        try:
            _call("setns", self._file, _CLONE_NEWNET)
            yield
        finally:
            _call("setns", home, _CLONE_NEWNET)
            os.close(home)

    def run(self, *command: str) -> None:
        """Run a program in the namespace to its end.

        Raises:
            HarnessError: it fails; the text holds what it wrote to its standard error.
        """
        with self.entered():
            outcome = subprocess.run(command, capture_output=True, text=True, check=False)
        if outcome.returncode != 0:
            raise HarnessError(
                f"{' '.join(command)} in the namespace {self.name}: {outcome.stderr.strip()}"
            )

    def connect(self, other: Self, interfaces: tuple[str, str], networks: Sequence[str]) -> None:
        """Lay a cable to another namespace.

        Args:
            other: the other one.
            interfaces: what its ends are called, here and there.
            networks: their addresses, as pairs of one after the other: `10.0.0.1/24`,
                `10.0.0.2/24`.

        Raises:
            HarnessError: the system refuses.
        """
        here, there = interfaces
        peer = ("peer", "name", there, "netns", other.path)
        self.run("ip", "link", "add", here, "type", "veth", *peer)
        for position, address in enumerate(networks):
            namespace, interface = ((self, here), (other, there))[position % 2]
            # nodad: an IPv6 address can be used at once, since nobody else could have it.
            flags = ("nodad",) if ":" in address else ()
            namespace.run("ip", "address", "add", address, "dev", interface, *flags)
        self.run("ip", "link", "set", here, "up")
        other.run("ip", "link", "set", there, "up")

    def close(self) -> None:
        """Let go of it; it ends when nothing runs in it any more."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _call(function: str, *arguments: int) -> None:
    # os.setns and os.unshare came with Python 3.12.
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, function)(*arguments) != 0:
        raise HarnessError(f"{function}: {os.strerror(ctypes.get_errno())}")
