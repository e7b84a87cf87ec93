"""Rules that the model does not state: what Envoy would reject is refused by its field."""

from __future__ import annotations

from typing import Any

import pytest

from meshwright.graph import Graph
from meshwright.graph.field_rules import find_field_violations
from meshwright.graph.violations import find_violations
from meshwright.model.resources import Kind
from meshwright.store import MeshHead, MeshState
from tests.controlplane.meshes import DEMO, build_resource, demo_resources, node_spec

TARGETS = {"weightedTargets": [{"virtualNode": "blue", "weight": 1}]}


def http_route(**parts: Any) -> dict[str, Any]:
    return {"httpRoute": {"match": {"prefix": "/"}, "action": TARGETS, **parts}}


def header(**match: Any) -> dict[str, Any]:
    return {"name": "a", "match": match}


def retries(**policy: Any) -> dict[str, Any]:
    timeout = {"value": 1, "unit": "s"}
    return http_route(retryPolicy={"maxRetries": 1, "perRetryTimeout": timeout, **policy})


@pytest.mark.parametrize(
    ("spec", "violation"),
    [
        (http_route(match={"prefix": "shop"}), "match.prefix must begin with a slash, got 'shop'"),
        (
            http_route(match={"prefix": "/", "path": {"exact": "/"}}),
            "match takes prefix or path, not both",
        ),
        (http_route(match={"path": {"exact": "a"}}), "match.path.exact must begin with a slash"),
        (
            http_route(match={"path": {"regex": "a(b"}}),
            "match.path.regex is no regular expression in RE2's syntax: missing ): a(b",
        ),
        (
            http_route(match={"headers": [header(regex="(?=x)")]}),
            "match.headers[0].match.regex is no regular expression in RE2's syntax",
        ),
        (
            http_route(match={"headers": [header(range={"start": 5, "end": 5})]}),
            "match.headers[0].match.range must start below its end, got 5 to 5",
        ),
        (
            http_route(match={"headers": [header(exact="a\nb")]}),
            "match.headers[0].match.exact may not hold a line break",
        ),
        (http_route(timeout={"idle": {"value": 1}}), "timeout.idle needs value and unit"),
        (
            retries(httpRetryEvents=["gateway-error", "bad-luck"]),
            "retryPolicy.httpRetryEvents[1] must be one of server-error, gateway-error",
        ),
        (retries(maxRetries=2**40), "retryPolicy.maxRetries must be at most 4294967295"),
        (
            http_route(timeout={"perRequest": {"value": 2**62, "unit": "s"}}),
            "timeout.perRequest must be at most 315360000 s (ten years)",
        ),
    ],
    ids=lambda each: each[:40] if isinstance(each, str) else "",
)
def test_a_route_that_envoy_would_reject(spec: dict[str, Any], violation: str):
    route = build_resource(Kind.ROUTE, "r", spec, parent="color")

    found = [f"{each.field} {each.message}" for each in find_field_violations(route)]

    assert [text.startswith(f"spec.httpRoute.{violation}") for text in found] == [True]


def test_a_grpc_method_needs_its_service():
    spec = {"grpcRoute": {"match": {"methodName": "Add"}, "action": TARGETS}}
    route = build_resource(Kind.ROUTE, "r", spec, parent="color")

    assert [each.message for each in find_field_violations(route)] == [
        "needs serviceName beside it"
    ]


@pytest.mark.parametrize("hostname", ["", "two words", "tab\there"])
def test_a_host_name_that_is_none(hostname: str):
    node = build_resource(Kind.VIRTUAL_NODE, "n", node_spec(hostname))

    assert [each.field for each in find_field_violations(node)] == [
        "spec.serviceDiscovery.dns.hostname"
    ]


def test_an_ejection_without_duration():
    spec = node_spec("host")
    second, nothing = {"value": 1, "unit": "s"}, {"value": 0, "unit": "s"}
    spec["listeners"][0]["outlierDetection"] = {
        "maxServerErrors": 1,
        "interval": nothing,
        "baseEjectionDuration": second,
        "maxEjectionPercent": 10,
    }

    found = find_field_violations(build_resource(Kind.VIRTUAL_NODE, "n", spec))

    assert [(each.field, each.message) for each in found] == [
        ("spec.listeners[0].outlierDetection.interval", "must be longer than 0")
    ]


def beside_demo(kind: Kind, name: str, spec: dict[str, Any], parent: str = "") -> list[str]:
    """What is wrong with a resource beside those of the mesh `demo`."""
    resource = build_resource(kind, name, spec, parent=parent)
    state = MeshState(MeshHead(DEMO, 1, 1.0), (*demo_resources(), resource))
    found = find_violations(Graph.from_state(state), resource)
    return [f"{each.field} {each.message}" for each in found]


def test_a_route_type_that_its_router_does_not_listen_for():
    spec = {"grpcRoute": {"match": {}, "action": TARGETS}}

    first, *_ = beside_demo(Kind.ROUTE, "r", spec, "color")

    assert first == (
        "spec.grpcRoute needs a listener with protocol grpc in virtual router 'color', "
        "which has http"
    )


def test_a_target_that_speaks_another_protocol():
    spec = {"http2Route": {"match": {}, "action": TARGETS}}

    *_, last = beside_demo(Kind.ROUTE, "r", spec, "color")

    assert last == (
        "spec.http2Route.action.weightedTargets[0].virtualNode must listen with protocol http2, "
        "and virtual node 'blue' listens on 8080 with http"
    )


def test_a_port_that_the_router_does_not_listen_on():
    spec = http_route(match={"prefix": "/", "port": 9})

    assert beside_demo(Kind.ROUTE, "r", spec, "color") == [
        (
            "spec.httpRoute.match.port must be a port of virtual router 'color', "
            "which listens on 8080; got 9"
        )
    ]


def test_a_listeners_timeout_for_another_protocol():
    spec = node_spec("host")
    spec["listeners"][0]["timeout"] = {"grpc": {"idle": {"value": 1, "unit": "s"}}}

    assert beside_demo(Kind.VIRTUAL_NODE, "n", spec) == [
        (
            "spec.listeners[0].timeout.grpc does not fit a listener with protocol http; "
            "use timeout.http"
        )
    ]


@pytest.mark.parametrize(
    ("ports", "message"),
    [
        ((8080, 8080), "must differ from the other listeners', and 8080 is taken"),
        ((15001,), "must not be 15001, on which the proxy itself listens"),
    ],
    ids=["twice", "the proxy's"],
)
def test_a_port_that_can_not_be_bound(ports: tuple[int, ...], message: str):
    spec = node_spec("host")
    spec["listeners"] = [{"portMapping": {"port": port, "protocol": "http"}} for port in ports]

    assert [text.partition(" ")[2] for text in beside_demo(Kind.VIRTUAL_NODE, "n", spec)] == [
        message
    ]


def gateway_route(match: dict[str, Any], **rewrite: Any) -> dict[str, Any]:
    target = {"virtualService": {"virtualServiceName": "color.demo.local"}}
    action = {"target": target, "rewrite": rewrite}
    return {"httpRoute": {"match": match, "action": action}}


@pytest.mark.parametrize(
    ("spec", "violation"),
    [
        (
            gateway_route({"prefix": "/aws-appmesh-x"}),
            "match.prefix must not begin with /aws-appmesh or /aws-app-mesh",
        ),
        (
            gateway_route({"path": {"exact": "/a"}}, prefix={"value": "/"}),
            "action.rewrite.prefix needs match.prefix; for match.path use rewrite.path",
        ),
        (
            gateway_route({"prefix": "/a"}, path={"exact": "/"}),
            "action.rewrite.path needs match.path; for match.prefix use rewrite.prefix",
        ),
        (
            gateway_route({"prefix": "/a"}, prefix={"value": "/b/", "defaultPrefix": "ENABLED"}),
            "action.rewrite.prefix takes defaultPrefix or value, not both",
        ),
        (
            gateway_route({"prefix": "/a"}, prefix={"value": "b"}),
            "action.rewrite.prefix.value must begin with a slash, got 'b'",
        ),
    ],
    ids=["reserved", "prefix for a path", "path for a prefix", "both", "no slash"],
)
def test_a_gateway_route_that_makes_no_sense(spec: dict[str, Any], violation: str):
    route = build_resource(Kind.GATEWAY_ROUTE, "r", spec, parent="edge")

    assert [f"{each.field} {each.message}" for each in find_field_violations(route)] == [
        f"spec.httpRoute.{violation}"
    ]


def test_a_gateway_route_to_a_port_that_its_service_is_not_asked_on():
    spec = gateway_route({"prefix": "/"})
    spec["httpRoute"]["action"]["target"]["port"] = 9

    (violation,) = beside_demo(Kind.GATEWAY_ROUTE, "r", spec, "edge")

    assert violation == (
        "spec.httpRoute.action.target.port must be a port of "
        "virtual service 'color.demo.local', which is asked on 8080; got 9"
    )


def test_a_grpc_health_check_of_a_listener_without_http2():
    spec = node_spec("red")
    spec["listeners"][0]["healthCheck"] = {"protocol": "grpc"}

    (violation,) = beside_demo(Kind.VIRTUAL_NODE, "red", spec)

    assert violation == (
        "spec.listeners[0].healthCheck.protocol must be http or tcp for a listener with protocol "
        "http, got grpc"
    )


@pytest.mark.parametrize(
    ("protocol", "violations"),
    [
        ("http", ["spec.listeners[0].healthCheck.path must begin with a slash, got ''"]),
        ("tcp", []),
    ],
)
def test_a_health_check_path_counts_for_http(protocol: str, violations: list[str]):
    spec = node_spec("red")
    spec["listeners"][0]["healthCheck"] = {"protocol": protocol, "path": ""}
    node = build_resource(Kind.VIRTUAL_NODE, "red", spec)

    assert [f"{each.field} {each.message}" for each in find_field_violations(node)] == violations
