"""A mesh as a tree: services -> routers -> routes with their shares -> nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Branch:
    """A line of the tree and what hangs from it."""

    label: str
    twigs: list[Branch] = field(default_factory=list["Branch"])


def render_tree(description: Mapping[str, Any]) -> Iterator[str]:
    """The lines that draw a mesh.

    Args:
        description: What the control plane answers about a mesh's resources.
    """
    root = _Mesh(description["resources"], description["owner"]).root(description)
    yield root.label
    yield from _draw(root.twigs, "")


def _draw(branches: Sequence[Branch], indent: str) -> Iterator[str]:
    for branch in branches:
        last = branch is branches[-1]
        yield f"{indent}{'└─ ' if last else '├─ '}{branch.label}"
        yield from _draw(branch.twigs, indent + ("   " if last else "│  "))


class _Mesh:
    """Looks resources up while the tree grows, and remembers which are in it."""

    def __init__(self, resources: Sequence[Mapping[str, Any]], owner: str) -> None:
        self._owner = owner
        self._resources = {(each["kind"], _names(each)): each for each in resources}
        self._shown: set[tuple[str, str]] = set()

    def root(self, description: Mapping[str, Any]) -> Branch:
        twigs = [
            *(self._service(name) for name in self._names_of("virtualService")),
            *(self._gateway(name) for name in self._names_of("virtualGateway")),
        ]
        # What no service leads to stands by itself at the end, so that nothing is left out.
        twigs += [self._router(name) for name in self._left("virtualRouter")]
        twigs += [self._node(name) for name in self._left("virtualNode")]
        accounts = ", ".join(description["shared_with"])
        shared = f"  shared with {accounts}" if accounts else ""
        return Branch(
            f"mesh {description['mesh']}  revision {description['revision']}{shared}", twigs
        )

    def _names_of(self, kind: str) -> list[str]:
        return [name for each, name in self._resources if each == kind]

    def _left(self, kind: str) -> list[str]:
        return [name for name in self._names_of(kind) if (kind, name) not in self._shown]

    def _spec(self, kind: str, name: str) -> Mapping[str, Any]:
        self._shown.add((kind, name))
        return self._resources[kind, name]["document"].get("spec", {})

    def _label(self, words: str, kind: str, name: str, *more: str) -> str:
        resource = self._resources[kind, name]
        version = f"v{resource['version']}"
        owner = "" if resource["owner"] == self._owner else f"of {resource['owner']}"
        shown = name.rpartition("/")[2]
        return "  ".join([f"{words} {shown}", version, *(each for each in (owner, *more) if each)])

    def _service(self, name: str) -> Branch:
        provider = self._spec("virtualService", name).get("provider", {})
        twigs: list[Branch] = []
        if "virtualRouter" in provider:
            twigs = [self._router(provider["virtualRouter"]["virtualRouterName"])]
        elif "virtualNode" in provider:
            twigs = [self._node(provider["virtualNode"]["virtualNodeName"])]
        remark = "" if twigs else "no provider"
        return Branch(self._label("virtual service", "virtualService", name, remark), twigs)

    def _router(self, name: str) -> Branch:
        spec = self._spec("virtualRouter", name)
        routes = [each for each in self._names_of("route") if each.partition("/")[0] == name]
        routes.sort(key=lambda each: self._spec("route", each).get("priority", 1000))
        return Branch(
            self._label("virtual router", "virtualRouter", name, _ports(spec)),
            [self._route(each) for each in routes],
        )

    def _route(self, name: str) -> Branch:
        spec = self._spec("route", name)
        kind = _route_type(spec)
        targets: Sequence[Mapping[str, Any]] = (
            spec[kind]["action"]["weightedTargets"] if kind is not None else ()
        )
        total = sum(target["weight"] for target in targets)
        twigs = [
            self._node(target["virtualNode"], _share(target["weight"], total)) for target in targets
        ]
        priority = f"priority {spec['priority']}" if "priority" in spec else ""
        matched = _match(kind, spec[kind].get("match", {})) if kind is not None else ""
        return Branch(self._label("route", "route", name, priority, matched), twigs)

    def _node(self, name: str, share: str = "") -> Branch:
        spec = self._spec("virtualNode", name)
        hostname = _hostname(spec.get("serviceDiscovery", {}))
        names = [each["virtualService"]["virtualServiceName"] for each in spec.get("backends", ())]
        backends = f"-> {', '.join(names)}" if names else ""
        words = f"{share} virtual node".lstrip()
        return Branch(self._label(words, "virtualNode", name, _ports(spec), hostname, backends))

    def _gateway(self, name: str) -> Branch:
        spec = self._spec("virtualGateway", name)
        routes = [each for each in self._names_of("gatewayRoute") if each.partition("/")[0] == name]
        return Branch(
            self._label("virtual gateway", "virtualGateway", name, _ports(spec)),
            [self._gateway_route(each) for each in routes],
        )

    def _gateway_route(self, name: str) -> Branch:
        spec = self._spec("gatewayRoute", name)
        kind = _route_type(spec)
        target: Mapping[str, Any] = spec[kind]["action"]["target"] if kind is not None else {}
        service = target.get("virtualService", {}).get("virtualServiceName", "")
        matched = _match(kind, spec[kind].get("match", {})) if kind is not None else ""
        return Branch(self._label("gateway route", "gatewayRoute", name, matched, f"-> {service}"))


def _names(resource: Mapping[str, Any]) -> str:
    """A resource's name within its kind: for a route its router's and its own."""
    return "/".join(resource["path"].split("/")[3::2])


def _route_type(spec: Mapping[str, Any]) -> str | None:
    return next((name for name in spec if name.endswith("Route")), None)


def _hostname(discovery: Mapping[str, Any]) -> str:
    """The name by which a virtual node is discovered; empty for one that is not."""
    service = discovery.get("awsCloudMap")
    if service is not None:
        return f"{service['serviceName']}.{service['namespaceName']} (Cloud Map)"
    return discovery.get("dns", {}).get("hostname", "")


def _share(weight: int, total: int) -> str:
    return f"{100 * weight / (total or 1):.3g}%"


def _ports(spec: Mapping[str, Any]) -> str:
    ports = [each["portMapping"] for each in spec.get("listeners", ())]
    return ", ".join(f"{port['protocol']} {port['port']}" for port in ports)


def _match(kind: str | None, match: Mapping[str, Any]) -> str:
    """What a route takes, in short: its type, its path and the names of its other conditions."""
    words = [(kind or "").removesuffix("Route")]
    for name, value in match.items():
        match value:
            case str() | int():
                words.append(f"{name} {value}")
            case dict():
                words.append(f"{name} " + " ".join(map(str, value.values())))  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType] - JSON
            case _:
                names = [str(each.get("name")) for each in value]
                words.append(f"{name} {', '.join(names)}")
    return " ".join(words)
