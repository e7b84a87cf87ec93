"""Labs that many tests share: one mesh, real Envoys, and a client behind the first of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from pytest_meshwright.lab import Lab, Service


@dataclass(frozen=True, slots=True)
class Bench:
    """A lab with a client that sends through the Envoy of the virtual node `front`.

    Attributes:
        lab: The lab.
        mesh: The mesh's name.
        appmesh: A boto3 client of the lab's control plane.
        client: An HTTP client whose proxy is front's egress.
        outside: An HTTP client that knows nothing of the mesh.
        hosts: Addresses of hosts without an Envoy, by the virtual node that stands for them.
    """

    lab: Lab
    mesh: str
    appmesh: Any
    client: httpx.Client
    outside: httpx.Client
    hosts: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    @property
    def front(self) -> Service:
        """The service whose Envoy the client sends through."""
        return self.lab.services["front"]

    def wait_acknowledged(self) -> None:
        """Wait until every proxy has the mesh as it is."""
        self.lab.control_plane.wait_acknowledged(self.mesh, proxies=len(self.lab.services))

    def answerer(self, host: str, path: str = "/", method: str = "GET", **more: Any) -> str:
        """Who answers a request: the application's name, or the status code where none does."""
        answer = self.client.request(method, f"http://{host}{path}", **more)
        if answer.status_code != httpx.codes.OK:
            return str(answer.status_code)
        return answer.json()["service"]


def call_grpc(bench: Bench, host: str, method: str, metadata: Mapping[str, str]) -> str:
    """A gRPC call through front's egress; the answer names who answered which method."""
    options = [("grpc.default_authority", host), ("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(str(bench.front.egress), options=options) as channel:
        exchange: Any = channel.unary_unary
        answer: bytes = exchange(method)(b"", timeout=10, metadata=tuple(metadata.items()))
        return answer.decode()


def http_listener(port: int = 8080, **settings: Any) -> dict[str, Any]:
    """A listener with protocol http."""
    return {"portMapping": {"port": port, "protocol": "http"}, **settings}


def make_node(
    bench: Bench, name: str, *backends: str, listener: dict[str, Any] | None = None
) -> None:
    """Create a virtual node that the lab's DNS knows as `NAME.internal`."""
    bench.appmesh.create_virtual_node(
        meshName=bench.mesh,
        virtualNodeName=name,
        spec={
            "listeners": [listener or http_listener()],
            "serviceDiscovery": {"dns": {"hostname": f"{name}.internal"}},
            "backends": [{"virtualService": {"virtualServiceName": each}} for each in backends],
        },
    )


def make_service(
    bench: Bench, name: str, listener: dict[str, Any], node: str, rule: dict[str, Any]
) -> None:
    """The virtual service NAME.local with a router and one route to a node's listener."""
    mesh, create = bench.mesh, bench.appmesh
    create.create_virtual_router(
        meshName=mesh, virtualRouterName=name, spec={"listeners": [listener]}
    )
    target = {"virtualNode": node, "weight": 1, "port": listener["portMapping"]["port"]}
    create.create_route(
        meshName=mesh,
        virtualRouterName=name,
        routeName=name,
        spec={
            "httpRoute": {
                "match": {"prefix": "/"},
                "action": {"weightedTargets": [target]},
                **rule,
            }
        },
    )
    create.create_virtual_service(
        meshName=mesh,
        virtualServiceName=f"{name}.local",
        spec={"provider": {"virtualRouter": {"virtualRouterName": name}}},
    )


@pytest.fixture(scope="module")
def control_plane_environment() -> dict[str, str]:
    """The control plane's variables; modules that need some have a fixture of this name."""
    return {}


@pytest.fixture(scope="module")
def sds_socket() -> Path | None:
    """The socket of the SDS server beside all Envoys; modules with one override it."""
    return None


@pytest.fixture(scope="module")
def bench(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    meshwright_envoy_binary: Path,
    control_plane_environment: dict[str, str],
    sds_socket: Path | None,
) -> Iterator[Bench]:
    """A lab with what the module names in `SERVICES` and `GATEWAYS`; the mesh is still empty.

    `TCP_BACKENDS` names the virtual services to which front connects at an address of their own.
    """
    own_addresses = {"front": getattr(request.module, "TCP_BACKENDS", ())}
    folder = tmp_path_factory.mktemp("lab")
    environment = control_plane_environment
    with Lab(folder, envoy_binary=meshwright_envoy_binary, environment=environment) as lab:
        for name in request.module.SERVICES:
            lab.add_service(
                name,
                mesh="demo",
                hostname=f"{name}.internal",
                tcp_backends=own_addresses.get(name, ()),
                sds_socket=sds_socket,
            )
        for name in getattr(request.module, "GATEWAYS", ()):
            lab.add_service(
                name,
                mesh="demo",
                node_id=f"mesh/demo/virtualGateway/{name}",
                sds_socket=sds_socket,
            )
        appmesh: Any = lab.control_plane.client()
        appmesh.create_mesh(meshName="demo")
        egress = f"http://{lab.services['front'].egress}"
        with (
            httpx.Client(proxy=egress, trust_env=False) as client,
            httpx.Client(trust_env=False) as outside,
        ):
            yield Bench(lab, "demo", appmesh, client, outside)
        appmesh.close()
