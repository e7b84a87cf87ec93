"""A workload in a mesh, found by its host name: a virtual node with one listener."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi

import pulumi_meshwright as meshwright
from meshwright_components.access_logs import build_logging

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshNodeArgs:
    """What a `MeshNode` is made of.

    Attributes:
        mesh_name: The mesh that it belongs to. Pass a mesh's output, so that the mesh comes first.
        hostname: The DNS name at which the other proxies find it.
        port: The port on which it listens, and its application behind the proxy.
        protocol: What it speaks: `http`, `http2`, `grpc` or `tcp`.
        backends: The names of the virtual services that it may call, and nothing else.
        access_log_path: The file that gets a line for each request; None for no access log.
        access_log_format: The line as JSON, Envoy's format strings by key; None for Envoy's own.
        node_name: The virtual node's name in the mesh; None for the component's name.
    """

    mesh_name: pulumi.Input[str]
    hostname: pulumi.Input[str]
    port: pulumi.Input[int]
    protocol: pulumi.Input[str] = "http"
    backends: Sequence[pulumi.Input[str]] = ()
    access_log_path: str | None = "/dev/stdout"
    access_log_format: Mapping[str, str] | None = None
    node_name: pulumi.Input[str] | None = None


class MeshNode(pulumi.ComponentResource):
    """A workload in a mesh, found by its host name.

    Args:
        name: The component's name, and the virtual node's unless the args say otherwise.
        args: What it is made of.
        opts: Options for the component and, by inheritance, its child.
    """

    virtual_node_name: pulumi.Output[str]
    """The virtual node's name, for the targets of routes."""
    arn: pulumi.Output[str]
    """The virtual node's ARN, as a proxy's node id."""

    def __init__(
        self, name: str, args: MeshNodeArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("meshwright:components:MeshNode", name, {}, opts)
        node = meshwright.VirtualNode(
            name,
            mesh_name=args.mesh_name,
            name=name if args.node_name is None else args.node_name,
            spec=build_node_spec(args),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.virtual_node_name = node.name
        self.arn = node.arn
        self.register_outputs({"virtualNodeName": node.name, "arn": node.arn})


def build_node_spec(args: MeshNodeArgs) -> meshwright.VirtualNodeSpecArgs:
    """The specification of a `MeshNode`'s virtual node."""
    backends = [
        meshwright.BackendArgs(
            virtual_service=meshwright.VirtualServiceBackendArgs(virtual_service_name=backend)
        )
        for backend in args.backends
    ]
    mapping = meshwright.PortMappingArgs(port=args.port, protocol=args.protocol)
    path, fields = args.access_log_path, args.access_log_format
    if path is None and fields is not None:
        raise ValueError("access_log_format needs access_log_path: give the file to write to")
    return meshwright.VirtualNodeSpecArgs(
        listeners=[meshwright.ListenerArgs(port_mapping=mapping)],
        service_discovery=meshwright.ServiceDiscoveryArgs(
            dns=meshwright.DnsServiceDiscoveryArgs(hostname=args.hostname)
        ),
        backends=backends or None,
        logging=None if path is None else build_logging(path, fields),
    )
