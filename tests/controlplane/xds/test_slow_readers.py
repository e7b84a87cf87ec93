"""What is held for proxies that read slowly or not at all, by the server's own count."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from pytest_meshwright.waiting import wait_until
from tests.controlplane.access.ads import AUTHORITY, ads_address, asking, tls_flags
from tests.controlplane.access.serving import TIMEOUT, Server, serving
from tests.controlplane.meshes import node_spec, service_spec
from tests.controlplane.xds.frames import connect_frames
from tests.controlplane.xds.raw import first_request
from tests.controlplane.xds.test_faults import answer, names_in

SLOW: Final = 10
SERVICES: Final = 100
EDITS: Final = 30

PATIENT: Final = ("--xds-patience-seconds", "600", "--xds-keepalive-seconds", "600")

PING: Final = bytes.fromhex("000008 06 00 00000000") + b"12345678"
HELD_FOR_PINGS: Final = (64 + 256 + 64) * 1024
"""What a connection holds at most beside its streams' responses, with something to spare: asyncio
calls 64 KiB too much, and what it has read before, 256 KiB at most, is answered still."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A control plane that is patient with slow proxies, and a node that calls many services."""
    folder = tmp_path_factory.mktemp("slow")
    with serving(folder, *PATIENT) as server:
        client = server.client("any", "any")
        client.create_mesh(meshName="demo")
        names = [f"service-{number}" for number in range(SERVICES)]
        for name in names:
            client.create_virtual_node(
                meshName="demo", virtualNodeName=name, spec=node_spec(f"{name}.internal")
            )
            client.create_virtual_service(
                meshName="demo", virtualServiceName=f"{name}.local", spec=service_spec(node=name)
            )
        spec = node_spec("front", backends=tuple(f"{name}.local" for name in names))
        client.create_virtual_node(meshName="demo", virtualNodeName="front", spec=spec)
        client.close()
        yield server


def count_queued_bytes(server: Server) -> int:
    """What the server holds for its proxies."""
    page = httpx.get(f"{server.url()}/metrics", trust_env=False, timeout=TIMEOUT).text
    found = re.search(r"^meshwright_queued_bytes (\S+)$", page, re.MULTILINE)
    assert found is not None, page
    return int(float(found[1]))


def edit(client: Any, port: int) -> None:
    """Change the listener of each service's node, one after another, and with it all clusters."""
    for number in range(0, SERVICES, 10):
        name = f"service-{number}"
        client.update_virtual_node(
            meshName="demo",
            virtualNodeName=name,
            spec=node_spec(f"{name}.internal", port=port),
        )


def test_what_is_held_for_a_proxy_that_does_not_read_does_not_grow(server: Server):
    """The proxies give the server no room on their streams, a window of 0 bytes."""
    client = server.client("any", "any")
    with ExitStack() as stack, asking(ads_address(server), secure=False) as good:
        for _ in range(SLOW):
            slow = stack.enter_context(connect_frames(ads_address(server), window=0))
            slow.open_stream(first_request())
        first = next(good.responses)
        answer(good, first)
        wait_until(
            lambda: count_queued_bytes(server) >= SLOW * first.ByteSize(),
            what="a response to be held for each",
            timeout=TIMEOUT,
        )
        held = count_queued_bytes(server)
        for number in range(EDITS):
            edit(client, 9_000 + number)
            wanted = f"cds_egress_demo_service-{SERVICES - 10}_http_{9_000 + number}"
            while wanted not in names_in(response := next(good.responses)):
                answer(good, response)
            answer(good, response)

        assert count_queued_bytes(server) <= held
    client.close()


def test_a_proxy_that_pings_and_does_not_read_is_not_listened_to(server: Server):
    host, _, port = ads_address(server).rpartition(":")
    with socket.create_connection((host, int(port)), timeout=TIMEOUT) as connection:
        expect_bounded(server, connection)


def test_a_proxy_that_pings_over_tls_and_does_not_read_is_not_listened_to(tmp_path: Path):
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    context.set_alpn_protocols(["h2"])
    with serving(tmp_path, *tls_flags(tmp_path), *PATIENT) as server:
        host, _, port = ads_address(server).rpartition(":")
        with (
            socket.create_connection((host, int(port)), timeout=TIMEOUT) as plain,
            context.wrap_socket(plain, server_hostname=host) as connection,
        ):
            expect_bounded(server, connection)


def expect_bounded(server: Server, connection: socket.socket) -> None:
    """Ping until the server listens no more, and see what it holds by then."""
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000 04 00 00000000"))
    connection.settimeout(2.0)
    sent = held = 0
    while not held:  # it may have been busy with something else
        sent = ping_until_it_blocks(connection, sent)
        held = count_queued_bytes(server)

    assert held <= HELD_FOR_PINGS


def ping_until_it_blocks(connection: socket.socket, sent: int) -> int:
    """Go on with pings after so many bytes of them; how many it are when no more are taken."""
    with suppress(TimeoutError):
        while True:
            sent += connection.send((PING * 1_000)[sent % len(PING) :])
    return sent
