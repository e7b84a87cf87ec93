"""What set-up does where a component can't be had, and what it tells children."""

import os
from pathlib import Path

import pytest

from tools.dev import apt, network_tools, setup
from tools.dev.paths import SCRIPTS
from tools.dev.processes import SetupError
from tools.dev.setup import Component, Prepared, build_child_environment, prepare


def refuse() -> None:
    raise SetupError("no Docker engine answers, and only root can start one")


def test_without_docker_one_line_says_what_follows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("MESHWRIGHT_DOCKER", raising=False)
    monkeypatch.setattr(setup, "prepare_engine", refuse)
    assert prepare([Component.DOCKER, Component.IMAGES]) == Prepared()
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].endswith(": tests that need Docker are skipped, moto stands in")


def test_in_ci_docker_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.delenv("MESHWRIGHT_DOCKER", raising=False)
    monkeypatch.setattr(setup, "prepare_engine", refuse)
    with pytest.raises(SetupError):
        prepare([Component.DOCKER])


def test_without_iptables_one_line_says_what_follows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(network_tools, "find_executable", lambda _name: None)
    monkeypatch.setattr(apt, "find_executable", lambda _name: None)
    prepare([Component.NETWORK])
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .endswith(
            "needs iproute2 iptables util-linux: install it, or run ./dev as root once: "
            "the tests of redirected traffic are skipped"
        )
    )


def test_in_ci_iptables_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr(network_tools, "find_executable", lambda _name: None)
    monkeypatch.setattr(apt, "find_executable", lambda _name: None)
    with pytest.raises(SetupError):
        prepare([Component.NETWORK])


def test_docker_switched_off_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MESHWRIGHT_DOCKER", "off")
    monkeypatch.setattr(setup, "prepare_engine", refuse)
    assert prepare([Component.DOCKER, Component.IMAGES]) == Prepared()
    assert capsys.readouterr().err == ""


def test_children_find_the_plugin_and_pulumi_on_path() -> None:
    prepared = Prepared(pulumi=Path("/cache/pulumi/bin/pulumi"))
    environment = build_child_environment(prepared, {"PATH": "/usr/bin"})
    assert environment["PATH"].split(os.pathsep) == [str(SCRIPTS), "/cache/pulumi/bin", "/usr/bin"]
    assert environment["MESHWRIGHT_PULUMI"] == "/cache/pulumi/bin/pulumi"


@pytest.mark.parametrize(("image", "told"), [("an/image:1", "an/image:1"), (None, "")])
def test_children_are_told_the_image(image: str | None, told: str) -> None:
    environment = build_child_environment(Prepared(localstack_image=image), {})
    assert environment["MESHWRIGHT_LOCALSTACK_IMAGE"] == told
