"""A program that was written for `pulumi_aws.appmesh`, run here by another import and no more."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_aws.appmesh as aws

from provider.codegen.python_sdk import snake_case
from pulumi_meshwright.model import kinds
from tests.components.graph import run
from tests.provider.programs import changes, resources

if TYPE_CHECKING:
    from pytest_meshwright.control_plane import ControlPlane
    from pytest_meshwright.pulumi_stack import PulumiStack

SOURCE = (Path(__file__).parent / "testdata" / "aws_program.py").read_text()
IMPORT = "from pulumi_aws import appmesh\n"


def program(line: str) -> Callable[[], None]:
    """The program, with a line in place of its import of AWS's SDK."""
    assert SOURCE.count(IMPORT) == 1
    assert SOURCE.count("pulumi_aws") == 1
    code = compile(SOURCE.replace(IMPORT, f"{line}\n"), "aws_program.py", "exec")
    return lambda: exec(code, {"__name__": "aws_program"})


def paths(value: Any, at: str = "") -> set[str]:
    """The paths of all fields in a value."""
    if isinstance(value, Mapping):
        members: Any = value
        here = {at} if at.endswith(".attributes") else set[str]()
        return here.union(*(paths(member, f"{at}.{name}") for name, member in members.items()))
    if isinstance(value, list):
        items: Any = value
        return set[str]().union(*(paths(item, f"{at}[]") for item in items))
    return {at}


def aws_paths(name: str, at: str) -> set[str]:
    """The paths of all fields in a type of AWS's SDK."""
    members: dict[str, str] = getattr(aws, f"{name}ArgsDict").__annotations__
    found: set[str] = set()
    for member, annotation in members.items():
        wire = re.sub(r"_(\w)", lambda match: match[1].upper(), member)
        inner = re.search(r"'(\w+)ArgsDict'", str(annotation))
        listed = "[]" if "Sequence[" in str(annotation) else ""
        path = f"{at}.{wire}{listed}"
        found |= aws_paths(inner[1], path) if inner else {path}
    return found


def test_the_program_uses_every_field_that_aws_s_provider_has() -> None:
    graph = run(program(IMPORT))

    used = set[str]()
    for declared in graph.declared.values():
        kind = declared.type.rpartition(":")[2]
        used |= paths(declared.inputs, kind)
    fields = (aws_paths(f"{kind}Spec", f"{kind}.spec") for kind in kinds())
    assert set[str]().union(*fields) - used == set()


def test_the_import_may_be_written_in_either_way(
    make_stack: Callable[[Callable[[], None]], PulumiStack],
) -> None:
    stack = make_stack(program("import pulumi_meshwright as appmesh"))

    assert stack.preview().change_summary == {"create": 34}


def test_the_program_runs_with_its_import_changed_and_nothing_else(
    make_stack: Callable[[Callable[[], None]], PulumiStack],
    meshwright_control_plane: ControlPlane,
) -> None:
    stack = make_stack(program("from pulumi_meshwright import appmesh"))

    result = stack.up()

    assert changes(result) == {"create": 34}
    assert "is ignored, as AWS's provider does" in result.stdout + result.stderr
    assert result.outputs["tags"].value == {"team": "paint"}
    assert result.outputs["region"].value == "us-east-1"
    assert result.outputs["port"].value == 9000
    assert stack.preview().change_summary == {"same": 34}
    assert changes(stack.refresh()) == {}
    client: Any = meshwright_control_plane.client()
    for declared in run(program(IMPORT)).declared.values():
        assert_is_there(client, declared.type.rpartition(":")[2], declared.inputs)
    assert changes(stack.destroy()) == {"delete": 34}
    assert client.list_meshes()["meshes"] == []


def test_all_its_resources_are_taken_over_by_another_stack_without_a_change(
    make_stack: Callable[[Callable[[], None]], PulumiStack],
) -> None:
    moved = program("from pulumi_meshwright import appmesh")
    first = make_stack(moved)
    first.up()
    ids = {
        (each["type"], each["urn"].rpartition("::")[2]): each.get("id") for each in resources(first)
    }

    def take_over(
        given: pulumi.ResourceTransformationArgs,
    ) -> pulumi.ResourceTransformationResult | None:
        if not given.type_.startswith("meshwright:index:"):
            return None
        opts = pulumi.ResourceOptions(import_=ids[given.type_, given.name])
        return pulumi.ResourceTransformationResult(
            given.props, pulumi.ResourceOptions.merge(given.opts, opts)
        )

    def importing() -> None:
        pulumi.runtime.register_stack_transformation(take_over)
        moved()

    second = make_stack(importing)

    assert second.preview().change_summary == {"create": 1, "import": 33}
    assert changes(second.up()) == {"create": 1, "import": 33}
    assert changes(second.refresh()) == {}


def assert_is_there(client: Any, kind: str, inputs: Any) -> None:
    """The control plane has what a program declared to AWS, in the model's form."""
    own, request = snake_case(kind), {}
    for name, value in inputs.items():
        if name.endswith("Name") or name == "name":
            request[f"{kind[0].lower()}{kind[1:]}Name" if name == "name" else name] = value
    answer = getattr(client, f"describe_{own}")(**request)
    live = answer[f"{kind[0].lower()}{kind[1:]}"]["spec"]
    assert _sorted(live) == _sorted(as_modelled(inputs["spec"])), inputs["name"]


def as_modelled(value: Any) -> Any:
    """What AWS's provider would have sent to App Mesh."""
    if isinstance(value, list):
        return [as_modelled(item) for item in value]
    if not isinstance(value, dict):
        return int(value) if isinstance(value, float) else value
    sent = {name: as_modelled(member) for name, member in value.items()}
    for theirs, model in (("exacts", "exact"), ("jsons", "json"), ("metadatas", "metadata")):
        if theirs in sent:
            sent[model] = sent.pop(theirs)
    for theirs, model in (("https", "http"), ("http2s", "http2"), ("tcps", "tcp")):
        if theirs in sent:
            [sent[model]] = sent.pop(theirs)
    if "attributes" in sent:
        pairs = sent["attributes"].items()
        sent["attributes"] = [{"key": key, "value": item} for key, item in pairs]
    if sent.get("prefix") == "/ignored":
        del sent["prefix"]
    if "grpcRoute" in sent and "match" not in sent["grpcRoute"]:
        sent["grpcRoute"]["match"] = {}
    if sent.get("egressFilter") == {}:
        sent["egressFilter"] = {"type": "DROP_ALL"}
    return sent


def _sorted(value: Any) -> Any:
    if isinstance(value, list):
        return sorted((_sorted(item) for item in value), key=str)
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return value
