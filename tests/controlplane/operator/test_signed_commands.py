"""The commands against a control plane with access keys and TLS of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
import trustme
import yaml
from typer.testing import CliRunner

from meshwright.cli import app
from tests.controlplane.access.serving import Server, serving
from tests.controlplane.operator.conftest import Outcome, as_yaml, documents

SECRET: Final = "a secret of enough length"
AUTHORITY: Final = trustme.CA()

Run = Callable[..., Outcome]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server's files are."""
    folder = tmp_path_factory.mktemp("signed")
    issued = AUTHORITY.issue_cert("127.0.0.1")
    AUTHORITY.cert_pem.write_to_path(folder / "ca.pem")
    issued.private_key_pem.write_to_path(folder / "tls.key")
    issued.cert_chain_pems[0].write_to_path(folder / "tls.pem")
    keys = folder / "keys.yaml"
    keys.touch(mode=0o600)
    keys.write_text(
        json.dumps(
            [
                {
                    "access_key_id": key_id,
                    "secret_access_key": SECRET,
                    "access": access,
                    "meshes": meshes,
                }
                for key_id, access, meshes in (
                    ("WRITER", "write", ["*"]),
                    ("READER", "read", ["*"]),
                    ("OTHER", "write", ["other-*"]),
                )
            ]
        )
    )
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    """A control plane that asks for keys, over TLS."""
    flags = ("--tls-certificate", folder / "tls.pem", "--tls-key", folder / "tls.key")
    with serving(folder, "--access-keys", folder / "keys.yaml", *flags) as server:
        yield server


@pytest.fixture
def run(server: Server, folder: Path) -> Run:
    """Runs a command with a key and what else the environment has."""

    def command(
        *arguments: str, key: str | None = "WRITER", given: str | None = None, **environment: str
    ) -> Outcome:
        settings = {
            "MESHWRIGHT_ENDPOINT": server.url("https"),
            "MESHWRIGHT_CA_BUNDLE": str(folder / "ca.pem"),
            "MESHWRIGHT_ACCESS_KEY_ID": key,
            "MESHWRIGHT_SECRET_ACCESS_KEY": SECRET if key else None,
        }
        outcome = CliRunner().invoke(app, arguments, input=given, env=settings | environment)
        return Outcome(outcome.exit_code, outcome.stdout, outcome.stderr)

    return command


@pytest.fixture
def mesh(run: Run, request: pytest.FixtureRequest) -> str:
    """A mesh with everything of `documents` in it."""
    name = f"mesh-{abs(hash(request.node.nodeid))}"
    applied = run("mesh", "apply", "-f", "-", given=as_yaml(documents(name)))
    assert applied.code == 0, applied.err
    return name


def test_apply_and_list_and_show(run: Run, mesh: str):
    assert any(line.startswith(f"{mesh}\t1\t") for line in run("mesh", "list").out.splitlines())
    assert run("mesh", "show", mesh).out.startswith(f"mesh {mesh}  revision 1\n")


def test_what_is_exported_can_be_applied(run: Run, mesh: str):
    exported = run("mesh", "export", mesh).out

    applied = run("mesh", "apply", "--prune", "-f", "-", given=exported)

    assert len(list(yaml.safe_load_all(exported))) == len(documents(mesh))
    assert "0 created, 0 changed, 0 deleted, 7 unchanged" in applied.out


def test_delete(run: Run, mesh: str):
    assert run("mesh", "delete", mesh, "--recursive", "--yes").code == 0
    assert run("mesh", "show", mesh).code == 1


def test_one_command_twice_within_a_second_is_no_replay(run: Run, mesh: str):
    exported = run("mesh", "export", mesh).out

    outcomes = [run("mesh", "apply", "-f", "-", given=exported) for _ in range(2)]

    assert [outcome.code for outcome in outcomes] == [0, 0]


def test_status_and_wait(run: Run, mesh: str):
    status = json.loads(run("status", "--mesh", mesh, "--json").out)
    waited = run("wait", "--mesh", mesh, "--timeout", "5")

    assert [(each["mesh"], each["proxies"]) for each in status] == [(mesh, [])]
    assert (waited.code, "acknowledged revision 1" in waited.err) == (0, True)


def test_a_token_from_its_issue_to_its_end(run: Run, mesh: str):
    run("token", "issue", "--for", f"mesh/{mesh}", "--expires-in", "1h")
    [token] = [each for each in json.loads(run("token", "list", "--json").out) if mesh in str(each)]

    revoked = run("token", "revoke", token["token_id"])
    rotated = run("token", "rotate", "--overlap", "1h")

    assert (revoked.code, rotated.code) == (0, 0)
    listed = json.loads(run("token", "list", "--json").out)
    assert [each["revoked"] for each in listed if each["token_id"] == token["token_id"]] == [True]


def test_a_mesh_whose_name_must_be_escaped(run: Run):
    name = "a mesh: 50% + é @home"
    applied = run("mesh", "apply", "-f", "-", given=as_yaml([{"meshName": name}]))

    assert applied.code == 0, applied.err
    assert run("mesh", "show", name).out.startswith(f"mesh {name}  revision 1")


@pytest.mark.parametrize(
    ("arguments", "key", "code", "message"),
    [
        (("mesh", "list"), None, 1, "wants requests signed: set MESHWRIGHT_ACCESS_KEY_ID and"),
        (("mesh", "list"), "NOBODY", 1, "this control plane has no access key 'NOBODY'"),
        (("mesh", "show", "{mesh}"), "OTHER", 1, "it is not for mesh '{mesh}'"),
        (("mesh", "delete", "{mesh}", "--yes"), "READER", 1, "it has read access only"),
        (("token", "issue", "--for", "mesh/{mesh}"), "READER", 1, "it has read access only"),
        (("token", "rotate", "--overlap", "1h"), "OTHER", 1, "it is not for all meshes"),
    ],
)
def test_what_a_key_does_not_permit_is_one_line(
    run: Run, mesh: str, arguments: tuple[str, ...], key: str | None, code: int, message: str
):
    outcome = run(*(each.format(mesh=mesh) for each in arguments), key=key)

    assert outcome.code == code
    assert outcome.err.startswith("meshwright: ")
    assert message.format(mesh=mesh).lower() in outcome.err.lower()
    assert len(outcome.err.splitlines()) == 1


def test_a_reader_may_look_and_try_out(run: Run, mesh: str):
    changed = as_yaml([{"meshName": mesh, "spec": {"egressFilter": {"type": "ALLOW_ALL"}}}])

    tried = run("mesh", "apply", "-f", "-", "--dry-run", key="READER", given=changed)
    refused = run("mesh", "apply", "-f", "-", key="READER", given=changed)

    assert (tried.code, refused.code) == (0, 1)
    assert run("mesh", "show", mesh, key="READER").code == 0


@pytest.mark.parametrize("missing", ["MESHWRIGHT_ACCESS_KEY_ID", "MESHWRIGHT_SECRET_ACCESS_KEY"])
def test_half_a_key_is_no_key(run: Run, missing: str):
    outcome = run("mesh", "list", **{missing: ""})

    assert outcome.code == 2
    assert "belong together: set both to sign requests, or neither" in outcome.err


def test_a_certificate_of_unknown_authorities_is_refused(server: Server, run: Run, tmp_path: Path):
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)

    outcome = run("mesh", "list", MESHWRIGHT_CA_BUNDLE=str(other))

    assert outcome.code == 2
    assert outcome.err == (
        f"meshwright: {server.url('https')} is not trusted: certificate verify failed: unable to "
        "get local issuer certificate; MESHWRIGHT_CA_BUNDLE names a file with the authorities of "
        "its certificate\n"
    )
