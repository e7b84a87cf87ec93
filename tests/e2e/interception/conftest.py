"""Tasks whose traffic iptables redirects to a real Envoy, each in a network namespace of its own.

    the world 10.99.0.0/24, and DNS <----- cable -----> a task: an application, Envoy, iptables

The test itself is the application and the world: a socket that it makes inside a namespace is
one of that machine's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from meshwright.offline import load_graph, render_proxy
from pytest_meshwright.dns import DnsServer
from pytest_meshwright.envoy import Envoy
from pytest_meshwright.envoy_bootstrap import Endpoint, build_resolver
from pytest_meshwright.namespaces import NetworkNamespace
from pytest_meshwright.processes import ProcessGroup
from pytest_meshwright.redirection import ProxyConfiguration, build_redirection
from tests.e2e.behaviour.servers import ask_once

PROXY_ID = 1337
"""The user or group that Envoy runs as (App Mesh user guide, getting-started-ecs.md)."""

AS_USER = ("setpriv", "--reuid", str(PROXY_ID), "--clear-groups", "--inh-caps=+dac_override")
AS_USER = (*AS_USER, "--ambient-caps=+dac_override")
AS_GROUP = ("setpriv", "--regid", str(PROXY_ID), "--clear-groups")

DNS_PORT = 5300


@dataclass(frozen=True, slots=True)
class World:
    """The namespace of everything outside the tasks: hosts of any address, and their names."""

    namespace: NetworkNamespace
    dns: DnsServer


@dataclass(frozen=True, slots=True)
class Task:
    """A namespace with an Envoy to which its traffic is redirected.

    Attributes:
        namespace: The namespace.
        address: By which the world reaches it.
        envoy: Its Envoy.
    """

    namespace: NetworkNamespace
    address: str
    envoy: Envoy

    def ask(self, address: str, port: int, **tls: Any) -> str:
        """Who answers a TCP connection of the application's; empty where it is closed."""
        with self.namespace.entered():
            return ask_once((address, port), **tls)

    def get(self, url: str, host: str) -> httpx.Response:
        """The answer to a request of the application's, whose host is not that of the URL."""
        with self.namespace.entered(), httpx.Client(trust_env=False, timeout=20) as client:
            return client.get(url, headers={"host": host})

    def count(self, stats: str) -> int:
        """The sum of the Envoy's statistics whose names a pattern matches."""
        with self.namespace.entered():
            return sum(self.envoy.admin.read_stats(stats).values())


@pytest.fixture(scope="module")
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """The world, with the addresses and names that the module has in `HOSTS` and `NAMES`."""
    with NetworkNamespace("world") as namespace:
        for address in request.module.HOSTS:
            namespace.run("ip", "address", "add", address, "dev", "lo")
        with namespace.entered():
            dns = DnsServer(request.module.DNS_HOST, DNS_PORT).start()
        for name, address in request.module.NAMES.items():
            dns.set_record(name, [address])
        yield World(namespace, dns)
        dns.stop()


@contextmanager
def running_task(
    world: World,
    folder: Path,
    *,
    name: str,
    number: int,
    mesh: str,
    configuration: ProxyConfiguration,
    runner: tuple[str, ...],
    service_addresses: dict[str, str],
) -> Iterator[Task]:
    """A task that has the Envoy of a mesh's virtual node `front`.

    Args:
        world: What it is connected to.
        folder: Where Envoy's files go.
        name: What messages call it.
        number: Its network, 10.55.NUMBER.0/24.
        mesh: The mesh as YAML.
        configuration: What is redirected.
        runner: What makes Envoy the user or the group that is left alone.
        service_addresses: The addresses that virtual services have to themselves.
    """
    with ExitStack() as stack:
        namespace = stack.enter_context(NetworkNamespace(name))
        address, gateway = f"10.55.{number}.1", f"10.55.{number}.2"
        ends = (f"{address}/24", f"{gateway}/24")
        namespace.connect(world.namespace, ("eth0", f"eth{number}"), ends)
        namespace.run("ip", "route", "add", "default", "via", gateway)
        for command in build_redirection(configuration):
            namespace.run(*command)
        bootstrap = build_static_bootstrap(mesh, world.dns, service_addresses)
        group = stack.enter_context(ProcessGroup())
        envoy = Envoy(name, bootstrap, folder=folder, group=group, runner=runner)
        with namespace.entered():
            envoy.start().wait_ready()
        yield Task(namespace, address, envoy)


def build_static_bootstrap(
    mesh: str, dns: DnsServer, service_addresses: dict[str, str]
) -> dict[str, Any]:
    """What `meshwright render` prints for `front`, with an admin page and a resolver."""
    rendered = render_proxy(load_graph(mesh), "front", None, None, service_addresses)
    return complete_bootstrap(rendered, dns)


def complete_bootstrap(rendered: str, dns: DnsServer) -> dict[str, Any]:
    """A rendered configuration with an admin page and a resolver."""
    admin = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 9901}}}
    resolver = build_resolver(Endpoint(dns.address, dns.port))
    return {**yaml.safe_load(rendered), "admin": admin, "typed_dns_resolver_config": resolver}
