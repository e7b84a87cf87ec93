"""The benchmark of the API works; what it measures is for people to read."""

from benchmarks.api import measure
from benchmarks.api_servers import DYNAMODB, ENGINES
from tools.dev.dynamodb_local import find_dynamodb_local


def test_each_operation_is_measured_on_every_server_at_every_size():
    tables = measure((4, 10), rounds=1)

    engines = [each for each in ENGINES if each is not DYNAMODB or find_dynamodb_local()]
    expected = [(engine.name, size) for engine in engines for size in ("4", "10")]
    assert [table.title.partition(",")[0] for table in tables] == [
        "describe",
        "update",
        "list",
        "create",
    ]
    assert all([(row[0], row[1]) for row in table.rows] == expected for table in tables)
