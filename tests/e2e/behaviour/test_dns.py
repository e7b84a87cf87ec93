"""DNS service discovery: which of a name's addresses real Envoys take."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.behaviour.conftest import Bench, http_listener, make_service
from tests.e2e.behaviour.servers import ScriptedServer

SERVICES = ("front",)
PORT = 9660

PREFERENCES = {"four": "IPv4_ONLY", "rather-six": "IPv6_PREFERRED", "as-the-mesh": None}
"""Virtual nodes, and what they say of a name that has addresses of both kinds."""


@pytest.fixture(scope="module")
def mesh(bench: Bench) -> Iterator[Bench]:
    """A mesh that takes IPv6 alone where nodes say nothing; front calls one of each kind."""
    four = bench.lab.addresses.reserve_service().application
    spec = {"serviceDiscovery": {"ipPreference": "IPv6_ONLY"}}
    bench.appmesh.update_mesh(meshName=bench.mesh, spec=spec)
    for name, preference in PREFERENCES.items():
        bench.lab.dns.set_record(f"{name}.internal", [four, "::1"])
        dns = {"hostname": f"{name}.internal"} | (
            {} if preference is None else {"ipPreference": preference}
        )
        bench.appmesh.create_virtual_node(
            meshName=bench.mesh,
            virtualNodeName=name,
            spec={"listeners": [http_listener(PORT)], "serviceDiscovery": {"dns": dns}},
        )
        make_service(bench, name, http_listener(PORT), name, {})
    backends = [{"virtualService": {"virtualServiceName": f"{each}.local"}} for each in PREFERENCES]
    bench.appmesh.create_virtual_node(
        meshName=bench.mesh, virtualNodeName="front", spec={"backends": backends}
    )
    bench.wait_acknowledged()
    bench.lab.services["front"].wait_ready()
    with ScriptedServer("IPv4", four, PORT), ScriptedServer("IPv6", "::1", PORT):
        yield bench


@pytest.mark.parametrize(
    ("name", "family"), [("four", "IPv4"), ("rather-six", "IPv6"), ("as-the-mesh", "IPv6")]
)
def test_the_preferred_address_is_taken(mesh: Bench, name: str, family: str):
    assert mesh.answerer(f"{name}.local") == family
