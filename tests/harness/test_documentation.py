"""The harness's page: its example is a test that passes, and its tables are complete."""

import inspect
import re
from pathlib import Path

import pytest

from pytest_meshwright import plugin
from pytest_meshwright.checks import KINDS

pytest_plugins = ["pytester"]

PAGE = Path(__file__).parents[2] / "docs" / "harness.md"


def test_the_example_passes_in_another_repository(pytester: pytest.Pytester):
    examples = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    pytester.makepyfile("\n\n".join(examples))

    result = pytester.runpytest_subprocess("-W", "error", "-p", "no:xdist")

    result.assert_outcomes(passed=len(examples))


def test_every_fixture_has_its_row():
    fixtures = re.findall(r"^def (meshwright_\w+)\(", inspect.getsource(plugin), re.MULTILINE)

    rows = re.findall(r"^\| `(meshwright_\w+)` \|", PAGE.read_text(), re.MULTILINE)

    assert sorted(rows) == sorted(fixtures)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_complaint_is_named(kind: str):
    assert f"(`{kind}`)" in PAGE.read_text()
