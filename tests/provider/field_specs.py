"""For each field of the model, a small specification that has it, and the same with another value.

Both are built by a walk over the model: what is required, and what lies on the way to the field.
Where the API insists on more than the model does (a listener's own protocol, a duration's unit),
that is added; what a specification may refer to is made by `make_surroundings`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.model import ListShape, StringShape, StructureShape

from pulumi_meshwright.model import Kind, kinds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from botocore.model import Shape

PROTOCOLS: Final = ("http", "http2", "grpc", "tcp")
PORTS: Final = {protocol: (8000 + n, 9000 + n) for n, protocol in enumerate(PROTOCOLS)}
"""The two ports on which whatever can be referred to listens with a protocol."""


@dataclass(frozen=True, slots=True)
class FieldCase:
    """A field, such as `listeners[].portMapping.port`, and two specifications that differ in it."""

    kind: Kind
    field: str
    before: dict[str, Any]
    after: dict[str, Any]


def field_cases(kind: Kind) -> Iterator[FieldCase]:
    """A case for each leaf field of a resource type's specification."""
    for steps in _leaves(kind.spec):
        before, after = (_Builder(kind, steps, number).build() for number in (0, 1))
        if before == after:  # there is but one value: the change is to have none
            _remove(after, [step for step in steps if step != "[]"])
        yield FieldCase(kind, ".".join(steps).replace(".[]", "[]"), before, after)


def make_surroundings(client: Any, mesh: str) -> None:
    """Make a mesh with everything that the specifications refer to."""
    client.create_mesh(meshName=mesh)
    for protocol in PROTOCOLS:
        for name in (f"{protocol}-0", f"{protocol}-1"):
            listeners = [_listener(protocol, port) for port in PORTS[protocol]]
            spec = {"listeners": listeners, "serviceDiscovery": {"dns": {"hostname": "a.local"}}}
            client.create_virtual_node(meshName=mesh, virtualNodeName=name, spec=spec)
    listeners = [_listener(protocol, port) for protocol in PROTOCOLS for port in PORTS[protocol]]
    for number in (0, 1):
        router, service = f"router-{number}", f"service-{number}.local"
        spec = {"listeners": listeners}
        client.create_virtual_router(meshName=mesh, virtualRouterName=router, spec=spec)
        provider = {"virtualRouter": {"virtualRouterName": router}}
        client.create_virtual_service(
            meshName=mesh, virtualServiceName=service, spec={"provider": provider}
        )
    spec = {"listeners": [each for each in listeners if each["portMapping"]["protocol"] != "tcp"]}
    client.create_virtual_gateway(meshName=mesh, virtualGatewayName="gateway-0", spec=spec)


def parent_inputs(kind: Kind, mesh: str) -> dict[str, str]:
    """The inputs that say where a resource of the type goes."""
    parents = {
        "meshName": mesh,
        "virtualRouterName": "router-0",
        "virtualGatewayName": "gateway-0",
    }
    return {name: parents[name] for name in kind.parents}


def _listener(protocol: str, port: int) -> dict[str, Any]:
    return {"portMapping": {"port": port, "protocol": protocol}}


def _leaves(shape: Shape, *steps: str) -> Iterator[tuple[str, ...]]:
    if isinstance(shape, StructureShape):
        for name, member in shape.members.items():
            yield from _leaves(member, *steps, name)
    elif isinstance(shape, ListShape):
        yield from _leaves(shape.member, *steps, "[]")
    else:
        yield steps


def _remove(spec: dict[str, Any], steps: Sequence[str]) -> None:
    for step in steps[:-1]:
        spec = spec[step]
    del spec[steps[-1]]


class _Builder:
    """Builds one of the two specifications of a field.

    Args:
        kind: The resource type.
        steps: The way to the field, such as `("listeners", "[]", "portMapping", "port")`.
        number: Which of two values the field gets; all others get the first.
    """

    def __init__(self, kind: Kind, steps: Sequence[str], number: int) -> None:
        self._kind = kind
        self._steps = tuple(steps)
        self._number = number

    def build(self) -> dict[str, Any]:
        return self._value(self._kind.spec, ())

    def _value(self, shape: Shape, at: tuple[str, ...]) -> Any:
        if isinstance(shape, StructureShape):
            names = self._members(shape, at)
            return {name: self._value(shape.members[name], (*at, name)) for name in names}
        if isinstance(shape, ListShape):
            return [self._value(shape.member, (*at, "[]"))]
        first, second = self._values(shape, at)
        return second if self._number and self._changes(at) else first

    def _members(self, shape: StructureShape, at: tuple[str, ...]) -> list[str]:
        """What is required, what lies on the way, and what the API wants beside it."""
        way = self._steps[len(at)] if self._steps[: len(at)] == at else None
        if shape.is_tagged_union:
            return [way or ("file" if "file" in shape.members else next(iter(shape.members)))]
        wanted = set(shape.required_members)
        if way is not None:
            wanted.add(way)
        match shape.name:
            case "Duration":
                wanted |= {"unit", "value"}
            case "VirtualNodeSpec" if way == "listeners":
                wanted.add("serviceDiscovery")
            case "RouteSpec" | "GatewayRouteSpec" if way == "priority":
                wanted.add("httpRoute")
            case "HttpRouteMatch" | "HttpGatewayRouteMatch" if way != "path":
                wanted.add("path" if self._rewrites_path else "prefix")
            case "GrpcRouteMatch" if way == "methodName":
                wanted.add("serviceName")
            case _:
                pass
        return [name for name in shape.members if name in wanted]

    @property
    def _rewrites_path(self) -> bool:
        return self._steps[1:4] == ("action", "rewrite", "path")

    def _changes(self, at: tuple[str, ...]) -> bool:
        if self._kind.name == "VirtualGateway" and self._steps[-2:] == ("healthCheck", "port"):
            return at[-1] == "port"  # a gateway's listener is checked on its own port
        return at == self._steps

    def _values(self, shape: Shape, at: tuple[str, ...]) -> tuple[Any, Any]:
        """The two values that a leaf can have."""
        match [step for step in at if step != "[]"]:
            case [*_, "healthCheck" | "portMapping", "protocol"]:
                own = self._protocol
                return own, "http2" if own == "http" else own
            case [*_, "port" | "ports"] if not isinstance(shape, StringShape):
                return PORTS[self._protocol]
            case [*_, "weightedTargets", "virtualNode"] | [*_, "virtualNodeName"]:
                return f"{self._protocol}-0", f"{self._protocol}-1"
            case [*_, "virtualRouterName"]:
                return "router-0", "router-1"
            case [*_, "virtualServiceName"]:
                return "service-0.local", "service-1.local"
            case [*_, "httpRetryEvents"]:
                return "server-error", "gateway-error"
            case [*_, "range", "end"]:
                return 10, 11
            case _:
                return _plain_values(shape)

    @property
    def _protocol(self) -> str:
        """The protocol that the field speaks of: of a route, a pool or a timeout."""
        words = [step.removesuffix("Route") for step in self._steps]
        return next((word for word in words if word in PROTOCOLS), "http")


def _plain_values(shape: Shape) -> tuple[Any, Any]:
    if isinstance(shape, StringShape):
        # The last ones first: the first of an enum is often its default.
        return (shape.enum[-1], shape.enum[0]) if shape.enum else ("/a/", "/b/")
    if shape.type_name == "boolean":
        return True, False
    least = max(1, int(shape.metadata.get("min", 1)))  # 0 often means none
    return least, least + 1


def all_cases() -> Mapping[str, list[FieldCase]]:
    """The cases of every resource type, by its name."""
    return {name: list(field_cases(kind)) for name, kind in kinds().items()}
