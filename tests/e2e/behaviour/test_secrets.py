"""Certificates that are not files of the mesh: those of ACM's ARNs, and those of an SDS server."""

from __future__ import annotations

import json
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
import trustme
import yaml
from moto.server import ThreadedMotoServer

from pytest_meshwright.waiting import wait_until
from tests.certificates import issue_for_uris
from tests.e2e.behaviour.conftest import Bench, http_listener, make_node, make_service
from tests.e2e.behaviour.sds_server import SdsServer
from tests.e2e.behaviour.servers import ScriptedServer

SERVICES = ("front", "api", "unmapped", "by-acm", "by-sds")
GATEWAYS = ("edge-acm", "edge-sds")
ARN = "arn:aws:acm:us-east-1:000000000000:certificate/"
AUTHORITY_ARN = "arn:aws:acm-pca:us-east-1:000000000000:certificate-authority/"

PORTS = {
    "automatic": 9501,
    "managed": 9502,
    "listed": 9503,
    "distrusted": 9504,
    "spiffe": 9506,
    "stranger": 9507,
    "nobody": 9508,
}
"""Services with a listener of the virtual node `api` each."""

SpiffeIdentities = tuple[ssl.SSLContext, ssl.SSLContext]

NEVER = {"retryPolicy": {"maxRetries": 0, "perRetryTimeout": {"value": 1, "unit": "s"}}}


def acm(name: str) -> dict[str, Any]:
    """A certificate of ACM."""
    return {"acm": {"certificateArn": ARN + name}}


def authorities(*names: str) -> dict[str, Any]:
    """A client policy that trusts authorities of ACM."""
    arns = [AUTHORITY_ARN + name for name in names]
    return {"validation": {"trust": {"acm": {"certificateAuthorityArns": arns}}}}


def spiffe(name: str) -> dict[str, Any]:
    """A secret of the SDS server."""
    return {"sds": {"secretName": f"spiffe://demo/{name}"}}


def identified(name: str, *, trust: str = "") -> dict[str, Any]:
    """A validation that wants one SPIFFE id."""
    match = {"exact": [f"spiffe://demo/{name}"]}
    return {"trust": spiffe(trust), "subjectAlternativeNames": {"match": match}}


def write_parts(issued: trustme.LeafCert, authority: trustme.CA) -> dict[str, str]:
    """A certificate, its key and its authority, as they are mapped to an ARN."""
    return {
        "tls.crt": issued.cert_chain_pems[0].bytes().decode(),
        "tls.key": issued.private_key_pem.bytes().decode(),
        "ca.crt": authority.cert_pem.bytes().decode(),
    }


def fill(folder: Path, parts: dict[str, str]) -> None:
    """Put parts into a folder."""
    folder.mkdir(exist_ok=True)
    for name, content in parts.items():
        (folder / name).write_text(content)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def folder(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The operator's folder: a mapping, and what it maps to."""
    folder = tmp_path_factory.mktemp("mapped")
    fill(folder / "api", write_parts(authority.issue_cert("api.internal"), authority))
    fill(folder / "other", {"ca.crt": trustme.CA().cert_pem.bytes().decode()})
    mapping = {
        ARN + "api": {"directory": "api"},
        ARN + "managed": {"secret": "managed-certificate"},
        AUTHORITY_ARN + "mesh": {"directory": "api"},
        AUTHORITY_ARN + "other": {"directory": "other"},
    }
    (folder / "certificates.yaml").write_text(yaml.safe_dump(mapping))
    return folder


@pytest.fixture(scope="module")
def control_plane_environment(folder: Path, authority: trustme.CA) -> Iterator[dict[str, str]]:
    """An emulated Secrets Manager that holds one of the certificates."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    session = boto3.session.Session("key", "secret", region_name="us-east-1")
    client: Any = session.client("secretsmanager", endpoint_url=f"http://{host}:{port}")  # pyright: ignore[reportUnknownMemberType]
    parts = write_parts(authority.issue_cert("api.internal"), authority)
    client.create_secret(Name="managed-certificate", SecretString=json.dumps(parts))
    yield {
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "MESHWRIGHT_CERTIFICATES": str(folder / "certificates.yaml"),
    }
    server.stop()


@pytest.fixture(scope="module")
def spiffe_authorities() -> tuple[trustme.CA, trustme.CA]:
    """The authority of the trust domain, and a foreign one."""
    return trustme.CA(), trustme.CA()


@pytest.fixture(scope="module")
def spiffe_identities(
    spiffe_authorities: tuple[trustme.CA, trustme.CA], tmp_path_factory: pytest.TempPathFactory
) -> SpiffeIdentities:
    """How front speaks TLS, and how somebody with a foreign certificate does."""
    trusted, _ = spiffe_authorities
    contexts: list[ssl.SSLContext] = []
    for issuer in spiffe_authorities:
        pair = tmp_path_factory.mktemp("identity") / "pair.pem"
        pair.write_bytes(b"".join(issue_for_uris(issuer, "spiffe://demo/front")))
        context = ssl.create_default_context()
        context.check_hostname = False
        trusted.configure_trust(context)
        context.load_cert_chain(pair)
        contexts.append(context)
    return contexts[0], contexts[1]


@pytest.fixture(scope="module")
def sds_socket(spiffe_authorities: tuple[trustme.CA, trustme.CA]) -> Iterator[Path]:
    """An SDS server that knows front, api and a stranger; all of them trust the same authority."""
    issuer, foreign = spiffe_authorities
    # A socket's path has to be short.
    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder) / "sds.sock"
        server = SdsServer(socket)
        for uri in ("spiffe://demo/front", "spiffe://demo/api"):
            server.add_certificate(uri, issue_for_uris(issuer, uri))
        stranger = issue_for_uris(foreign, "spiffe://demo/front")
        server.add_certificate("spiffe://demo/stranger", stranger)
        server.add_trust("spiffe://demo/", issuer)
        with server:
            yield socket


@pytest.fixture(scope="module")
def mesh(bench: Bench) -> Iterator[Bench]:
    """Front calls a service for each way of TLS; api serves them all."""
    mutual = {"certificate": spiffe("api"), "validation": identified("front")}
    listeners = {
        **{name: {"certificate": acm("api")} for name in PORTS},
        "managed": {"certificate": acm("managed")},
        **dict.fromkeys(("spiffe", "stranger", "nobody"), mutual),
    }
    policies: dict[str, dict[str, Any] | None] = {
        "automatic": None,
        "managed": authorities("mesh"),
        "listed": authorities("other", "mesh"),
        "distrusted": authorities("other"),
        "spiffe": {"certificate": spiffe("front"), "validation": identified("api")},
        "stranger": {"certificate": spiffe("stranger"), "validation": identified("api")},
        "nobody": {"validation": identified("api")},
    }
    bench.appmesh.create_virtual_node(
        meshName=bench.mesh,
        virtualNodeName="api",
        spec={
            "listeners": [
                http_listener(port, tls={"mode": "STRICT", **listeners[name]})
                for name, port in PORTS.items()
            ],
            "serviceDiscovery": {"dns": {"hostname": "api.internal"}},
        },
    )
    unmapped = {"mode": "STRICT", "certificate": acm("nobody's")}
    make_node(bench, "unmapped", listener=http_listener(tls=unmapped))
    for name, port in PORTS.items():
        make_service(bench, name, http_listener(port), "api", NEVER)
    bench.appmesh.create_virtual_node(
        meshName=bench.mesh,
        virtualNodeName="front",
        spec={"backends": [backend(name, policy) for name, policy in policies.items()]},
    )
    named = {"subjectAlternativeNames": {"match": {"exact": ["api.internal"]}}}
    acm_policy = {"validation": {**authorities("mesh")["validation"], **named}}
    make_callers(bench, "acm", "managed", {"certificate": acm("api")}, acm_policy)
    make_callers(bench, "sds", "spiffe", mutual, policies["spiffe"])
    address = bench.lab.services["api"].addresses.application
    with ExitStack() as servers:
        for name, port in PORTS.items():
            servers.enter_context(ScriptedServer(name, address, port))
        bench.wait_acknowledged()
        yield bench


def make_callers(
    bench: Bench, source: str, called: str, listener: dict[str, Any], policy: dict[str, Any] | None
) -> None:
    """A virtual node and a gateway that call a service by their backend defaults."""
    defaults = {"clientPolicy": {"tls": policy}}
    bench.appmesh.create_virtual_node(
        meshName=bench.mesh,
        virtualNodeName=f"by-{source}",
        spec={"backends": [backend(called, None)], "backendDefaults": defaults},
    )
    bench.appmesh.create_virtual_gateway(
        meshName=bench.mesh,
        virtualGatewayName=f"edge-{source}",
        spec={
            "listeners": [http_listener(tls={"mode": "STRICT", **listener})],
            "backendDefaults": defaults,
        },
    )
    target = {"virtualService": {"virtualServiceName": f"{called}.local"}}
    bench.appmesh.create_gateway_route(
        meshName=bench.mesh,
        virtualGatewayName=f"edge-{source}",
        gatewayRouteName="all",
        spec={"httpRoute": {"match": {"prefix": "/"}, "action": {"target": target}}},
    )


def backend(name: str, policy: dict[str, Any] | None) -> dict[str, Any]:
    """A backend with its client policy, if it has one."""
    policies = {} if policy is None else {"clientPolicy": {"tls": policy}}
    return {"virtualService": {"virtualServiceName": f"{name}.local", **policies}}


@pytest.mark.parametrize("name", ["automatic", "managed", "listed", "spiffe"])
def test_proxies_that_trust_each_other_speak_tls(mesh: Bench, name: str):
    answerer = mesh.answerer(f"{name}.local")

    stats = mesh.front.envoy.admin.read_stats(f"http_{PORTS[name]}.ssl.handshake")
    assert answerer == name
    assert sum(stats.values()) >= 1


@pytest.mark.parametrize("name", ["distrusted", "stranger", "nobody"])
def test_proxies_that_do_not_trust_each_other_do_not_speak(mesh: Bench, name: str):
    assert mesh.answerer(f"{name}.local") == "503"


@pytest.mark.parametrize(("source", "called"), [("acm", "managed"), ("sds", "spiffe")])
def test_a_nodes_defaults_are_its_backends_policy(mesh: Bench, source: str, called: str):
    egress = f"http://{mesh.lab.services[f'by-{source}'].egress}"
    with httpx.Client(proxy=egress, trust_env=False) as client:
        assert client.get(f"http://{called}.local/").json()["service"] == called


def test_a_gateway_serves_the_certificate_of_acm(mesh: Bench, authority: trustme.CA):
    context = ssl.create_default_context()
    context.check_hostname = False
    authority.configure_trust(context)
    with httpx.Client(verify=context, trust_env=False) as client:
        answer = client.get(f"https://{mesh.lab.services['edge-acm'].ingress}/")

    assert answer.json()["service"] == "managed"


def test_a_gateway_wants_the_clients_that_its_sds_server_trusts(
    mesh: Bench, spiffe_identities: SpiffeIdentities
):
    front, stranger = spiffe_identities
    url = f"https://{mesh.lab.services['edge-sds'].ingress}/"

    with httpx.Client(verify=front, trust_env=False) as client:
        assert client.get(url).json()["service"] == "spiffe"
    with (
        httpx.Client(verify=stranger, trust_env=False) as client,
        pytest.raises(httpx.TransportError),
    ):
        client.get(url)


def test_without_a_policy_the_certificate_of_acm_is_validated(mesh: Bench):
    stats = mesh.front.envoy.admin.read_stats(f"http_{PORTS['automatic']}.ssl.no_certificate")
    verified = mesh.front.envoy.admin.read_stats(f"http_{PORTS['automatic']}.ssl.fail_verify")

    assert set(stats.values()) | set(verified.values()) == {0}


def test_a_certificate_that_nobody_has_mapped_is_a_finding(mesh: Bench):
    status = mesh.lab.control_plane.find_status(mesh.mesh)

    assert status is not None
    assert [
        (finding["code"], finding["resource"].rpartition("/")[2], finding["message"])
        for finding in status.findings
    ] == [
        (
            "CertificateUnusable",
            "unmapped",
            f"virtual node 'unmapped': nobody has mapped {ARN}nobody's",
        )
    ]


def test_a_renewed_certificate_is_served_without_a_restart(
    mesh: Bench, folder: Path, authority: trustme.CA
):
    address = (mesh.lab.services["api"].addresses.listener, PORTS["automatic"])

    def read_certificate() -> str:
        return ssl.get_server_certificate(address, timeout=5)

    before = read_certificate()
    fill(folder / "api", write_parts(authority.issue_cert("api.internal"), authority))

    wait_until(lambda: read_certificate() != before, what="the renewed certificate")
