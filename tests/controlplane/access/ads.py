"""A proxy of the tests' own: it opens ADS streams with whatever credentials a test gives it."""
# pyright: reportAttributeAccessIssue=false, reportUnknownMemberType=false
# xds-protos ships no type stubs.

from __future__ import annotations

import queue
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
import trustme
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2

from tests.controlplane.access.serving import TIMEOUT, Server

AUTHORITY: Final = trustme.CA()
FRONT: Final = "mesh/demo/virtualNode/front"
BACK: Final = "mesh/demo/virtualNode/back"
CLUSTER: Final = "type.googleapis.com/envoy.config.cluster.v3.Cluster"

Metadata = Sequence[tuple[str, str]]


def tls_flags(folder: Path) -> tuple[str | Path, ...]:
    """Issue the server's certificate to files, and the flags that serve ADS with it."""
    issued = AUTHORITY.issue_cert("127.0.0.1", "mesh.example.com")
    issued.private_key_pem.write_to_path(folder / "tls.key")
    issued.cert_chain_pems[0].write_to_path(folder / "tls.pem")
    return ("--xds-tls-certificate", folder / "tls.pem", "--xds-tls-key", folder / "tls.key")


def make_demo(server: Server, key_id: str = "any", secret: str = "any") -> None:
    """Make the mesh `demo` with the virtual nodes `front` and `back`."""
    client = server.client(key_id, secret)
    client.create_mesh(meshName="demo")
    for name in ("front", "back"):
        client.create_virtual_node(meshName="demo", virtualNodeName=name, spec={})
    client.close()


def ads_address(server: Server, field: str = "xds") -> str:
    """Where a server serves ADS, by its log."""
    return str(server.records("serving")[0].fields[field])


class Asking:
    """An ADS stream on which a proxy has asked for its clusters.

    Iterating `responses` gives what the server sends; `send` sends further requests.
    """

    def __init__(
        self,
        channel: Any,
        node_id: str,
        metadata: Metadata,
        held: Mapping[str, str] | None,
        *,
        delta: bool,
    ) -> None:
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        stub = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel)
        kind = discovery_pb2.DeltaDiscoveryRequest if delta else discovery_pb2.DiscoveryRequest
        method = stub.DeltaAggregatedResources if delta else stub.StreamAggregatedResources
        more = {} if held is None else {"initial_resource_versions": held}
        self.send(kind(type_url=CLUSTER, node=base_pb2.Node(id=node_id), **more))
        requests = iter(self._requests.get, None)
        self.responses = method(requests, timeout=TIMEOUT, metadata=metadata)

    def send(self, request: Any) -> None:
        """Send another request; None ends the proxy's side."""
        self._requests.put(request)

    def expect_end(self) -> Any:
        """The error with which the server ends the stream."""
        with pytest.raises(grpc.RpcError) as caught:
            list(self.responses)
        return caught.value


@contextmanager
def asking(
    address: str,
    node_id: str = FRONT,
    *,
    metadata: Metadata = (),
    pair: tuple[bytes, bytes] | None = None,
    call: grpc.CallCredentials | None = None,
    host: str | None = None,
    secure: bool = True,
    delta: bool = True,
    held: Mapping[str, str] | None = None,
) -> Generator[Asking]:
    """Open a stream over TLS, with credentials if given, or without TLS.

    `held` are the versions of clusters that a delta proxy has from an earlier stream.
    """
    if secure:
        key, chain = pair or (None, None)
        credentials = grpc.ssl_channel_credentials(AUTHORITY.cert_pem.bytes(), key, chain)
        if call is not None:
            credentials = grpc.composite_channel_credentials(credentials, call)
        authority = () if host is None else (("grpc.default_authority", host),)
        channel = grpc.secure_channel(address, credentials, authority)
    else:
        channel = grpc.insecure_channel(address)
    with channel:
        stream = Asking(channel, node_id, metadata, held, delta=delta)
        try:
            yield stream
        finally:
            stream.send(None)
