"""The audit log, as real clients' writes to a real process leave it."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from meshwright.api.audit import AuditError, AuditLog, Author
from meshwright.graph import Graph
from meshwright.model.resources import MeshKey, mesh_resource_key
from meshwright.store import Change, RevisionConflictError
from tests.controlplane.access.serving import MESHWRIGHT, Server, serving
from tests.controlplane.conftest import Refused

DEMO = MeshKey("000000000000", "demo")
SPEC: dict[str, Any] = {"listeners": []}
ALLOW_ALL = {"egressFilter": {"type": "ALLOW_ALL"}}

Line = dict[str, Any]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The audit log's file."""
    return tmp_path / "audit.jsonl"


@pytest.fixture
def server(tmp_path: Path, log: Path) -> Iterator[Server]:
    """A server that keeps an audit log."""
    with serving(tmp_path, "--audit-log", log) as server:
        yield server


@pytest.fixture
def appmesh(server: Server) -> Iterator[Any]:
    """A client of it."""
    client = server.client("KEY", "secret")
    yield client
    client.close()


def read(log: Path) -> list[Line]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_a_write_tells_who_what_and_from_where(appmesh: Any, log: Path) -> None:
    answer = appmesh.create_mesh(meshName="demo")
    [line] = read(log)
    told = {name: line[name] for name in ("operation", "account_id", "address", "mesh", "revision")}
    assert told == {
        "operation": "CreateMesh",
        "account_id": "000000000000",
        "address": "127.0.0.1",
        "mesh": "demo",
        "revision": 1,
    }
    assert line["arn"] == answer["mesh"]["metadata"]["arn"]
    assert line["request_id"] == answer["ResponseMetadata"]["RequestId"]
    assert "Boto3/" in line["user_agent"]


def test_an_update_tells_before_and_after(appmesh: Any, log: Path) -> None:
    appmesh.create_mesh(meshName="demo")
    appmesh.update_mesh(meshName="demo", spec=ALLOW_ALL)
    line = read(log)[-1]
    assert (line["before"], line["after"]) == (
        {"meshName": "demo"},
        {"meshName": "demo", "spec": ALLOW_ALL},
    )


def test_a_delete_has_no_after(appmesh: Any, log: Path) -> None:
    appmesh.create_mesh(meshName="demo")
    appmesh.delete_mesh(meshName="demo")
    assert read(log)[-1]["after"] is None


def test_tags_are_part_of_what_changed(appmesh: Any, log: Path) -> None:
    arn = appmesh.create_mesh(meshName="demo")["mesh"]["metadata"]["arn"]
    appmesh.tag_resource(resourceArn=arn, tags=[{"key": "team", "value": "a"}])
    assert read(log)[-1]["after"]["tags"] == [{"key": "team", "value": "a"}]


def test_every_resource_of_an_apply_has_a_line(server: Server, log: Path) -> None:
    documents = [
        {"meshName": "demo"},
        {"meshName": "demo", "virtualNodeName": "front", "spec": SPEC},
    ]
    httpx.post(f"{server.url()}/meshwright/v1/apply", json={"documents": documents})
    assert [(line["operation"], line["resource"]) for line in read(log)] == [
        ("Apply", "mesh/demo"),
        ("Apply", "mesh/demo/virtualNode/front"),
    ]


def token_lines(log: Path) -> list[tuple[str, Any, Any]]:
    return [(line["operation"], line["before"], line["after"]) for line in read(log)]


def test_a_tokens_issue_and_end_have_lines_with_what_is_known_of_it(
    server: Server, log: Path
) -> None:
    tokens = f"{server.url()}/meshwright/v1/tokens"
    issued = httpx.post(tokens, json={"for": "mesh/demo"}).json()
    secret = issued.pop("token")
    revoked = httpx.delete(f"{tokens}/{issued['token_id']}").json()

    assert token_lines(log) == [("IssueToken", None, issued), ("RevokeToken", issued, revoked)]
    line = read(log)[0]
    told = {name: line[name] for name in ("event", "mesh", "mesh_owner", "token", "arn", "address")}
    assert told == {
        "event": "change",
        "mesh": "demo",
        "mesh_owner": "000000000000",
        "token": issued["token_id"],
        "arn": "arn:aws:appmesh:us-east-1:000000000000:mesh/demo",
        "address": "127.0.0.1",
    }
    assert secret not in log.read_text()


def test_a_rotation_of_the_keys_has_a_line(server: Server, log: Path) -> None:
    keys = f"{server.url()}/meshwright/v1/token-keys"
    rotated = httpx.post(keys, json={"overlapSeconds": 60}).json()

    after = {"key_id": rotated["keyId"], "overlap_seconds": 60}
    assert token_lines(log) == [("RotateTokenKeys", None, after)]


def test_a_share_and_its_end_have_lines(appmesh: Any, server: Server, log: Path) -> None:
    appmesh.create_mesh(meshName="demo")
    share = f"{server.url()}/meshwright/v1/meshes/demo/shares/222222222222"
    httpx.put(share)
    httpx.delete(share)

    shared = {"meshName": "demo", "sharedWith": ["222222222222"]}
    assert token_lines(log)[1:] == [
        ("ShareMesh", {"meshName": "demo"}, shared),
        ("UnshareMesh", shared, {"meshName": "demo"}),
    ]


def test_where_the_log_is_full_no_token_is_issued_or_revoked(tmp_path: Path) -> None:
    with serving(tmp_path / "a", "--store", f"sqlite:///{tmp_path}/a.db") as server:
        issued = httpx.post(f"{server.url()}/meshwright/v1/tokens", json={"for": "mesh/demo"})
    flags = ("--store", f"sqlite:///{tmp_path}/a.db", "--audit-log", "/dev/full")
    with serving(tmp_path / "b", *flags) as server:
        tokens = f"{server.url()}/meshwright/v1/tokens"
        refused = [
            httpx.post(tokens, json={"for": "mesh/demo"}),
            httpx.delete(f"{tokens}/{issued.json()['token_id']}"),
            httpx.post(f"{server.url()}/meshwright/v1/token-keys", json={"overlapSeconds": 0}),
        ]
        listed = httpx.get(tokens).json()["tokens"]
    assert [answer.status_code for answer in refused] == [503] * 3
    assert [each["revoked"] for each in listed] == [False]


def test_what_changes_nothing_has_no_line(appmesh: Any, refused: Refused, log: Path) -> None:
    appmesh.create_mesh(meshName="demo", spec=ALLOW_ALL)
    appmesh.update_mesh(meshName="demo", spec=ALLOW_ALL)
    refused(appmesh.create_mesh, meshName="demo")
    appmesh.describe_mesh(meshName="demo")
    assert len(read(log)) == 1


def test_a_log_that_was_moved_away_is_begun_anew(appmesh: Any, log: Path, tmp_path: Path) -> None:
    appmesh.create_mesh(meshName="one")
    log.rename(tmp_path / "audit.jsonl.1")
    appmesh.create_mesh(meshName="two")
    assert [line["mesh"] for line in read(log)] == ["two"]


def test_the_address_is_the_peers_whatever_a_header_claims(server: Server, log: Path) -> None:
    headers = {"x-forwarded-for": "203.0.113.9"}
    url = f"{server.url()}/v20190125/meshes"
    httpx.put(url, json={"meshName": "demo"}, headers=headers)
    [line] = read(log)
    assert (line["address"], line["forwarded_for"]) == ("127.0.0.1", "203.0.113.9")


def test_where_the_log_is_full_nothing_is_changed(tmp_path: Path, refused: Refused) -> None:
    with serving(tmp_path, "--audit-log", "/dev/full") as server:
        appmesh = server.client("KEY", "secret")
        refusal = refused(appmesh.create_mesh, meshName="demo")
        assert (refusal.status, refusal.code) == (503, "ServiceUnavailableException")
        assert "the audit log can't be written: No space left on device" in refusal.message
        assert appmesh.list_meshes()["meshes"] == []


def test_a_log_that_cannot_be_opened_is_told_at_the_start(tmp_path: Path) -> None:
    command = [MESHWRIGHT, "serve", "--audit-log", tmp_path / "absent" / "audit.jsonl"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert "absent/audit.jsonl can't be opened: No such file or directory" in ended.stderr


def recording(log: Path, error: Exception) -> list[Line]:
    """The lines that remain of a change which failed."""
    audit = AuditLog(str(log))
    change = Change(mesh_resource_key(DEMO), None)
    with (
        pytest.raises(type(error)),
        audit.recording(Author("000000000000"), "DeleteMesh", Graph.empty(DEMO), [change], 1.0),
    ):
        raise error
    audit.close()
    return read(log)


def test_what_another_was_faster_with_is_taken_back(log: Path) -> None:
    change, withdrawn = recording(log, RevisionConflictError())
    assert (withdrawn["event"], withdrawn["change"]) == ("withdrawn", change["change"])


def test_what_may_have_happened_is_not_taken_back(log: Path) -> None:
    assert recording(log, OSError("gone"))[-1]["event"] == "failed"


def test_half_a_line_is_not_left_behind(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audit = AuditLog(str(log))
    author, change = Author("000000000000"), Change(mesh_resource_key(DEMO), None)
    real, halves = os.write, iter([True])

    def write_half_then_fail(file: int, data: bytes) -> int:
        if next(halves, False):
            return real(file, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    recording = audit.recording(author, "DeleteMesh", Graph.empty(DEMO), [change], 1.0)
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", write_half_then_fail)
        with pytest.raises(AuditError), recording:
            pass
    audit.close()
    assert log.read_bytes() == b""
