"""An SDS server on a Unix domain socket, as SPIRE's agent is one beside each proxy."""
# pyright: reportAttributeAccessIssue=false
# xds-protos ships no type stubs.

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import grpc
import trustme
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryResponse
from envoy.service.secret.v3 import sds_pb2_grpc
from google.protobuf.any_pb2 import Any as AnyMessage

from tests.certificates import Pair


class SdsServer(sds_pb2_grpc.SecretDiscoveryServiceServicer):
    """Serves secrets by their names, and what takes their place to whoever has them.

    Args:
        socket: Where it listens.
    """

    def __init__(self, socket: Path) -> None:
        self._secrets: dict[str, Any] = {}
        self._changed = threading.Condition()
        # A thread for each stream, and each Envoy has one for each secret.
        self._server = grpc.server(ThreadPoolExecutor(100))
        sds_pb2_grpc.add_SecretDiscoveryServiceServicer_to_server(self, self._server)
        self._server.add_insecure_port(f"unix:{socket}")

    def add_certificate(self, name: str, issued: Pair) -> None:
        """Serve a certificate and its key."""
        key, chain = issued
        pair = {
            "certificate_chain": {"inline_bytes": chain},
            "private_key": {"inline_bytes": key},
        }
        self._put(Secret(name=name, tls_certificate=pair))

    def add_trust(self, name: str, authority: trustme.CA) -> None:
        """Serve an authority."""
        context = {"trusted_ca": {"inline_bytes": authority.cert_pem.bytes()}}
        self._put(Secret(name=name, validation_context=context))

    def _put(self, secret: Any) -> None:
        with self._changed:
            self._secrets[secret.name] = secret
            self._changed.notify_all()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def StreamSecrets(self, request_iterator: Iterator[Any], context: Any) -> Iterator[Any]:  # noqa: N802 - gRPC's name
        """Answer the first request of a stream, again when there is another secret."""
        context.add_callback(self._wake)
        name = next(request_iterator).resource_names[0]
        sent: Any = None
        for number in itertools.count(1):
            with self._changed:
                while self._secrets[name] is sent and context.is_active():
                    self._changed.wait()
                sent = self._secrets[name]
            if not context.is_active():
                return
            packed = AnyMessage()
            packed.Pack(sent)
            yield DiscoveryResponse(
                version_info=str(number),
                nonce=str(number),
                type_url=packed.type_url,
                resources=[packed],
            )

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None).wait()
