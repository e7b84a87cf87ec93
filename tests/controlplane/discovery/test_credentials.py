"""Mapped certificates: what a mapping may say, and what is taken over when."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from meshwright.discovery.credentials import (
    CredentialError,
    Credentials,
    Directory,
    parse_mapping,
)
from meshwright.translate.lookups import Credential

ARN = "arn:aws:acm:us-east-1:000000000000:certificate/color"
AUTHORITY = trustme.CA()


def write(folder: Path, issued: trustme.LeafCert) -> Credential:
    """Put a certificate and its authority into a folder."""
    folder.mkdir(exist_ok=True)
    chain, key = issued.cert_chain_pems[0].bytes(), issued.private_key_pem.bytes()
    authority = AUTHORITY.cert_pem.bytes()
    for name, content in {"tls.crt": chain, "tls.key": key, "ca.crt": authority}.items():
        (folder / name).write_bytes(content)
    return Credential(chain, key, authority)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "color"


def mapped(folder: Path) -> Credentials:
    credentials = Credentials(lambda: {ARN: Directory(folder)})
    credentials.refresh()
    return credentials


def test_a_directory_stands_for_an_arn(folder: Path):
    written = write(folder, AUTHORITY.issue_cert("color.local"))

    assert mapped(folder).find_credential(ARN) == written


def test_a_renewed_certificate_is_taken_over(folder: Path):
    write(folder, AUTHORITY.issue_cert("color.local"))
    credentials = mapped(folder)
    renewed = write(folder, AUTHORITY.issue_cert("color.local"))

    assert credentials.refresh() == {ARN}
    assert credentials.find_credential(ARN) == renewed


def test_what_is_unchanged_is_no_news(folder: Path):
    write(folder, AUTHORITY.issue_cert("color.local"))

    assert mapped(folder).refresh() == frozenset()


def test_an_arn_that_is_mapped_later_stands_for_something_from_then_on(folder: Path):
    written = write(folder, AUTHORITY.issue_cert("color.local"))
    sources: dict[str, Directory] = {}
    credentials = Credentials(lambda: sources)
    credentials.refresh()
    sources[ARN] = Directory(folder)

    assert credentials.refresh() == {ARN}
    assert credentials.find_credential(ARN) == written


def test_an_arn_that_is_mapped_no_more_stands_for_nothing(folder: Path):
    write(folder, AUTHORITY.issue_cert("color.local"))
    sources = {ARN: Directory(folder)}
    credentials = Credentials(lambda: sources)
    credentials.refresh()
    sources.clear()

    assert credentials.refresh() == {ARN}
    assert credentials.find_error(ARN, is_trust=False) == f"nobody has mapped {ARN}"
    assert credentials.refresh() == frozenset()


def test_an_arn_stands_for_the_last_certificate_until_another_source_can_be_used(folder: Path):
    before = write(folder, AUTHORITY.issue_cert("color.local"))
    other = folder.with_name("other")
    sources = {ARN: Directory(folder)}
    credentials = Credentials(lambda: sources)
    credentials.refresh()
    sources[ARN] = Directory(other)

    assert credentials.refresh() == frozenset()
    assert credentials.find_credential(ARN) == before
    assert credentials.find_error(ARN, is_trust=False) == f"there is no directory {other}"

    renewed = write(other, AUTHORITY.issue_cert("color.local"))

    assert credentials.refresh() == {ARN}
    assert credentials.find_credential(ARN) == renewed


def test_half_a_renewal_leaves_the_last_certificate_in_place(folder: Path):
    before = write(folder, AUTHORITY.issue_cert("color.local"))
    credentials = mapped(folder)
    (folder / "tls.key").write_bytes(AUTHORITY.issue_cert("color.local").private_key_pem.bytes())
    credentials.refresh()

    assert credentials.find_credential(ARN) == before
    assert credentials.find_error(ARN, is_trust=False) == "KEY_VALUES_MISMATCH"


def test_authorities_alone_are_enough_for_a_trust(folder: Path):
    folder.mkdir()
    (folder / "ca.crt").write_bytes(AUTHORITY.cert_pem.bytes())

    found = mapped(folder).find_credential(ARN)

    assert found == Credential(authorities=AUTHORITY.cert_pem.bytes())


def test_an_arn_that_is_not_mapped_has_no_credential(folder: Path):
    credentials = mapped(folder)

    assert credentials.find_credential("arn:other") is None
    assert credentials.find_error("arn:other", is_trust=True) == "nobody has mapped arn:other"


@pytest.mark.parametrize(
    ("gone", "is_trust", "reason"),
    [("tls.key", False, "has no tls.crt with tls.key"), ("ca.crt", True, "has no ca.crt")],
)
def test_what_is_mapped_must_hold_what_is_asked_of_it(
    folder: Path, gone: str, is_trust: bool, reason: str
):
    write(folder, AUTHORITY.issue_cert("color.local"))
    (folder / gone).unlink()
    if gone == "tls.key":
        (folder / "tls.crt").unlink()
    credentials = mapped(folder)

    assert credentials.find_error(ARN, is_trust=is_trust) == f"what {ARN} is mapped to {reason}"
    assert credentials.find_error(ARN, is_trust=not is_trust) == ""


def test_a_private_key_is_not_shown_in_logs():
    assert "secret" not in repr(Credential(key=b"secret"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({}, "it needs tls.crt with tls.key, or ca.crt"),
        ({"tls.crt": "x"}, "it needs tls.crt with tls.key, or ca.crt"),
        ({"ca.crt": "no PEM"}, "it is not PEM"),
        ({"ca.crt": "ä"}, "it is not PEM"),
    ],
)
def test_what_is_no_certificate_is_refused_with_a_reason(
    folder: Path, content: dict[str, str], reason: str
):
    folder.mkdir()
    for name, text in content.items():
        (folder / name).write_text(text)

    assert reason in mapped(folder).find_error(ARN, is_trust=False)


def test_a_missing_directory_is_named(folder: Path):
    assert mapped(folder).find_error(ARN, is_trust=False) == f"there is no directory {folder}"


def test_directories_of_a_mapping_are_found_from_its_file(tmp_path: Path):
    path = tmp_path / "certificates.yaml"
    path.write_text(f"{ARN}: {{directory: color}}")

    assert parse_mapping(path, region="us-east-1") == {ARN: Directory(tmp_path / "color")}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{ARN}: {{folder: color}}", f"{ARN} needs {{directory: PATH}} or {{secret: NAME}}"),
        (f"{ARN}: {{directory: color, secret: x}}", "needs {directory: PATH} or {secret: NAME}"),
        ("- list", "expected ARNs with directory or secret"),
        ("{", "is not YAML"),
        ("\x81", "is not YAML"),
    ],
)
def test_a_mapping_that_says_something_else_is_refused(tmp_path: Path, text: str, reason: str):
    path = tmp_path / "certificates.yaml"
    path.write_text(text)

    with pytest.raises(CredentialError) as caught:
        parse_mapping(path, region="us-east-1")

    assert reason in str(caught.value)


def test_a_mapping_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(CredentialError, match="No such file"):
        parse_mapping(tmp_path / "nowhere.yaml", region="us-east-1")
