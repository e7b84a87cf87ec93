"""Secrets in error messages: hidden however they are quoted, and nothing else is."""

from __future__ import annotations

import pytest

from pulumi_meshwright.redaction import find_secrets, hiding, redact
from pulumi_meshwright.resources import ResourceError
from pulumi_meshwright.values import COMPUTED, wrap

SPEC = wrap({"a": "open", "b": "x"}).with_value(
    {
        "a": wrap("open"),
        "b": wrap("hush").with_secret(True),
        "c": wrap([{"d": "deep"}, 8443]).with_secret(True),
        "e": COMPUTED.with_secret(True),
        "f": wrap(True).with_secret(True),
    }
)


def test_secrets_are_found_wherever_they_are() -> None:
    assert find_secrets({"spec": SPEC, "name": wrap("demo")}) == {"hush", "deep", "8443"}


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("hush", "got 'hush' here"),
        ("it's \\ hush", 'got "it\'s \\\\ hush" here'),
        ("two\nlines", "got 'two lines' here"),
        ("tab\there", "got 'tab\\there' here"),
        ("hüsch", 'got "h\\u00fcsch" here'),
    ],
)
def test_a_secret_is_hidden_as_a_message_quotes_it(secret: str, text: str) -> None:
    assert redact(text, {secret}).replace('"', "'") == "got '[secret]' here"


def test_the_longest_secret_is_hidden_first() -> None:
    assert redact("hush-hush and hush", {"hush", "hush-hush"}) == "[secret] and [secret]"


def test_what_is_too_short_to_be_one_is_left() -> None:
    assert redact("spec.a: must be at most 5", {"a", "5"}) == "spec.a: must be at most 5"


def test_an_error_keeps_its_type_and_loses_its_secrets() -> None:
    with pytest.raises(ResourceError, match=r"^can't use \[secret\]$"), hiding({"spec": SPEC}):
        raise ResourceError("can't use hush")
