"""The programs that tests of redirected traffic use: Debian's iptables and iproute2."""

from tools.dev.apt import install_packages
from tools.dev.paths import find_executable

PROGRAMS = {"ip": "iproute2", "iptables": "iptables", "setpriv": "util-linux"}
"""By name, the package of each."""


def prepare_network_tools() -> None:
    """See to it that the programs are there.

    Raises:
        SetupError: one is not, and this is not root on Debian or Ubuntu.
    """
    missing = [package for name, package in PROGRAMS.items() if find_executable(name) is None]
    if missing:
        install_packages(missing, "tests of redirected traffic")
