"""Web pages in a browser beside a control plane without keys: they may not change its meshes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.controlplane.access.serving import Answer, Server, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A control plane without keys."""
    with serving(tmp_path_factory.mktemp("pages")) as server:
        yield server


def apply(server: Server, *headers: str) -> Answer:
    """Apply a mesh by a request that browsers send for any page, without asking the server."""
    body = json.dumps({"documents": [{"meshName": "demo"}]})
    head = [
        *("POST /meshwright/v1/apply HTTP/1.1", "host: 127.0.0.1", "content-type: text/plain"),
        *(f"content-length: {len(body)}", *headers),
    ]
    return server.send("\r\n".join([*head, "", body]).encode())


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null"])
def test_a_page_changes_nothing(server: Server, origin: str):
    answer = apply(server, f"origin: {origin}")

    assert (answer.status, answer.code) == (403, "AccessDeniedException")
    assert "web pages" in json.loads(answer.body)["message"]


def test_a_page_whose_name_leads_to_this_machine_changes_nothing(server: Server):
    """Browsers name the origin with every request that is no GET, of the same origin too."""
    port = server.address[1]

    answer = apply(server, f"origin: http://elsewhere.example:{port}")

    assert answer.status == 403


def test_others_are_served(server: Server):
    assert apply(server).status == 200
