"""The benchmark of the distribution works; what it measures is for people to read."""

import pytest

from benchmarks.xds import Scale, measure

SMALL = Scale(proxies=(10,), few=2, many=10, services=(10, 20), rounds=1)


@pytest.fixture(scope="module")
def tables() -> dict[str, list[list[str]]]:
    """The rows of each table, by its title."""
    return {table.title: [list(row) for row in table.rows] for table in measure(SMALL)}


def test_each_change_and_connection_is_measured_in_both_dialects(
    tables: dict[str, list[list[str]]],
):
    assert {title: len(rows) for title, rows in tables.items()} == {
        "a change that all proxies see": 4,
        "a change that 2 of 10 proxies see": 4,
        "10 proxies that reconnect at once": 10,
        "memory per proxy, 10 connected": 5,
        "a change that 2 of 2 proxies see, as the mesh grows": 2,
    }


def test_proxies_that_are_up_to_date_are_sent_nothing(tables: dict[str, list[list[str]]]):
    storms = tables["10 proxies that reconnect at once"]

    assert [row[-2] for row in storms if row[0].startswith("up to date")] == ["0"] * 5
