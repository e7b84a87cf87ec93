"""`meshwright bootstrap`: what it prints and refuses. tests/e2e has Envoys start with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from meshwright.cli import app

SDS = ("--sds-certificate", "a", "--sds-socket", "/run/sds.sock")
FRONT = ("--for", "mesh/demo/virtualNode/front", "--xds", "ads.example.com:18000")


def run(*arguments: str, stdin: str | None = None) -> Any:
    return CliRunner().invoke(app, ["bootstrap", *arguments], input=stdin)


def read(*arguments: str, stdin: str | None = None) -> dict[str, Any]:
    """What it prints, which must be JSON."""
    return json.loads(run(*arguments, stdin=stdin).stdout)


def control_plane(bootstrap: dict[str, Any]) -> dict[str, Any]:
    """The cluster of the control plane."""
    return bootstrap["static_resources"]["clusters"][0]


def test_a_host_that_is_a_name_is_asked_of_dns_and_must_be_in_the_certificate():
    cluster = control_plane(read(*FRONT, "--ca", "/etc/ca.pem"))

    context = cluster["transport_socket"]["typed_config"]
    (name,) = context["common_tls_context"]["validation_context"]["match_typed_subject_alt_names"]
    assert cluster["type"] == "STRICT_DNS"
    assert context["sni"] == "ads.example.com"
    assert name == {"san_type": "DNS", "matcher": {"exact": "ads.example.com"}}


def test_a_host_that_is_an_address_must_be_in_the_certificate_as_one():
    cluster = control_plane(read(*FRONT[:2], "--xds", "[fd00::1]:18000", "--ca", "/etc/ca.pem"))

    context = cluster["transport_socket"]["typed_config"]
    (name,) = context["common_tls_context"]["validation_context"]["match_typed_subject_alt_names"]
    assert cluster["type"] == "STATIC"
    assert "sni" not in context
    assert name == {"san_type": "IP_ADDRESS", "matcher": {"exact": "fd00::1"}}


def test_a_token_may_come_by_a_pipe():
    bootstrap = read(*FRONT, "--ca", "/etc/ca.pem", "--token-file", "-", stdin="a.b.c\n")

    (service,) = bootstrap["dynamic_resources"]["ads_config"]["grpc_services"]
    assert service["initial_metadata"] == [{"key": "authorization", "value": "Bearer a.b.c"}]


def test_without_an_address_traffic_is_redirected():
    assert read(*FRONT)["node"]["metadata"] == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--for", "front", *FRONT[2:]), "'front' is no App Mesh resource"),
        (("--for", "mesh/demo/virtualService/a", *FRONT[2:]), "expected a virtual node or a"),
        ((*FRONT[:2], "--xds", "ads.example.com"), "--xds 'ads.example.com': expected HOST:PORT"),
        ((*FRONT, "--certificate", "a.pem"), "--certificate and --key belong together"),
        ((*FRONT, "--certificate", "a.pem", "--key", "a.key"), "--certificate needs --ca"),
        ((*FRONT, "--server-name", "ads"), "--server-name needs --ca"),
        ((*FRONT, "--ca", "c", "--sds-certificate", "a"), "--sds-certificate needs --sds-socket"),
        (
            (*FRONT, "--ca", "c", "--certificate", "a", "--key", "b", *SDS),
            "--certificate and --sds-certificate: give one of them",
        ),
        ((*FRONT, "--token-file", "-"), "--token-file needs --ca"),
        ((*FRONT, "--ca", "c", "--token-file", "-"), "--token-file -: expected one token"),
        ((*FRONT, "--ca", "c", "--token-file", "/nowhere"), "/nowhere"),
        ((*FRONT, "--listener-address", "here"), "listener_address must be an IP address"),
        ((*FRONT, "--application-address", "127.0.0.1"), "needs --listener-address"),
    ],
)
def test_what_no_control_plane_would_take_is_a_line(arguments: tuple[str, ...], message: str):
    outcome = run(*arguments, stdin="two words")

    assert outcome.exit_code == 2
    assert message in outcome.stderr
    assert outcome.stderr.count("\n") == 1


def test_a_token_is_not_read_from_a_file_that_holds_more(tmp_path: Path):
    (tmp_path / "token").write_text("a.b.c\nd.e.f\n")

    outcome = run(*FRONT, "--ca", "c", "--token-file", str(tmp_path / "token"))

    assert "expected one token" in outcome.stderr
    assert "a.b.c" not in outcome.stderr
