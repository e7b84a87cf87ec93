"""Access keys: the file's form, its mode, its changes, and the pair of the environment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from meshwright.access.errors import AccessSettingsError
from meshwright.access.keys import KeyFile, parse_keys
from meshwright.access.settings import AccessSettings

ACCOUNT = "000000000000"
SECRET = "a secret of enough length"
ENTRY = f"""
- access_key_id: PLATFORM
  secret_access_key: {SECRET}
  access: read
  meshes: [shop-*]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with one key."""
    path = tmp_path / "keys.yaml"
    path.write_text(ENTRY)
    path.chmod(0o600)
    return path


def replace_text(path: Path, text: str) -> None:
    """Exchange a file's content as a careful editor does."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.chmod(0o600)
    new.rename(path)


def test_a_key_without_an_account_acts_for_the_servers():
    (key,) = parse_keys(ENTRY, account_id=ACCOUNT)

    assert (key.access_key_id, key.account_id, key.access, key.meshes) == (
        "PLATFORM",
        ACCOUNT,
        "read",
        ("shop-*",),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold a list of at least one access key"),
        ("[]", "must hold a list of at least one access key"),
        ("a: [", "is not valid YAML in line 1"),
        ("- x", "[0]: must be an object with an access_key_id"),
        (ENTRY + "  mesh: x", "[0].mesh: is none of access, access_key_id, account_id"),
        (ENTRY.replace("access: read", ""), "[0].access: is required"),
        (ENTRY.replace("access: read", "access: admin"), "[0].access: must be read or write, got"),
        (ENTRY.replace(SECRET, "short"), "[0].secret_access_key: must be a text of at least 16"),
        (ENTRY.replace("PLATFORM", "a/b"), "[0].access_key_id: must be 1 to 128 letters"),
        (ENTRY.replace("[shop-*]", "[]"), "[0].meshes: must be a list of names or globs"),
        (ENTRY + "  account_id: 012345670123", "[0].account_id: must be 12 digits in quotes"),
        (ENTRY * 2, "[1].access_key_id: 'PLATFORM' is there twice"),
    ],
)
def test_a_file_that_is_wrong_is_one_line_that_names_the_field(text: str, message: str):
    with pytest.raises(AccessSettingsError) as caught:
        parse_keys(text, account_id=ACCOUNT)

    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_an_error_shows_no_secret():
    with pytest.raises(AccessSettingsError) as caught:
        parse_keys(ENTRY.replace(SECRET, "'unclosed secret"), account_id=ACCOUNT)

    assert "unclosed" not in str(caught.value)


def test_a_key_does_not_show_its_secret():
    (key,) = parse_keys(ENTRY, account_id=ACCOUNT)

    assert SECRET not in repr(key)


def test_a_file_that_everybody_can_read_is_refused(file: Path):
    file.chmod(0o644)

    with pytest.raises(AccessSettingsError, match="is readable by everybody: chmod o-rwx it"):
        KeyFile(file, account_id=ACCOUNT)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(AccessSettingsError, match=r"keys\.yaml: can't be read: No such file"):
        KeyFile(tmp_path / "keys.yaml", account_id=ACCOUNT)


def test_a_changed_file_counts_from_the_next_look(file: Path):
    keys = KeyFile(file, account_id=ACCOUNT)

    with capture_logs() as logs:
        replace_text(file, ENTRY.replace("PLATFORM", "OTHER"))

        assert (keys.find("PLATFORM"), keys.find("OTHER") is not None) == (None, True)
    assert [each["event"] for each in logs] == ["files_reloaded"]


@pytest.mark.parametrize("damage", ["broken", "readable", "gone"])
def test_a_change_that_is_wrong_keeps_the_keys_and_is_logged_once(file: Path, damage: str):
    keys = KeyFile(file, account_id=ACCOUNT)
    match damage:
        case "broken":
            replace_text(file, "- x")
        case "readable":
            file.chmod(0o644)
        case _:
            file.unlink()

    with capture_logs() as logs:
        found = [keys.find("PLATFORM") for _ in range(3)]

    assert all(found)
    assert [each["event"] for each in logs] == ["files_refused"]


def test_a_file_that_was_mended_counts_again(file: Path):
    keys = KeyFile(file, account_id=ACCOUNT)
    replace_text(file, "- x")
    keys.find("PLATFORM")

    replace_text(file, ENTRY.replace("PLATFORM", "OTHER"))

    assert keys.find("OTHER") is not None


def test_a_pair_of_the_environment_permits_everything():
    keys = AccessSettings(access_key_id="ID", secret_access_key=SECRET).open_keys(ACCOUNT)

    assert keys is not None
    key = keys.find("ID")
    assert key is not None
    assert (key.account_id, key.access, key.meshes) == (ACCOUNT, "write", ("*",))


def test_without_settings_there_are_no_keys():
    assert AccessSettings().open_keys(ACCOUNT) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (AccessSettings(access_key_id="ID"), "belong together: set both or neither"),
        (AccessSettings(secret_access_key=SECRET), "belong together: set both or neither"),
        (
            AccessSettings(access_key_id="ID", secret_access_key="short"),
            "the key of the environment: secret_access_key: must be",
        ),
        (
            AccessSettings(keys_file=Path(os.devnull), access_key_id="ID"),
            "give access keys by --access-keys or by MESHWRIGHT_ACCESS_KEY_ID",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings: AccessSettings, message: str):
    with pytest.raises(AccessSettingsError, match=message):
        settings.open_keys(ACCOUNT)
