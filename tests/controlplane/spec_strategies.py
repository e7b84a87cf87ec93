"""Hypothesis strategies for specifications that fit the mesh that they are for.

They are drawn from botocore's shapes. Where resources have to fit each other (protocols, names,
ports) they are drawn to fit; a few are refused all the same, for what only the API knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from botocore.model import StructureShape
from hypothesis import strategies as st

from meshwright.model.resources import Kind, Spec
from meshwright.model.service import load_service_model
from tests.controlplane.api.strategies import Strategy, values

Find = Callable[[Kind, str], Spec | None]
"""The specification of a resource of the mesh, by its kind and name; None where there is none."""

NODES: Final = ("red", "green", "blue")
SERVICES: Final = ("red.local", "mixed.local", "nobody.local")
ROUTERS: Final = ("mixed", "spare")
CERTIFICATES: Final = "/certificates"
"""Where specifications find certificates: it stands for a folder of the test's own."""

_PROTOCOLS: Final = ("http", "http2", "grpc", "tcp")
_PORTS: Final = (80, 443, 8080, 9000)

_ARNS: Final = st.sampled_from(["arn:aws:acm:us-east-1:000000000000:certificate/a", "arn:x"])
_BY_NAME: Final[Mapping[str, Strategy]] = {
    "Duration": st.fixed_dictionaries(
        {"value": st.integers(0, 10**6), "unit": st.sampled_from(["s", "ms"])}
    ),
    "SubjectAlternativeNameList": st.lists(
        st.sampled_from(["spiffe://demo/a", "a.b"]), min_size=1, max_size=2
    ),
    "virtualNode": st.sampled_from(NODES),
    "virtualNodeName": st.sampled_from(NODES),
    "virtualServiceName": st.sampled_from(SERVICES),
    "virtualRouterName": st.sampled_from(ROUTERS),
    "certificateChain": st.just(f"{CERTIFICATES}/chain.pem"),
    "privateKey": st.just(f"{CERTIFICATES}/key.pem"),
    "certificateArn": _ARNS,
    "certificateAuthorityArns": st.lists(_ARNS, min_size=1, max_size=2, unique=True),
    "secretName": st.sampled_from(["spiffe://demo/a", "trust"]),
    "ports": st.lists(st.sampled_from(_PORTS), max_size=2),
    "port": st.sampled_from(_PORTS),
    "maxRetries": st.integers(0, 10),
    "maxServerErrors": st.integers(1, 10),
    "weight": st.integers(0, 100),
    "priority": st.integers(0, 1000),
    "regex": st.sampled_from(["a+", ".*", "[a-z]{2,5}", r"\d+(\.\d+)?", "x|y"]),
    "httpRetryEvents": st.lists(
        st.sampled_from(["server-error", "gateway-error", "client-error", "stream-error"]),
        min_size=1,
        max_size=4,
    ),
    "hostname": st.sampled_from(["red.internal", "10.0.0.7", "fd00::7"]),
    "namespaceName": st.sampled_from(["demo.local", "x"]),
    "prefix": st.sampled_from(["/", "/a", "/a/", "x", "/%"]),
    "exact": st.sampled_from(["/", "/a", "x", "a.b", "spiffe://demo/a", r"/\1"]),
    "suffix": st.sampled_from(["x", ".b", "/"]),
    "path": st.sampled_from(["/", "/ping", "ping", ""]),
    "serviceName": st.sampled_from(["shop.Cart", "color", "x/y"]),
    "methodName": st.sampled_from(["Add", "x y"]),
    "name": st.sampled_from(["x-a", "X-A", ":path", "host", "a b", "te"]),
}


def specs(kind: Kind, find: Find, parent: str = "") -> Strategy:
    """Specifications for a resource of a mesh.

    Args:
        kind: The resource's kind.
        find: Tells what the mesh has.
        parent: The virtual router or virtual gateway that it is in.
    """
    match kind:
        case Kind.MESH:
            return _spec("MeshSpec")
        case Kind.VIRTUAL_NODE:
            return _node()
        case Kind.VIRTUAL_ROUTER:
            return _router()
        case Kind.ROUTE:
            return _route(find, parent)
        case Kind.VIRTUAL_SERVICE:
            return _service(find)
        case Kind.VIRTUAL_GATEWAY:
            return _gateway()
        case Kind.GATEWAY_ROUTE:
            return _gateway_route(find, parent)


def shape_of(kind: Kind) -> StructureShape:
    """The shape of the specifications of a kind."""
    return _shape(f"{kind[0].upper()}{kind[1:]}Spec")


def _shape(name: str) -> StructureShape:
    shape = load_service_model().shape_for(name)
    assert isinstance(shape, StructureShape)
    return shape


# Kept, since making a strategy takes longer than drawing from it.
@cache
def _spec(name: str) -> Strategy:
    return values(_shape(name), by_name=_BY_NAME)


@cache
def _member(shape: str, name: str) -> Strategy:
    return values(_shape(shape).members[name], by_name=_BY_NAME)


@cache
def _logging() -> Strategy:
    """A log on standard output, with any format."""
    formats = values(_shape("LoggingFormat"), by_name={"text": _LOG_TEXT, "value": _LOG_TEXT})
    file = st.fixed_dictionaries({"path": st.just("/dev/stdout")}, optional={"format": formats})
    return file.map(lambda file: {"accessLog": {"file": file}})


_LOG_TEXT: Final = st.lists(
    st.sampled_from(
        [
            *("%REQ(:PATH)%", "%RESPONSE_CODE%", "%START_TIME%", "%REQ(X?Y):5%", "%%", "plain"),
            *("%METADATA(ROUTE:meshwright:arn)%", "%NONSENSE%", "100 %", '"', "\n", "ä"),
        ]
    ),
    min_size=1,
    max_size=4,
).map("".join)


@st.composite
def _listeners(draw: st.DrawFn, shape: str, protocols: tuple[str, ...]) -> list[dict[str, Any]]:
    """Listeners on ports of their own, whose settings are those of their protocols."""
    listeners: list[dict[str, Any]] = []
    for port in draw(st.lists(st.sampled_from(_PORTS), min_size=1, max_size=3, unique=True)):
        protocol = draw(st.sampled_from(protocols))
        listener = draw(_spec(shape))
        listener["portMapping"] = {"port": port, "protocol": protocol}
        for name in ("timeout", "connectionPool"):
            if listener.pop(name, None) is not None:
                settings = _shape(shape).members[name]
                assert isinstance(settings, StructureShape)
                if protocol in settings.members:
                    listener[name] = {protocol: draw(_member(settings.name, protocol))}
        check = listener.get("healthCheck", {})
        if check.get("protocol") == "grpc" and protocol not in ("grpc", "http2"):
            check["protocol"] = "http"
        if "port" in check and shape == "VirtualGatewayListener":
            check["port"] = port
        listeners.append(listener)
    return listeners


@st.composite
def _node(draw: st.DrawFn) -> dict[str, Any]:
    spec = draw(_spec("VirtualNodeSpec"))
    spec["listeners"] = draw(_listeners("Listener", _PROTOCOLS))
    spec["serviceDiscovery"] = draw(_spec("ServiceDiscovery"))
    spec["backends"] = draw(_member("VirtualNodeSpec", "backends"))
    return _with_fitting_log(draw, spec)


@st.composite
def _router(draw: st.DrawFn) -> dict[str, Any]:
    return {"listeners": draw(_listeners("VirtualRouterListener", _PROTOCOLS))}


@st.composite
def _gateway(draw: st.DrawFn) -> dict[str, Any]:
    spec = draw(_spec("VirtualGatewaySpec"))
    spec["listeners"] = draw(_listeners("VirtualGatewayListener", _PROTOCOLS[:3]))
    return _with_fitting_log(draw, spec)


def _with_fitting_log(draw: st.DrawFn, spec: dict[str, Any]) -> dict[str, Any]:
    spec.pop("logging", None)
    return spec | ({"logging": draw(_logging())} if draw(st.booleans()) else {})


@st.composite
def _service(draw: st.DrawFn, find: Find) -> dict[str, Any]:
    """A service with a provider that is there, or with none."""
    providers = [
        {kind.value: {kind.name_member: name}}
        for kind, names in ((Kind.VIRTUAL_NODE, NODES), (Kind.VIRTUAL_ROUTER, ROUTERS))
        for name in names
        if find(kind, name) is not None
    ]
    return draw(st.sampled_from([{}, *({"provider": provider} for provider in providers)]))


@st.composite
def _route(draw: st.DrawFn, find: Find, router: str) -> dict[str, Any]:
    """A route of a type that its router's listeners take, to listeners that take the same."""
    taken = _mappings(find, "virtualRouter", router)
    listening = [(node, each) for node in NODES for each in _mappings(find, "virtualNode", node)]
    both = {each["protocol"] for _, each in listening} & {each["protocol"] for each in taken}
    kind, rule = _draw_rule(draw, "RouteSpec", sorted(both) or _PROTOCOLS, taken)
    fitting = [
        {"virtualNode": node, "port": mapping["port"]}
        for node, mapping in listening
        if kind == f"{mapping['protocol']}Route"
    ]
    if fitting:
        chosen = draw(st.lists(st.sampled_from(fitting), min_size=1, max_size=3))
        weights = [draw(st.integers(0, 100)) for _ in chosen]
        weights[-1] = weights[-1] if any(weights) else 1
        rule["action"] = {
            "weightedTargets": [
                {**target, "weight": weight} for target, weight in zip(chosen, weights, strict=True)
            ]
        }
    return _with_priority(draw, {kind: rule})


@st.composite
def _gateway_route(draw: st.DrawFn, find: Find, gateway: str) -> dict[str, Any]:
    """A route of a type that its gateway's listeners take, to a service that is there."""
    taken = _mappings(find, "virtualGateway", gateway)
    protocols = sorted({each["protocol"] for each in taken}) or _PROTOCOLS[:3]
    kind, rule = _draw_rule(draw, "GatewayRouteSpec", protocols, taken)
    _settle_rewrite(draw, rule)
    services = [name for name in SERVICES if find(Kind.VIRTUAL_SERVICE, name) is not None]
    target: dict[str, Any] = rule["action"]["target"]
    name = draw(st.sampled_from(services or SERVICES))
    target["virtualService"]["virtualServiceName"] = name
    provider: dict[str, Any] = (find(Kind.VIRTUAL_SERVICE, name) or {}).get("provider", {})
    ports = [
        mapping["port"]
        for provider_kind, named in provider.items()
        for mapping in _mappings(find, provider_kind, named[f"{provider_kind}Name"])
        if mapping["protocol"] != "tcp"
    ]
    if target.pop("port", None) is not None and ports:
        target["port"] = draw(st.sampled_from(ports))
    return _with_priority(draw, {kind: rule})


def _draw_rule(
    draw: st.DrawFn, shape: str, protocols: Sequence[str], taken: list[dict[str, Any]]
) -> tuple[str, dict[str, Any]]:
    """The type of a route of one of some protocols, and what stands under it.

    Args:
        draw: Draws it.
        shape: The shape of its specification.
        protocols: Which protocols.
        taken: The port mappings of what it is in.
    """
    protocol = draw(st.sampled_from(protocols))
    kind = f"{protocol}Route"
    rule = draw(_member(shape, kind))
    match = rule.get("match", {})
    if "port" in match:
        ports = [each["port"] for each in taken if each["protocol"] == protocol]
        match["port"] = draw(st.sampled_from(ports or _PORTS))
    if "methodName" in match:
        match.setdefault("serviceName", "shop.Cart")
    if protocol != "grpc":
        _keep_one(draw, match, ("prefix", "path"))
        _keep_one(draw, match.get("path", {}), ("exact", "regex"))
    return kind, rule


def _settle_rewrite(draw: st.DrawFn, rule: dict[str, Any]) -> None:
    """Have a gateway route rewrite what it matches."""
    rewrite = rule["action"].get("rewrite", {})
    rewrite.pop("prefix" if "path" in rule["match"] else "path", None)
    _keep_one(draw, rewrite.get("prefix", {}), ("defaultPrefix", "value"))


def _keep_one(draw: st.DrawFn, value: dict[str, Any], names: tuple[str, str]) -> None:
    """Leave at most one of two members that exclude each other."""
    if all(name in value for name in names):
        del value[draw(st.sampled_from(names))]


def _mappings(find: Find, kind: str, name: str) -> list[dict[str, Any]]:
    """The port mappings of a resource's listeners."""
    spec = find(Kind(kind), name) or {}
    return [listener["portMapping"] for listener in spec.get("listeners", ())]


def _with_priority(draw: st.DrawFn, spec: dict[str, Any]) -> dict[str, Any]:
    priority = draw(st.none() | st.integers(0, 1000))
    return spec | ({} if priority is None else {"priority": priority})
