"""Proxies in a mesh that accounts share: each gets what its own account has there, and no other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import grpc
import pytest

from tests.controlplane.access.accounts import GUEST, OWNER, SECRETS, run, write_keys
from tests.controlplane.access.ads import CLUSTER, Asking, ads_address, asking, tls_flags
from tests.controlplane.access.serving import Server, serving
from tests.controlplane.access.test_signed_streams import Signer
from tests.controlplane.meshes import node_spec, service_spec

MESH: Final = f"mesh/demo@{OWNER}"
OWNERS: Final = f"{MESH}/virtualNode/owners"
GUESTS: Final = f"{MESH}/virtualNode/guests"
HOST: Final = "mesh.example.com:18002"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A control plane with a mesh in which the owner's node has the guest's service as backend."""
    folder = tmp_path_factory.mktemp("shared")
    flags = ("--account-id", OWNER, "--access-keys", write_keys(folder), "--xds-host", HOST)
    with serving(folder, *flags, *tls_flags(folder)) as server:
        owner, guest = (server.client(key_id, secret) for key_id, secret in SECRETS.items())
        owner.create_mesh(meshName="demo")
        run(server, "mesh", "share", "demo", GUEST)
        names = {"meshName": "demo", "meshOwner": OWNER}
        owner.create_virtual_node(
            **names, virtualNodeName="owners", spec=node_spec("o.local", backends=("a.local",))
        )
        for name in ("guests", "left"):
            guest.create_virtual_node(**names, virtualNodeName=name, spec=node_spec("g.local"))
        guest.create_virtual_service(
            **names, virtualServiceName="a.local", spec=service_spec(node="guests")
        )
        yield server
        owner.close()
        guest.close()


def signed(server: Server, node_id: str, key_id: str) -> Any:
    """A stream that is signed with a key."""
    call = grpc.metadata_call_credentials(Signer(key_id, SECRETS[key_id]))
    return asking(ads_address(server), node_id, call=call, host=HOST, delta=False)


def with_token(server: Server, node_id: str, token: str) -> Any:
    metadata = [("authorization", f"Bearer {token}")]
    return asking(ads_address(server), node_id, metadata=metadata)


def require_admitted(stream: Asking) -> Any:
    response = next(stream.responses)
    assert response.type_url == CLUSTER
    return response


@pytest.mark.parametrize(("key_id", "node"), [("OWNER", OWNERS), ("GUEST", GUESTS)])
def test_a_key_connects_proxies_as_what_its_account_owns(server: Server, key_id: str, node: str):
    with signed(server, node, key_id) as stream:
        require_admitted(stream)


@pytest.mark.parametrize(("key_id", "node"), [("OWNER", GUESTS), ("GUEST", OWNERS)])
def test_a_key_does_not_connect_proxies_as_what_another_account_owns(
    server: Server, key_id: str, node: str
):
    with signed(server, node, key_id) as stream:
        assert stream.expect_end().code() == grpc.StatusCode.PERMISSION_DENIED


def test_a_proxy_names_its_node_by_its_arn_too(server: Server):
    with signed(server, f"arn:aws:appmesh:us-east-1:{GUEST}:{GUESTS}", "GUEST") as stream:
        require_admitted(stream)


def test_the_others_nodes_are_part_of_what_a_proxy_sees(server: Server):
    with signed(server, OWNERS, "OWNER") as stream:
        clusters = require_admitted(stream).resources

    assert any(b"cds_egress_demo_guests_http_8080" in each.value for each in clusters)


@pytest.mark.parametrize("scope", [GUESTS, MESH], ids=["one node", "all of its account's"])
def test_a_guests_token_is_good_for_what_it_owns(server: Server, scope: str):
    token = run(server, "token", "issue", "--for", scope, key="GUEST")

    with with_token(server, GUESTS, token) as stream:
        require_admitted(stream)


@pytest.mark.parametrize(
    ("key", "scope", "node"), [("GUEST", MESH, OWNERS), ("OWNER", "mesh/demo", GUESTS)]
)
def test_a_token_for_a_mesh_is_not_good_for_what_another_account_owns(
    server: Server, key: str, scope: str, node: str
):
    token = run(server, "token", "issue", "--for", scope, key=key)

    with with_token(server, node, token) as stream:
        error = stream.expect_end()

    assert error.code() == grpc.StatusCode.PERMISSION_DENIED
    assert "is another account's" in error.details()


@pytest.mark.parametrize(
    ("key", "scope", "message"),
    [
        ("OWNER", "mesh/demo/virtualNode/guests", f"virtual node 'guests' is account {GUEST}'s"),
        ("GUEST", OWNERS, f"virtual node 'owners' is account {OWNER}'s"),
        ("GUEST", f"arn:aws:appmesh:us-east-1:{OWNER}:mesh/demo", f"and not for {OWNER}"),
    ],
)
def test_nobody_gets_a_token_for_what_another_account_owns(
    server: Server, key: str, scope: str, message: str
):
    assert message in run(server, "token", "issue", "--for", scope, key=key, code=1)


def test_the_end_of_a_share_ends_the_guests_streams(server: Server):
    node = f"{MESH}/virtualNode/left"
    with signed(server, node, "GUEST") as by_key:
        token = run(server, "token", "issue", "--for", node, key="GUEST")
        with with_token(server, node, token) as by_token:
            require_admitted(by_key)
            require_admitted(by_token)
            run(server, "mesh", "unshare", "demo", GUEST)
            errors = [stream.expect_end() for stream in (by_key, by_token)]
        with with_token(server, node, token) as again:
            errors.append(again.expect_end())
    run(server, "mesh", "share", "demo", GUEST)

    assert {error.code() for error in errors[1:]} == {grpc.StatusCode.NOT_FOUND}
    assert errors[0].code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAUTHENTICATED)
    assert all("is not shared with that account any more" in e.details() for e in errors[1:])
