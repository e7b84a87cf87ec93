"""One mesh as an immutable value: who refers to whom, who can see what, and what is wrong."""

from meshwright.graph.findings import Finding
from meshwright.graph.graph import Graph

__all__ = ["Finding", "Graph"]
