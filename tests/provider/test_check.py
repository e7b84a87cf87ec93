"""Inputs held against the model: each kind of mistake, by its path, with what would be right."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from pulumi.provider.experimental.property_value import PropertyValue

from pulumi_meshwright.check import check_inputs
from pulumi_meshwright.model import Kind, kinds
from pulumi_meshwright.values import COMPUTED, wrap
from tests.provider.specs import kinds_and_specs

TARGETS = "spec.httpRoute.action.weightedTargets"


def route_inputs(**changes: Any) -> dict[str, PropertyValue]:
    """A right route, and what a test gives instead."""
    spec = {
        "httpRoute": {
            "match": {"prefix": "/"},
            "action": {"weightedTargets": [{"virtualNode": "blue", "weight": 80}]},
        }
    }
    inputs = {"name": "r", "meshName": "demo", "virtualRouterName": "color", "spec": spec}
    return {key: wrap(value) for key, value in (inputs | changes).items()}


def with_target(**target: Any) -> dict[str, PropertyValue]:
    """A route with one target."""
    return route_inputs(spec=http_route(action={"weightedTargets": [target]}))


def http_route(**changes: Any) -> dict[str, Any]:
    """The specification of a right route, and what a test gives instead."""
    action = {"weightedTargets": [{"virtualNode": "blue", "weight": 80}]}
    return {"httpRoute": {"match": {"prefix": "/"}, "action": action} | changes}


def failures(inputs: dict[str, PropertyValue], kind: str = "Route") -> dict[str, str]:
    """What is wrong, by path."""
    return {failure.path: failure.reason for failure in check_inputs(kinds()[kind], inputs)}


def test_a_right_resource_has_no_failures() -> None:
    assert failures(route_inputs()) == {}


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(kinds_and_specs())
def test_whatever_the_model_allows_is_right(drawn: tuple[Kind, Any]) -> None:
    kind, spec = drawn
    inputs = {name: wrap("a-name") for name in (*kind.parents, "name")} | {"spec": wrap(spec)}

    assert failures(inputs, kind.name) == {}


@pytest.mark.parametrize(
    ("inputs", "path", "reason"),
    [
        pytest.param(
            with_target(virtualNode="blue", weight=101),
            f"{TARGETS}[0].weight",
            "must be at most 100, is 101",
            id="too much",
        ),
        pytest.param(
            with_target(virtualNode="blue", weight=-1),
            f"{TARGETS}[0].weight",
            "must be at least 0, is -1",
            id="too little",
        ),
        pytest.param(
            with_target(virtualNode="blue", weight=0.5),
            f"{TARGETS}[0].weight",
            "must be a whole number, not 0.5",
            id="a fraction",
        ),
        pytest.param(
            with_target(virtualNode="blue", weight="80"),
            f"{TARGETS}[0].weight",
            "must be a whole number, not '80'",
            id="a string for a number",
        ),
        pytest.param(
            with_target(virtualNode="blue", weight=True),
            f"{TARGETS}[0].weight",
            "must be a whole number, not true",
            id="a truth for a number",
        ),
        pytest.param(
            with_target(weight=1), f"{TARGETS}[0].virtualNode", "is required", id="missing"
        ),
        pytest.param(
            with_target(virtualNode="blue", weight=1, wieght=2),
            f"{TARGETS}[0].wieght",
            "is not a field of App Mesh; did you mean 'weight'?",
            id="misspelt",
        ),
        pytest.param(
            with_target(virtualNode="", weight=1),
            f"{TARGETS}[0].virtualNode",
            "must have at least 1 characters, has 0",
            id="too short",
        ),
        pytest.param(
            route_inputs(spec=http_route(action={"weightedTargets": []})),
            TARGETS,
            "must have at least 1 items, has 0",
            id="too few",
        ),
        pytest.param(
            route_inputs(spec=http_route(action={"weightedTargets": "blue"})),
            TARGETS,
            "must be a list, not 'blue'",
            id="a string for a list",
        ),
        pytest.param(
            route_inputs(spec=http_route(match="/")),
            "spec.httpRoute.match",
            "must be an object with headers, method, path, port, prefix, queryParameters, scheme, "
            "not '/'",
            id="a string for an object",
        ),
        pytest.param(
            route_inputs(spec=http_route(match={"method": "FETCH"})),
            "spec.httpRoute.match.method",
            "must be one of GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE, PATCH, "
            "is 'FETCH'",
            id="no value of the enum",
        ),
        pytest.param(
            route_inputs(
                spec=http_route(
                    match={"headers": [{"name": "x", "match": {"exact": "a", "prefix": "b"}}]}
                )
            ),
            "spec.httpRoute.match.headers[0].match",
            "must have exactly one of exact, prefix, range, regex, suffix, has exact, prefix",
            id="two members of a union",
        ),
        pytest.param(
            route_inputs(spec=http_route(match={"headers": [{"name": "x", "match": {}}]})),
            "spec.httpRoute.match.headers[0].match",
            "must have exactly one of exact, prefix, range, regex, suffix, has none",
            id="no member of a union",
        ),
        pytest.param(route_inputs(meshName=None), "meshName", "is required", id="no mesh"),
        pytest.param(
            route_inputs(meshOwner="12"),
            "meshOwner",
            "must have at least 12 characters, has 2",
            id="no account",
        ),
        pytest.param(
            route_inputs(name="a/b"),
            "name",
            "may not hold a slash, since names stand in ARNs",
            id="a slash",
        ),
        pytest.param(
            route_inputs(tags={"a": "x" * 257}),
            'tags["a"]',
            "must have at most 256 characters, has 257",
            id="a tag too long",
        ),
        pytest.param(
            route_inputs(routeName="r"),
            "routeName",
            "is the API's word: a resource's own name is given as 'name'",
            id="the API's own word for the name",
        ),
    ],
)
def test_a_mistake_is_told_by_its_path_and_its_remedy(
    inputs: dict[str, PropertyValue], path: str, reason: str
) -> None:
    assert failures(inputs) == {path: reason}


def test_all_mistakes_are_told_at_once() -> None:
    spec = http_route(action={"weightedTargets": [{"weight": 101}]}, match={"method": "FETCH"})

    assert sorted(failures(route_inputs(spec=spec, meshName=None))) == [
        "meshName",
        "spec.httpRoute.action.weightedTargets[0].virtualNode",
        "spec.httpRoute.action.weightedTargets[0].weight",
        "spec.httpRoute.match.method",
    ]


def test_a_pattern_of_the_model_is_held() -> None:
    cloud_map: Any = {
        "namespaceName": "n",
        "serviceName": "s",
        "attributes": [{"key": "a b", "value": "v"}],
    }
    spec: Any = {"serviceDiscovery": {"awsCloudMap": cloud_map}}
    inputs = {"name": wrap("n"), "meshName": wrap("demo"), "spec": wrap(spec)}

    path = "spec.serviceDiscovery.awsCloudMap.attributes[0].key"
    assert failures(inputs, "VirtualNode") == {
        path: "must match ^[a-zA-Z0-9!-~]+$, is 'a b'",
    }


def test_values_not_known_yet_are_let_pass() -> None:
    target = PropertyValue({"virtualNode": COMPUTED, "weight": COMPUTED})
    action = PropertyValue({"weightedTargets": PropertyValue([target])})
    spec = PropertyValue({"httpRoute": PropertyValue({"match": COMPUTED, "action": action})})

    assert failures(route_inputs() | {"spec": spec, "meshName": COMPUTED}) == {}


def test_a_secret_is_never_repeated() -> None:
    secret = wrap("hunter2").with_secret(True)
    inputs = route_inputs() | {"spec": secret, "virtualRouterName": secret, "tags": secret}

    assert "hunter2" not in str(failures(inputs))


def test_a_secret_number_is_never_repeated() -> None:
    target = {"virtualNode": wrap("blue"), "weight": wrap(31337).with_secret(True)}
    action = PropertyValue({"weightedTargets": PropertyValue([PropertyValue(target)])})
    route = PropertyValue({"match": wrap({"prefix": "/"}), "action": action})

    found = failures(route_inputs() | {"spec": PropertyValue({"httpRoute": route})})

    assert found == {f"{TARGETS}[0].weight": "must be at most 100, is a secret value"}
