"""The translation's benchmark works; what it measures is for people to read."""

from benchmarks.translate import measure


def test_it_measures_every_size_and_says_who_is_recomputed():
    *costs, who = measure((10, 40), rounds=1)

    assert [[row[0] for row in table.rows] for table in costs] == [["10", "40"]] * 4
    assert who.rows == [("10", "10", "10"), ("40", "40", "10")]
