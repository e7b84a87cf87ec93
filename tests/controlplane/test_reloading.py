"""The operator's files, changed under a running control plane: what counts, and what is said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import grpc
import pytest
from structlog.testing import capture_logs

from meshwright.reloading import ReloadedFiles
from pytest_meshwright.waiting import wait_until
from tests.certificates import issue_for_uris
from tests.controlplane.access.ads import (
    AUTHORITY,
    BACK,
    CLUSTER,
    FRONT,
    ads_address,
    asking,
    make_demo,
    tls_flags,
)
from tests.controlplane.access.serving import TIMEOUT, Server, serving
from tests.controlplane.conftest import Refused

ARN = "arn:aws:acm:us-east-1:000000000000:certificate/color"
SPIFFE_ID = "spiffe://example.com/ns/shop/sa/front"


def replace_text(file: Path, text: str) -> None:
    """Put a new file in the place of the old one, as editors and Kubernetes do."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that says 7."""
    file = tmp_path / "number"
    file.write_text("7")
    return file


@pytest.fixture
def number(file: Path) -> ReloadedFiles[int]:
    """What the file says."""
    return ReloadedFiles("--number", [file], lambda: int(file.read_text()), ValueError)


def test_what_has_changed_is_read_again(file: Path, number: ReloadedFiles[int]):
    replace_text(file, "8")

    with capture_logs() as logs:
        assert number.refresh() == number.value == 8
        assert number.refresh() == 8

    (line,) = logs
    assert (line["event"], line["option"], line["files"]) == (
        *("files_reloaded", "--number"),
        [str(file)],
    )


def test_what_can_not_be_used_leaves_the_last_state_and_is_said_once(
    file: Path, number: ReloadedFiles[int]
):
    with capture_logs() as logs:
        for text in ("x", "x "):
            replace_text(file, text)
            assert number.refresh() == 7

    assert [(each["event"], each["log_level"]) for each in logs] == [
        *(("files_refused", "error"),) * 2
    ]
    assert number.refusal == logs[-1]["reason"]


def test_what_was_mended_counts_again(file: Path, number: ReloadedFiles[int]):
    replace_text(file, "x")
    number.refresh()
    replace_text(file, "8")

    assert (number.refresh(), number.refusal) == (8, "")


def test_what_can_not_be_used_at_the_start_is_raised(tmp_path: Path):
    with pytest.raises(ValueError, match="nowhere"):
        ReloadedFiles("--number", [tmp_path / "nowhere"], lambda: int("nowhere"), ValueError)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server's files are."""
    folder = tmp_path_factory.mktemp("files")
    AUTHORITY.cert_pem.write_to_path(folder / "ca.pem")
    (folder / "color").mkdir()
    AUTHORITY.cert_pem.write_to_path(folder / "color" / "ca.crt")
    (folder / "quotas.yaml").write_text("{}")
    (folder / "certificates.yaml").write_text("{}")
    (folder / "identities.yaml").write_text(f"{SPIFFE_ID}: {FRONT}")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    """A control plane that reads them all, with two virtual nodes."""
    files = {
        "--quotas": "quotas.yaml",
        "--certificates": "certificates.yaml",
        "--xds-client-ca": "ca.pem",
        "--xds-identities": "identities.yaml",
    }
    flags = [text for option, name in files.items() for text in (option, str(folder / name))]
    with serving(folder, *tls_flags(folder), *flags) as server:
        make_demo(server)
        yield server


@pytest.fixture
def appmesh(server: Server) -> Iterator[Any]:
    """A client."""
    client = server.client("any", "any")
    yield client
    client.close()


def wait_for(condition: Callable[[], bool], what: str) -> None:
    wait_until(condition, what=what, timeout=TIMEOUT)


def is_refused(server: Server, option: str) -> bool:
    """Whether the metrics say that the files of an option can't be used."""
    with urlopen(server.url() + "/metrics", timeout=TIMEOUT) as answer:
        lines = answer.read().decode().splitlines()
    return f'meshwright_refused_files{{option="{option}"}} 1.0' in lines


def write_and_wait(server: Server, option: str, file: Path, text: str) -> None:
    """Change a file, and wait until it counts."""
    known = len(reloads(server, option))
    replace_text(file, text)
    wait_for(lambda: len(reloads(server, option)) > known, f"{option} to be read again")


def reloads(server: Server, option: str) -> list[Any]:
    return [each for each in server.records("files_reloaded") if each.fields["option"] == option]


def test_changed_quotas_count(server: Server, folder: Path, appmesh: Any, refused: Refused):
    service = {"meshName": "demo", "virtualServiceName": "a", "spec": {}}
    write_and_wait(server, "--quotas", folder / "quotas.yaml", "virtual_services_per_mesh: 0")
    error = refused(appmesh.create_virtual_service, **service)

    write_and_wait(server, "--quotas", folder / "quotas.yaml", "virtual_services_per_mesh: 1")

    assert error.code == "LimitExceededException"
    assert appmesh.create_virtual_service(**service)["virtualService"]


def test_a_changed_map_of_certificates_counts(server: Server, folder: Path, appmesh: Any):
    trust = {"acm": {"certificateAuthorityArns": [ARN]}}
    tls = {"validation": {"trust": trust}}
    appmesh.create_virtual_node(
        meshName="demo",
        virtualNodeName="asking",
        spec={"backendDefaults": {"clientPolicy": {"tls": tls}}},
    )
    before = unusable(server)
    replace_text(folder / "certificates.yaml", f"{ARN}: {{directory: color}}")

    wait_for(lambda: not unusable(server), "the certificate to be known")

    assert before == [f"virtual node 'asking': nobody has mapped {ARN}"]


def unusable(server: Server) -> list[str]:
    """What the mesh's status says of certificates."""
    with urlopen(server.url() + "/meshwright/v1/meshes/demo/status", timeout=TIMEOUT) as answer:
        found = json.load(answer)["findings"]
    return [each["message"] for each in found if each["code"] == "CertificateUnusable"]


def test_a_proxy_that_is_mapped_no_more_is_sent_away(server: Server, folder: Path):
    pair = issue_for_uris(AUTHORITY, SPIFFE_ID)
    identities = folder / "identities.yaml"
    write_and_wait(server, "--xds-identities", identities, f"{SPIFFE_ID}: {FRONT}")
    with asking(ads_address(server), FRONT, pair=pair) as stream:
        assert next(stream.responses).type_url == CLUSTER
        replace_text(identities, f"{SPIFFE_ID}: {BACK}")
        error = stream.expect_end()

    assert error.code() == grpc.StatusCode.UNAUTHENTICATED
    assert error.details() == f"its client certificate, {SPIFFE_ID}, is not for it now"


@pytest.mark.parametrize(
    ("option", "name", "good"),
    [
        ("--quotas", "quotas.yaml", "virtual_services_per_mesh: 5"),
        ("--certificates", "certificates.yaml", f"{ARN}: {{directory: color}}"),
        ("--xds-identities", "identities.yaml", f"{SPIFFE_ID}: {FRONT}"),
    ],
)
def test_a_file_that_is_broken_is_told_by_the_log_and_the_metrics_until_it_is_mended(
    server: Server, folder: Path, option: str, name: str, good: str
):
    replace_text(folder / name, "{")
    wait_for(lambda: is_refused(server, option), "the metric")
    (line,) = [each for each in server.records("files_refused") if each.fields["option"] == option]

    replace_text(folder / name, good)

    assert line.level == "error"
    assert str(folder / name) in str(line.fields["reason"])
    wait_for(lambda: not is_refused(server, option), "the metric to be over")
