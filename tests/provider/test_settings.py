"""The provider's settings: from the configuration, else the environment, else the defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pulumi_meshwright.settings import SETTINGS, Settings, check_settings, parse_settings
from pulumi_meshwright.values import COMPUTED, wrap


def test_without_settings_the_control_plane_is_on_loopback() -> None:
    assert parse_settings({}, {}) == Settings("http://127.0.0.1:4580", "us-east-1")


CASES: list[tuple[str, str, str, Any]] = [
    ("endpoint", "http://one:1", "endpoint", "http://one:1"),
    ("region", "eu-west-1", "region", "eu-west-1"),
    ("profile", "ops", "profile", "ops"),
    ("meshOwner", "111122223333", "mesh_owner", "111122223333"),
    ("defaultTags", '{"tags": {"team": "paint"}}', "default_tags", {"team": "paint"}),
    ("waitForConvergence", "true", "wait_for_convergence", True),
    ("convergenceTimeout", "1.5", "convergence_timeout", 1.5),
    ("customCaBundle", __file__, "custom_ca_bundle", __file__),
]


@pytest.mark.parametrize(("name", "text", "attribute", "value"), CASES)
def test_a_setting_is_taken_from_the_configuration(
    name: str, text: str, attribute: str, value: Any
) -> None:
    [setting] = [each for each in SETTINGS if each.name == name]
    environment = dict.fromkeys(setting.variables, "nonsense")

    assert getattr(parse_settings({name: wrap(text)}, environment), attribute) == value


@pytest.mark.parametrize(("name", "text", "attribute", "value"), CASES)
def test_a_setting_is_taken_from_each_of_its_variables(
    name: str, text: str, attribute: str, value: Any
) -> None:
    [setting] = [each for each in SETTINGS if each.name == name]

    found = [
        getattr(parse_settings({}, {variable: text}), attribute) for variable in setting.variables
    ]

    assert found == [value] * len(found)


def test_every_setting_that_is_no_secret_is_tried_out_here() -> None:
    assert {name for name, *_ in CASES} == {each.name for each in SETTINGS if not each.secret}


def test_every_setting_has_a_variable_and_a_description() -> None:
    assert [each.name for each in SETTINGS if not (each.variables and each.text)] == []


def test_the_documentation_has_every_setting() -> None:
    page = (Path(__file__).parents[2] / "docs" / "provider.md").read_text()

    rows = [
        f"| `{each.name}` | {', '.join(f'`{name}`' for name in each.variables)} | {each.default}"
        for each in SETTINGS
    ]
    assert [row for row in rows if row.rstrip() not in page] == []


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("team=paint, stage=test", {"team": "paint", "stage": "test"}),
        ('{"team": "paint"}', {"team": "paint"}),
        ("", {}),
    ],
)
def test_default_tags_of_the_environment_may_be_pairs(text: str, tags: dict[str, str]) -> None:
    settings = parse_settings({}, {"MESHWRIGHT_DEFAULT_TAGS": text})

    assert settings.default_tags == tags


def test_keys_are_taken_from_the_configuration_together() -> None:
    given = {
        "accessKey": wrap("AKIA"),
        "secretKey": wrap("s3cret").with_secret(True),
        "token": wrap("lent"),
    }

    settings = parse_settings(given, {})

    assert (settings.access_key, settings.secret_key, settings.token) == ("AKIA", "s3cret", "lent")


def test_keys_are_taken_from_meshwright_s_own_variables() -> None:
    environment = {
        "MESHWRIGHT_ACCESS_KEY_ID": "AKIA",
        "MESHWRIGHT_SECRET_ACCESS_KEY": "s3cret",
        "MESHWRIGHT_SESSION_TOKEN": "lent",
        "AWS_ACCESS_KEY_ID": "another",
        "AWS_SESSION_TOKEN": "to another",
    }

    settings = parse_settings({}, environment)

    assert (settings.access_key, settings.secret_key, settings.token) == ("AKIA", "s3cret", "lent")


def test_a_profile_of_the_configuration_goes_before_keys_of_the_environment() -> None:
    environment = {"MESHWRIGHT_ACCESS_KEY_ID": "AKIA", "MESHWRIGHT_SECRET_ACCESS_KEY": "s3cret"}

    settings = parse_settings({"profile": wrap("ops")}, environment)

    assert (settings.profile, settings.access_key, settings.secret_key) == ("ops", None, None)


def test_half_a_key_is_refused() -> None:
    with pytest.raises(ValueError, match="accessKey and meshwright:secretKey belong together"):
        parse_settings({"accessKey": wrap("AKIA")}, {})


def test_a_key_whose_secret_is_not_known_yet_is_let_pass() -> None:
    given = {"accessKey": wrap("AKIA"), "secretKey": COMPUTED}

    assert parse_settings(given, {}).access_key == "AKIA"


@pytest.mark.parametrize("wrong", ["127.0.0.1:4580", "ftp://mesh", "http://", "http://mesh:99999"])
def test_an_endpoint_that_is_no_url_is_refused(wrong: str) -> None:
    [failure] = check_settings({"endpoint": wrap(wrong)})

    assert failure.reason == f"must be a URL such as http://127.0.0.1:4580, is '{wrong}'"


@pytest.mark.parametrize(
    ("name", "wrong", "reason"),
    [
        ("waitForConvergence", "perhaps", "must be true or false"),
        ("convergenceTimeout", "long", "must be a number of seconds"),
        ("convergenceTimeout", "-1", "must be at least 0, is -1"),
        ("defaultTags", "team", "must be a map of strings, such as team=paint,stage=test"),
        ("defaultTags", "[]", "must be a map of strings"),
        ("region", True, "must be a string"),
    ],
)
def test_a_wrong_setting_is_refused(name: str, wrong: Any, reason: str) -> None:
    [failure] = check_settings({name: wrap(wrong)})

    assert (failure.path, failure.reason) == (name, reason)


def test_a_wrong_tag_is_refused_by_its_key() -> None:
    [failure] = check_settings({"defaultTags": wrap('{"tags": {"team": 1}}')})

    assert (failure.path, failure.reason) == ('defaultTags["team"]', "must be a string, not 1")


def test_authorities_that_are_not_there_are_refused(tmp_path: Path) -> None:
    [failure] = check_settings({"customCaBundle": wrap(str(tmp_path / "ca.pem"))})

    assert failure.reason == f"must be a file, there is none at '{tmp_path}/ca.pem'"


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
