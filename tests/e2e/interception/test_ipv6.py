"""A mesh where all addresses are of IPv6, on a machine without iptables."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from meshwright.offline import render_proxy
from pytest_meshwright.dns import DnsServer
from pytest_meshwright.envoy import Envoy
from pytest_meshwright.namespaces import NetworkNamespace
from pytest_meshwright.processes import ProcessGroup
from tests.e2e.behaviour.servers import ScriptedServer
from tests.e2e.interception.conftest import complete_bootstrap

pytestmark = pytest.mark.meshwright_namespaces

API = "fd00::10"
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
            bootstrap = complete_bootstrap(render_proxy(MESH, "front", "fd00::1", "fd00::2"), dns)
            Envoy("front", bootstrap, folder=tmp_path, group=group).start().wait_ready()
            proxy = "http://[fd00::1]:15001"
            out = httpx.get("http://api.local/", proxy=proxy, trust_env=False)
            into = httpx.get("http://[fd00::1]:9090/", trust_env=False)

    assert (out.json()["service"], into.json()["service"]) == ("api", "front")
