"""The AWS SDKs for Go as clients: what they read, when it was, and which errors they tell apart.

v1 is what the App Mesh controller for Kubernetes is made with.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.controlplane.access.serving import Server, serving
from tests.controlplane.clients.conftest import SECRET, client_environment
from tools.dev.go_programs import API_CLIENTS, find_go_program
from tools.dev.paths import is_ci

LISTENER = {"portMapping": {"port": 8080, "protocol": "http"}}
ROUTER = {"listeners": [LISTENER]}


class SdkError(Exception):
    """An error as the SDK has parsed it.

    Attributes:
        type: Its Go type; a modelled exception has one of its own.
        code: The exception's name.
        message: What it says.
        status: The HTTP code.
        request_id: The request's id.
    """

    def __init__(self, told: dict[str, Any]) -> None:
        super().__init__(told["message"])
        self.type: str = told["type"]
        self.code: str = told["code"]
        self.message: str = told["message"]
        self.status: int = told["status"]
        self.request_id: str = told["request_id"]


class SdkClient:
    """A program that makes calls with its SDK; see go-sdk-v1/main.go."""

    def __init__(self, executable: Path, environment: dict[str, str]) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([executable], stdin=pipe, stdout=pipe, env=environment)

    def __enter__(self) -> SdkClient:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process as process:
            if process.stdin is not None:
                process.stdin.close()

    def __call__(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Make a call, and return its output by Go's names.

        Raises:
            SdkError: It was refused.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        call = {"operation": operation, "input": parameters}
        self._process.stdin.write(json.dumps(call).encode() + b"\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise SdkError(answer["error"])
        return answer["output"]


Sdk = Callable[..., SdkClient]


@pytest.fixture(params=API_CLIENTS, ids=lambda program: program.name)
def sdk(request: pytest.FixtureRequest, server: Server) -> Iterator[Sdk]:
    """Makes clients of each SDK in turn."""
    executable = find_go_program(request.param)
    if executable is None:
        text = f"{request.param.name} is not built; ./dev setup --only go builds it"
        pytest.fail(text) if is_ci() else pytest.skip(text)
    with ExitStack() as clients:

        def make(key_id: str = "WRITER", secret: str = SECRET, url: str | None = None) -> SdkClient:
            environment = client_environment(url or server.url(), key_id, secret)
            return clients.enter_context(SdkClient(executable, environment))

        yield make


@pytest.fixture
def call(sdk: Sdk) -> SdkClient:
    """A client that may write."""
    return sdk()


def parse_time(text: str) -> datetime:
    """A time as Go renders it in JSON."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def test_what_was_made_is_described_updated_listed_and_deleted(call: SdkClient, name: str) -> None:
    router = {"meshName": name, "virtualRouterName": "color"}
    call("CreateMesh", meshName=name, spec={"egressFilter": {"type": "ALLOW_ALL"}})
    made = call("CreateVirtualRouter", **router, spec=ROUTER, clientToken=f"make-{name}")
    described = call("DescribeVirtualRouter", **router)
    updated = call("UpdateVirtualRouter", **router, spec={"listeners": [{"portMapping": {
        "port": 8081, "protocol": "http2"}}]})  # fmt: skip
    listed = call("ListVirtualRouters", meshName=name)
    deleted = call("DeleteVirtualRouter", **router)

    assert described["VirtualRouter"] == made["VirtualRouter"]
    assert made["VirtualRouter"]["Metadata"]["Version"] == 1
    assert updated["VirtualRouter"]["Metadata"]["Version"] == 2
    mapping = updated["VirtualRouter"]["Spec"]["Listeners"][0]["PortMapping"]
    assert (mapping["Port"], mapping["Protocol"]) == (8081, "http2")
    assert [each["VirtualRouterName"] for each in listed["VirtualRouters"]] == ["color"]
    assert deleted["VirtualRouter"]["Status"]["Status"] == "DELETED"


def test_timestamps_are_read_as_the_moments_that_they_were(call: SdkClient, name: str) -> None:
    before = datetime.now(UTC)
    made = call("CreateMesh", meshName=name)["Mesh"]["Metadata"]
    between = datetime.now(UTC)
    update = {"egressFilter": {"type": "ALLOW_ALL"}}
    updated = call("UpdateMesh", meshName=name, spec=update)["Mesh"]["Metadata"]
    after = datetime.now(UTC)

    slack = timedelta(milliseconds=1)  # to which SDKs round
    assert before - slack <= parse_time(made["CreatedAt"]) <= between + slack
    assert parse_time(made["CreatedAt"]) == parse_time(made["LastUpdatedAt"])
    assert parse_time(updated["CreatedAt"]) == parse_time(made["CreatedAt"])
    assert between - slack <= parse_time(updated["LastUpdatedAt"]) <= after + slack


def test_a_list_goes_on_where_its_page_ended(call: SdkClient, name: str) -> None:
    call("CreateMesh", meshName=name)
    for router in ("a", "b"):
        call("CreateVirtualRouter", meshName=name, virtualRouterName=router, spec=ROUTER)

    first = call("ListVirtualRouters", meshName=name, limit=1)
    rest = call("ListVirtualRouters", meshName=name, nextToken=first["NextToken"])

    pages = [
        [each["VirtualRouterName"] for each in page["VirtualRouters"]] for page in (first, rest)
    ]
    assert (pages, rest["NextToken"]) == ([["a"], ["b"]], None)


def test_tags_are_kept_and_taken_away(call: SdkClient, name: str) -> None:
    made = call("CreateMesh", meshName=name, tags=[{"key": "team", "value": "a"}])
    arn = made["Mesh"]["Metadata"]["Arn"]
    call("TagResource", resourceArn=arn, tags=[{"key": "env", "value": "dev"}])
    call("UntagResource", resourceArn=arn, tagKeys=["team"])

    tags = call("ListTagsForResource", resourceArn=arn)["Tags"]

    assert [(tag["Key"], tag["Value"]) for tag in tags] == [("env", "dev")]


class Refused(NamedTuple):
    """A call that must be refused, and as what."""

    code: str
    status: int
    message: str
    operation: str
    parameters: dict[str, Any]


MODELLED = [
    Refused(
        "NotFoundException", 404, "virtualNodeName: there is no virtual node 'gone'",
        "DescribeVirtualNode", {"virtualNodeName": "gone"},
    ),
    Refused(
        "ConflictException", 409, "virtualRouterName: virtual router 'color' already exists",
        "CreateVirtualRouter", {"virtualRouterName": "color", "spec": ROUTER},
    ),
    Refused(
        "BadRequestException", 400,
        "spec.listeners[0].portMapping.port: must be between 1 and 65535, got 70000",
        "UpdateVirtualRouter",
        {
            "virtualRouterName": "color",
            "spec": {"listeners": [{"portMapping": {"port": 70000, "protocol": "http"}}]},
        },
    ),
    Refused("ResourceInUseException", 409, "meshName: mesh 'NAME' is in use by", "DeleteMesh", {}),
    Refused(
        "LimitExceededException", 400, "virtual_services_per_mesh: ",
        "CreateVirtualService", {"virtualServiceName": "second.local", "spec": {}},
    ),
]  # fmt: skip


@pytest.fixture
def furnished(call: SdkClient, name: str) -> str:
    """A mesh with a router and as many services as are allowed."""
    call("CreateMesh", meshName=name)
    call("CreateVirtualRouter", meshName=name, virtualRouterName="color", spec=ROUTER)
    call("CreateVirtualService", meshName=name, virtualServiceName="first.local", spec={})
    return name


def check(error: SdkError, refused: Refused, name: str) -> None:
    """Check what an SDK has made of an error."""
    assert (error.code, error.status) == (refused.code, refused.status)
    assert error.message.startswith(refused.message.replace("NAME", name))
    assert error.request_id


@pytest.mark.parametrize("refused", MODELLED, ids=lambda refused: refused.code)
def test_a_modelled_exception_is_read_as_its_own_type(
    call: SdkClient, furnished: str, refused: Refused
) -> None:
    with pytest.raises(SdkError) as caught:
        call(refused.operation, meshName=furnished, **refused.parameters)

    check(caught.value, refused, furnished)
    assert caught.value.type in (f"*appmesh.{refused.code}", f"*types.{refused.code}")


def test_too_many_tags_are_read_as_that(call: SdkClient, name: str) -> None:
    tags = [{"key": f"key-{number}", "value": ""} for number in range(50)]
    arn = call("CreateMesh", meshName=name, tags=tags)["Mesh"]["Metadata"]["Arn"]

    with pytest.raises(SdkError) as caught:
        call("TagResource", resourceArn=arn, tags=[{"key": "one-more", "value": ""}])

    assert (caught.value.code, caught.value.status) == ("TooManyTagsException", 400)
    assert caught.value.type.endswith(".TooManyTagsException")


def test_what_fails_in_the_control_plane_is_read_as_unavailable(
    sdk: Sdk, name: str, tmp_path: Path
) -> None:
    with serving(tmp_path, "--audit-log", "/dev/full") as full, pytest.raises(SdkError) as caught:
        sdk(url=full.url())("CreateMesh", meshName=name)

    assert (caught.value.code, caught.value.status) == ("ServiceUnavailableException", 503)
    assert caught.value.type.endswith(".ServiceUnavailableException")


@pytest.mark.parametrize(
    ("key_id", "secret", "code"),
    [
        ("READER", SECRET, "AccessDeniedException"),
        ("WRITER", "another secret", "InvalidSignatureException"),
        ("NOBODY", SECRET, "UnrecognizedClientException"),
    ],
)
def test_who_may_not_is_told_by_the_codes_of_aws(
    sdk: Sdk, name: str, key_id: str, secret: str, code: str
) -> None:
    with pytest.raises(SdkError) as caught:
        sdk(key_id, secret)("CreateMesh", meshName=name)

    assert (caught.value.code, caught.value.status) == (code, 403)
    assert caught.value.request_id
