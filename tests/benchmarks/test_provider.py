"""The provider's benchmark works; what it measures is for people to read."""

from benchmarks.nothing_provider import OUTPUTS as NOTHING_OUTPUTS
from benchmarks.provider import measure
from pulumi_meshwright.resources import OUTPUTS


def test_it_measures_each_step_of_both_providers():
    said: list[str] = []

    [table] = measure(6, rounds=1, say=said.append)

    assert [row[0] for row in table.rows] == ["up", "no-op preview", "destroy"]
    assert all(float(cell) > 0 for row in table.rows for cell in row[1:4])
    assert said == [
        "round 1 of 1: 6 resources of a provider that makes nothing",
        "round 1 of 1: 6 resources of Meshwright",
    ]


def test_both_providers_have_the_same_outputs():
    assert set(NOTHING_OUTPUTS) == set(OUTPUTS)
