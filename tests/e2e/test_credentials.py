"""Real Envoys that show a token or a certificate at a control plane with TLS, and what they get."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx
import pytest
import trustme

from meshwright.bootstrap import ControlPlaneTls
from pytest_meshwright.checks import find_complaints
from pytest_meshwright.control_plane import ProxyStatus
from pytest_meshwright.envoy import Envoy
from pytest_meshwright.envoy_bootstrap import ProxyCredentials
from pytest_meshwright.lab import Lab, Service
from pytest_meshwright.waiting import wait_until
from tests.certificates import ONE_DAY, issue_for_uris
from tests.controlplane.access.serving import MESHWRIGHT
from tests.e2e.behaviour.sds_server import SdsServer

AUTHORITY: Final = trustme.CA()
SERVER_NAME: Final = "ads.example.com"
MAPPED: Final = "spiffe://example.com/ns/shop/sa/mapped"
LIFE: Final = timedelta(seconds=20)
"""Of a certificate that expires while its proxy is connected; Envoy has to be up before that."""


class AccessLab:
    """A lab whose control plane has TLS, and files for its proxies."""

    def __init__(self, lab: Lab, folder: Path, environment: dict[str, str]) -> None:
        self.lab = lab
        self.environment = environment
        self._folder = folder
        self._appmesh: Any = lab.control_plane.client()
        self._appmesh.create_mesh(meshName="demo")

    def close(self) -> None:
        """Give up what it holds."""
        self._appmesh.close()

    def make_node(self, name: str) -> str:
        """A virtual node that calls itself at NAME.local, as ids of proxies name it."""
        self._appmesh.create_virtual_node(
            meshName="demo", virtualNodeName=name, spec=_node_spec(name, 8080)
        )
        self._appmesh.create_virtual_service(
            meshName="demo",
            virtualServiceName=f"{name}.local",
            spec={"provider": {"virtualNode": {"virtualNodeName": name}}},
        )
        return f"mesh/demo/virtualNode/{name}"

    def move_node(self, name: str, port: int) -> None:
        """Have a virtual node listen at another port."""
        self._appmesh.update_virtual_node(
            meshName="demo", virtualNodeName=name, spec=_node_spec(name, port)
        )

    def connect(
        self,
        name: str,
        *,
        tls: ControlPlaneTls | None = None,
        token: str | None = None,
        sds_socket: Path | None = None,
    ) -> Service:
        """An application and an Envoy that shows these credentials."""
        return self.lab.add_service(
            name,
            mesh="demo",
            hostname=f"{name}.internal",
            sds_socket=sds_socket,
            credentials=ProxyCredentials(tls or self.tls(), token),
        )

    def start_by_command(self, node: str, token: str) -> Envoy:
        """An Envoy with what `meshwright bootstrap` prints for it."""
        return self._start(self._print_bootstrap(node, token))

    def start_as_aws_does(self, node: str, token: str) -> Envoy:
        """An Envoy that speaks state of the world by its other gRPC library, google_grpc."""
        bootstrap = self._print_bootstrap(node, token, "--state-of-the-world")
        [service] = bootstrap["dynamic_resources"]["ads_config"]["grpc_services"]
        del service["envoy_grpc"], bootstrap["static_resources"]
        authorities = {"filename": str(self._folder / "ca.pem")}
        service["google_grpc"] = {
            "target_uri": str(self.lab.control_plane.xds),
            "stat_prefix": "ads",
            "channel_credentials": {"ssl_credentials": {"root_certs": authorities}},
            "channel_args": {
                "args": {"grpc.ssl_target_name_override": {"string_value": SERVER_NAME}}
            },
        }
        return self._start(bootstrap)

    def _start(self, bootstrap: dict[str, Any]) -> Envoy:
        name = f"commanded-{bootstrap['node']['cluster']}"
        envoy = Envoy(name, bootstrap, folder=self._folder, group=self.lab.group)
        return envoy.start().wait_ready()

    def _print_bootstrap(self, node: str, token: str, *options: str) -> dict[str, Any]:
        addresses = self.lab.addresses.reserve_service()
        token_file = self._folder / "token"
        token_file.write_text(f"{token}\n")
        printed = self.run(
            *("bootstrap", "--for", node, "--xds", str(self.lab.control_plane.xds)),
            *("--ca", str(self._folder / "ca.pem"), "--server-name", SERVER_NAME),
            *("--token-file", str(token_file), "--listener-address", addresses.listener),
            *("--admin", f"{addresses.admin}:9901"),
            *options,
        )
        return json.loads(printed)

    def tls(self, *uris: str, expires_in: timedelta = ONE_DAY) -> ControlPlaneTls:
        """TLS to the control plane, with a certificate for URIs if there are any."""
        authorities = str(self._folder / "ca.pem")
        if not uris:
            return ControlPlaneTls(authorities, SERVER_NAME)
        name = uris[0].rpartition("/")[2]
        key, certificate = issue_for_uris(AUTHORITY, *uris, expires_in=expires_in)
        (self._folder / f"{name}.key").write_bytes(key)
        (self._folder / f"{name}.pem").write_bytes(certificate)
        pair = (str(self._folder / f"{name}.pem"), str(self._folder / f"{name}.key"))
        return ControlPlaneTls(authorities, SERVER_NAME, *pair)

    def run(self, *arguments: str) -> str:
        """What `meshwright ...` prints, which must succeed."""
        outcome = subprocess.run(
            [MESHWRIGHT, *arguments],
            env={"MESHWRIGHT_ENDPOINT": self.lab.control_plane.url},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert outcome.returncode == 0, outcome.stderr
        return outcome.stdout.strip()

    def issue(self, resource: str) -> dict[str, Any]:
        """A token for a resource."""
        return json.loads(self.run("token", "issue", "--for", resource, "--json"))

    def wait_admitted(self, service: Service) -> None:
        """Wait until a proxy has taken its configuration."""
        wait_until(
            lambda: self.find_proxies(service),
            what=f"{service.node_id} to be admitted",
            timeout=60,
            seen=lambda: self.lab.control_plane.status("demo"),
        )

    def find_proxies(self, service: Service) -> list[ProxyStatus]:
        """The streams of a proxy that has taken its configuration."""
        return [
            proxy
            for proxy in self.lab.control_plane.status("demo").proxies
            if proxy.node_id == service.node_id and proxy.acknowledged_revision
        ]

    def wait_refused(self, service: Service) -> dict[str, Any]:
        """Wait until a proxy has been refused, and give what the mesh's status says of it."""

        def find_refusal() -> dict[str, Any] | None:
            refusals = self.lab.control_plane.status("demo").refusals
            return next(
                (dict(each) for each in refusals if each["node_id"] == service.node_id), None
            )

        return wait_until(
            find_refusal,
            what=f"{service.node_id} to be refused",
            timeout=60,
            seen=service.envoy.log.read_text,
        )

    def reasons(self, service: Service) -> set[str]:
        """Why a proxy has been refused, by the log."""
        refusals = self.lab.control_plane.log_records("proxy_refused")
        return {
            str(each.fields["reason"])
            for each in refusals
            if each.fields.get("node_id") == service.node_id
        }


def _node_spec(name: str, port: int) -> dict[str, Any]:
    return {
        "listeners": [{"portMapping": {"port": port, "protocol": "http"}}],
        "serviceDiscovery": {"dns": {"hostname": f"{name}.internal"}},
        "backends": [{"virtualService": {"virtualServiceName": f"{name}.local"}}],
    }


@pytest.fixture(scope="module")
def access(
    tmp_path_factory: pytest.TempPathFactory, meshwright_envoy_binary: Path
) -> Iterator[AccessLab]:
    """A lab whose control plane takes certificates and tokens, with a mapping for the former."""
    folder = tmp_path_factory.mktemp("access")
    AUTHORITY.cert_pem.write_to_path(folder / "ca.pem")
    issued = AUTHORITY.issue_cert(SERVER_NAME)
    issued.private_key_pem.write_to_path(folder / "ads.key")
    issued.cert_chain_pems[0].write_to_path(folder / "ads.pem")
    environment = {
        "MESHWRIGHT_XDS_TLS_CERTIFICATE": str(folder / "ads.pem"),
        "MESHWRIGHT_XDS_TLS_KEY": str(folder / "ads.key"),
        "MESHWRIGHT_XDS_CLIENT_CA": str(folder / "ca.pem"),
    }
    with Lab(folder, envoy_binary=meshwright_envoy_binary, environment=environment) as lab:
        access = AccessLab(lab, folder, environment)
        yield access
        access.close()
        assert find_complaints(lab.control_plane.log_records()) == []


def test_an_envoy_with_its_nodes_token_is_admitted(access: AccessLab):
    node = access.make_node("token")
    service = access.connect("token", token=access.issue(node)["token"])

    access.wait_admitted(service)
    service.wait_ready()


def test_an_envoy_with_another_nodes_token_is_refused_and_the_operator_sees_why(access: AccessLab):
    node = access.make_node("thief")
    issued = access.issue(access.make_node("owner"))
    service = access.connect("thief", token=issued["token"])

    told = access.wait_refused(service)["reason"]

    assert f"its token {issued['token_id']} is for mesh/demo/virtualNode/owner" in told
    assert told in access.reasons(service)
    row = next(line for line in access.run("status").splitlines() if "virtualNode/thief" in line)
    assert row.startswith("demo\tvirtualNode/thief\tipv4:127.")
    assert row.endswith(f"\t{told}")
    assert node not in access.run("status", "--mesh", "demo").replace(told, "")
    wait_until(lambda: told in service.envoy.log.read_text(), what="Envoy to be told as well")
    metrics = httpx.get(f"{access.lab.control_plane.url}/metrics", trust_env=False).text
    assert re.search(
        r'^meshwright_refusals_total\{status="PERMISSION_DENIED"\} [1-9]', metrics, re.MULTILINE
    )


def test_a_refusal_is_gone_from_the_status_once_the_proxy_has_been_let_in(access: AccessLab):
    node = access.make_node("mended")
    service = access.connect("mended")
    assert "`meshwright token issue --for " in access.wait_refused(service)["reason"]
    service.envoy.kill()

    access.start_by_command(node, access.issue(node)["token"])
    access.wait_admitted(service)

    refusals = access.lab.control_plane.status("demo").refusals
    assert [each for each in refusals if each["node_id"] == node] == []


def test_an_envoy_that_connects_as_aws_agent_does_follows_the_mesh(access: AccessLab):
    """The App Mesh agent's bootstrap: state of the world by google_grpc over TLS."""
    node = access.make_node("agent")
    envoy = access.start_as_aws_does(node, access.issue(node)["token"])

    access.move_node("agent", 9090)

    wait_until(
        lambda: any(name.endswith("_9090") for name in envoy.admin.read_listeners()),
        what="it to listen at the other port",
        timeout=60,
        seen=envoy.log.read_text,
    )
    proxies = access.lab.control_plane.status("demo").proxies
    assert [each.rejection for each in proxies if each.node_id == node] == [None]


def test_an_envoy_is_admitted_by_its_client_certificate(access: AccessLab):
    node = access.make_node("certificate")
    service = access.connect("certificate", tls=access.tls(f"spiffe://example.com/{node}"))

    access.wait_admitted(service)
    service.wait_ready()


def test_an_envoy_with_another_nodes_certificate_is_refused(access: AccessLab):
    access.make_node("impostor")
    spiffe_id = "spiffe://example.com/mesh/demo/virtualNode/another"
    service = access.connect("impostor", tls=access.tls(spiffe_id))

    assert f"{spiffe_id}, is not for" in access.wait_refused(service)["reason"]


def test_a_token_revoked_while_connected_ends_the_stream_and_traffic_goes_on(access: AccessLab):
    node = access.make_node("revoked")
    issued = access.issue(node)
    service = access.connect("revoked", token=issued["token"])
    access.wait_admitted(service)
    service.wait_ready()
    service.application.start_probe(f"http://{service.name}.local/")

    access.run("token", "revoke", issued["token_id"])
    told = access.wait_refused(service)["reason"]

    connected = access.lab.control_plane.status("demo").proxies
    assert node not in {each.node_id for each in connected}
    assert told.endswith(f"its token {issued['token_id']} was revoked")
    assert {record.status for record in service.application.stop_probe()} == {200}


def test_a_certificate_that_expires_ends_the_stream_and_traffic_goes_on(access: AccessLab):
    node = access.make_node("expiring")
    tls = access.tls(f"spiffe://example.com/{node}", expires_in=LIFE)
    service = access.connect("expiring", tls=tls)
    access.wait_admitted(service)
    service.wait_ready()
    service.application.start_probe(f"http://{service.name}.local/")

    assert access.wait_refused(service)["reason"].endswith("has expired")
    wait_until(lambda: access.wait_refused(service)["count"] > 1, what="it to be refused again")

    came = [
        each
        for each in access.lab.control_plane.log_records("proxy_connected")
        if each.fields["node_id"] == node
    ]
    assert len(came) == 1
    assert {record.status for record in service.application.stop_probe()} == {200}


def test_a_renewed_certificate_of_the_sds_server_keeps_a_proxy_admitted(access: AccessLab):
    node = access.make_node("renewed")
    spiffe_id = f"spiffe://example.com/{node}"
    with TemporaryDirectory() as folder, SdsServer(Path(folder) / "sds") as sds:
        sds.add_certificate(spiffe_id, issue_for_uris(AUTHORITY, spiffe_id, expires_in=LIFE))
        service = access.connect(
            "renewed",
            tls=replace(access.tls(), sds_certificate=spiffe_id),
            sds_socket=Path(folder) / "sds",
        )
        access.wait_admitted(service)
        (first,) = access.find_proxies(service)

        sds.add_certificate(spiffe_id, issue_for_uris(AUTHORITY, spiffe_id))

        wait_until(
            lambda: [each for each in access.find_proxies(service) if each.peer != first.peer],
            what="the proxy to come again, with the other certificate",
            timeout=90,
        )
        service.envoy.stop()


def test_a_mapping_says_which_node_a_certificate_is_for(
    tmp_path: Path, access: AccessLab, meshwright_envoy_binary: Path
):
    mapping = tmp_path / "identities.yaml"
    mapping.write_text(f"{MAPPED}: mesh/demo/virtualNode/mapped\n")
    environment = {**access.environment, "MESHWRIGHT_XDS_IDENTITIES": str(mapping)}
    with Lab(tmp_path, envoy_binary=meshwright_envoy_binary, environment=environment) as lab:
        mapped = AccessLab(lab, tmp_path, environment)
        mapped.make_node("mapped")
        AUTHORITY.cert_pem.write_to_path(tmp_path / "ca.pem")
        mapped.wait_admitted(mapped.connect("mapped", tls=mapped.tls(MAPPED)))
        mapped.close()
