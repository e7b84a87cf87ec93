"""Formats of access logs: what is refused is what Envoy would refuse."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from meshwright.graph import Graph
from meshwright.graph.field_rules import find_field_violations
from meshwright.model.log_formats import find_format_error
from meshwright.model.resources import Kind, Resource
from meshwright.store import MeshHead, MeshState
from meshwright.translate import Proxy, translate
from tests.controlplane.meshes import DEMO, build_resource, node_spec
from tests.controlplane.translate.validation import ACCEPTED, Judge

TAKEN = (
    "plain",
    "100 %%",
    "%RESPONSE_CODE%%%",
    "%REQ(:AUTHORITY?X-Forwarded-Host):20% %RESP(content-type)%",
    "%START_TIME(%Y-%m-%d)% %START_TIME%",
    "%METADATA(ROUTE:meshwright:arn)%",
    "%GRPC_STATUS(CAMEL_STRING)%",
    "%PATH(NQ:ORIG)%",
)
REFUSED = (
    "100 %",
    "%%%",
    "%NONSENSE%",
    "%REQ%",
    "%REQ()%",
    "%REQ(a b)%",
    "%REQ(a?b?c)%",
    "%RESPONSE_CODE(a)%",
    "%START_TIME:3%",
    "%METADATA(FOO:a)%",
    "%GRPC_STATUS(X)%",
    "%response_code%",
)


def node_with(log_format: Mapping[str, object]) -> Resource:
    spec = node_spec("front")
    spec["logging"] = {"accessLog": {"file": {"path": "/dev/stdout", "format": log_format}}}
    return build_resource(Kind.VIRTUAL_NODE, "front", spec)


@pytest.mark.parametrize("text", TAKEN)
def test_a_format_of_envoys_is_taken(text: str):
    assert find_format_error(text) is None


@pytest.mark.parametrize("text", REFUSED)
def test_another_format_is_refused_with_what_is_wrong(text: str):
    assert "holds" in str(find_format_error(text))


def test_a_refusal_names_the_field():
    spec = {"json": [{"key": "a", "value": "%NONSENSE%"}, {"key": "a", "value": "b"}]}

    assert [str(violation.field) for violation in find_field_violations(node_with(spec))] == [
        "spec.logging.accessLog.file.format.json[0].value",
        "spec.logging.accessLog.file.format.json[1].key",
    ]


@pytest.mark.parametrize(("texts", "accepted"), [(TAKEN, True), (REFUSED, False)])
def test_envoy_agrees(judge: Judge, texts: tuple[str, ...], accepted: bool):
    mesh = build_resource(Kind.MESH, "demo", {})

    def verdict(text: str) -> bool:
        node = node_with({"text": text})
        graph = Graph.from_state(MeshState(MeshHead(DEMO, 1, 0.0), (mesh, node)))
        return judge.judge(translate(graph, Proxy(node.key))) == ACCEPTED

    assert {text: verdict(text) for text in texts} == dict.fromkeys(texts, accepted)
