"""Every operation with every exception that the model lists for it, as boto3 reads the answer.

A pair of the two is provoked (`WAYS`), or stands under a reason why nothing leads to it
(`REASONS`); one that a later botocore adds is in neither, which the first test tells. What is
provoked changes nothing, so that all pairs share one mesh.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import fields
from functools import cache
from typing import Any, Final, NamedTuple

import pytest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from meshwright.graph.quotas import Quotas
from meshwright.model.resources import Kind
from meshwright.operator.client import Connection
from pytest_meshwright.waiting import wait_until
from tests.controlplane.access.accounts import write_keys
from tests.controlplane.access.serving import TIMEOUT, Server, serving
from tests.controlplane.api import whole_mesh
from tests.controlplane.api.operations import MODEL, noun, split
from tests.controlplane.api.whole_mesh import ask, gateway_route_spec, kind_of
from tests.controlplane.meshes import node_spec, route_spec, router_spec, service_spec

PAIRS = [
    (operation, error.name)
    for operation in MODEL.operation_names
    for error in MODEL.operation_model(operation).error_shapes
]

OWNER: Final = "111111111111"
SECRET: Final = "a secret of enough length"
ACCOUNTS: Final = {
    "OWNER": OWNER,
    "GUEST": "222222222222",  # with whom the mesh is shared
    "STRANGER": "333333333333",
    "READER": OWNER,
}
FIRST: Final = "the-first"
"""The client token with which the mesh was made."""


class Way(NamedTuple):
    """How an exception is provoked.

    Attributes:
        message: How its message begins, or the whole of it.
        changed: The parameters in which the request differs from one that would be carried out.
        key: The access key that signs it.
    """

    message: str
    changed: dict[str, Any] = {}  # noqa: RUF012 - nobody writes to it
    key: str = "OWNER"


MESH: Final = "demo"
NAMES: Final = {Kind.MESH: MESH, **whole_mesh.NAMES}
ARN: Final = f"arn:aws:appmesh:us-east-1:{OWNER}:mesh/demo/virtualNode/node"

QUOTAS: Final = dict.fromkeys((field.name for field in fields(Quotas)), 1)
"""Room for what there is, and for nothing more."""


def about(operation: str) -> dict[str, Any]:
    """The ARN for operations that take one, since for other accounts its end is something else."""
    return {"resourceArn": ARN} if operation in TAGGING else {}


def operations(*verbs: str, but: tuple[Kind, ...] = ()) -> list[str]:
    """The operations of some verbs."""
    found = [(name, *split(name)) for name in MODEL.operation_names]
    return [name for name, verb, kind in found if verb in verbs and kind not in but]


TAGGING: Final = ("TagResource", "UntagResource", "ListTagsForResource")


def bad_requests() -> Iterator[tuple[str, Way]]:
    port = "spec.listeners[0].portMapping.port: must be between 1 and 65535, got 70000"
    long = "must have between 1 and 255 characters, got 'xxxxx"
    weight = "spec.httpRoute.action.weightedTargets[0].weight: must be between 0 and 100, got 101"
    provider = "spec.provider.virtualNode.virtualNodeName"
    specs: dict[Kind, tuple[str, Any]] = {
        Kind.MESH: (
            "spec.egressFilter.type: must be one of ALLOW_ALL, DROP_ALL, got 'SOME'",
            {"egressFilter": {"type": "SOME"}},
        ),
        Kind.VIRTUAL_NODE: (port, node_spec("node", port=70_000)),
        Kind.VIRTUAL_ROUTER: (port, router_spec(70_000)),
        Kind.VIRTUAL_GATEWAY: (port, router_spec(70_000)),
        Kind.VIRTUAL_SERVICE: (f"{provider}: {long}", service_spec(node="x" * 256)),
        Kind.ROUTE: (weight, route_spec({"node": 101})),
        Kind.GATEWAY_ROUTE: (
            "spec.priority: must be between 0 and 1000, got 1001",
            gateway_route_spec() | {"priority": 1001},
        ),
    }
    for operation in operations("Create", "Update"):
        message, spec = specs[kind_of(operation)]
        yield operation, Way(message, {"spec": spec})
    for operation in operations("Describe", "Delete"):
        name = kind_of(operation).name_member
        if name == "virtualServiceName":
            name = "meshName"  # since the model gives that one no bound
        yield operation, Way(f"{name}: {long}", {name: "x" * 256})
    for operation in operations("List"):
        yield operation, Way("limit: must be between 1 and 100, got 101", {"limit": 101})
    tags = [{"key": "aws:team", "value": "a"}]
    yield "TagResource", Way("tags: keys that begin with aws: are reserved, got", {"tags": tags})
    yield "UntagResource", Way("resourceArn: 'nobody' is no App Mesh", {"resourceArn": "nobody"})
    yield "ListTagsForResource", Way("limit: must be between 1 and 50, got 51", {"limit": 51})


def not_found() -> Iterator[tuple[str, Way]]:
    for operation in operations("Create", "List", but=(Kind.MESH,)):
        yield operation, Way("meshName: there is no mesh 'gone'", {"meshName": "gone"})
    for operation in operations("Describe", "Update", "Delete"):
        kind = kind_of(operation)
        member, parent = kind.name_member, kind.parent
        where = "" if parent is None else " in mesh 'demo'"
        if parent not in (None, Kind.MESH):
            where = f" in {parent.label} {NAMES[parent]!r}{where}"
        message = f"{member}: there is no {kind.label} 'gone'{where}"
        yield operation, Way(message, {member: "gone"})
    for operation in TAGGING:
        message = "resourceArn: there is no virtual node 'gone' in mesh 'demo'"
        yield operation, Way(message, {"resourceArn": ARN.replace("/node", "/gone")})


def conflicts() -> Iterator[tuple[str, Way]]:
    for operation in operations("Create"):
        kind = kind_of(operation)
        named = f"{kind.label} {NAMES[kind]!r}"
        yield operation, Way(f"{kind.name_member}: {named} already exists: arn:aws:appmesh:")
    for operation in operations("Update"):
        message = f"clientToken: was used before with another request than this {operation}; "
        yield operation, Way(message, {"clientToken": FIRST})


def forbidden() -> Iterator[tuple[str, Way]]:
    for operation in (
        *operations("Update", "Delete", but=(Kind.MESH,)),
        *("CreateRoute", "CreateGatewayRoute", "TagResource", "UntagResource"),
    ):
        verb, kind = split(operation)[0], kind_of(operation)
        owned = kind.parent if verb == "Create" and kind.parent is not None else kind
        message = (
            f"{owned.name_member}: {owned.label} {NAMES[owned]!r} belongs to account {OWNER}: only"
        )
        changed = {} if operation in TAGGING else {"meshOwner": OWNER}
        if verb == "Create":
            changed |= {kind.name_member: "another"}
        yield operation, Way(message, changed, key="GUEST")


def exceeded() -> Iterator[tuple[str, Way]]:
    quotas = {
        Kind.MESH: f"meshes_per_account: the meshes of account {OWNER} ",
        Kind.VIRTUAL_NODE: "virtual_nodes_per_mesh: the virtual nodes of mesh 'demo' ",
        Kind.VIRTUAL_SERVICE: "virtual_services_per_mesh: the virtual services of mesh 'demo' ",
        Kind.VIRTUAL_ROUTER: "virtual_routers_per_mesh: the virtual routers of mesh 'demo' ",
        Kind.VIRTUAL_GATEWAY: "virtual_gateways_per_mesh: the virtual gateways of mesh 'demo' ",
        Kind.ROUTE: "routes_per_virtual_router: the routes of virtual router 'router' ",
        Kind.GATEWAY_ROUTE: (
            "gateway_routes_per_virtual_gateway: the gateway routes of virtual gateway 'gateway' "
        ),
    }
    bound = "would be 2, and at most 1 are allowed; raise "
    for operation in operations("Create"):
        kind = kind_of(operation)
        yield operation, Way(quotas[kind] + bound, {kind.name_member: "another"})
    yield (
        "UpdateVirtualNode",
        Way(
            "backends_per_virtual_node: the backends of virtual node 'node' " + bound,
            {"spec": node_spec("node", backends=("service", "another"))},
        ),
    )
    two = route_spec({"node": 1})
    two["httpRoute"]["action"]["weightedTargets"] *= 2
    message = "weighted_targets_per_route: the weighted targets of route 'route' " + bound
    yield "UpdateRoute", Way(message, {"spec": two})


def in_use() -> Iterator[tuple[str, Way]]:
    users = {
        Kind.MESH: (
            "gateway route 'gateway-route' "
            "(mesh/demo/virtualGateway/gateway/gatewayRoute/gateway-route), "
            "route 'route' (mesh/demo/virtualRouter/router/route/route), "
            "virtual gateway 'gateway' (mesh/demo/virtualGateway/gateway), "
            "virtual node 'node' (mesh/demo/virtualNode/node), "
            "virtual router 'router' (mesh/demo/virtualRouter/router) and 1 more"
        ),
        Kind.VIRTUAL_NODE: "route 'route' (mesh/demo/virtualRouter/router/route/route)",
        Kind.VIRTUAL_ROUTER: (
            "route 'route' (mesh/demo/virtualRouter/router/route/route), "
            "virtual service 'service' (mesh/demo/virtualService/service)"
        ),
        Kind.VIRTUAL_SERVICE: (
            "gateway route 'gateway-route' "
            "(mesh/demo/virtualGateway/gateway/gatewayRoute/gateway-route)"
        ),
        Kind.VIRTUAL_GATEWAY: (
            "gateway route 'gateway-route' "
            "(mesh/demo/virtualGateway/gateway/gatewayRoute/gateway-route)"
        ),
    }
    for kind, named in users.items():
        message = f"{kind.name_member}: {kind.label} {NAMES[kind]!r} is in use by {named}; delete"
        yield f"Delete{noun(kind)}", Way(message)


def unavailable() -> Iterator[tuple[str, Way]]:
    for operation in MODEL.operation_names:
        yield operation, Way("more than 1 requests at once; try again")


def too_many() -> Iterator[tuple[str, Way]]:
    message = "access key OWNER makes more than 0.001 requests a second; try again"
    for operation in MODEL.operation_names:
        yield operation, Way(message)


def too_many_tags() -> Iterator[tuple[str, Way]]:
    tags = [{"key": f"key-{number}", "value": ""} for number in range(50)]
    message = (
        "tags: a resource has at most 50 tags, and virtual node 'node' would have 51; none was"
    )
    yield "TagResource", Way(message, {"tags": tags})


WAYS: Final[Mapping[tuple[str, str], Way]] = {
    (operation, error): way
    for error, ways in {
        "BadRequestException": bad_requests(),
        "NotFoundException": not_found(),
        "ConflictException": conflicts(),
        "ForbiddenException": forbidden(),
        "LimitExceededException": exceeded(),
        "ResourceInUseException": in_use(),
        "ServiceUnavailableException": unavailable(),
        "TooManyRequestsException": too_many(),
        "TooManyTagsException": too_many_tags(),
    }.items()
    for operation, way in ways
}

SERVERS: Final = {"ServiceUnavailableException": "busy", "TooManyRequestsException": "slow"}
"""The fixtures of the control planes that answer these; all others come from `server`."""

SEEN_BY_ALL: Final = [
    *operations("Describe", "List", but=(Kind.MESH,)),
    *("DescribeMesh", "ListTagsForResource"),
    *operations("Create", but=(Kind.MESH, Kind.ROUTE, Kind.GATEWAY_ROUTE)),
]
"""What every account may do that a mesh is shared with."""

OWN_ALONE: Final = operations("Create", "Update", "Delete", but=tuple(Kind)[1:])
"""What names meshes of the caller's own account only."""

REASONS: Final = [
    (
        "it is for a defect of the server, and none is known",
        [(operation, "InternalServerErrorException") for operation in MODEL.operation_names],
    ),
    (
        "nothing is looked up that could be missing",
        [(operation, "NotFoundException") for operation in ("CreateMesh", "ListMeshes")],
    ),
    (
        "all may that a mesh is shared with; others are answered AccessDeniedException",
        [(operation, "ForbiddenException") for operation in SEEN_BY_ALL],
    ),
    (
        "it names the account's own meshes; who may not write is answered AccessDeniedException",
        [(operation, "ForbiddenException") for operation in OWN_ALONE],
    ),
    (
        "every key may list, and is shown the meshes that it is for",
        [("ListMeshes", "ForbiddenException")],
    ),
    (
        "no quota counts what is in its specification",
        [
            (f"Update{kind}", "LimitExceededException")
            for kind in ("VirtualService", "VirtualRouter", "VirtualGateway", "GatewayRoute")
        ],
    ),
    (
        "nothing refers to it or lives in it",
        [
            (operation, "ResourceInUseException")
            for operation in ("DeleteRoute", "DeleteGatewayRoute")
        ],
    ),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A control plane with keys and quotas; the mesh that all pairs share is in it."""
    folder = tmp_path_factory.mktemp("server")
    keys = write_keys(folder, ACCOUNTS, dict.fromkeys(ACCOUNTS, SECRET))
    quotas = folder / "quotas.yaml"
    quotas.write_text(json.dumps(QUOTAS))
    with serving(folder, "--access-keys", keys, "--quotas", quotas) as server:
        furnish(server)
        yield server


def furnish(server: Server) -> None:
    """Make the mesh, and share it."""
    with closing(server.client("OWNER", SECRET)) as client:
        ask(client, "CreateMesh", MESH, {"clientToken": FIRST})
        whole_mesh.furnish(client, MESH)
    connection = Connection(server.url(), Credentials("OWNER", SECRET))
    connection.share(MESH, ACCOUNTS["GUEST"])


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A control plane that serves one request at once, and waits for the rest of that one."""
    flags = ("--concurrent-requests", "1", "--request-seconds", "600")
    with (
        serving(tmp_path_factory.mktemp("busy"), *flags) as server,
        server.connect() as connection,
    ):
        connection.sendall(
            b"PUT /v20190125/meshes HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{"
        )
        wait_until(
            lambda: server.send(b"GET /v20190125/meshes HTTP/1.1\r\nhost: x\r\n\r\n").status == 503,
            what="the request to be under way",
            timeout=TIMEOUT,
        )
        yield server


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A control plane whose one key may make a request each quarter of an hour, and has made it."""
    folder = tmp_path_factory.mktemp("slow")
    keys = write_keys(folder, {"OWNER": OWNER}, {"OWNER": SECRET})
    with serving(folder, "--access-keys", keys, "--requests-per-second", "0.001") as server:
        with closing(server.client("OWNER", SECRET)) as client:
            client.list_meshes()
        yield server


@pytest.fixture(scope="module")
def client_of() -> Iterator[Callable[[Server, str], Any]]:
    """Gives a client with a key, the same one each time, since one takes a while to be made."""
    with ExitStack() as stack:

        @cache
        def client_of(server: Server, key: str) -> Any:
            return stack.enter_context(closing(server.client(key, SECRET)))

        yield client_of


def test_every_pair_of_the_model_is_provoked_or_has_a_reason():
    reasoned = [pair for _, pairs in REASONS for pair in pairs]

    assert sorted([*WAYS, *reasoned]) == sorted(PAIRS)


@pytest.mark.parametrize(("operation", "error"), WAYS)
def test_an_exception_of_an_operation(
    request: pytest.FixtureRequest,
    client_of: Callable[[Server, str], Any],
    operation: str,
    error: str,
):
    way = WAYS[operation, error]
    client = client_of(request.getfixturevalue(SERVERS.get(error, "server")), way.key)

    with pytest.raises(getattr(client.exceptions, error)) as caught:
        ask(client, operation, MESH, about(operation) | way.changed)

    answer: Any = caught.value.response
    status = MODEL.shape_for(error).metadata["error"]["httpStatusCode"]
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == status
    assert answer["Error"]["Message"].startswith(way.message)


@pytest.mark.parametrize("operation", [*SEEN_BY_ALL, *OWN_ALONE])
def test_who_may_not_is_denied_where_nothing_is_forbidden(
    server: Server, client_of: Callable[[Server, str], Any], operation: str
):
    key = "READER" if operation in OWN_ALONE else "STRANGER"
    owner = {} if operation in (*OWN_ALONE, *TAGGING) else {"meshOwner": OWNER}

    with pytest.raises(ClientError) as caught:
        ask(client_of(server, key), operation, MESH, about(operation) | owner)

    answer: Any = caught.value.response
    assert answer["Error"]["Code"] == "AccessDeniedException"
    assert answer["Error"]["Message"].startswith(
        f"access key {key} is not authorized to perform appmesh:{operation}: "
    )
