"""Secrets stay secret: in the state, in what the engine prints, and in what is told of mistakes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi
import pytest
from pulumi import automation

import pulumi_meshwright as meshwright
from tests.provider.programs import Colors, changes, errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_meshwright.control_plane import ControlPlane
    from pytest_meshwright.pulumi_stack import PulumiStack

HUSH = "hush"
"""What is part of every secret here."""


def secret(text: str) -> Any:
    """A secret value, as an output of another resource may be."""
    return pulumi.Output.secret(f"{HUSH}-{text}")


@pytest.fixture
def read_state(tmp_path: Path) -> Callable[[], str]:
    """Reads the state of the test's stack, as it lies on the disk."""

    def read() -> str:
        [state] = tmp_path.rglob("state/.pulumi/stacks/**/test.json")
        return state.read_text()

    return read


class Secretive:
    """A program with secrets in fields of every kind: in objects, lists, unions and tags."""

    path = "/"

    def __call__(self) -> None:
        """Declare the resources."""
        mesh = meshwright.Mesh("demo", tags={"owner": secret("tag")})
        node = meshwright.VirtualNode(
            "secretive",
            mesh_name=mesh.name,
            spec={
                "listeners": [{"port_mapping": {"port": 8080, "protocol": "http"}}],
                "service_discovery": {"dns": {"hostname": secret("host.local")}},
                "logging": {"access_log": {"file": {"path": secret("file")}}},
            },
        )
        router = meshwright.VirtualRouter("router", mesh_name=mesh.name, spec={})
        meshwright.Route(
            "route",
            mesh_name=mesh.name,
            virtual_router_name=router.name,
            spec={
                "http_route": {
                    "match": {
                        "prefix": self.path,
                        "headers": [{"name": "authorization", "match": {"exact": secret("token")}}],
                    },
                    "action": {"weighted_targets": [{"virtual_node": node.name, "weight": 1}]},
                }
            },
        )


def test_secrets_of_specifications_are_ciphertext_in_the_state_and_hidden_in_what_is_printed(
    make_stack: Callable[[Callable[[], None]], PulumiStack],
    meshwright_control_plane: ControlPlane,
    read_state: Callable[[], str],
) -> None:
    program = Secretive()
    stack = make_stack(program)
    printed: list[str] = []
    told: dict[str, Any] = {"on_output": printed.append, "diff": True}

    stack.up(**told)
    program.path = "/other"
    stack.preview(**told)
    assert changes(stack.up(**told)) == {"update": 1}
    client: Any = meshwright_control_plane.client()
    spec = client.describe_virtual_node(meshName="demo", virtualNodeName="secretive")
    spec = spec["virtualNode"]["spec"]
    client.update_virtual_node(
        meshName="demo",
        virtualNodeName="secretive",
        spec=spec | {"serviceDiscovery": {"dns": {"hostname": "hush-drift.local"}}},
    )
    assert changes(stack.refresh(**told)) == {"update": 1}

    assert spec["serviceDiscovery"] == {"dns": {"hostname": "hush-host.local"}}
    assert "secretive" in read_state()
    assert HUSH not in read_state()
    assert printed
    assert HUSH not in "\n".join(printed)


def declare_no_host(mesh: meshwright.Mesh) -> None:
    """Break a rule that the control plane tells when the program is checked."""
    discovery: Any = {"dns": {"hostname": secret("no host!")}}
    meshwright.VirtualNode("wrong", mesh_name=mesh.name, spec={"service_discovery": discovery})


def declare_no_target(mesh: meshwright.Mesh) -> None:
    """Refer to what is not there, which the control plane tells when it is asked to make it."""
    provider: Any = {"virtual_node": {"virtual_node_name": secret("nowhere")}}
    meshwright.VirtualService("wrong", mesh_name=mesh.name, spec={"provider": provider})


@pytest.mark.parametrize(
    ("declare", "field"),
    [
        (declare_no_host, "spec.serviceDiscovery.dns.hostname"),
        (declare_no_target, "spec.provider.virtualNode.virtualNodeName"),
    ],
)
def test_a_secret_that_the_control_plane_refuses_is_not_repeated(
    stack: PulumiStack,
    colors: Colors,
    declare: Callable[[meshwright.Mesh], None],
    field: str,
) -> None:
    colors.extra.append(declare)

    with pytest.raises(automation.CommandError) as caught:
        stack.up()

    [error] = [each for each in errors(str(caught.value)) if "wrong'" in each]
    assert field in error
    assert "[secret]" in error
    assert HUSH not in str(caught.value)


KEYS = {"accessKey": f"{HUSH}-id", "secretKey": f"{HUSH}-key", "token": f"{HUSH}-token"}


@pytest.mark.parametrize("is_secret", [True, False], ids=["set --secret", "set"])
def test_keys_of_the_configuration_are_ciphertext_in_the_state(
    stack: PulumiStack, read_state: Callable[[], str], *, is_secret: bool
) -> None:
    for name, value in KEYS.items():
        setting = automation.ConfigValue(value, secret=is_secret)
        stack.stack.set_config(f"meshwright:{name}", setting)

    result = stack.up()

    assert "accessKey" in read_state()
    assert HUSH not in read_state()
    assert stack.preview().change_summary == {"same": 6}
    assert HUSH not in result.stdout + result.stderr


def test_keys_of_a_provider_in_the_program_are_ciphertext_in_the_state(
    make_stack: Callable[[Callable[[], None]], PulumiStack],
    meshwright_control_plane: ControlPlane,
    read_state: Callable[[], str],
) -> None:
    def program() -> None:
        provider = meshwright.Provider(
            "keys",
            endpoint=meshwright_control_plane.url,
            access_key=KEYS["accessKey"],
            secret_key=KEYS["secretKey"],
            token=KEYS["token"],
        )
        meshwright.Mesh("demo", opts=pulumi.ResourceOptions(provider=provider))

    result = make_stack(program).up()

    assert HUSH not in read_state()
    assert HUSH not in result.stdout + result.stderr
