"""The DynamoDB table of a store: named by a URL, made where it is not there, and recognized."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import parse_qsl, quote, urlsplit

import botocore.session
import structlog
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from meshwright.store.dynamodb_items import EXPIRY, HEADS, SCHEMA_MARK, Item, build_key
from meshwright.store.interface import StoreError, newer_schema

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SCHEMA_VERSION: Final = 2
"""1: the first. 2: records of meshes hold whom they are shared with; signatures are spent."""

_EXAMPLE: Final = "dynamodb://TABLE?region=us-east-1"
_CREATION_SECONDS: Final = 120
_OPTIONS: Final = frozenset({"region", "endpoint"})

_log = structlog.get_logger("meshwright.store")


@dataclass(frozen=True, slots=True)
class TableAddress:
    """Where a table is.

    Attributes:
        table: The table's name.
        region: Its region; None takes the one that the AWS configuration names.
        endpoint: The URL of DynamoDB where it is not AWS's own.
    """

    table: str
    region: str | None = None
    endpoint: str | None = None

    @property
    def url(self) -> str:
        """The store's URL."""
        options = [("region", self.region), ("endpoint", self.endpoint)]
        query = "&".join(f"{name}={quote(value, safe=':/')}" for name, value in options if value)
        return f"dynamodb://{self.table}" + (f"?{query}" if query else "")

    @property
    def is_loopback(self) -> bool:
        """Whether the endpoint is on this machine."""
        host = urlsplit(self.endpoint or "").hostname or ""
        try:
            return host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False


def parse_table_url(url: str) -> TableAddress:
    """The table that a store's URL names.

    Args:
        url: `dynamodb://TABLE?region=us-east-1&endpoint=http://127.0.0.1:8000`; both options may
            be left out.

    Raises:
        StoreError: The URL is not of that form.
    """
    parts = urlsplit(url)
    # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html
    if not re.fullmatch(r"[A-Za-z0-9_.-]{3,255}", parts.netloc) or parts.path.strip("/"):
        raise StoreError(
            f"store {url!r}: expected {_EXAMPLE}, with a table's name of 3 to 255 letters, "
            "digits, _, - and ."
        )
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(options.keys() - _OPTIONS)
    if unknown or parts.fragment:
        what = ", ".join(unknown) or f"#{parts.fragment}"
        raise StoreError(f"store {url!r}: {what} is no option; expected {_EXAMPLE}&endpoint=URL")
    endpoint = options.get("endpoint")
    if endpoint is not None and not re.match(r"https?://[^/]", endpoint):
        raise StoreError(f"store {url!r}: endpoint must be a URL such as http://127.0.0.1:8000")
    return TableAddress(parts.netloc, options.get("region") or None, endpoint)


def connect(address: TableAddress) -> tuple[DynamoDBClient, TableAddress]:
    """A client for a table, with botocore's ordinary credentials, and the address with its region.

    Raises:
        StoreError: No region is named, or the configuration of AWS can't be read.
    """
    with named_errors(address.url):
        session = botocore.session.get_session()
        region = address.region or session.get_config_variable("region")
        if not region:
            raise StoreError(f"store {address.url!r} names no region: expected {_EXAMPLE}")
        config = Config(
            # A lost answer is asked for again with the same token of DynamoDB's own, so a
            # transaction is carried out once.
            retries={"mode": "standard", "total_max_attempts": 4},
            connect_timeout=3,
            read_timeout=10,
            max_pool_connections=64,  # no fewer than there are threads that serve the API
            proxies=cast("Any", {} if address.is_loopback else None),
        )
        client = cast("Any", session).create_client(
            "dynamodb", region_name=region, endpoint_url=address.endpoint, config=config
        )
    return client, TableAddress(address.table, region, address.endpoint)


@contextlib.contextmanager
def named_errors(url: str) -> Generator[None]:
    """Errors of botocore as StoreErrors of one line that names the store."""
    try:
        yield
    except NoCredentialsError as error:
        raise StoreError(
            f"store {url!r} can't be used: no AWS credentials were found; set AWS_ACCESS_KEY_ID "
            "and AWS_SECRET_ACCESS_KEY, or run where a role provides them"
        ) from error
    except (BotoCoreError, ClientError) as error:
        reason = " ".join(str(error).split())
        raise StoreError(f"store {url!r} can't be used: {reason}") from error


def error_code(error: ClientError) -> str:
    """The code of an error that DynamoDB answered."""
    return str(error.response.get("Error", {}).get("Code", ""))


def prepare_table(client: DynamoDBClient, address: TableAddress, *, create: bool) -> None:
    """Make sure that the table is there and is a store of a version that this one knows.

    What is written last is the layout's version, so whoever finds that finds everything.

    Args:
        client: A client for the table's region.
        address: The table.
        create: Make it where it does not exist.

    Raises:
        StoreError: The table is another program's or a newer version's, does not exist or can't
            be made.
    """
    with named_errors(address.url):
        try:
            version = _find_version(client, address)
        except ClientError as error:
            if error_code(error) == "ValidationException":
                raise _not_ours(address) from error
            if error_code(error) != "ResourceNotFoundException":
                raise
            if not create:
                raise StoreError(f"store {address.url!r} does not exist") from error
            _create(client, address)
            version = None
        if version is None:
            version = _take_over(client, address)
        require_known_schema(version, address.url)
        if version < SCHEMA_VERSION:
            _upgrade(client, address)


def require_known_schema(version: int, url: str) -> None:
    """Check that this version knows a table's layout.

    Raises:
        StoreError: It is a newer version's.
    """
    if version > SCHEMA_VERSION:
        raise newer_schema(url, version, SCHEMA_VERSION)


def _find_version(client: DynamoDBClient, address: TableAddress) -> int | None:
    answer = client.get_item(
        TableName=address.table, Key=build_key("schema", "schema"), ConsistentRead=True
    )
    item = answer.get("Item")
    return parse_version(item) if item is not None else None


def parse_version(item: Item) -> int:
    """The layout's version, of an item that says it."""
    return int(item["version"].get("N", "0"))


def _create(client: DynamoDBClient, address: TableAddress) -> None:
    try:
        client.create_table(
            TableName=address.table,
            AttributeDefinitions=[
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "S"},
            ],
            KeySchema=[
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        _log.info("table_created", table=address.table, region=address.region)
    except ClientError as error:
        if error_code(error) != "ResourceInUseException":  # another control plane was faster
            raise
    waiter = client.get_waiter("table_exists")
    waiter.wait(
        TableName=address.table, WaiterConfig={"Delay": 1, "MaxAttempts": _CREATION_SECONDS}
    )


def _take_over(client: DynamoDBClient, address: TableAddress) -> int:
    """Make a store of an empty table; the version that is there afterwards."""
    if client.scan(TableName=address.table, Limit=1, ConsistentRead=True).get("Items"):
        version = _find_version(client, address)  # written by another control plane meanwhile
        if version is None:
            raise _not_ours(address)
        return version
    _enable_expiry(client, address)
    with contextlib.suppress(client.exceptions.ConditionalCheckFailedException):
        client.put_item(
            TableName=address.table,
            Item={**build_key("schema", "schema"), "version": {"N": str(SCHEMA_VERSION)}},
            ConditionExpression="attribute_not_exists(pk)",
        )
    return _find_version(client, address) or SCHEMA_VERSION


def _upgrade(client: DynamoDBClient, address: TableAddress) -> None:
    """Keep older versions from a table that holds, or soon will, what they would lose.

    Those that are running find the mark among the heads, which they read anyway.
    """
    for key in (build_key(HEADS, SCHEMA_MARK), build_key("schema", "schema")):
        with contextlib.suppress(client.exceptions.ConditionalCheckFailedException):
            client.update_item(
                TableName=address.table,
                Key=key,
                UpdateExpression="SET version = :new",
                ConditionExpression="attribute_not_exists(version) OR version < :new",
                ExpressionAttributeValues={":new": {"N": str(SCHEMA_VERSION)}},
            )
    _log.info("table_upgraded", table=address.table, schema=SCHEMA_VERSION)


def _enable_expiry(client: DynamoDBClient, address: TableAddress) -> None:
    def is_enabled() -> bool:
        answer = client.describe_time_to_live(TableName=address.table)
        status = answer["TimeToLiveDescription"].get("TimeToLiveStatus", "DISABLED")
        return status in ("ENABLED", "ENABLING")

    if is_enabled():
        return
    try:
        client.update_time_to_live(
            TableName=address.table,
            TimeToLiveSpecification={"Enabled": True, "AttributeName": EXPIRY},
        )
    except ClientError as error:
        if error_code(error) != "ValidationException" or not is_enabled():
            raise  # otherwise another control plane was faster


def _not_ours(address: TableAddress) -> StoreError:
    return StoreError(
        f"store {address.url!r} is another program's table: name one of meshwright's own; "
        "it is made if it does not exist"
    )
