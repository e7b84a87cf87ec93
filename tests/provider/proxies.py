"""A proxy that takes all of a virtual node's configuration, and answers when a test lets it."""
# pyright: reportAttributeAccessIssue=false, reportUnknownMemberType=false
# xds-protos ships no type stubs.

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import grpc
from envoy.service.discovery.v3 import discovery_pb2

from meshwright.xds.resources import TYPES
from tests.controlplane.access.ads import CLUSTER, FRONT, Asking, asking

if TYPE_CHECKING:
    from collections.abc import Generator

    from pytest_meshwright.control_plane import ControlPlane

LIFETIME: Final = 500.0
"""Seconds: longer than any test."""


class Proxy:
    """A connected proxy. What it is sent it acknowledges, but clusters only when it may."""

    def __init__(self, stream: Asking) -> None:
        self._stream = stream
        self._may_answer = threading.Event()
        self._may_answer.set()
        self._error = ""
        for type_url in TYPES:
            if type_url != CLUSTER:
                self._send(type_url, resource_names_subscribe=["*"])

    def hold(self) -> None:
        """Answer to no clusters from now on."""
        self._may_answer.clear()

    def acknowledge(self) -> None:
        """Acknowledge the clusters that were held back, and all that come."""
        self._may_answer.set()

    def reject(self, error: str) -> None:
        """Reject the clusters that are next, and acknowledge those that come after them."""
        self._error = error
        self._may_answer.set()

    def run(self) -> None:
        """Answer to everything until the stream ends."""
        try:
            for response in self._stream.responses:
                error = ""
                if response.type_url == CLUSTER:
                    self._may_answer.wait()
                    error, self._error = self._error, ""
                detail = {"error_detail": {"code": 3, "message": error}} if error else {}
                self._send(response.type_url, response_nonce=response.nonce, **detail)
        except grpc.RpcError as error:
            call: Any = error
            if call.code() is not grpc.StatusCode.CANCELLED:  # as it is when the test is over
                raise

    def _send(self, type_url: str, **fields: Any) -> None:
        self._stream.send(discovery_pb2.DeltaDiscoveryRequest(type_url=type_url, **fields))


@contextmanager
def connected_proxy(control_plane: ControlPlane) -> Generator[Proxy]:
    """A proxy of the virtual node `front` of `demo`, which has all that there is for it."""
    with asking(str(control_plane.xds), FRONT, secure=False, timeout=LIFETIME) as stream:
        proxy = Proxy(stream)
        answering = threading.Thread(target=proxy.run)
        answering.start()
        try:
            control_plane.wait_acknowledged("demo", proxies=1, timeout=60)
            yield proxy
        finally:
            proxy.acknowledge()
            stream.responses.cancel()
            answering.join()
