"""Pulumi components that describe whole meshes."""

from meshwright_components.access_logs import build_log_format
from meshwright_components.mesh_node import MeshNode, MeshNodeArgs
from meshwright_components.weighted_service import (
    WeightedService,
    WeightedServiceArgs,
    build_weighted_targets,
)

__all__ = [
    "MeshNode",
    "MeshNodeArgs",
    "WeightedService",
    "WeightedServiceArgs",
    "build_log_format",
    "build_weighted_targets",
]
