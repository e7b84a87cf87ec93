"""What refers to something that is not there, or does not fit it, is refused and names both."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from tests.controlplane.conftest import Refused
from tests.controlplane.meshes import node_spec, route_spec, router_spec, service_spec

Spec = dict[str, Any]


class Case(NamedTuple):
    """A specification that refers to something wrong.

    Attributes:
        code: The exception.
        message: Its message; MESH stands for the mesh's name.
        spec: The specification.
    """

    code: str
    message: str
    spec: Spec


def tcp(spec: Spec) -> Spec:
    """A specification with its first listener for TCP."""
    spec["listeners"][0]["portMapping"]["protocol"] = "tcp"
    return spec


def targeting(kind: str, target: Spec, **match: Any) -> Spec:
    """A route of a type to one weighted target."""
    matched = {"match": match} if match else {}
    return {kind: {**matched, "action": {"weightedTargets": [{"weight": 1, **target}]}}}


def leading_to(
    service: str,
    kind: str = "httpRoute",
    *,
    port: int | None = None,
    match_port: int | None = None,
) -> Spec:
    """A gateway route of a type to a virtual service."""
    match: Spec = {"prefix": "/"} | ({} if match_port is None else {"port": match_port})
    target: Spec = {"virtualService": {"virtualServiceName": service}}
    if port is not None:
        target["port"] = port
    return {kind: {"match": match, "action": {"target": target}}}


WEB = {"virtualNode": "web"}
ROUTES = [
    Case(
        "NotFoundException",
        "spec.httpRoute.action.weightedTargets[1].virtualNode: there is no virtual node 'gone' in "
        "mesh 'MESH'; create it first",
        route_spec({"web": 1, "gone": 1}),
    ),
    Case(
        "BadRequestException",
        "spec.http2Route: needs a listener with protocol http2 in virtual router 'color', which "
        "has http; spec.http2Route.action.weightedTargets[0].virtualNode: must listen with "
        "protocol http2, and virtual node 'web' listens on 8080 with http",
        targeting("http2Route", WEB, prefix="/"),
    ),
    Case(
        "BadRequestException",
        "spec.httpRoute.action.weightedTargets[0].virtualNode: must listen with protocol http, and "
        "virtual node 'db' listens on 5432 with tcp",
        route_spec({"db": 1}),
    ),
    Case(
        "BadRequestException",
        "spec.httpRoute.action.weightedTargets[0].virtualNode: virtual node 'silent' has no "
        "listener that could be reached",
        route_spec({"silent": 1}),
    ),
    Case(
        "BadRequestException",
        "spec.httpRoute.action.weightedTargets[0].port: must be a port of virtual node 'web', "
        "which listens on 8080; got 9",
        targeting("httpRoute", WEB | {"port": 9}, prefix="/"),
    ),
    Case(
        "BadRequestException",
        "spec.httpRoute.match.port: must be a port of virtual router 'color', which listens on "
        "8080; got 9",
        targeting("httpRoute", WEB, prefix="/", port=9),
    ),
]
SERVICES = [
    Case(
        "NotFoundException",
        "spec.provider.virtualRouter.virtualRouterName: there is no virtual router 'gone' in mesh "
        "'MESH'; create it first",
        service_spec(router="gone"),
    ),
    Case(
        "NotFoundException",
        "spec.provider.virtualNode.virtualNodeName: there is no virtual node 'gone' in mesh "
        "'MESH'; create it first",
        service_spec(node="gone"),
    ),
]
GATEWAY_ROUTES = [
    Case(
        "NotFoundException",
        "spec.httpRoute.action.target.virtualService.virtualServiceName: there is no virtual "
        "service 'gone' in mesh 'MESH'; create it first",
        leading_to("gone"),
    ),
    Case(
        "BadRequestException",
        "spec.http2Route: needs a listener with protocol http2 in virtual gateway 'edge', which "
        "has http",
        leading_to("web.local", "http2Route"),
    ),
    Case(
        "BadRequestException",
        "spec.httpRoute.match.port: must be a port of virtual gateway 'edge', which listens on "
        "8080; got 9",
        leading_to("web.local", match_port=9),
    ),
    Case(
        "BadRequestException",
        "spec.httpRoute.action.target.virtualService.virtualServiceName: must not be virtual "
        "service 'db.local', which takes nothing but TCP",
        leading_to("db.local"),
    ),
    Case(
        "BadRequestException",
        "spec.httpRoute.action.target.port: must be a port of virtual service 'web.local', which "
        "is asked on 8080; got 9",
        leading_to("web.local", port=9),
    ),
]


@pytest.fixture
def furnished(appmesh: Any, mesh: str) -> str:
    """A mesh with nodes for HTTP, for TCP and without a listener, and what may lead to them."""
    for name, spec in {
        "web": node_spec("web"),
        "db": tcp(node_spec("db", port=5432)),
        "silent": {},
    }.items():
        appmesh.create_virtual_node(meshName=mesh, virtualNodeName=name, spec=spec)
    for name in ("web", "db"):
        appmesh.create_virtual_service(
            meshName=mesh, virtualServiceName=f"{name}.local", spec=service_spec(node=name)
        )
    appmesh.create_virtual_router(meshName=mesh, virtualRouterName="color", spec=router_spec())
    appmesh.create_virtual_gateway(meshName=mesh, virtualGatewayName="edge", spec=router_spec())
    return mesh


@pytest.mark.parametrize("case", ROUTES, ids=range(len(ROUTES)))
def test_a_route(appmesh: Any, furnished: str, refused: Refused, case: Case):
    names = {"meshName": furnished, "virtualRouterName": "color"}
    appmesh.create_route(**names, routeName="good", spec=route_spec({"web": 1}))

    made = refused(appmesh.create_route, **names, routeName="all", spec=case.spec)
    changed = refused(appmesh.update_route, **names, routeName="good", spec=case.spec)

    assert made[1:] == (case.code, case.message.replace("MESH", furnished))
    assert changed == made


@pytest.mark.parametrize("case", SERVICES, ids=range(len(SERVICES)))
def test_a_virtual_service(appmesh: Any, furnished: str, refused: Refused, case: Case):
    name = {"meshName": furnished, "virtualServiceName": "web.local"}

    made = refused(
        appmesh.create_virtual_service, **name | {"virtualServiceName": "all"}, spec=case.spec
    )
    changed = refused(appmesh.update_virtual_service, **name, spec=case.spec)

    assert made[1:] == (case.code, case.message.replace("MESH", furnished))
    assert changed == made


@pytest.mark.parametrize("case", GATEWAY_ROUTES, ids=range(len(GATEWAY_ROUTES)))
def test_a_gateway_route(appmesh: Any, furnished: str, refused: Refused, case: Case):
    names = {"meshName": furnished, "virtualGatewayName": "edge"}
    appmesh.create_gateway_route(**names, gatewayRouteName="good", spec=leading_to("web.local"))

    made = refused(appmesh.create_gateway_route, **names, gatewayRouteName="all", spec=case.spec)
    changed = refused(
        appmesh.update_gateway_route, **names, gatewayRouteName="good", spec=case.spec
    )

    assert made[1:] == (case.code, case.message.replace("MESH", furnished))
    assert changed == made


def test_a_route_in_a_router_that_is_not_there(appmesh: Any, furnished: str, refused: Refused):
    error = refused(
        appmesh.create_route,
        meshName=furnished,
        virtualRouterName="gone",
        routeName="all",
        spec=route_spec({"web": 1}),
    )

    assert error.message == (
        f"virtualRouterName: there is no virtual router 'gone' in mesh '{furnished}'"
    )


@pytest.fixture
def queued(appmesh: Any, furnished: str) -> str:
    """That mesh with a virtual service that takes TCP on the port of the one for HTTP."""
    spec = tcp(node_spec("queue"))
    appmesh.create_virtual_node(meshName=furnished, virtualNodeName="queue", spec=spec)
    appmesh.create_virtual_service(
        meshName=furnished, virtualServiceName="queue.local", spec=service_spec(node="queue")
    )
    return furnished


def test_backends_that_mix_protocols_on_one_port(appmesh: Any, queued: str, refused: Refused):
    names = {"meshName": queued, "virtualNodeName": "both"}
    both = node_spec("both", backends=("web.local", "queue.local"))

    made = refused(appmesh.create_virtual_node, **names, spec=both)
    appmesh.create_virtual_node(**names, spec=node_spec("both", backends=("web.local",)))
    changed = refused(appmesh.update_virtual_node, **names, spec=both)

    assert made[1:] == (
        "BadRequestException",
        (
            "spec.backends[1].virtualService.virtualServiceName: must not take tcp on port 8080, "
            "on which the backend 'web.local' takes http; give one of their virtual routers "
            "another port"
        ),
    )
    assert changed == made


def test_a_virtual_service_that_mixes_protocols_for_its_caller(
    appmesh: Any, queued: str, refused: Refused
):
    caller = node_spec("both", backends=("web.local", "jobs.local"))
    appmesh.create_virtual_node(meshName=queued, virtualNodeName="both", spec=caller)
    names = {"meshName": queued, "virtualServiceName": "jobs.local"}

    made = refused(appmesh.create_virtual_service, **names, spec=service_spec(node="queue"))
    appmesh.create_virtual_service(**names, spec=service_spec(node="db"))
    changed = refused(appmesh.update_virtual_service, **names, spec=service_spec(node="queue"))

    assert made[1:] == (
        "BadRequestException",
        (
            "spec.provider: must not take tcp on port 8080, on which virtual node 'both' has the "
            "backend 'web.local' with http; give one of their virtual routers another port"
        ),
    )
    assert changed == made
