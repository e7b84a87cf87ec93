"""`MeshNode`: a virtual node with one listener, found by its host name."""

from __future__ import annotations

from typing import Any

import pytest

from meshwright_components import MeshNode, MeshNodeArgs, build_log_format
from tests.components.graph import run


def node_inputs(**changes: Any) -> dict[str, Any]:
    """The inputs of the virtual node of a component."""
    args: Any = {"mesh_name": "demo", "hostname": "front.demo.local", "port": 8080} | changes
    graph = run(lambda: MeshNode("front", MeshNodeArgs(**args)))
    return graph.inputs("VirtualNode", "front")


def test_it_is_a_virtual_node_that_listens_and_is_found_by_dns() -> None:
    assert node_inputs() == {
        "meshName": "demo",
        "name": "front",
        "spec": {
            "listeners": [{"portMapping": {"port": 8080, "protocol": "http"}}],
            "serviceDiscovery": {"dns": {"hostname": "front.demo.local"}},
            "logging": {"accessLog": {"file": {"path": "/dev/stdout"}}},
        },
    }


def test_backends_are_the_services_it_may_call() -> None:
    inputs = node_inputs(backends=["color.demo.local"])

    assert inputs["spec"]["backends"] == [
        {"virtualService": {"virtualServiceName": "color.demo.local"}}
    ]


def test_the_access_log_is_json_with_the_fields_in_their_order() -> None:
    inputs = node_inputs(access_log_format={"status": "%RESPONSE_CODE%", "at": "%START_TIME%"})

    assert inputs["spec"]["logging"]["accessLog"]["file"]["format"] == {
        "json": [
            {"key": "status", "value": "%RESPONSE_CODE%"},
            {"key": "at", "value": "%START_TIME%"},
        ]
    }


def test_without_a_path_there_is_no_access_log() -> None:
    assert "logging" not in node_inputs(access_log_path=None)["spec"]


def test_a_format_without_a_path_is_refused() -> None:
    with pytest.raises(ValueError, match="access_log_format needs access_log_path"):
        node_inputs(access_log_path=None, access_log_format={"a": "b"})


def test_a_format_without_fields_is_refused() -> None:
    with pytest.raises(ValueError, match="access_log_format is empty"):
        build_log_format({})


def test_the_node_can_have_a_name_of_its_own() -> None:
    assert node_inputs(node_name="front-2")["name"] == "front-2"
