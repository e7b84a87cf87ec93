"""Backends of one virtual node that share a port, by which a TCP connection is told apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from meshwright.graph.graph import Graph
from meshwright.graph.references import references_of
from meshwright.model.ports import TCP
from meshwright.model.resources import Resource, ResourceKey


@dataclass(frozen=True, slots=True)
class BackendPort:
    """A port on which a virtual node reaches one of its backends.

    Attributes:
        field: The path of the backend in the virtual node's specification.
        service: The virtual service.
        port: The port.
        protocol: What is spoken on it.
    """

    field: str
    service: ResourceKey
    port: int
    protocol: str


class Collision(NamedTuple):
    """Two backends of a virtual node on one port, at least one of which takes TCP connections.

    Attributes:
        first: The one that the specification names first.
        second: The other one.
        mixed: Whether one of the two takes requests, so that a connection's first bytes decide.
    """

    first: BackendPort
    second: BackendPort
    mixed: bool


def find_collisions(graph: Graph, node: Resource) -> Iterator[Collision]:
    """The collisions between a virtual node's backends that exist, in the order of the later one.

    Requests in HTTP of any version name the host that they are for, so that any number of
    backends may take them on one port. A TCP connection has nothing but its destination.

    Source: App Mesh user guide, troubleshooting-connectivity.md: "Make sure that all destinations
    are using a unique port".
    """
    # The first backend on a port for each of the two: TCP connections, and requests.
    first: dict[tuple[int, bool], BackendPort] = {}
    for second in _backend_ports(graph, node):
        is_tcp = second.protocol == TCP
        others = (first.get((second.port, True)), first.get((second.port, False)))
        for other in others if is_tcp else others[:1]:
            if other is not None and other.service != second.service:
                yield Collision(other, second, mixed=other.protocol != second.protocol)
        first.setdefault((second.port, is_tcp), second)


def _backend_ports(graph: Graph, node: Resource) -> Iterator[BackendPort]:
    for reference in references_of(node):
        service = graph.resources.get(reference.target)
        for mapping in graph.port_mappings_of(service) if service is not None else ():
            yield BackendPort(
                reference.field, reference.target, mapping["port"], mapping["protocol"]
            )
