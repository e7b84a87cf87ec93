"""Requests and responses of both ADS dialects: from bytes, and to bytes."""
# pyright: basic, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.json_format import MessageToDict

from meshwright.xds.resources import PackedResource, encode_bytes


@dataclass(frozen=True, slots=True)
class Node:
    """What a proxy says of itself.

    Attributes:
        id: Its node id.
        metadata: Its node metadata as JSON.
        envoy_version: Its build's version, or its user agent, or empty.
    """

    id: str
    metadata: Mapping[str, Any]
    envoy_version: str


_NONE_HELD: Final[Mapping[str, str]] = MappingProxyType({})


class Request(NamedTuple):
    """A request of either dialect.

    Attributes:
        type_url: The type that it is about.
        node: Who asks; only the first request of a stream needs to say.
        nonce: The nonce of the response that it answers; empty where it answers none.
        error: Why the proxy rejected that response; None where it did not.
        names: Delta: the names newly subscribed to. State of the world: all names wanted.
        unsubscribed: Delta: names no longer wanted.
        held_versions: Delta: what the proxy has from an earlier stream, by name.
        version: State of the world: the version that the proxy last accepted.
    """

    type_url: str
    node: Node | None = None
    nonce: str = ""
    error: str | None = None
    names: tuple[str, ...] = ()
    unsubscribed: tuple[str, ...] = ()
    held_versions: Mapping[str, str] = _NONE_HELD
    version: str = ""


def parse_delta_request(data: bytes) -> Request:
    """A `DeltaDiscoveryRequest`.

    Raises:
        ValueError: The bytes are none.
    """
    message = _parse(discovery_pb2.DeltaDiscoveryRequest, data)
    # Nearly all requests are acknowledgements, without what costs most to read.
    names, unsubscribed = message.resource_names_subscribe, message.resource_names_unsubscribe
    held_versions = message.initial_resource_versions
    return Request(
        type_url=message.type_url,
        node=_parse_node(message) if message.HasField("node") else None,
        nonce=message.response_nonce,
        error=message.error_detail.message if message.HasField("error_detail") else None,
        names=tuple(names) if names else (),
        unsubscribed=tuple(unsubscribed) if unsubscribed else (),
        held_versions=dict(held_versions) if held_versions else _NONE_HELD,
    )


def parse_sotw_request(data: bytes) -> Request:
    """A `DiscoveryRequest`.

    Raises:
        ValueError: The bytes are none.
    """
    message = _parse(discovery_pb2.DiscoveryRequest, data)
    return Request(
        type_url=message.type_url,
        node=_parse_node(message) if message.HasField("node") else None,
        nonce=message.response_nonce,
        error=message.error_detail.message if message.HasField("error_detail") else None,
        names=tuple(message.resource_names),
        version=message.version_info,
    )


def _parse(kind: Any, data: bytes) -> Any:
    try:
        return kind.FromString(data)
    except Exception as error:  # protobuf's DecodeError is no subclass of ValueError
        raise ValueError(f"the bytes are no {kind.DESCRIPTOR.full_name}") from error


def _parse_node(message: Any) -> Node:
    node = message.node
    version = node.user_agent_version
    if node.HasField("user_agent_build_version"):
        number = node.user_agent_build_version.version
        version = f"{number.major_number}.{number.minor_number}.{number.patch}"
    return Node(node.id, MessageToDict(node.metadata), version)


def render_delta_response(
    type_url: str, nonce: str, changed: Iterable[PackedResource], removed: Iterable[str]
) -> bytes:
    """A `DeltaDiscoveryResponse` made of already serialized resources."""
    fields = [_encode_type(type_url), encode_bytes(5, nonce.encode())]
    fields += [resource.delta_entry for resource in changed]
    fields += [encode_bytes(6, name.encode()) for name in removed]
    return b"".join(fields)


def render_sotw_response(
    type_url: str, nonce: str, version: str, resources: Iterable[PackedResource]
) -> bytes:
    """A `DiscoveryResponse` made of already serialized resources."""
    fields = [
        encode_bytes(1, version.encode()),
        _encode_type(type_url),
        encode_bytes(5, nonce.encode()),
    ]
    fields += [encode_bytes(2, resource.any_bytes) for resource in resources]
    return b"".join(fields)


@cache
def _encode_type(type_url: str) -> bytes:
    """The field of a response's type, which has the same number in both dialects."""
    return encode_bytes(4, type_url.encode())
