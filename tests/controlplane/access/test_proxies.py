"""Proxies on ADS over TLS: who is let in for what, by a real server and by the gate alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
import trustme

from meshwright.access.errors import AccessSettingsError
from meshwright.access.gates import CertificateGate
from meshwright.access.proxies import ProxySettings, read_identities
from meshwright.meshes import Meshes
from meshwright.model.resources import Kind, parse_resource_key
from meshwright.store import Change, open_store
from meshwright.xds.admission import Credentials, NotAdmittedError
from pytest_meshwright.waiting import wait_until
from tests.certificates import ONE_DAY, Pair, issue_for_uris
from tests.controlplane.access.ads import (
    AUTHORITY,
    BACK,
    CLUSTER,
    FRONT,
    Asking,
    ads_address,
    asking,
    make_demo,
    tls_flags,
)
from tests.controlplane.access.serving import TIMEOUT, Server, serving
from tests.controlplane.meshes import DEMO, build_resource, node_spec

ACCOUNT: Final = "000000000000"
PARTICIPANT: Final = "222222222222"


def issue(*uris: str, by: trustme.CA = AUTHORITY, expires_in: timedelta = ONE_DAY) -> Pair:
    """A client's certificate, with the URIs as its alternative names."""
    return issue_for_uris(by, *uris, expires_in=expires_in)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server's files are."""
    return tmp_path_factory.mktemp("ads")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    """A control plane whose ADS takes certificates, with two virtual nodes."""
    AUTHORITY.cert_pem.write_to_path(folder / "ca.pem")
    with serving(folder, *tls_flags(folder), "--xds-client-ca", folder / "ca.pem") as server:
        make_demo(server)
        yield server


def refusal(server: Server, pair: Pair | None, node_id: str = FRONT) -> Any:
    """The error that a proxy gets which must not be let in."""
    with asking(ads_address(server), node_id, pair=pair) as stream:
        return stream.expect_end()


def test_a_proxy_gets_the_configuration_of_its_certificates_resource(server: Server):
    pair = issue(f"spiffe://example.com/{FRONT}")
    with asking(ads_address(server), pair=pair) as stream:
        assert next(stream.responses).type_url == CLUSTER


def test_a_proxy_gets_nothing_of_another_resource(server: Server):
    error = refusal(server, issue(f"spiffe://example.com/{FRONT}"), BACK)

    assert error.code() == grpc.StatusCode.PERMISSION_DENIED
    assert error.details().endswith(f"spiffe://example.com/{FRONT}, is not for {BACK}")


@pytest.mark.parametrize(
    "uris",
    [(), (f"spiffe://example.com/{FRONT}", f"spiffe://example.com/{BACK}")],
    ids=["none", "two"],
)
def test_a_certificate_needs_exactly_one_uri(server: Server, uris: tuple[str, ...]):
    error = refusal(server, issue(*uris))

    assert error.code() == grpc.StatusCode.UNAUTHENTICATED
    assert "must have one URI, a SPIFFE id such as" in error.details()


@pytest.mark.parametrize(
    "pair",
    [
        issue(f"spiffe://example.com/{FRONT}", by=trustme.CA()),
        issue(f"spiffe://example.com/{FRONT}", expires_in=-timedelta(minutes=5)),
    ],
    ids=["of another authority", "expired"],
)
def test_no_connection_is_made_with_a_certificate_that_is_not_valid(server: Server, pair: Pair):
    assert refusal(server, pair).code() == grpc.StatusCode.UNAVAILABLE


def test_why_a_certificate_was_not_taken_is_logged(server: Server):
    refusal(server, issue(f"spiffe://example.com/{FRONT}", expires_in=-timedelta(minutes=5)))

    wait_until(
        lambda: any(
            "certificate has expired" in str(each.fields["reason"])
            for each in server.records("proxy_refused")
        ),
        what="the reason to be in the log",
        timeout=TIMEOUT,
    )


def test_a_proxy_that_shows_nothing_gets_nothing(server: Server):
    assert refusal(server, None).code() == grpc.StatusCode.UNAUTHENTICATED


def test_a_certificate_ends_its_stream_when_it_expires(server: Server):
    pair = issue(f"spiffe://example.com/{BACK}", expires_in=timedelta(seconds=8))
    with asking(ads_address(server), BACK, pair=pair) as stream:
        next(stream.responses)
        error = stream.expect_end()

    assert error.code() == grpc.StatusCode.UNAUTHENTICATED
    assert error.details() == f"its client certificate, spiffe://example.com/{BACK}, has expired"


def test_a_proxy_whose_certificate_has_expired_has_to_connect_again(server: Server):
    """So it shows a renewed one, where it has one; here it is refused the connection."""
    key, chain = issue(f"spiffe://example.com/{BACK}", expires_in=timedelta(seconds=8))
    credentials = grpc.ssl_channel_credentials(AUTHORITY.cert_pem.bytes(), key, chain)
    with grpc.secure_channel(ads_address(server), credentials) as channel:
        errors: list[Any] = []
        for _ in range(2):
            stream = Asking(channel, BACK, (), None, delta=True)
            errors.append(stream.expect_end())
            stream.send(None)

    assert [error.code() for error in errors] == [
        *(grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNAVAILABLE)
    ]


def test_new_authorities_are_taken_over(server: Server, folder: Path):
    other = trustme.CA()
    pair = issue(f"spiffe://example.com/{FRONT}", by=other)
    known = len(server.records("files_reloaded"))

    other.cert_pem.write_to_path(folder / "ca.pem", append=True)
    tls_flags(folder)

    wait_until(
        lambda: len(server.records("files_reloaded")) > known,
        what="the files to be taken over",
        timeout=TIMEOUT,
    )
    with asking(ads_address(server), pair=pair) as stream:
        assert next(stream.responses).type_url == CLUSTER


@pytest.mark.parametrize(
    ("spiffe_id", "is_admitted"),
    [
        (f"spiffe://example.com/{FRONT}", True),
        (f"spiffe://example.com/{ACCOUNT}/{FRONT}", True),
        (f"spiffe://example.com/111122223333/{FRONT}", False),
        (f"spiffe://example.com/other/{FRONT}", False),
        ("spiffe://example.com/mesh/demo", False),
        ("spiffe://example.com/ns/shop/sa/front", False),
    ],
)
def test_an_ids_path_names_the_resource(spiffe_id: str, is_admitted: bool, meshes: Meshes):
    assert admits(CertificateGate(ACCOUNT, meshes), spiffe_id) == is_admitted


@pytest.mark.parametrize(
    ("spiffe_id", "is_admitted"),
    [
        (f"spiffe://example.com/{PARTICIPANT}/mesh/demo@{ACCOUNT}/virtualNode/front", True),
        (f"spiffe://example.com/333333333333/mesh/demo@{ACCOUNT}/virtualNode/front", False),
        (f"spiffe://example.com/{FRONT}", False),
    ],
    ids=["the participant", "another account", "the mesh's owner"],
)
def test_in_a_shared_mesh_an_id_names_the_account_too(
    spiffe_id: str, is_admitted: bool, meshes: Meshes
):
    front = build_resource(Kind.VIRTUAL_NODE, "front", node_spec("front"))
    front = replace(front, resource_owner=PARTICIPANT)
    meshes.commit(meshes.graph(DEMO), [Change(front.key, front)], committed_at=1.0)

    assert admits(CertificateGate(ACCOUNT, meshes), spiffe_id) == is_admitted


def test_with_a_mapping_nothing_else_tells_the_resource(tmp_path: Path, meshes: Meshes):
    mapping = tmp_path / "identities.yaml"
    mapping.write_text(f"spiffe://example.com/ns/shop/sa/front: {FRONT}\n")
    gate = CertificateGate(ACCOUNT, meshes, lambda: read_identities(mapping, ACCOUNT))

    assert admits(gate, "spiffe://example.com/ns/shop/sa/front")
    assert not admits(gate, f"spiffe://example.com/{FRONT}")


def test_an_expired_certificate_opens_no_further_stream_on_its_connection(meshes: Meshes):
    """The transport has verified it when the connection was made, and not since."""
    pair = issue(f"spiffe://example.com/{FRONT}", expires_in=timedelta(minutes=5))
    now = datetime.now(UTC)
    gate = CertificateGate(ACCOUNT, meshes, clock=lambda: now + timedelta(minutes=6))

    with pytest.raises(NotAdmittedError, match="has expired"):
        gate.admit(
            Credentials(f"spiffe://example.com/{FRONT}", pair[1]),
            parse_resource_key(FRONT, account_id=ACCOUNT),
        )


@pytest.fixture
def meshes(tmp_path: Path) -> Iterator[Meshes]:
    """The meshes of a new store."""
    with closing(open_store(f"sqlite:///{tmp_path}/mesh.db")) as store:
        yield Meshes(store)


def admits(gate: Any, spiffe_id: str) -> bool:
    """Whether the gate lets a proxy of that id in for `front`."""
    try:
        gate.admit(Credentials(spiffe_id), parse_resource_key(FRONT, account_id=ACCOUNT))
    except NotAdmittedError:
        return False
    return True


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- front", "must hold an object of SPIFFE ids and resources"),
        ("{", "is not valid YAML"),
        ("[" * 100_000, "is not valid YAML"),
        (f"front: {FRONT}", "'front': must begin with spiffe://"),
        ("spiffe://a/b: front", "spiffe://a/b: 'front' is no App Mesh resource"),
    ],
)
def test_a_bad_mapping_is_refused(content: str, message: str, tmp_path: Path):
    mapping = tmp_path / "identities.yaml"
    mapping.write_text(content)

    with pytest.raises(AccessSettingsError) as caught:
        read_identities(mapping, ACCOUNT)

    assert str(caught.value).startswith(f"--xds-identities {mapping}: {message}")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (ProxySettings(identities=Path("any")), "--xds-identities needs --xds-client-ca"),
        (ProxySettings(client_authorities=Path("any")), "--xds-client-ca needs"),
        (ProxySettings(tls_key=Path("any")), "--xds-client-ca needs"),
        (ProxySettings(token_address="any"), "--xds-tokens needs --xds-tls-certificate"),
    ],
)
def test_settings_that_belong_together_are_asked_for(settings: ProxySettings, message: str):
    with pytest.raises(AccessSettingsError, match=message):
        settings.open_certificate()
