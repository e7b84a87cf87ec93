"""Findings: what the API lets stand although it leads nowhere is shown until it is resolved."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme

from pytest_meshwright.control_plane import ControlPlane
from pytest_meshwright.processes import ProcessGroup
from pytest_meshwright.waiting import wait_until
from tests.controlplane.meshes import node_spec, route_spec, service_spec
from tests.controlplane.operator.conftest import Run, as_yaml

Document = dict[str, Any]
ARN = "arn:aws:acm:us-east-1:000000000000:certificate/"


class Case(NamedTuple):
    """A mesh with one finding, and what resolves it.

    Attributes:
        code: The finding's code.
        field: The field that it is about.
        message: How its message begins.
        made: What is declared, but for the mesh.
        resolving: What is declared in the end besides, or instead.
        changed: What is declared between, where what was made first had no finding.
    """

    code: str
    field: str
    message: str
    made: list[Document]
    resolving: list[Document]
    changed: Sequence[Document] = ()


def node(name: str, spec: Document) -> Document:
    return {"virtualNodeName": name, "spec": spec}


def service(name: str, spec: Document) -> Document:
    return {"virtualServiceName": name, "spec": spec}


def router(name: str, port: int = 8080, protocol: str = "http") -> Document:
    listener = {"portMapping": {"port": port, "protocol": protocol}}
    return {"virtualRouterName": name, "spec": {"listeners": [listener]}}


def route(within: str, name: str, spec: Document) -> Document:
    return {"virtualRouterName": within, "routeName": name, "spec": spec}


def tcp_node(name: str, *backends: str) -> Document:
    spec = node_spec(name, backends=backends)
    spec["listeners"][0]["portMapping"]["protocol"] = "tcp"
    return node(name, spec)


def tcp_route(target: str) -> Document:
    targets = [{"virtualNode": target, "weight": 1}]
    return {"tcpRoute": {"action": {"weightedTargets": targets}}}


def tls_node(arn: str) -> Document:
    spec = node_spec("color")
    certificate = {"acm": {"certificateArn": ARN + arn}}
    spec["listeners"][0]["tls"] = {"mode": "STRICT", "certificate": certificate}
    return node("color", spec)


def gateway(protocol: str) -> Document:
    listener = {"portMapping": {"port": 8080, "protocol": protocol}}
    return {"virtualGatewayName": "edge", "spec": {"listeners": [listener]}}


ROUTE = route_spec({"color": 1})
TARGET = {"virtualService": {"virtualServiceName": "color.local"}}
GATEWAY_ROUTE: Document = {"httpRoute": {"match": {"prefix": "/"}, "action": {"target": TARGET}}}
CASES = [
    Case(
        "BackendMissing",
        "spec.backends[0].virtualService.virtualServiceName",
        "virtual node 'front' has the backend 'color.local', and there is no such virtual service",
        [
            node("front", node_spec("front", backends=("color.local",))),
            node("color", node_spec("c")),
        ],
        [service("color.local", service_spec(node="color"))],
    ),
    Case(
        "ProviderMissing",
        "spec.provider",
        "virtual service 'color.local' has no provider",
        [service("color.local", {}), node("color", node_spec("c"))],
        [service("color.local", service_spec(node="color"))],
    ),
    Case(
        "RouteMissing",
        "",
        "virtual router 'color' has no route",
        [router("color"), node("color", node_spec("c"))],
        [route("color", "all", ROUTE)],
    ),
    Case(
        "TargetUnreachable",
        "spec.httpRoute.action.weightedTargets[0].virtualNode",
        "route 'all': spec.httpRoute.action.weightedTargets[0].virtualNode must listen with "
        "protocol http, and virtual node 'color' listens on 8080 with tcp",
        [router("color"), node("color", node_spec("c")), route("color", "all", ROUTE)],
        [node("color", node_spec("c"))],
        changed=[tcp_node("color")],
    ),
    Case(
        "TargetUnreachable",
        "spec.httpRoute",
        "gateway route 'all': spec.httpRoute needs a listener with protocol http in virtual "
        "gateway 'edge', which has grpc",
        [
            gateway("http"),
            node("color", node_spec("c")),
            service("color.local", service_spec(node="color")),
            {"virtualGatewayName": "edge", "gatewayRouteName": "all", "spec": GATEWAY_ROUTE},
        ],
        [gateway("http")],
        changed=[gateway("grpc")],
    ),
    Case(
        "RouteShadowed",
        "spec.tcpRoute",
        "route 'second' gets no connection, since route 'first' takes them before it",
        [
            router("db", 5432, "tcp"),
            tcp_node("db"),
            route("db", "first", tcp_route("db")),
            route("db", "second", tcp_route("db")),
        ],
        [
            {
                "virtualRouterName": "db",
                "spec": {
                    "listeners": [
                        {"portMapping": {"port": port, "protocol": "tcp"}} for port in (5432, 5433)
                    ]
                },
            },
            route(
                "db", "first", {"tcpRoute": tcp_route("db")["tcpRoute"] | {"match": {"port": 5433}}}
            ),
        ],
    ),
    Case(
        "TcpPortShared",
        "spec.backends[1].virtualService.virtualServiceName",
        "virtual node 'front' has the backends 'a.local' and 'b.local', which both take TCP",
        [
            *(tcp_node(name) for name in "ab"),
            *(router(name, 5432, "tcp") for name in "ab"),
            *(route(name, "all", tcp_route(name)) for name in "ab"),
            *(service(f"{name}.local", service_spec(router=name)) for name in "ab"),
            node("front", node_spec("front", backends=("a.local", "b.local"))),
        ],
        [router("b", 5433, "tcp")],
    ),
    Case(
        "PortProtocolsMixed",
        "spec.backends[1].virtualService.virtualServiceName",
        "virtual node 'front' has the backends 'a.local' and 'b.local', which take http and tcp on "
        "port 8080",
        [
            *(node(name, node_spec(name)) for name in "ab"),
            *(service(f"{name}.local", service_spec(node=name)) for name in "ab"),
            node("front", node_spec("front", backends=("a.local", "b.local"))),
        ],
        [node("b", node_spec("b"))],
        changed=[tcp_node("b")],
    ),
    Case(
        "CertificateUnusable",
        "spec.listeners[0].tls.certificate.acm.certificateArn",
        f"virtual node 'color': nobody has mapped {ARN}unmapped",
        [tls_node("unmapped")],
        [tls_node("mapped")],
    ),
]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the certificate that one ARN stands for, and none for another."""
    folder = tmp_path_factory.mktemp("certificates")
    mapping = {ARN + name: {"directory": name} for name in ("mapped", "later")}
    (folder / "certificates.yaml").write_text(json.dumps(mapping))
    fill(folder / "mapped")
    return folder


def fill(folder: Path) -> None:
    """Put a certificate into a folder, complete from the moment that it is there."""
    issued = trustme.CA().issue_cert("color.local")
    unfinished = folder.with_suffix(".new")
    unfinished.mkdir()
    (unfinished / "tls.crt").write_bytes(issued.cert_chain_pems[0].bytes())
    (unfinished / "tls.key").write_bytes(issued.private_key_pem.bytes())
    unfinished.rename(folder)


@pytest.fixture(scope="module")
def control_plane(
    tmp_path_factory: pytest.TempPathFactory, certificates: Path
) -> Iterator[ControlPlane]:
    """A control plane with mapped certificates."""
    folder = tmp_path_factory.mktemp("control-plane")
    with pytest.MonkeyPatch.context() as patch, ProcessGroup() as group:
        patch.setenv("MESHWRIGHT_CERTIFICATES", str(certificates / "certificates.yaml"))
        with ControlPlane(folder=folder, group=group) as control_plane:
            yield control_plane


def apply(run: Run, mesh: str, documents: Sequence[Document]) -> None:
    """Declare a mesh and what is in it."""
    outcome = run(
        *("mesh", "apply", "-f", "-"),
        given=as_yaml([{"meshName": mesh}, *({"meshName": mesh} | each for each in documents)]),
    )
    assert outcome.code == 0, outcome


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_a_finding_is_shown_until_it_is_resolved(control_plane: ControlPlane, run: Run, case: Case):
    mesh = f"mesh-{CASES.index(case)}"
    apply(run, mesh, case.made)
    apply(run, mesh, case.changed)

    (found,) = control_plane.status(mesh).findings
    shown = run("mesh", "show", mesh).out
    listed = json.loads(run("mesh", "list", "--json").out)
    apply(run, mesh, case.resolving)

    assert (found["code"], found["field"]) == (case.code, case.field)
    assert found["message"].startswith(case.message)
    assert found["remedy"]
    assert f"{case.code}: {found['message']}\n  remedy: {found['remedy']}\n" in shown
    assert [each["findings"] for each in listed if each["mesh"] == mesh] == [1]
    assert not control_plane.status(mesh).findings


def test_a_certificate_that_is_there_later_resolves_its_finding(
    control_plane: ControlPlane, run: Run, certificates: Path
):
    apply(run, "later", [tls_node("later")])

    (found,) = control_plane.status("later").findings
    fill(certificates / "later")

    assert found["message"] == f"virtual node 'color': there is no directory {certificates}/later"
    wait_until(lambda: not control_plane.status("later").findings, what="the certificate")
