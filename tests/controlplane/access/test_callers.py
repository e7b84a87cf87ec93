"""Who may do what, through real boto3 clients and bare requests to a real process."""

from __future__ import annotations

import itertools
import json
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from pytest_meshwright.waiting import wait_until
from tests.controlplane.access.serving import TIMEOUT, Answer, Server, serving
from tests.controlplane.conftest import Refused

SECRET = "a secret of enough length"
OTHER_ACCOUNT = "222222222222"
KEYS: list[dict[str, Any]] = [
    {"access_key_id": "WRITER", "access": "write", "meshes": ["*"]},
    {"access_key_id": "READER", "access": "read", "meshes": ["shop-*"]},
    {"access_key_id": "SHOP", "access": "write", "meshes": ["shop-*"]},
    {"access_key_id": "OTHER", "access": "write", "meshes": ["*"], "account_id": OTHER_ACCOUNT},
]
_numbers = itertools.count()


def write_keys(file: Path, keys: list[dict[str, Any]]) -> None:
    """Exchange the keys' file, as a careful editor does."""
    new = file.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_text(json.dumps([{"secret_access_key": SECRET, **key} for key in keys]))
    new.rename(file)


@pytest.fixture(scope="module")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of access keys."""
    file = tmp_path_factory.mktemp("keys") / "keys.yaml"
    write_keys(file, KEYS)
    return file


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, keys_file: Path) -> Iterator[Server]:
    """A server that asks for keys."""
    with serving(tmp_path_factory.mktemp("server"), "--access-keys", keys_file) as server:
        yield server


@pytest.fixture
def call(server: Server) -> Iterator[Any]:
    """Makes a client of a key."""
    clients: list[Any] = []

    def make(key_id: str = "WRITER", secret: str = SECRET, **settings: Any) -> Any:
        clients.append(server.client(key_id, secret, **settings))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def name() -> str:
    """A mesh's name that no other test uses."""
    return f"mesh-{next(_numbers)}"


def send(
    server: Server,
    method: str,
    path: str,
    body: object = None,
    *,
    key_id: str = "WRITER",
) -> tuple[Answer, AWSRequest]:
    """Send a request that botocore has signed, and return it too, to be sent again."""
    data = json.dumps(body).encode() if body is not None else b""
    request = AWSRequest(method=method, url=f"{server.url()}{path}", data=data)
    SigV4Auth(Credentials(key_id, SECRET), "appmesh", "eu-west-1").add_auth(request)
    return send_again(server, request), request


def send_again(server: Server, request: AWSRequest) -> Answer:
    """Send a signed request, byte for byte."""
    connection = HTTPConnection(*server.address, timeout=TIMEOUT)
    path = str(request.url).removeprefix(server.url())
    connection.request(str(request.method), path, request.data, dict(request.headers.items()))
    with connection.getresponse() as answer:
        headers = {each.lower(): value for each, value in answer.getheaders()}
        received = Answer(answer.status, headers, answer.read())
    connection.close()
    return received


def test_a_writer_may_write(call: Any, name: str):
    assert call().create_mesh(meshName=name)["mesh"]["meshName"] == name


def test_a_reader_may_read(call: Any, name: str):
    call().create_mesh(meshName=f"shop-{name}")

    described = call("READER").describe_mesh(meshName=f"shop-{name}")

    assert described["mesh"]["status"] == {"status": "ACTIVE"}


def test_a_reader_may_not_write(call: Any, name: str, refused: Refused):
    error = refused(call("READER").create_mesh, meshName=f"shop-{name}")

    assert (error.status, error.code) == (403, "AccessDeniedException")
    assert "READER is not authorized to perform appmesh:CreateMesh: it has read access only" in (
        error.message
    )


def test_a_mesh_that_a_key_is_not_for_is_refused_alike_whether_it_exists(
    call: Any, name: str, refused: Refused
):
    call().create_mesh(meshName=name)

    errors = [refused(call("SHOP").describe_mesh, meshName=each) for each in (name, f"no-{name}")]

    assert {error.code for error in errors} == {"AccessDeniedException"}
    assert errors[0].message.replace(name, "") == errors[1].message.replace(f"no-{name}", "")


def test_tags_are_refused_by_the_mesh_in_the_arn(call: Any, name: str, refused: Refused):
    arn = call().create_mesh(meshName=name)["mesh"]["metadata"]["arn"]

    error = refused(
        call("SHOP").tag_resource, resourceArn=arn, tags=[{"key": "team", "value": "shop"}]
    )

    assert error.code == "AccessDeniedException"


def test_meshes_that_a_key_is_not_for_are_not_listed(call: Any, name: str):
    for each in (name, f"shop-{name}", f"zzz-{name}"):
        call().create_mesh(meshName=each)

    pages = call("READER").get_paginator("list_meshes").paginate(PaginationConfig={"PageSize": 1})
    listed = [mesh["meshName"] for page in pages for mesh in page["meshes"]]

    assert f"shop-{name}" in listed
    assert all(each.startswith("shop-") for each in listed)


def test_a_key_acts_for_its_account(call: Any, name: str):
    mesh = call("OTHER").create_mesh(meshName=name)["mesh"]

    assert mesh["metadata"]["meshOwner"] == mesh["metadata"]["resourceOwner"] == OTHER_ACCOUNT
    assert f":{OTHER_ACCOUNT}:" in mesh["metadata"]["arn"]


def test_accounts_do_not_meet_in_their_client_tokens(call: Any, name: str):
    request = {"meshName": name, "clientToken": name}
    mine = call().create_mesh(**request)["mesh"]["metadata"]
    theirs = call("OTHER").create_mesh(**request)["mesh"]["metadata"]

    assert (mine["meshOwner"], theirs["meshOwner"]) == ("000000000000", OTHER_ACCOUNT)


def test_a_mesh_of_another_account_is_out_of_reach(call: Any, name: str, refused: Refused):
    call("OTHER").create_mesh(meshName=name)

    error = refused(call().describe_mesh, meshName=name, meshOwner=OTHER_ACCOUNT)

    assert error.code == "AccessDeniedException"
    assert name not in [each["meshName"] for each in call().list_meshes()["meshes"]]


def test_an_unknown_key(call: Any, refused: Refused):
    error = refused(call("NOBODY").list_meshes)

    assert (error.status, error.code) == (403, "UnrecognizedClientException")


def test_a_wrong_secret(call: Any, refused: Refused):
    error = refused(call("WRITER", "another secret of that length").list_meshes)

    assert (error.status, error.code) == (403, "InvalidSignatureException")


def test_a_clock_that_is_wrong(call: Any, refused: Refused):
    late = datetime.now(UTC).replace(tzinfo=None) - timedelta(minutes=6)

    with patch("botocore.auth.get_current_datetime", return_value=late):
        error = refused(call().list_meshes)

    assert (error.status, error.code) == (403, "InvalidSignatureException")
    assert error.message.startswith("Signature expired: ")


@pytest.mark.parametrize(
    "path", ["/v20190125/meshes", "/meshwright/v1/meshes", "/meshwright/v1/meshes/x/status"]
)
def test_an_unsigned_request(server: Server, path: str):
    answer = server.send(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())

    assert (answer.status, answer.code) == (403, "MissingAuthenticationTokenException")


def test_health_needs_no_key(server: Server):
    assert server.send(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").status == 200


def test_metrics_need_no_key(server: Server):
    assert server.send(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").status == 200


def test_a_presigned_url(server: Server, call: Any):
    url = call().generate_presigned_url("list_meshes", Params={"limit": 1}, ExpiresIn=60)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    with opener.open(url, timeout=TIMEOUT) as answer:
        assert "meshes" in json.load(answer)


def test_a_write_that_is_sent_again_is_refused(server: Server, call: Any, name: str):
    first, request = send(server, "PUT", "/v20190125/meshes", {"meshName": name})
    call().delete_mesh(meshName=name)

    again = send_again(server, request)

    assert first.status == 200
    assert (again.status, again.code) == (403, "InvalidSignatureException")
    assert b"Signature already used" in again.body


def test_a_read_may_be_sent_again(server: Server):
    _, request = send(server, "GET", "/v20190125/meshes")

    assert send_again(server, request).status == 200


def test_a_write_that_failed_may_be_sent_again(server: Server, call: Any, name: str):
    first, request = send(server, "DELETE", f"/v20190125/meshes/{name}")
    call().create_mesh(meshName=name)

    assert (first.status, send_again(server, request).status) == (404, 200)


def test_the_caller_is_in_the_log(server: Server, call: Any, name: str):
    call("OTHER").create_mesh(meshName=name)

    record = wait_until(
        lambda: next(
            (each for each in server.records("api_request") if each.fields.get("mesh") == name),
            None,
        ),
        what="the request's log line",
        timeout=TIMEOUT,
    )
    assert record.fields["access_key_id"] == "OTHER"
    assert record.fields["account_id"] == OTHER_ACCOUNT


def test_who_is_turned_away_is_in_the_log(server: Server, call: Any, refused: Refused):
    refused(call("STRANGER").list_meshes)

    record = wait_until(
        lambda: next(
            (each for each in server.records("api_request") if "STRANGER" in str(each.fields)), None
        ),
        what="the request's log line",
        timeout=TIMEOUT,
    )
    assert record.fields["operation"] == "ListMeshes"
    assert record.fields["error"] == "UnrecognizedClientException"


def test_a_key_that_is_taken_out_of_the_file_is_refused_at_once(
    call: Any, keys_file: Path, refused: Refused
):
    client = call("SHOP")
    client.list_meshes()

    write_keys(keys_file, [key for key in KEYS if key["access_key_id"] != "SHOP"])
    error = refused(client.list_meshes)
    write_keys(keys_file, KEYS)

    assert error.code == "UnrecognizedClientException"
    assert "meshes" in client.list_meshes()


@pytest.mark.parametrize(("key_id", "status"), [("READER", 200), ("OTHER", 404), ("SHOP", 200)])
def test_a_meshs_status_needs_a_key_for_it(
    server: Server, call: Any, name: str, key_id: str, status: int
):
    call().create_mesh(meshName=f"shop-{name}")

    answer, _ = send(server, "GET", f"/meshwright/v1/meshes/shop-{name}/status", key_id=key_id)

    assert answer.status == status


@pytest.mark.parametrize("path", ["/meshwright/v1/meshes/{}", "/meshwright/v1/meshes/{}/status"])
def test_what_operators_ask_needs_a_key_for_the_mesh(
    server: Server, call: Any, name: str, path: str
):
    call().create_mesh(meshName=name)

    answer, _ = send(server, "GET", path.format(name), key_id="SHOP")

    assert (answer.status, answer.code) == (403, "AccessDeniedException")


def test_operators_see_the_meshes_of_their_key(server: Server, call: Any, name: str):
    for each in (name, f"shop-{name}"):
        call().create_mesh(meshName=each)

    answer, _ = send(server, "GET", "/meshwright/v1/meshes", key_id="READER")
    listed = [each["mesh"] for each in json.loads(answer.body)["meshes"]]

    assert f"shop-{name}" in listed
    assert all(each.startswith("shop-") for each in listed)


@pytest.mark.parametrize(
    ("key_id", "dry_run", "status"),
    [("WRITER", False, 200), ("SHOP", False, 403), ("READER", True, 403)],
)
def test_applying_needs_a_key_for_the_mesh(
    server: Server, name: str, key_id: str, dry_run: bool, status: int
):
    body = {"documents": [{"meshName": name}], "dryRun": dry_run}

    answer, _ = send(server, "POST", "/meshwright/v1/apply", body, key_id=key_id)

    assert answer.status == status


@pytest.mark.parametrize(("dry_run", "status"), [(True, 200), (False, 403)])
def test_a_reader_may_try_out_an_application(server: Server, name: str, dry_run: bool, status: int):
    body = {"documents": [{"meshName": f"shop-{name}"}], "dryRun": dry_run}

    answer, _ = send(server, "POST", "/meshwright/v1/apply", body, key_id="READER")

    assert answer.status == status


def test_a_reader_may_not_delete_a_whole_mesh(server: Server, call: Any, name: str):
    call().create_mesh(meshName=f"shop-{name}")

    answer, _ = send(server, "DELETE", f"/meshwright/v1/meshes/shop-{name}", key_id="READER")

    assert (answer.status, answer.code) == (403, "AccessDeniedException")


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        (
            "POST",
            "/tokens",
            {"for": "arn:aws:appmesh:us-east-1:000000000000:mesh/MESH"},
            "is for meshes of account 222222222222 only",
        ),
        ("DELETE", "/tokens/{token}", None, "is for meshes of account 222222222222 only"),
        (
            "POST",
            "/token-keys",
            {"overlapSeconds": 0},
            "acts for account 222222222222 and not for 000000000000",
        ),
    ],
    ids=["issue", "revoke", "rotate"],
)
def test_another_account_has_no_say_about_a_meshs_tokens(
    server: Server, call: Any, name: str, method: str, path: str, body: Any, message: str
):
    call().create_mesh(meshName=name)
    tokens = "/meshwright/v1/tokens"
    issued, _ = send(server, "POST", tokens, {"for": f"mesh/{name}"})
    token = json.loads(issued.body)["token_id"]
    asked = json.loads(json.dumps(body).replace("MESH", name))

    answer, _ = send(
        server, method, "/meshwright/v1" + path.format(token=token), asked, key_id="OTHER"
    )
    listed, _ = send(server, "GET", tokens)
    seen, _ = send(server, "GET", tokens, key_id="OTHER")

    assert (answer.status, answer.code) == (403, "AccessDeniedException")
    assert message in json.loads(answer.body)["message"]
    kept = {each["token_id"]: each["revoked"] for each in json.loads(listed.body)["tokens"]}
    assert kept[token] is False
    assert token not in seen.body.decode()
