"""AWS Cloud Map: real Envoys follow the healthy instances that an emulated AWS knows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

import boto3
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer

from pytest_meshwright.waiting import wait_until
from tests.e2e.behaviour.conftest import Bench, http_listener, make_service
from tests.e2e.behaviour.servers import Reply, ScriptedServer

SERVICES = ("front",)
PORT: Final = 8080
NAMESPACE: Final = "cloud.local"

NODES: dict[str, dict[str, Any]] = {
    "steady": {},
    "checked": {},
    "blue": {"attributes": [{"key": "stage", "value": "blue"}]},
    "six": {"ipPreference": "IPv6_PREFERRED"},
    "sick": {},
}
"""Virtual nodes, and what their discovery says beside namespace and service."""

CHECK = {
    "protocol": "http",
    "path": "/health",
    "intervalMillis": 5000,
    "timeoutMillis": 2000,
    "healthyThreshold": 2,
    "unhealthyThreshold": 2,
}


class Registry:
    """Cloud Map as those who run instances see it."""

    def __init__(self, url: str) -> None:
        config = Config(inject_host_prefix=False)
        session = boto3.session.Session("key", "secret", region_name="us-east-1")
        self._client: Any = session.client(  # pyright: ignore[reportUnknownMemberType]
            "servicediscovery", endpoint_url=url, config=config
        )
        self._client.create_private_dns_namespace(Name=NAMESPACE, Vpc="vpc-1")
        (namespace,) = self._client.list_namespaces()["Namespaces"]
        self._ids: dict[str, str] = {}
        for name in NODES:
            created = self._client.create_service(
                Name=name,
                NamespaceId=namespace["Id"],
                HealthCheckCustomConfig={"FailureThreshold": 1},
            )
            self._ids[name] = created["Service"]["Id"]

    def register(self, service: str, address: str, **attributes: str) -> None:
        """Add an instance, which has its address for an id."""
        family = "AWS_INSTANCE_IPV6" if ":" in address else "AWS_INSTANCE_IPV4"
        self._client.register_instance(
            ServiceId=self._ids[service],
            InstanceId=address.replace(":", "-"),
            Attributes={family: address, **attributes},
        )

    def deregister(self, service: str, address: str) -> None:
        """Remove an instance."""
        self._client.deregister_instance(ServiceId=self._ids[service], InstanceId=address)

    def set_health(self, service: str, address: str, status: str) -> None:
        """Say how an instance is: HEALTHY or UNHEALTHY."""
        self._client.update_instance_custom_health_status(
            ServiceId=self._ids[service], InstanceId=address, Status=status
        )


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    """The URL of an emulated AWS."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def control_plane_environment(aws: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL_SERVICEDISCOVERY": aws,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "MESHWRIGHT_DISCOVERY_SECONDS": "0.2",
    }


@pytest.fixture(scope="module")
def registry(aws: str) -> Registry:
    return Registry(aws)


@pytest.fixture(scope="module")
def mesh(bench: Bench, registry: Registry) -> Iterator[Bench]:
    """Front calls a service for each node; each of its addresses is a server of that name."""
    addresses = [bench.lab.addresses.reserve_service().application for _ in range(3)]
    bench.hosts.update(dict.fromkeys(NODES, addresses))
    registry.register("steady", addresses[0])
    registry.register("checked", addresses[0])
    registry.register("blue", addresses[0], stage="green")
    registry.register("blue", addresses[1], stage="blue")
    registry.register("six", "::1", AWS_INSTANCE_IPV4=addresses[0])
    registry.register("sick", addresses[0])
    registry.register("sick", addresses[1])
    registry.set_health("sick", addresses[0], "UNHEALTHY")
    for name, discovery in NODES.items():
        service = {"namespaceName": NAMESPACE, "serviceName": name, **discovery}
        listener = http_listener(healthCheck=CHECK) if name == "checked" else http_listener()
        bench.appmesh.create_virtual_node(
            meshName=bench.mesh,
            virtualNodeName=name,
            spec={"listeners": [listener], "serviceDiscovery": {"awsCloudMap": service}},
        )
        make_service(bench, name, http_listener(), name, {})
    bench.appmesh.create_virtual_node(
        meshName=bench.mesh,
        virtualNodeName="front",
        spec={
            "backends": [{"virtualService": {"virtualServiceName": f"{n}.local"}} for n in NODES]
        },
    )
    with ExitStack() as servers:
        for address in (*addresses, "::1"):
            servers.enter_context(ScriptedServer(address, address, PORT, lambda _n, _p: Reply()))
        bench.wait_acknowledged()
        yield bench


def answerers(mesh: Bench, service: str) -> set[str]:
    """Who answers a dozen requests."""
    return {mesh.answerer(f"{service}.local") for _ in range(12)}


def test_an_instance_gets_requests(mesh: Bench):
    assert answerers(mesh, "steady") == {mesh.hosts["steady"][0]}


def test_only_instances_with_the_attributes_get_requests(mesh: Bench):
    assert answerers(mesh, "blue") == {mesh.hosts["blue"][1]}


def test_of_two_addresses_the_preferred_one_is_taken(mesh: Bench):
    assert answerers(mesh, "six") == {"::1"}


def test_an_unhealthy_instance_gets_none(mesh: Bench):
    assert answerers(mesh, "sick") == {mesh.hosts["sick"][1]}


def test_instances_that_come_and_go_are_followed_as_endpoints_only(mesh: Bench, registry: Registry):
    old, new, _ = mesh.hosts["checked"]
    clusters = "cluster_manager.cds.update_success"
    before = mesh.front.envoy.admin.read_stats(clusters)
    wait_until(lambda: answerers(mesh, "checked") == {old}, what="the first instance")

    registry.register("checked", new)
    wait_until(lambda: answerers(mesh, "checked") == {old, new}, what="the new instance")
    # It still answers its health checks; it is gone nevertheless.
    registry.deregister("checked", old)
    wait_until(lambda: answerers(mesh, "checked") == {new}, what="the old instance's end")

    assert mesh.front.envoy.admin.read_stats(clusters) == before
