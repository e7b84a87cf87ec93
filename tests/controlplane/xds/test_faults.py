"""Proxies that misbehave, and servers that go: what others see of it, by real servers."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.controlplane.access.ads import ads_address, asking, make_demo
from tests.controlplane.access.serving import TIMEOUT, Server, serving
from tests.controlplane.xds.raw import RawStream

PATIENCE = 2.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A control plane of little patience."""
    folder = tmp_path_factory.mktemp("faults")
    with serving(folder, "--xds-patience-seconds", str(PATIENCE)) as server:
        make_demo(server)
        yield server


def test_a_stream_without_a_first_request_is_ended(server: Server):
    with grpc.insecure_channel(ads_address(server)) as channel:
        stream = RawStream(channel)
        with pytest.raises(grpc.RpcError) as caught:
            next(stream.responses)
        stream.send(None)

    error: Any = caught.value
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert error.details() == "the first request did not come"


def test_a_request_that_is_too_large_ends_its_stream(server: Server):
    with grpc.insecure_channel(ads_address(server)) as channel:
        stream = RawStream(channel)
        stream.send(bytes(4 * 1024 * 1024 + 1))
        with pytest.raises(grpc.RpcError) as caught:
            next(stream.responses)
        stream.send(None)

    error: Any = caught.value
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_pings_without_data_are_answered_and_not_punished(server: Server):
    """Envoy pings every 10 s; gRPC's default is to end a connection at the third within 5 minutes.

    The frames are those of RFC 9113: SETTINGS, then PING, each answered by one with the flag ACK.
    """
    host, _, port = ads_address(server).rpartition(":")
    acknowledgement = bytes.fromhex("000008 06 01 00000000") + b"12345678"
    received = b""
    with socket.create_connection((host, int(port)), timeout=TIMEOUT) as connection:
        connection.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000 04 00 00000000")
        )
        for count in range(1, 11):
            connection.sendall(bytes.fromhex("000008 06 00 00000000") + b"12345678")
            while received.count(acknowledgement) < count:
                part = connection.recv(65536)
                assert part, f"the connection was ended after {count} pings: {received!r}"
                received += part


def test_a_stopping_server_tells_its_proxies_to_connect_again(tmp_path: Path):
    with serving(tmp_path) as server, ExitStack() as streams:
        make_demo(server)
        opened = [
            streams.enter_context(asking(ads_address(server), secure=False)) for _ in range(3)
        ]
        for each in opened:
            next(each.responses)
        os.kill(server.pid, signal.SIGTERM)
        errors = [each.expect_end() for each in opened]

    assert {error.code() for error in errors} == {grpc.StatusCode.UNAVAILABLE}
    assert {error.details() for error in errors} == {
        "this control plane is stopping: connect again"
    }
