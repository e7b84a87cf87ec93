"""The API over TLS: its certificate, the certificate's renewal, and addresses beyond loopback."""

from __future__ import annotations

import socket
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme
from structlog.testing import capture_logs

from meshwright.access.certificates import Certificate
from meshwright.access.errors import AccessSettingsError
from meshwright.access.settings import AccessSettings
from pytest_meshwright.waiting import wait_until
from tests.controlplane.access.serving import TIMEOUT, Server, serving

AUTHORITY = trustme.CA()
SECRET = "a secret of enough length"
WITH_KEY = AccessSettings(access_key_id="ID", secret_access_key=SECRET)


def write_pair(folder: Path, *names: str) -> tuple[Path, Path]:
    """Issue a certificate to the folder's two files, the key first."""
    issued = AUTHORITY.issue_cert("127.0.0.1", *names)
    certificate, key = folder / "tls.pem", folder / "tls.key"
    issued.private_key_pem.write_to_path(key)
    for at, blob in enumerate(issued.cert_chain_pems):
        blob.write_to_path(certificate, append=at > 0)
    return certificate, key


def served_names(server: Server) -> set[str]:
    """The names in the certificate that a new connection gets, which must be valid."""
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    with (
        socket.create_connection(server.address, timeout=TIMEOUT) as connection,
        context.wrap_socket(connection, server_hostname="127.0.0.1") as wrapped,
    ):
        content: dict[str, Any] = wrapped.getpeercert() or {}
        return {str(value) for _, value in content["subjectAltName"]}


def test_a_client_is_served_over_tls_and_a_renewed_certificate_is_taken_over(tmp_path: Path):
    certificate, key = write_pair(tmp_path, "first.example")
    authority = tmp_path / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(authority)
    flags = ("--tls-certificate", certificate, "--tls-key", key)
    with serving(tmp_path, *flags) as server:
        client = server.client(
            "any", "any", endpoint_url=server.url("https"), verify=str(authority)
        )
        assert client.list_meshes()["meshes"] == []

        write_pair(tmp_path, "second.example")

        wait_until(
            lambda: "second.example" in served_names(server),
            what="the renewed certificate",
            timeout=TIMEOUT,
        )
        assert client.list_meshes()["meshes"] == []
        client.close()


def test_a_pair_of_which_half_is_written_leaves_the_last_one_in_place(tmp_path: Path):
    pair = Certificate("--tls-certificate", *write_pair(tmp_path))
    old_key = (tmp_path / "tls.key").read_bytes()
    write_pair(tmp_path)
    new_key = (tmp_path / "tls.key").read_bytes()

    with capture_logs() as logs:
        (tmp_path / "tls.key").write_bytes(old_key)
        pair.refresh()
        pair.refresh()
        (tmp_path / "tls.key").write_bytes(new_key)
        pair.refresh()

    assert [each["event"] for each in logs] == ["files_refused", "files_reloaded"]


def test_a_certificate_that_is_gone_is_reported_once(tmp_path: Path):
    pair = Certificate("--tls-certificate", *write_pair(tmp_path))
    (tmp_path / "tls.pem").unlink()

    with capture_logs() as logs:
        pair.refresh()
        pair.refresh()

    assert [each["event"] for each in logs] == ["files_refused"]


@pytest.mark.parametrize("damage", ["missing", "not PEM", "of another key"])
def test_files_that_can_not_be_used_are_one_line(tmp_path: Path, damage: str):
    certificate, key = write_pair(tmp_path)
    match damage:
        case "missing":
            key.unlink()
        case "not PEM":
            certificate.write_text("hello")
        case _:
            AUTHORITY.issue_cert("x.example").private_key_pem.write_to_path(key)

    with pytest.raises(AccessSettingsError) as caught:
        Certificate("--tls-certificate", certificate, key)

    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_certificate_needs_its_key(tmp_path: Path):
    with pytest.raises(
        AccessSettingsError, match="--tls-certificate and --tls-key belong together"
    ):
        AccessSettings(tls_certificate=tmp_path / "tls.pem").open_certificate()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (AccessSettings(), "without access keys only loopback addresses are served"),
        (AccessSettings(insecure_http=True), "without access keys only loopback addresses"),
        (WITH_KEY, "without TLS only loopback addresses are served; give"),
    ],
)
def test_other_addresses_are_served_with_keys_and_tls_only(settings: AccessSettings, message: str):
    with pytest.raises(AccessSettingsError, match=message):
        settings.require_safe("0.0.0.0:4580", is_loopback=False)


@pytest.mark.parametrize(
    "settings",
    [
        replace(WITH_KEY, insecure_http=True),
        replace(WITH_KEY, tls_certificate=Path("c"), tls_key=Path("k")),
    ],
    ids=["behind a load balancer", "TLS"],
)
def test_other_addresses_are_served_where_they_are_safe(settings: AccessSettings):
    settings.require_safe("0.0.0.0:4580", is_loopback=False)


def test_every_address_is_served_with_a_key_and_insecure_http(tmp_path: Path):
    environment = {"MESHWRIGHT_ACCESS_KEY_ID": "ID", "MESHWRIGHT_SECRET_ACCESS_KEY": SECRET}
    flags = ("--api", "0.0.0.0:0", "--insecure-http")

    with serving(tmp_path, *flags, **environment) as server:
        (record,) = server.records("serving")

    assert (record.fields["access"], record.fields["tls"]) == ("keys", False)
