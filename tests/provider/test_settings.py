"""The provider's settings: from the configuration, else the environment, else the defaults."""

from __future__ import annotations

import pytest

from pulumi_meshwright.settings import Settings, check_settings, parse_settings
from pulumi_meshwright.values import COMPUTED, wrap


def test_without_settings_the_control_plane_is_on_loopback() -> None:
    assert parse_settings({}, {}) == Settings("http://127.0.0.1:4580", "us-east-1", None, None)


def test_the_environment_is_used_where_nothing_is_configured() -> None:
    environment = {"MESHWRIGHT_ENDPOINT": "https://mesh.example.com", "AWS_REGION": "eu-west-1"}

    settings = parse_settings({}, environment)

    assert (settings.endpoint, settings.region) == ("https://mesh.example.com", "eu-west-1")


def test_the_configuration_wins_over_the_environment() -> None:
    settings = parse_settings(
        {"endpoint": wrap("http://one:1")}, {"MESHWRIGHT_ENDPOINT": "http://two:2"}
    )

    assert settings.endpoint == "http://one:1"


def test_keys_are_taken_from_the_configuration() -> None:
    given = {"accessKey": wrap("AKIA"), "secretKey": wrap("s3cret").with_secret(True)}

    settings = parse_settings(given, {})

    assert (settings.access_key, settings.secret_key) == ("AKIA", "s3cret")


@pytest.mark.parametrize("wrong", ["127.0.0.1:4580", "ftp://mesh", "http://", "http://mesh:99999"])
def test_an_endpoint_that_is_no_url_is_refused(wrong: str) -> None:
    [failure] = check_settings({"endpoint": wrap(wrong)})

    assert failure.reason == f"must be a URL such as http://127.0.0.1:4580, is '{wrong}'"


def test_a_wrong_endpoint_of_the_environment_is_refused_by_the_name_of_the_setting() -> None:
    with pytest.raises(ValueError, match="set meshwright:endpoint or MESHWRIGHT_ENDPOINT"):
        parse_settings({}, {"MESHWRIGHT_ENDPOINT": "nonsense"})


def test_a_misspelt_setting_is_refused_with_the_right_one() -> None:
    [failure] = check_settings({"endpiont": wrap("http://one:1")})

    assert failure.reason == "is not a setting; did you mean 'endpoint'?"


def test_settings_of_a_program_in_the_same_namespace_are_let_pass() -> None:
    assert check_settings({"blueWeight": wrap("80"), "version": wrap("1.0")}) == []


def test_an_endpoint_that_is_not_known_yet_is_let_pass() -> None:
    assert check_settings({"endpoint": COMPUTED}) == []
