"""The Python SDK: args classes, dicts and keywords say the same; mistakes are told at once."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

import pulumi_meshwright as meshwright
from tests.components.graph import run


def test_classes_dicts_and_args_objects_say_the_same() -> None:
    def program() -> None:
        classes = meshwright.VirtualServiceSpecArgs(
            provider=meshwright.VirtualServiceProviderArgs(
                virtual_node=meshwright.VirtualNodeServiceProviderArgs(virtual_node_name="a")
            )
        )
        meshwright.VirtualService("classes", mesh_name="m", spec=classes)
        meshwright.VirtualService(
            "dicts",
            mesh_name="m",
            spec={"provider": {"virtual_node": {"virtual_node_name": "a"}}},
        )
        args = meshwright.VirtualServiceArgs(mesh_name="m", spec=classes)
        meshwright.VirtualService("args", args)

    graph = run(program)

    provider = {"virtualNode": {"virtualNodeName": "a"}}
    expected = {"meshName": "m", "spec": {"provider": provider}}
    assert [item.inputs for item in graph.declared.values()] == [expected] * 3


def test_an_enum_and_its_string_are_one() -> None:
    def program() -> None:
        for name, kind in (("enum", meshwright.EgressFilterType.ALLOW_ALL), ("text", "ALLOW_ALL")):
            egress = meshwright.EgressFilterArgs(type=kind)
            meshwright.Mesh(name, spec=meshwright.MeshSpecArgs(egress_filter=egress))

    graph = run(program)

    assert graph.inputs("Mesh", "enum") == graph.inputs("Mesh", "text")


def test_outputs_have_their_types() -> None:
    seen: list[Any] = []

    def program() -> pulumi.Output[Any]:
        mesh = meshwright.Mesh("m", spec={"egress_filter": {"type": "ALLOW_ALL"}})
        return mesh.spec.apply(lambda spec: seen.append(spec and spec.egress_filter))

    run(program)

    assert isinstance(seen[0], meshwright.outputs.EgressFilter)


def test_a_function_that_mocks_answer_with_nothing_gives_nothing() -> None:
    seen: list[Any] = []

    def program() -> pulumi.Output[Any]:
        seen.append(meshwright.get_mesh(name="m").arn)
        return meshwright.get_mesh_output(name="m").apply(lambda mesh: seen.append(mesh.arn))

    run(program)

    assert seen == [None, None]


def test_what_a_function_gives_at_once_may_be_awaited() -> None:
    seen: list[Any] = []

    async def program() -> None:
        seen.append(type(await meshwright.get_mesh(name="m")))

    run(program)

    assert seen == [meshwright.GetMeshResult]


def test_what_a_preview_can_t_know_is_an_unknown_output_and_at_once_an_error() -> None:
    seen: list[Any] = []

    async def program() -> None:
        with pytest.raises(RuntimeError, match="getMesh: a preview can't know this yet: use the"):
            meshwright.get_mesh(name="m")
        seen.append(await meshwright.get_mesh_output(name="m").is_known())

    run(program, preview=True)

    assert seen == [False]


def test_a_missing_argument_is_told_by_name() -> None:
    with pytest.raises(TypeError, match="lost: 'mesh_name' is required"):
        meshwright.VirtualRouter("lost", spec={})


def test_an_unknown_argument_is_told_with_those_that_exist() -> None:
    router: Any = meshwright.VirtualRouter
    with pytest.raises(TypeError, match=r"'mesh' is not an argument; they are mesh_name, .*tags"):
        router("wrong", mesh="m", spec={})


def test_keys_of_a_provider_are_secrets() -> None:
    secret: list[bool] = []

    async def program() -> None:
        provider = meshwright.Provider("p", secret_key="hush")
        secret.append(await provider.secret_key.is_secret())

    run(program)

    assert secret == [True]


def test_all_seven_types_and_their_args_are_public() -> None:
    names = ["Mesh", "VirtualNode", "VirtualService", "VirtualRouter", "Route"]
    names += ["VirtualGateway", "GatewayRoute", "Provider"]

    assert {f"{name}{form}" for name in names for form in ("", "Args")} <= set(meshwright.__all__)


def test_whoever_explores_the_module_finds_its_names() -> None:
    assert {"VirtualNode", "PortProtocol", "appmesh"} <= set(dir(meshwright))
