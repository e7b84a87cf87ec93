"""Network namespaces: machines of their own that end with those who hold them."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from pytest_meshwright.errors import HarnessError
from pytest_meshwright.namespaces import NetworkNamespace
from pytest_meshwright.waiting import wait_until

pytestmark = pytest.mark.meshwright_namespaces


def interfaces(namespace: NetworkNamespace) -> set[str]:
    with namespace.entered():
        return {name for _, name in socket.if_nameindex()}


def current() -> str:
    return str(Path("/proc/thread-self/ns/net").readlink())


def test_a_socket_made_inside_stays_there():
    with (
        NetworkNamespace("one") as one,
        NetworkNamespace("two") as two,
        socket.socket() as listening,
    ):
        one.connect(two, ("eth0", "eth0"), ("10.0.0.1/24", "10.0.0.2/24"))
        with one.entered():
            taken = socket.create_server(("10.0.0.1", 80))
        with two.entered():
            listening.settimeout(5)
            listening.connect(("10.0.0.1", 80))
        taken.close()


def test_processes_started_inside_run_there():
    with NetworkNamespace("one") as namespace, namespace.entered():
        inside = current()
        told = subprocess.check_output(["readlink", "/proc/self/ns/net"], text=True).strip()

    assert told == inside != current()


def test_one_is_at_home_again_after_an_error():
    before = current()
    with (
        NetworkNamespace("one") as namespace,
        pytest.raises(ZeroDivisionError),
        namespace.entered(),
    ):
        raise ZeroDivisionError

    assert current() == before


def test_a_closed_namespace_is_gone_with_its_cables():
    with NetworkNamespace("left") as left:
        with NetworkNamespace("gone") as gone:
            left.connect(gone, ("eth0", "eth0"), ("10.0.0.1/24", "10.0.0.2/24"))
            assert interfaces(left) == {"lo", "eth0"}

        wait_until(lambda: interfaces(left) == {"lo"}, what="the end of the cable")


def test_a_command_that_fails_says_where_and_why():
    with NetworkNamespace("one") as namespace, pytest.raises(HarnessError) as caught:
        namespace.run("ip", "link", "set", "missing", "up")

    assert str(caught.value).startswith("ip link set missing up in the namespace one: Cannot find")
