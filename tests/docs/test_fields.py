"""The page of fields: each field of the model, with a golden case and a behaviour test."""

from __future__ import annotations

import re
from functools import cache

import pytest

from meshwright.model.resources import Kind
from tests.fields import ROOT, golden_cases, model_fields, read_page, render_page


def test_the_page_is_what_its_generator_writes():
    behaviour = {field: test for field, (_, test) in read_page().items()}

    assert (ROOT / "docs" / "fields.md").read_text() == render_page(behaviour)


def test_every_field_of_the_model_has_a_golden_case():
    assert [field for field in model_fields() if field not in golden_cases()] == []


def test_every_field_of_the_model_has_a_behaviour_test():
    assert [field for field, (_, test) in read_page().items() if not test] == []


@cache
def words_of(test: str) -> frozenset[str]:
    """The words in a test module and in those that the behaviour tests share."""
    path = ROOT / test
    shared = [*path.parent.glob("conftest.py"), *path.parent.glob("*_cases.py")]
    text = "".join(each.read_text() for each in (path, *shared))
    return frozenset(re.findall(r"\w+", text))


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.value)
def test_a_behaviour_test_names_the_field(kind: Kind):
    unnamed = {
        field: test
        for (of, field), (_, test) in read_page().items()
        if of is kind and re.findall(r"\w+", field)[-1] not in words_of(test)
    }

    assert unnamed == {}
