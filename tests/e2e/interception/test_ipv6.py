"""A mesh where all addresses are of IPv6, with and without iptables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from meshwright.offline import load_graph, render_proxy
from pytest_meshwright.dns import DnsServer
from pytest_meshwright.envoy import Envoy
from pytest_meshwright.namespaces import NetworkNamespace
from pytest_meshwright.processes import ProcessGroup
from pytest_meshwright.redirection import ProxyConfiguration
from tests.e2e.behaviour.servers import ScriptedServer
from tests.e2e.interception.conftest import (
    AS_USER,
    PROXY_ID,
    Task,
    World,
    complete_bootstrap,
    running_task,
)

pytestmark = pytest.mark.meshwright_namespaces

API = "fd00::10"
DNS_HOST = "10.99.0.53"
HOSTS, NAMES = (f"{DNS_HOST}/32", f"{API}/128"), {"api.internal": API}
"""What the world holds."""

MESH = """
meshName: demo
spec: {serviceDiscovery: {ipPreference: IPv6_ONLY}}
---
meshName: demo
virtualNodeName: front
spec:
  listeners: [{portMapping: {port: 9090, protocol: http}}]
  serviceDiscovery: {dns: {hostname: front.internal}}
  backends: [{virtualService: {virtualServiceName: api.local}}]
---
meshName: demo
virtualNodeName: api
spec:
  listeners: [{portMapping: {port: 8080, protocol: http}}]
  serviceDiscovery: {dns: {hostname: api.internal}}
---
meshName: demo
virtualServiceName: api.local
spec: {provider: {virtualNode: {virtualNodeName: api}}}
"""


def test_requests_come_and_go_over_ipv6(tmp_path: Path):
    with NetworkNamespace("six") as namespace, ProcessGroup() as group:
        for address in (API, "fd00::1", "fd00::2"):
            namespace.run("ip", "address", "add", f"{address}/128", "dev", "lo", "nodad")
        with (
            namespace.entered(),
            DnsServer("127.0.0.1", 5300) as dns,
            ScriptedServer("api", API, 8080),
            ScriptedServer("front", "fd00::2", 9090),
        ):
            # A name has addresses of both versions; where the IPv4 one leads, nobody is.
            dns.set_record("api.internal", ["127.0.0.9", API])
            bootstrap = complete_bootstrap(
                render_proxy(load_graph(MESH), "front", "fd00::1", "fd00::2"), dns
            )
            Envoy("front", bootstrap, folder=tmp_path, group=group).start().wait_ready()
            proxy = "http://[fd00::1]:15001"
            out = httpx.get("http://api.local/", proxy=proxy, trust_env=False)
            into = httpx.get("http://[fd00::1]:9090/", trust_env=False)

    assert (out.json()["service"], into.json()["service"]) == ("api", "front")


@pytest.fixture
def task(world: World, tmp_path: Path) -> Iterator[Task]:
    """A task of the mesh, connected to the world over both versions of IP."""
    configuration = ProxyConfiguration(app_ports=(9090,), ignored_uid=PROXY_ID)
    with running_task(
        world,
        tmp_path,
        name="six",
        number=6,
        mesh=MESH,
        configuration=configuration,
        runner=AS_USER,
        service_addresses={},
    ) as task:
        for namespace, address, device in (
            (task.namespace, "fd55::1/64", "eth0"),
            (world.namespace, "fd55::2/64", "eth6"),
        ):
            namespace.run("ip", "address", "add", address, "dev", device, "nodad")
        task.namespace.run("ip", "-6", "route", "add", "default", "via", "fd55::2")
        yield task


def test_what_the_application_sends_over_ipv6_is_redirected(world: World, task: Task):
    with world.namespace.entered(), ScriptedServer("api", API, 8080):
        # Whatever address the application has for the name: its proxy asks for itself.
        answer = task.get("http://[fd77::7]:8080/", "api.local")

    assert answer.json()["service"] == "api"


def test_what_comes_to_the_application_over_ipv6_is_redirected(world: World, task: Task):
    with (
        task.namespace.entered(),
        ScriptedServer("front", "::1", 9090),
        world.namespace.entered(),
    ):
        answer = httpx.get("http://[fd55::1]:9090/", trust_env=False)

    assert answer.json()["service"] == "front"
    assert task.count(r"http\.ingress\.downstream_rq_total") == 1
