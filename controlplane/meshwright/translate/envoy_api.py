"""Envoy's v3 messages that the translation builds, under the names of Envoy's API reference.

`xds-protos` ships no type stubs, so this is the one module of the translation that type checking
sees as untyped; everything else uses the names below. Messages are built by keyword, nested ones
as dicts, and read only through protobuf's own functions.
"""
# pyright: basic, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.access_loggers.file.v3 import file_pb2
from envoy.extensions.clusters.dynamic_forward_proxy.v3 import cluster_pb2 as forward_cluster_pb2
from envoy.extensions.filters.http.dynamic_forward_proxy.v3 import (
    dynamic_forward_proxy_pb2 as forward_filter_pb2,
)
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.listener.http_inspector.v3 import http_inspector_pb2
from envoy.extensions.filters.listener.original_dst.v3 import original_dst_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2
from envoy.extensions.filters.network.direct_response.v3 import (
    config_pb2 as direct_response_pb2,
)
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2,
)
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2, tls_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

Cluster: type[Message] = cluster_pb2.Cluster
ClusterLoadAssignment: type[Message] = endpoint_pb2.ClusterLoadAssignment
Listener: type[Message] = listener_pb2.Listener
RouteConfiguration: type[Message] = route_pb2.RouteConfiguration
VirtualHost: type[Message] = route_components_pb2.VirtualHost
Route: type[Message] = route_components_pb2.Route
HttpConnectionManager: type[Message] = http_connection_manager_pb2.HttpConnectionManager
TcpProxy: type[Message] = tcp_proxy_pb2.TcpProxy
DirectResponse: type[Message] = direct_response_pb2.Config
Router: type[Message] = router_pb2.Router
FileAccessLog: type[Message] = file_pb2.FileAccessLog
PreviousHosts: type[Message] = previous_hosts_pb2.PreviousHostsPredicate
DynamicForwardProxyCluster: type[Message] = forward_cluster_pb2.ClusterConfig
DynamicForwardProxyFilter: type[Message] = forward_filter_pb2.FilterConfig
HttpProtocolOptions: type[Message] = http_protocol_options_pb2.HttpProtocolOptions
DownstreamTlsContext: type[Message] = tls_pb2.DownstreamTlsContext
UpstreamTlsContext: type[Message] = tls_pb2.UpstreamTlsContext
Secret: type[Message] = secret_pb2.Secret
HttpInspector: type[Message] = http_inspector_pb2.HttpInspector
TlsInspector: type[Message] = tls_inspector_pb2.TlsInspector
OriginalDst: type[Message] = original_dst_pb2.OriginalDst


def pack(message: Message) -> Message:
    """A message inside an `Any`, as Envoy's typed extension points take it."""
    packed = AnyMessage()
    packed.Pack(message, deterministic=True)
    return packed


def unpack(any_bytes: bytes) -> Message:
    """The message inside a serialized `Any`."""
    packed = AnyMessage.FromString(any_bytes)
    found = descriptor_pool.Default().FindMessageTypeByName(packed.TypeName())
    return message_factory.GetMessageClass(found).FromString(packed.value)


def message_type(kind: type[Message]) -> str:
    """The full name of a type of message, such as `envoy.config.cluster.v3.Cluster`."""
    return kind.DESCRIPTOR.full_name


def build_struct(values: Mapping[str, Any]) -> Message:
    """A JSON object as a `Struct`."""
    struct = Struct()
    struct.update(dict(values))
    return struct


def build_extension(name: str, message: Message) -> dict[str, Any]:
    """An entry of a list of extensions, such as a filter or an access logger."""
    return {"name": name, "typed_config": pack(message)}


def build_address(address: str, port: int) -> dict[str, Any]:
    """A socket address: an IP address or host name, and a port."""
    return {"socket_address": {"address": address, "port_value": port}}
