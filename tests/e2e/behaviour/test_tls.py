"""TLS between real Envoys: modes, validation, mutual TLS, and certificates renewed on disk."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from pytest_meshwright.waiting import wait_until
from tests.e2e.behaviour.conftest import Bench, http_listener, make_service
from tests.e2e.behaviour.servers import ScriptedServer

SERVICES = ("front", "api", "caller")
GATEWAYS = ("edge",)

PORTS = {
    "strict": 9501,
    "permissive": 9502,
    "mutual": 9503,
    "anonymous": 9504,
    "misnamed": 9505,
    "distrusted": 9506,
    "renamed": 9507,
    "trusting": 9508,
    "lenient": 9509,
    "other-port": 9510,
}
"""Services with a listener of the virtual node `api` each."""

NEVER = {"retryPolicy": {"maxRetries": 0, "perRetryTimeout": {"value": 1, "unit": "s"}}}


def write_certificate(folder: Path, name: str, issued: trustme.LeafCert) -> dict[str, Any]:
    """Put a certificate and its key in place as one that renews it should: by renaming."""
    for suffix, content in (
        ("pem", issued.cert_chain_pems[0]),
        ("key", issued.private_key_pem),
    ):
        fresh = folder / f"{name}.{suffix}.fresh"
        content.write_to_path(fresh)
        fresh.replace(folder / f"{name}.{suffix}")
    return {
        "certificateChain": str(folder / f"{name}.pem"),
        "privateKey": str(folder / f"{name}.key"),
    }


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, Path]:
    """A certificate authority, and the folder where certificates lie."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    trustme.CA().cert_pem.write_to_path(folder / "stranger.pem")
    return authority, folder


@pytest.fixture(scope="module")
def mesh(bench: Bench, authority: tuple[trustme.CA, Path]) -> Iterator[Bench]:
    """Front calls a service for each way of TLS; api serves them all."""
    issuer, folder = authority
    server = write_certificate(folder, "server", issuer.issue_cert("api.internal"))
    client = write_certificate(folder, "client", issuer.issue_cert("front.internal"))
    trust = {"file": {"certificateChain": str(folder / "authority.pem")}}
    stranger = {"file": {"certificateChain": str(folder / "stranger.pem")}}
    strict: dict[str, Any] = {"mode": "STRICT", "certificate": {"file": server}}
    demanding = {
        **strict,
        "validation": {
            "trust": trust,
            "subjectAlternativeNames": {"match": {"exact": ["front.internal"]}},
        },
    }
    plain = {"mode": "DISABLED", "certificate": {"file": server}}
    listeners = {
        **dict.fromkeys(PORTS, strict),
        "lenient": plain,
        "permissive": {**strict, "mode": "PERMISSIVE"},
        "mutual": demanding,
        "anonymous": demanding,
    }
    named = {"trust": trust, "subjectAlternativeNames": {"match": {"exact": ["api.internal"]}}}
    policies: dict[str, dict[str, Any] | None] = {
        "strict": {"validation": {"trust": trust}},
        "permissive": {"validation": {"trust": trust}},
        "mutual": {"validation": {"trust": trust}, "certificate": {"file": client}},
        "anonymous": {"validation": {"trust": trust}},
        "misnamed": {
            "validation": {
                "trust": trust,
                "subjectAlternativeNames": {"match": {"exact": ["other.internal"]}},
            }
        },
        "distrusted": {"validation": {"trust": stranger}},
        "renamed": {"validation": named},
        "trusting": None,
        "trusted-too": {"validation": {"trust": trust}},
        "lenient": {"enforce": False, "validation": {"trust": trust}},
        "other-port": {"ports": [1], "validation": {"trust": stranger}},
    }
    bench.appmesh.create_virtual_node(
        meshName=bench.mesh,
        virtualNodeName="api",
        spec={
            "listeners": [http_listener(port, tls=listeners[name]) for name, port in PORTS.items()],
            "serviceDiscovery": {"dns": {"hostname": "api.internal"}},
        },
    )
    for name, port in PORTS.items():
        make_service(bench, name, http_listener(port), "api", NEVER)
    make_service(bench, "trusted-too", http_listener(PORTS["distrusted"]), "api", NEVER)
    bench.appmesh.create_virtual_node(
        meshName=bench.mesh,
        virtualNodeName="front",
        spec={"backends": [backend(name, policy) for name, policy in policies.items()]},
    )
    defaults: dict[str, Any] = {
        "enforce": True,
        "ports": [PORTS["mutual"]],
        "validation": named,
        "certificate": {"file": client},
    }
    make_callers(bench, {**demanding, "certificate": {"file": server}}, defaults)
    bench.wait_acknowledged()
    address = bench.lab.services["api"].addresses.application
    with ExitStack() as servers:
        for name, port in PORTS.items():
            servers.enter_context(ScriptedServer(name, address, port))
        yield bench


def make_callers(bench: Bench, listener: dict[str, Any], defaults: dict[str, Any]) -> None:
    """A virtual node and a gateway that call by their backend defaults; both call `mutual`."""
    appmesh, name = bench.appmesh, bench.mesh
    appmesh.create_virtual_node(
        meshName=name,
        virtualNodeName="caller",
        spec={
            "backends": [backend("mutual", None)],
            "backendDefaults": {"clientPolicy": {"tls": defaults}},
        },
    )
    appmesh.create_virtual_gateway(
        meshName=name,
        virtualGatewayName="edge",
        spec={
            "listeners": [http_listener(tls=listener)],
            "backendDefaults": {"clientPolicy": {"tls": defaults}},
        },
    )
    target = {"virtualService": {"virtualServiceName": "mutual.local"}}
    appmesh.create_gateway_route(
        meshName=name,
        virtualGatewayName="edge",
        gatewayRouteName="all",
        spec={"httpRoute": {"match": {"prefix": "/"}, "action": {"target": target}}},
    )


def backend(name: str, policy: dict[str, Any] | None) -> dict[str, Any]:
    service: dict[str, Any] = {"virtualServiceName": f"{name}.local"}
    if policy is not None:
        service["clientPolicy"] = {"tls": policy}
    return {"virtualService": service}


@pytest.mark.parametrize("name", ["strict", "permissive", "mutual", "renamed", "trusting"])
def test_proxies_that_trust_each_other_speak_tls(mesh: Bench, name: str):
    answerer = mesh.answerer(f"{name}.local")

    stats = mesh.front.envoy.admin.read_stats(f"http_{PORTS[name]}.ssl.handshake")
    assert answerer == name
    assert sum(stats.values()) >= 1


@pytest.mark.parametrize("name", ["lenient", "other-port"])
def test_a_policy_that_is_not_enforced_leaves_it_to_the_listener(mesh: Bench, name: str):
    assert mesh.answerer(f"{name}.local") == name


def test_a_nodes_defaults_are_its_backends_policy(mesh: Bench):
    egress = f"http://{mesh.lab.services['caller'].egress}"
    with httpx.Client(proxy=egress, trust_env=False) as client:
        assert client.get("http://mutual.local/").json()["service"] == "mutual"


@pytest.mark.parametrize(("shown", "is_taken"), [("client", True), ("server", False)])
def test_a_gateway_takes_the_clients_that_it_trusts(
    mesh: Bench, authority: tuple[trustme.CA, Path], shown: str, is_taken: bool
):
    issuer, folder = authority
    context = ssl.create_default_context()
    context.check_hostname = False
    issuer.configure_trust(context)
    context.load_cert_chain(folder / f"{shown}.pem", folder / f"{shown}.key")
    answered = True
    with httpx.Client(verify=context, trust_env=False) as client:
        try:
            answer = client.get(f"https://{mesh.lab.services['edge'].ingress}/")
            assert answer.json()["service"] == "mutual"
        except httpx.TransportError:
            answered = False

    assert answered is is_taken


@pytest.mark.parametrize("name", ["anonymous", "misnamed", "distrusted"])
def test_proxies_that_do_not_trust_each_other_do_not_speak(mesh: Bench, name: str):
    assert mesh.answerer(f"{name}.local") == "503"


def test_backends_on_one_listener_have_policies_of_their_own(mesh: Bench):
    answers = [mesh.answerer(f"{name}.local") for name in ("distrusted", "trusted-too")]

    # The application behind the listener is called after the first of them.
    assert answers == ["503", "distrusted"]


def url(mesh: Bench, name: str) -> str:
    return f"http://{mesh.lab.services['api'].addresses.listener}:{PORTS[name]}/"


def test_a_strict_listener_takes_no_plain_text(mesh: Bench):
    with pytest.raises(httpx.TransportError):
        mesh.outside.get(url(mesh, "strict"))


def test_a_permissive_listener_takes_plain_text_too(mesh: Bench):
    assert mesh.outside.get(url(mesh, "permissive")).json()["service"] == "permissive"


def test_a_renewed_certificate_is_taken_up_without_a_restart(
    mesh: Bench, authority: tuple[trustme.CA, Path]
):
    issuer, folder = authority
    address = (mesh.lab.services["api"].addresses.listener, PORTS["strict"])
    context = ssl.create_default_context()
    issuer.configure_trust(context)

    def read_certificate() -> bytes | None:
        with (
            socket.create_connection(address, timeout=5) as plain,
            context.wrap_socket(plain, server_hostname="api.internal") as encrypted,
        ):
            return encrypted.getpeercert(binary_form=True)

    before = read_certificate()
    write_certificate(folder, "server", issuer.issue_cert("api.internal"))

    wait_until(lambda: read_certificate() != before, what="the renewed certificate")
