"""What is wrong in a mesh without being refused: findings, shown until they are resolved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from meshwright.graph.graph import Graph
from meshwright.graph.references import references_of
from meshwright.graph.violations import find_violations
from meshwright.model.resources import Kind, Resource


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem of one resource.

    Attributes:
        resource: The ARN of the resource that has it.
        code: A word that names the kind of problem, for filters: `BackendMissing`.
        field: The path of the field at fault, as in a request.
        message: What is wrong.
        remedy: What to do about it.
    """

    resource: str
    code: str
    field: str
    message: str
    remedy: str


def find_problems(graph: Graph) -> list[Finding]:
    """All findings of a mesh, by resource.

    People's scripts make nodes before services and delete services before nodes, so that a
    backend may name what is not there yet or any more: it is reported here instead of refused.
    """
    return [
        finding
        for key in sorted(graph.resources)
        for finding in _problems_of(graph, graph.resources[key])
    ]


def _problems_of(graph: Graph, resource: Resource) -> Iterator[Finding]:
    match resource.key.kind:
        case Kind.VIRTUAL_NODE:
            for reference in references_of(resource):
                if reference.target not in graph.resources:
                    yield Finding(
                        resource.arn,
                        "BackendMissing",
                        reference.field,
                        f"{resource.key} has the backend {reference.target.name!r}, and there is "
                        f"no such virtual service in mesh {resource.key.mesh.name!r}",
                        f"create the virtual service {reference.target.name!r}, or take the "
                        "backend out of the virtual node",
                    )
        case Kind.VIRTUAL_SERVICE if not references_of(resource):
            yield Finding(
                resource.arn,
                "ProviderMissing",
                "spec.provider",
                f"{resource.key} has no provider, so nobody answers its requests",
                "set spec.provider to a virtual router or a virtual node",
            )
        case Kind.VIRTUAL_ROUTER if not graph.children_of(resource.key):
            yield Finding(
                resource.arn,
                "RouteMissing",
                "",
                f"{resource.key} has no route, so it answers every request with 404",
                "create a route in it",
            )
        case Kind.ROUTE:
            for violation in find_violations(graph, resource):
                # It was accepted, and a later change to its target took the ground away.
                yield Finding(
                    resource.arn,
                    "TargetUnreachable",
                    violation.field,
                    f"{resource.key}: {violation.field} {violation.message}",
                    "change the route, or give the virtual node back the listener",
                )
        case _:
            return
