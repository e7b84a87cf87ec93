"""What a benchmark prints, and how it is kept on the page."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.report import Report, Table, write_section

REPORT = Report(
    "api",
    "./dev bench api",
    [Table("time of a call", ["call", "ours"], [["describe | list", "1.0 ms"]])],
    datetime(2026, 11, 24, tzinfo=UTC),
)


def test_markdown_starts_with_the_date_and_the_command() -> None:
    assert REPORT.to_markdown().startswith("Measured 2026-11-24, `./dev bench api`, ")


def test_a_bar_in_a_cell_does_not_split_it() -> None:
    assert "| describe \\| list | 1.0 ms |" in REPORT.to_markdown()


def test_a_section_is_replaced_and_the_rest_of_the_page_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- bench api -->\nold\n<!-- end -->\nafter\n")
    write_section(REPORT, page)
    text = page.read_text()
    assert "old" not in text
    assert text.startswith("before\n<!-- bench api -->\nMeasured")
    assert text.endswith("<!-- end -->\nafter\n")


def test_a_page_without_the_section_is_left_as_it_is(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("no section\n")
    with pytest.raises(ValueError, match="bench api"):
        write_section(REPORT, page)
    assert page.read_text() == "no section\n"
