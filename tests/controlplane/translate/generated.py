"""Whole meshes that the API accepts, generated from the model by Hypothesis.

Specifications are drawn from botocore's shapes. Where resources have to fit each other (protocols,
names, ports) they are drawn to fit; what is refused all the same is left out, as it would be by the
API.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from botocore.model import StructureShape
from hypothesis import strategies as st

from meshwright.api.decisions import find_refusal
from meshwright.api.errors import ApiError
from meshwright.api.validation import validate
from meshwright.graph import Graph
from meshwright.graph.references import GATEWAY_ROUTE_TYPES
from meshwright.model.resources import Kind, MeshKey, Resource, ResourceKey, build_arn
from meshwright.model.service import load_service_model
from meshwright.store import Change, MeshHead, MeshState
from tests.controlplane.api.strategies import Strategy, values
from tests.controlplane.translate.validation import CERTIFICATES

_MESH: Final = MeshKey("000000000000", "demo")
_NODES: Final = ("red", "green", "blue")
_SERVICES: Final = ("red.local", "mixed.local", "nobody.local")
_ROUTERS: Final = ("mixed", "spare")
_PROTOCOLS: Final = ("http", "http2", "grpc", "tcp")
_PORTS: Final = (80, 443, 8080, 9000)

_ARNS: Final = st.sampled_from(["arn:aws:acm:us-east-1:000000000000:certificate/a", "arn:x"])
_BY_NAME: Final[Mapping[str, Strategy]] = {
    "Duration": st.fixed_dictionaries(
        {"value": st.integers(0, 10**6), "unit": st.sampled_from(["s", "ms"])}
    ),
    "virtualNode": st.sampled_from(_NODES),
    "virtualNodeName": st.sampled_from(_NODES),
    "virtualServiceName": st.sampled_from(_SERVICES),
    "virtualRouterName": st.sampled_from(_ROUTERS),
    "certificateChain": st.just(f"{CERTIFICATES}/chain.pem"),
    "privateKey": st.just(f"{CERTIFICATES}/key.pem"),
    "certificateArn": _ARNS,
    "certificateAuthorityArns": st.lists(_ARNS, min_size=1, max_size=2, unique=True),
    "secretName": st.sampled_from(["spiffe://demo/a", "trust"]),
    "ports": st.lists(st.sampled_from(_PORTS), max_size=2),
    "port": st.sampled_from(_PORTS),
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


def meshes() -> st.SearchStrategy[Graph]:
    """Meshes of up to three virtual nodes, with what may belong to them."""
    return _meshes()


@st.composite
def _meshes(draw: st.DrawFn) -> Graph:
    graph = Graph.from_state(MeshState(MeshHead(_MESH, 1, 0.0), ()))
    graph = _add(graph, Kind.MESH, _MESH.name, draw(_spec("MeshSpec")))
    for node in _NODES:
        graph = _add(graph, Kind.VIRTUAL_NODE, node, draw(_node()))
    for router in _ROUTERS:
        graph = _add(graph, Kind.VIRTUAL_ROUTER, router, draw(_router()))
        for name in ("first", "second"):
            graph = _add(graph, Kind.ROUTE, name, draw(_route(graph, router)), router)
    for service in _SERVICES:
        graph = _add(graph, Kind.VIRTUAL_SERVICE, service, draw(_spec("VirtualServiceSpec")))
    graph = _add(graph, Kind.VIRTUAL_GATEWAY, "edge", draw(_gateway()))
    for name in ("first", "second", "third"):
        graph = _add(graph, Kind.GATEWAY_ROUTE, name, draw(_gateway_route()), "edge")
    return graph


def _add(graph: Graph, kind: Kind, name: str, spec: dict[str, Any], parent: str = "") -> Graph:
    """The graph with a resource, or as it was where the API would refuse that."""
    key = ResourceKey(_MESH, kind, name, parent)
    if key.parent_key is not None and parent and key.parent_key not in graph.resources:
        return graph
    resource = Resource(
        key=key,
        arn=build_arn(key, region="us-east-1"),
        spec=spec,
        uid="uid",
        version=1,
        created_at=0.0,
        last_updated_at=0.0,
        resource_owner=_MESH.owner,
    )
    after = graph.with_changes(graph.head, [Change(key, resource)])
    try:
        validate(_shape(f"{kind.value[0].upper()}{kind.value[1:]}Spec"), spec)
    except ApiError:
        return graph
    return graph if find_refusal(after, resource) else after


def _shape(name: str) -> StructureShape:
    shape = load_service_model().shape_for(name)
    assert isinstance(shape, StructureShape)
    return shape


def _spec(name: str) -> Strategy:
    return values(_shape(name), by_name=_BY_NAME)


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
                members = _shape(shape).members[name].members  # pyright: ignore
                if protocol in members:
                    settings = values(members[protocol], by_name=_BY_NAME)
                    listener[name] = {protocol: draw(settings)}
        listeners.append(listener)
    return listeners


@st.composite
def _node(draw: st.DrawFn) -> dict[str, Any]:
    spec = draw(_spec("VirtualNodeSpec"))
    spec["listeners"] = draw(_listeners("Listener", _PROTOCOLS))
    spec["serviceDiscovery"] = draw(_spec("ServiceDiscovery"))
    backends = _shape("VirtualNodeSpec").members["backends"]
    spec["backends"] = draw(values(backends, by_name=_BY_NAME))
    spec.pop("logging", None)
    return spec | ({"logging": draw(_logging())} if draw(st.booleans()) else {})


@st.composite
def _router(draw: st.DrawFn) -> dict[str, Any]:
    return {"listeners": draw(_listeners("VirtualRouterListener", _PROTOCOLS))}


@st.composite
def _gateway(draw: st.DrawFn) -> dict[str, Any]:
    spec = draw(_spec("VirtualGatewaySpec"))
    spec["listeners"] = draw(_listeners("VirtualGatewayListener", _PROTOCOLS[:3]))
    spec.pop("logging", None)
    return spec | ({"logging": draw(_logging())} if draw(st.booleans()) else {})


@st.composite
def _route(draw: st.DrawFn, graph: Graph, router: str) -> dict[str, Any]:
    """A route of the type that its router's listeners take, to listeners that take the same."""
    found = graph.find(Kind.VIRTUAL_ROUTER, router)
    taken = [each["portMapping"] for each in found.spec["listeners"]] if found else []
    protocol = draw(st.sampled_from([each["protocol"] for each in taken] or list(_PROTOCOLS)))
    kind = f"{protocol}Route"
    rule = draw(values(_shape("RouteSpec").members[kind], by_name=_BY_NAME))
    fitting = [
        {"virtualNode": node, "port": listener["portMapping"]["port"]}
        for node in _NODES
        if (resource := graph.find(Kind.VIRTUAL_NODE, node)) is not None
        for listener in resource.spec["listeners"]
        if listener["portMapping"]["protocol"] == protocol
    ]
    if fitting:
        chosen = draw(st.lists(st.sampled_from(fitting), min_size=1, max_size=3))
        weights = [draw(st.integers(0, 100)) for _ in chosen]
        rule["action"] = {
            "weightedTargets": [
                {**target, "weight": weight} for target, weight in zip(chosen, weights, strict=True)
            ]
        }
    if "port" in rule.get("match", {}):
        ports = [each["port"] for each in taken if each["protocol"] == protocol]
        rule["match"]["port"] = draw(st.sampled_from(ports or [80]))
    priority = draw(st.none() | st.integers(0, 1000))
    return {kind: rule} | ({} if priority is None else {"priority": priority})


@st.composite
def _gateway_route(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(GATEWAY_ROUTE_TYPES))
    rule = draw(values(_shape("GatewayRouteSpec").members[kind], by_name=_BY_NAME))
    priority = draw(st.none() | st.integers(0, 1000))
    return {kind: rule} | ({} if priority is None else {"priority": priority})
