"""ADS streams that are signed as AWS's Envoy image signs them: state of the world, over TLS."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.controlplane.access.ads import (
    BACK,
    CLUSTER,
    FRONT,
    ads_address,
    asking,
    make_demo,
    tls_flags,
)
from tests.controlplane.access.serving import Server, serving

SECRETS = {"FULL": "f" * 32, "OTHER": "o" * 32, "ADMIN": "a" * 32}


class Signer(grpc.AuthMetadataPlugin):
    """Signs as Envoy's `aws_iam` credential does: a POST of the method's URL, without a body."""

    def __init__(self, key_id: str, secret: str, service: str = "appmesh") -> None:
        self._auth = SigV4Auth(Credentials(key_id, secret), service, "eu-west-1")

    def __call__(self, context: Any, callback: Any) -> None:
        """Give gRPC the metadata of a stream."""
        headers = {"x-amz-content-sha256": hashlib.sha256(b"").hexdigest()}
        url = f"{context.service_url}/{context.method_name}"
        request = AWSRequest("POST", url, headers=headers)
        self._auth.add_auth(request)
        callback([(name.lower(), value) for name, value in request.headers.items()], None)


def signing(key_id: str, secret: str | None = None, service: str = "appmesh") -> Any:
    plugin = Signer(key_id, secret or SECRETS[key_id], service)
    return grpc.metadata_call_credentials(plugin)


def write_keys(folder: Path, *, full: str) -> Path:
    """The file of keys: one for the mesh of the tests, one for others, and the tests' own."""
    meshes = {"FULL": [full], "OTHER": ["shop-*"], "ADMIN": ["*"]}
    access = {"FULL": "read", "OTHER": "write", "ADMIN": "write"}
    keys = [
        {
            "access_key_id": key_id,
            "secret_access_key": secret,
            "access": access[key_id],
            "meshes": meshes[key_id],
        }
        for key_id, secret in SECRETS.items()
    ]
    draft = folder / "draft.yaml"
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(keys))
    return draft.replace(folder / "keys.yaml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server's files are."""
    return tmp_path_factory.mktemp("signed")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    """A control plane that proxies reach by the name of the tests."""
    keys = ("--access-keys", write_keys(folder, full="demo"))
    hosts = ("--xds-host", "elsewhere.example.com", "--xds-host", "mesh.example.com:18002")
    with serving(folder, *tls_flags(folder), *keys, *hosts) as server:
        make_demo(server, "ADMIN", SECRETS["ADMIN"])
        yield server


def refusal(server: Server, call: Any, **settings: Any) -> Any:
    """The error that a proxy gets which must not be let in."""
    with asking(ads_address(server), call=call, **AS_AGENT | settings) as stream:
        return stream.expect_end()


AS_AGENT: dict[str, Any] = {"delta": False, "host": "mesh.example.com:18002"}


@pytest.mark.parametrize("delta", [False, True], ids=["state of the world", "delta"])
def test_a_signed_stream_is_let_in(server: Server, delta: bool):
    settings: dict[str, Any] = {**AS_AGENT, "delta": delta}
    with asking(ads_address(server), call=signing("FULL"), **settings) as stream:
        assert next(stream.responses).type_url == CLUSTER


def test_a_key_for_other_meshes_is_refused(server: Server):
    error = refusal(server, signing("OTHER"))

    assert error.code() == grpc.StatusCode.PERMISSION_DENIED
    assert error.details().endswith(f"its access key OTHER is not for {FRONT}")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (signing("FULL", "x" * 32), "The request signature we calculated does not match"),
        (signing("NOBODY", "x" * 32), "has no access key 'NOBODY'"),
        (signing("FULL", service="execute-api"), "scoped to correct service: 'appmesh'"),
    ],
    ids=["another secret", "another key", "another service"],
)
def test_another_signature_is_refused(server: Server, call: Any, message: str):
    error = refusal(server, call)

    assert error.code() == grpc.StatusCode.UNAUTHENTICATED
    assert message in error.details()


def test_a_signature_for_another_host_is_refused_with_the_remedy(server: Server):
    error = refusal(server, signing("FULL"), host="127.0.0.1:1")

    assert error.code() == grpc.StatusCode.UNAUTHENTICATED
    assert "one of --xds-host: elsewhere.example.com, mesh.example.com:18002" in error.details()


def test_a_key_that_is_no_longer_for_the_mesh_ends_its_streams(server: Server, folder: Path):
    with asking(ads_address(server), BACK, call=signing("FULL"), **AS_AGENT) as stream:
        next(stream.responses)
        write_keys(folder, full="other")
        error = stream.expect_end()
    write_keys(folder, full="demo")

    assert error.details() == "its access key FULL is not for it now"
