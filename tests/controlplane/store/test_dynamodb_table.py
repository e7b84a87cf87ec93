"""The table of a DynamoDB store: named by a URL, made, taken over, refused."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest

from meshwright.store import Change, MeshHead, StoreError, dynamodb_table, open_store
from meshwright.store.dynamodb import DynamoDbStore
from tests.controlplane.meshes import DEMO, demo_resources
from tests.controlplane.store.requests_seen import count_requests

CHANGES = [Change(resource.key, resource) for resource in demo_resources()]


def refuse_to_open(url: str) -> str:
    """The message with which a store is refused; it must be one line that names the store."""
    with pytest.raises(StoreError) as caught:
        open_store(url)
    message = str(caught.value)
    assert "\n" not in message
    assert url.partition("?")[0] in message
    return message


def test_a_table_is_made_on_demand_with_expiry(
    dynamodb_store: DynamoDbStore, dynamodb: Any, table: str
) -> None:
    del dynamodb_store
    made = dynamodb.describe_table(TableName=table)["Table"]
    expiry = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    assert made["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert expiry == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}


def test_a_store_that_is_there_is_opened_with_one_request(
    dynamodb_store: DynamoDbStore, table_url: str
) -> None:
    """So a control plane needs no right to make or describe tables where one is there."""
    del dynamodb_store
    with closing(DynamoDbStore(table_url)) as again, count_requests(again) as names:
        again.head(DEMO)
    assert names == ["GetItem"]


def test_an_empty_table_that_is_there_is_taken_over(
    dynamodb: Any, table: str, table_url: str
) -> None:
    """As when the table is made by a program of infrastructure."""
    make_table(dynamodb, table, "pk", "sk")
    with closing(open_store(table_url)) as store:
        store.commit(DEMO, expected_revision=0, changes=CHANGES, committed_at=1.0)
    expiry = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    assert expiry["AttributeName"] == "expires_at"


def make_table(dynamodb: Any, table: str, *keys: str) -> None:
    dynamodb.create_table(
        TableName=table,
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        KeySchema=[
            {"AttributeName": key, "KeyType": kind}
            for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)
        ],
        BillingMode="PAY_PER_REQUEST",
    )


def test_a_table_with_other_keys_is_refused(dynamodb: Any, table: str, table_url: str) -> None:
    make_table(dynamodb, table, "id")
    assert "another program's table" in refuse_to_open(table_url)


def test_a_table_with_other_items_is_refused_and_left_alone(
    dynamodb: Any, table: str, table_url: str
) -> None:
    make_table(dynamodb, table, "pk", "sk")
    dynamodb.put_item(TableName=table, Item={"pk": {"S": "user"}, "sk": {"S": "1"}})
    assert "another program's table" in refuse_to_open(table_url)
    assert dynamodb.scan(TableName=table)["Count"] == 1


def test_an_earlier_schema_is_brought_up_to_date_and_then_refused_by_its_version(
    dynamodb_store: DynamoDbStore,
    dynamodb: Any,
    table: str,
    table_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del dynamodb_store
    key = {"S": "schema"}
    dynamodb.put_item(TableName=table, Item={"pk": key, "sk": key, "version": {"N": "1"}})
    open_store(table_url).close()
    monkeypatch.setattr(dynamodb_table, "SCHEMA_VERSION", 1)
    assert "has schema 2" in refuse_to_open(table_url)


def test_a_store_whose_schema_becomes_newer_is_written_no_more(
    dynamodb_store: DynamoDbStore, table_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dynamodb_store.commit(DEMO, expected_revision=0, changes=CHANGES, committed_at=1.0)
    with monkeypatch.context() as newer:
        newer.setattr(dynamodb_table, "SCHEMA_VERSION", 3)
        open_store(table_url).close()

    with pytest.raises(StoreError, match="has schema 3, and this version of meshwright knows"):
        dynamodb_store.heads()
    with pytest.raises(StoreError, match="has schema 3"):
        dynamodb_store.commit(DEMO, expected_revision=1, changes=CHANGES, committed_at=2.0)
    assert dynamodb_store.head(DEMO).revision == 1


def test_a_schema_newer_than_known_is_refused(
    dynamodb_store: DynamoDbStore, dynamodb: Any, table: str, table_url: str
) -> None:
    del dynamodb_store
    key = {"S": "schema"}
    dynamodb.put_item(TableName=table, Item={"pk": key, "sk": key, "version": {"N": "99"}})
    assert "has schema 99" in refuse_to_open(table_url)


@pytest.mark.parametrize(
    "url",
    [
        "dynamodb://",
        "dynamodb:///table",
        "dynamodb://ab?region=us-east-1",
        "dynamodb://a/b?region=us-east-1",
        "dynamodb://user@table?region=us-east-1",
        "dynamodb://table?regoin=us-east-1",
        "dynamodb://table?region=us-east-1&endpoint=127.0.0.1:8000",
        "dynamodb://table?region=us-east-1#2",
    ],
)
def test_a_url_of_another_form_is_refused(url: str) -> None:
    refuse_to_open(url)


def test_the_region_may_come_from_the_configuration_of_aws(
    table_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with closing(open_store(table_url.replace("region=us-east-1&", ""))) as store:
        assert store.url == table_url


def test_no_region_is_one_line(table_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    assert "names no region" in refuse_to_open(table_url.replace("region=us-east-1&", ""))


def test_no_credentials_are_one_line_with_the_remedy(
    table_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert "set AWS_ACCESS_KEY_ID" in refuse_to_open(table_url)


def test_a_profile_that_is_not_there_is_one_line(
    table_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert "nobody" in refuse_to_open(table_url)


def test_an_endpoint_that_does_not_answer_is_one_line(
    monkeypatch: pytest.MonkeyPatch, table_url: str
) -> None:
    del table_url
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff._MAX_BACKOFF", 0)
    refuse_to_open("dynamodb://table?region=us-east-1&endpoint=http://127.0.0.1:9")


def test_a_table_that_is_gone_is_one_line(
    dynamodb_store: DynamoDbStore, dynamodb: Any, table: str
) -> None:
    dynamodb.delete_table(TableName=table)
    with pytest.raises(StoreError, match="non-existent table") as caught:
        dynamodb_store.heads()
    assert "\n" not in str(caught.value)


def test_a_table_that_was_restored_to_a_point_in_time_is_the_store(
    new_moto_table: Callable[[], str],
) -> None:
    """By the commands of docs/store.md; DynamoDB Local does not have them, moto does."""
    url = new_moto_table()
    parts = urlsplit(url)
    with closing(open_store(url)) as store:
        store.commit(DEMO, expected_revision=0, changes=CHANGES, committed_at=1.0)
    session: Any = boto3.session.Session(region_name="us-east-1")
    endpoint = parse_qs(parts.query)["endpoint"][0]
    target = f"{parts.netloc}-restored"
    with closing(session.client("dynamodb", endpoint_url=endpoint)) as dynamodb:
        dynamodb.update_continuous_backups(
            TableName=parts.netloc,
            PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
        )
        dynamodb.restore_table_to_point_in_time(
            SourceTableName=parts.netloc, TargetTableName=target, UseLatestRestorableTime=True
        )
        dynamodb.update_time_to_live(
            TableName=target,
            TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"},
        )

    with closing(open_store(url.replace(parts.netloc, target), create=False)) as restored:
        assert restored.head(DEMO).revision == 1
        assert len(restored.load(DEMO).resources) == len(CHANGES)
        assert restored.commit(
            DEMO, expected_revision=1, changes=CHANGES, committed_at=2.0
        ) == MeshHead(DEMO, 2, 2.0)
