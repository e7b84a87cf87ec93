"""Resources as they go over the wire: serialized once, versioned by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from operator import is_
from typing import Final

from google.protobuf.message import Message

from meshwright.translate.envoy_api import message_type, unpack

_TYPE_PREFIX: Final = "type.googleapis.com/"
_DIGEST_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class PackedResource:
    """One resource, serialized once and shared by all proxies and streams.

    Attributes:
        name: Its name, unique within its type.
        version: A digest of its content: the same after a restart and on every replica.
        delta_entry: It as a field of a delta response: an Envoy `Resource`, which ends with the
            field that holds it inside an `Any`.
        any_start: Where in those bytes that `Any` begins.
    """

    name: str
    version: str
    delta_entry: bytes = field(repr=False)
    any_start: int = field(repr=False)

    @classmethod
    def from_any(cls, name: str, version: str, any_bytes: bytes) -> PackedResource:
        """A resource that is inside an `Any` already, serialized."""
        # `Resource` has its name as field 3, its version as 1 and itself as 2; the order is free.
        labels = encode_bytes(3, name.encode()) + encode_bytes(1, version.encode())
        entry = encode_bytes(2, labels + encode_bytes(2, any_bytes))
        return cls(name, version, entry, len(entry) - len(any_bytes))

    @property
    def any_bytes(self) -> bytes:
        """It inside an `Any`, serialized."""
        return self.delta_entry[self.any_start :]

    def unpack(self) -> Message:
        """The resource as a message."""
        return unpack(self.any_bytes)


Resources = Mapping[str, PackedResource]
"""Resources of one type by their names."""


def pack_resource(message: Message) -> PackedResource:
    """Serialize a resource."""
    content = serialize(message)
    return pack_content(type(message), _name_of(message), content)


def pack_content(kind: type[Message], name: str, content: bytes) -> PackedResource:
    """A resource whose serialized content is there already."""
    any_bytes = _encode_type(kind) + encode_bytes(2, content)
    return PackedResource.from_any(name, digest(content), any_bytes)


@cache
def _encode_type(kind: type[Message]) -> bytes:
    return encode_bytes(1, f"{_TYPE_PREFIX}{message_type(kind)}".encode())


def pack_all(messages: Iterable[Message]) -> dict[str, PackedResource]:
    """Serialize resources of one type, in their order."""
    return {each.name: each for each in map(pack_resource, messages)}


def keep_same(before: Resources, now: Resources) -> Resources:
    """What there is now, as the very same objects where it is as it was before."""
    kept: dict[str, PackedResource] = {}
    for name, resource in now.items():
        earlier = before.get(name)
        kept[name] = earlier if earlier is not None and earlier == resource else resource
    same = len(kept) == len(before) and all(map(is_, kept.values(), before.values()))
    return before if same else kept


def _name_of(message: Message) -> str:
    # Envoy's API calls it `name` but for endpoints, whose name is that of their cluster.
    return getattr(message, "name", None) or getattr(message, "cluster_name", "")


def serialize(message: Message) -> bytes:
    """A message's bytes, the same wherever and whenever it is serialized."""
    return message.SerializeToString(deterministic=True)


def digest(content: bytes) -> str:
    """A short text that stands for a content."""
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).hexdigest()


def encode_bytes(number: int, value: bytes) -> bytes:
    """A length-delimited protobuf field.

    Serialized messages can be put together field by field, which is what lets one resource's
    bytes stand in many responses, and one virtual host's in many route configurations
    (https://protobuf.dev/programming-guides/encoding/).
    """
    size, head = len(value), [number << 3 | 2]
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head) + value
