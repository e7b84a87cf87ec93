"""Tokens: what they are good for, by a real server and the command line, and by themselves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from typer.testing import CliRunner

from meshwright.access.tokens import TokenError, Tokens
from meshwright.chores import Following
from meshwright.cli import app
from meshwright.meshes import Meshes
from meshwright.model.resources import parse_resource_id
from meshwright.store import Store, open_store
from meshwright.store.dynamodb import DynamoDbStore
from tests.certificates import issue_for_uris
from tests.controlplane.access.ads import (
    AUTHORITY,
    BACK,
    CLUSTER,
    FRONT,
    ads_address,
    asking,
    make_demo,
    tls_flags,
)
from tests.controlplane.access.serving import Server, serving
from tests.controlplane.clock import Clock
from tests.controlplane.store.requests_seen import count_requests

ACCOUNT = "000000000000"
SCOPE = parse_resource_id(FRONT, account_id=ACCOUNT)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A control plane that takes certificates and tokens."""
    folder = tmp_path_factory.mktemp("tokens")
    AUTHORITY.cert_pem.write_to_path(folder / "ca.pem")
    with serving(folder, *tls_flags(folder), "--xds-client-ca", folder / "ca.pem") as server:
        make_demo(server)
        yield server


Run = Callable[..., str]


@pytest.fixture
def run(server: Server) -> Run:
    """Runs `meshwright token ...`, which must succeed, and returns what it printed."""

    def command(*arguments: str) -> str:
        environment = {"MESHWRIGHT_ENDPOINT": server.url()}
        outcome = CliRunner().invoke(app, ["token", *arguments], env=environment)
        assert outcome.exit_code == 0, outcome.output
        return outcome.stdout.strip()

    return command


def bearer(token: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {token}")]


def refusal(server: Server, token: str | None, node_id: str = FRONT) -> Any:
    """The error that a proxy gets which must not be let in."""
    metadata = [] if token is None else bearer(token)
    with asking(ads_address(server), node_id, metadata=metadata) as stream:
        return stream.expect_end()


@pytest.mark.parametrize("scope", [FRONT, "mesh/demo"], ids=["one node", "the mesh"])
def test_a_proxy_gets_what_its_token_is_for(server: Server, run: Run, scope: str):
    token = run("issue", "--for", scope, "--expires-in", "1h")

    with asking(ads_address(server), metadata=bearer(token)) as stream:
        assert next(stream.responses).type_url == CLUSTER


def test_a_proxy_gets_nothing_of_another_resource(server: Server, run: Run):
    error = refusal(server, run("issue", "--for", FRONT), BACK)

    assert error.code() == grpc.StatusCode.PERMISSION_DENIED
    assert f"is for {FRONT} of account {ACCOUNT}, not for {BACK}" in error.details()


@pytest.mark.parametrize("token", [None, "", "a.b.c", jwt.encode({}, "x" * 32)])
def test_no_stream_is_opened_without_a_token_of_ours(server: Server, token: str | None):
    assert refusal(server, token).code() == grpc.StatusCode.UNAUTHENTICATED


def test_without_a_token_the_remedy_is_said(server: Server):
    assert f"`meshwright token issue --for {FRONT}`" in refusal(server, None).details()


def test_a_certificate_for_another_resource_is_not_made_good_by_a_token(server: Server, run: Run):
    metadata = bearer(run("issue", "--for", FRONT))
    pair = issue_for_uris(AUTHORITY, f"spiffe://example.com/{BACK}")
    with asking(ads_address(server), metadata=metadata, pair=pair) as stream:
        assert stream.expect_end().code() == grpc.StatusCode.PERMISSION_DENIED


def test_the_address_that_was_for_tokens_alone_is_served_and_said_to_be_needless(tmp_path: Path):
    with serving(tmp_path, *tls_flags(tmp_path), "--xds-tokens", "127.0.0.1:0") as server:
        (warning,) = server.records("option_deprecated")
        with asking(str(warning.fields["address"])) as stream:
            assert stream.expect_end().code() == grpc.StatusCode.UNAUTHENTICATED

    assert warning.fields["option"] == "--xds-tokens"


def test_a_token_revoked_while_connected_ends_its_stream(server: Server, run: Run):
    issued = json.loads(run("issue", "--for", FRONT, "--json"))
    metadata = bearer(issued["token"])
    with asking(ads_address(server), metadata=metadata) as stream:
        next(stream.responses)
        run("revoke", issued["token_id"])
        error = stream.expect_end()

    assert error.code() == grpc.StatusCode.UNAUTHENTICATED
    assert error.details() == f"its token {issued['token_id']} was revoked"


def test_a_token_ends_its_stream_when_it_expires(server: Server, run: Run):
    token = run("issue", "--for", FRONT, "--expires-in", "2s")
    with asking(ads_address(server), metadata=bearer(token)) as stream:
        next(stream.responses)
        error = stream.expect_end()

    assert error.details().endswith("has expired")


def test_the_list_shows_what_each_is_for_and_whether_it_is_good(server: Server, run: Run):
    issued = json.loads(run("issue", "--for", BACK, "--json"))
    run("revoke", issued["token_id"])

    row = next(line for line in run("list").splitlines() if issued["token_id"] in line)
    assert row.split("\t")[1] == f"arn:aws:appmesh:us-east-1:{ACCOUNT}:{BACK}"
    assert row.endswith("never\t" + issued["key_id"] + "\trevoked")
    assert issued["token"] not in run("list", "--json")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("issue", "--for", "front"), "for: 'front' is no App Mesh resource"),
        (("issue", "--for", "mesh/demo/virtualService/a"), "gets no configuration: expected a"),
        (("issue", "--for", FRONT, "--expires-in", "1 day"), "--expires-in '1 day': expected"),
        (("issue", "--for", FRONT, "--expires-in", "0s"), "seconds: must be a number from 1 on"),
        (("revoke", "nothing"), "there is no token 'nothing' that is still good"),
    ],
)
def test_what_can_not_be_done_is_a_line(server: Server, arguments: tuple[str, ...], message: str):
    environment = {"MESHWRIGHT_ENDPOINT": server.url()}
    outcome = CliRunner().invoke(app, ["token", *arguments], env=environment)

    assert outcome.exit_code in (1, 2)
    assert message in outcome.stderr
    assert outcome.stderr.count("\n") == 1


# By themselves


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store of two replicas."""
    with closing(open_store(f"sqlite:///{tmp_path}/mesh.db")) as store:
        yield store


def replica(store: Store, clock: Clock) -> Tokens:
    return Tokens(store, region="us-east-1", clock=clock)


def test_what_one_replica_issues_and_revokes_the_others_know(store: Store):
    clock = Clock()
    one, other = replica(store, clock), replica(store, clock)
    token, record = one.issue(SCOPE, seconds=None)
    other.refresh()
    assert other.read(token).scope == SCOPE

    one.revoke(record)
    other.refresh()
    with pytest.raises(TokenError, match="was revoked"):
        other.read(token)


def test_who_follows_an_idle_table_asks_for_nothing_but_the_heads(new_table: Callable[[], str]):
    """What an idle control plane costs, as docs/store.md says, with tokens too."""
    with closing(DynamoDbStore(new_table())) as store:
        clock = Clock()
        tokens = replica(store, clock)
        tokens.issue(SCOPE, seconds=None)
        following = Following(Meshes(store), tokens)
        following()
        with count_requests(store) as idle:
            following()
            following()
        clock.now += 60
        with count_requests(store) as after_a_minute:
            following()

    assert idle == ["Query"] * 2
    assert after_a_minute == ["Query"] * 3


def test_who_follows_a_table_knows_what_another_replica_issues_and_revokes(
    new_table: Callable[[], str],
):
    url, clock = new_table(), Clock()
    with closing(open_store(url)) as here, closing(open_store(url)) as there:
        one, other = replica(here, clock), replica(there, clock)
        following = Following(Meshes(there), other)
        following()
        token, record = one.issue(SCOPE, seconds=None)
        following()
        scope = other.read(token).scope
        one.revoke(record)
        following()
        with pytest.raises(TokenError, match="was revoked"):
            other.read(token)

    assert scope == SCOPE


def test_a_key_that_was_replaced_counts_for_the_overlap(store: Store):
    clock = Clock()
    tokens = replica(store, clock)
    old, _ = tokens.issue(SCOPE, seconds=None)
    tokens.rotate(overlap_seconds=60)
    new, _ = tokens.issue(SCOPE, seconds=None)

    clock.now += 59
    grants = [tokens.read(old), tokens.read(new)]
    clock.now += 2

    assert tokens.find_fault(grants[1]) is None
    assert "which was replaced" in str(tokens.find_fault(grants[0]))


def test_a_second_rotation_does_not_prolong_the_first_ones_overlap(store: Store):
    clock = Clock()
    tokens = replica(store, clock)
    token, _ = tokens.issue(SCOPE, seconds=None)
    tokens.rotate(overlap_seconds=60)
    tokens.rotate(overlap_seconds=3600)
    clock.now += 61
    with pytest.raises(TokenError, match="which was replaced"):
        tokens.read(token)


def test_what_has_expired_is_not_kept(store: Store):
    clock = Clock()
    tokens = replica(store, clock)
    _, record = tokens.issue(SCOPE, seconds=10)
    tokens.revoke(record)
    clock.now += 11
    tokens.rotate(overlap_seconds=0)
    tokens.rotate(overlap_seconds=0)

    kept = [len(store.entries(name)) for name in ("tokens", "revoked-tokens", "token-keys")]
    assert kept == [0, 0, 2]  # the second rotation still follows the first one's key


def test_another_algorithm_is_not_taken(store: Store):
    tokens = replica(store, Clock())
    token, _ = tokens.issue(SCOPE, seconds=None)
    header = jwt.get_unverified_header(token)
    claims = jwt.decode(token, options={"verify_signature": False})
    unsigned = jwt.encode(claims, "", algorithm="none", headers={"kid": header["kid"]})
    with pytest.raises(TokenError):
        tokens.read(unsigned)
