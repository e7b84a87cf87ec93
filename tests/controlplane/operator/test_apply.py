"""`meshwright mesh apply`: what it changes, what it refuses, and that it is all or nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_meshwright.control_plane import ControlPlane
from tests.controlplane.meshes import node_spec, service_spec
from tests.controlplane.operator.conftest import Run, as_yaml, documents, named


@pytest.fixture
def applied(mesh: str, run: Run) -> str:
    """A mesh with everything of `documents` in it, at revision 2."""
    run("mesh", "apply", "-f", "-", given=as_yaml(documents(mesh)))
    return mesh


def version(appmesh: Any, mesh: str, node: str) -> int:
    answer = appmesh.describe_virtual_node(meshName=mesh, virtualNodeName=node)
    return answer["virtualNode"]["metadata"]["version"]


def test_a_whole_mesh_is_one_revision_in_whatever_order_it_is_declared(
    run: Run, mesh: str, control_plane: ControlPlane
):
    outcome = run("mesh", "apply", "-f", "-", given=as_yaml(documents(f"{mesh}-new")))

    assert outcome.code == 0, outcome.err
    assert control_plane.status(f"{mesh}-new").revision == 1
    assert outcome.out.splitlines()[-1] == (
        f"mesh {mesh}-new is now at revision 1: 7 created, 0 changed, 0 deleted, 0 unchanged"
    )


def test_what_is_declared_as_it_is_changes_nothing(
    run: Run, applied: str, control_plane: ControlPlane
):
    before = control_plane.status(applied).revision

    outcome = run("mesh", "apply", "-f", "-", given=as_yaml(documents(applied)))

    assert control_plane.status(applied).revision == before
    assert "0 created, 0 changed, 0 deleted, 7 unchanged" in outcome.out


def test_versions_rise_only_for_what_changed(run: Run, applied: str, appmesh: Any):
    content = documents(applied)
    named(content, virtualNodeName="blue")["spec"] = node_spec("azure.local")

    outcome = run("mesh", "apply", "-f", "-", given=as_yaml(content))

    assert [version(appmesh, applied, name) for name in ("blue", "green")] == [2, 1]
    assert outcome.out.splitlines()[:2] == [
        "~ virtual node blue  (version 2)",
        '    ~ spec.serviceDiscovery.dns.hostname: "blue.local" -> "azure.local"',
    ]


def test_a_dry_run_shows_the_same_and_changes_nothing(
    run: Run, applied: str, control_plane: ControlPlane
):
    before = control_plane.status(applied).revision
    content = documents(applied)
    named(content, virtualNodeName="blue")["spec"] = node_spec("azure.local")

    outcome = run("mesh", "apply", "--dry-run", "-f", "-", given=as_yaml(content))

    assert control_plane.status(applied).revision == before
    assert '~ spec.serviceDiscovery.dns.hostname: "blue.local" -> "azure.local"' in outcome.out
    assert "0 to create, 1 to change, 0 to delete, 6 unchanged" in outcome.out


def test_every_problem_is_told_with_its_document_and_field(run: Run, mesh: str, tmp_path: Path):
    content = documents(mesh)
    named(content, virtualNodeName="blue")["spec"]["listeners"][0]["portMapping"] = {
        "port": 0,
        "protocol": "smoke",
    }
    content.append({"nodeName": "x"})
    file = tmp_path / "mesh.yaml"
    file.write_text(as_yaml(content))

    outcome = run("mesh", "apply", "-f", str(file))

    assert (outcome.code, outcome.out) == (1, "")
    port = "spec.listeners[0].portMapping.port: must be between 1 and 65535, got 0"
    protocol = "spec.listeners[0].portMapping.protocol: must be one of http, tcp, http2, grpc, got"
    nameless = "names no resource: expected meshName and, for anything in the mesh, a name such as"
    assert outcome.err.splitlines() == [
        f"meshwright: {file} document 4: {port}",
        f"meshwright: {file} document 4: {protocol} 'smoke'",
        f"meshwright: {file} document 8: {nameless} virtualNodeName",
        "meshwright: nothing was changed: 3 problems",
    ]


def test_a_misspelt_name_makes_no_mesh_of_a_document(run: Run, mesh: str):
    document = {"meshName": mesh, "virtualRouterNme": "color", "spec": {"listeners": []}}

    outcome = run("mesh", "apply", "-f", "-", given=as_yaml([document]))

    assert outcome.err == (
        "meshwright: standard input document 1: virtualRouterNme: names no resource; did you mean "
        "virtualRouterName?\nmeshwright: nothing was changed: 1 problem\n"
    )


def test_what_breaks_a_rule_in_the_end_is_refused_and_nothing_is_changed(
    run: Run, mesh: str, control_plane: ControlPlane
):
    content = [each for each in documents(mesh) if each.get("virtualNodeName") != "green"]

    outcome = run("mesh", "apply", "-f", "-", given=as_yaml(content))

    assert "document 2: route color/split: spec.httpRoute.action.weightedTargets[1]" in outcome.err
    assert control_plane.status(mesh).revision == 1


def test_a_resource_that_is_declared_twice(run: Run, mesh: str):
    content = [{"meshName": mesh}, {"meshName": mesh, "spec": {}}]

    outcome = run("mesh", "apply", "-f", "-", given=as_yaml(content))

    assert f"document 2: mesh '{mesh}' is declared by document 1 already" in outcome.err


def test_resources_of_two_meshes_can_not_be_one_revision(run: Run, mesh: str):
    content = [{"meshName": mesh}, {"meshName": f"{mesh}-2"}]

    outcome = run("mesh", "apply", "-f", "-", given=as_yaml(content))

    assert f"the documents are of several meshes ({mesh}, {mesh}-2)" in outcome.err


def test_several_files_are_taken_as_one(run: Run, mesh: str, tmp_path: Path):
    for position, document in enumerate(documents(mesh)):
        (tmp_path / f"{position}.json").write_text(json.dumps(document))
    files = [argument for file in sorted(tmp_path.iterdir()) for argument in ("-f", str(file))]

    outcome = run("mesh", "apply", *files)

    assert "6 created, 0 changed, 0 deleted, 1 unchanged" in outcome.out


def test_a_json_list_holds_documents(run: Run, mesh: str):
    outcome = run("mesh", "apply", "-f", "-", given=json.dumps(documents(mesh)))

    assert "6 created" in outcome.out


def test_json_documents_may_follow_each_other(run: Run, mesh: str, tmp_path: Path):
    """As jq prints them, or cat does with files for --cli-input-json."""
    file = tmp_path / "mesh.json"
    file.write_text("\n".join(json.dumps(each, indent=2) for each in documents(mesh)) + "\n")

    outcome = run("mesh", "apply", "-f", str(file))

    assert outcome.out.endswith("6 created, 0 changed, 0 deleted, 1 unchanged\n")


def test_pruning_deletes_what_is_not_declared(run: Run, applied: str, appmesh: Any):
    content = [each for each in documents(applied) if each.get("virtualNodeName") != "front"]

    outcome = run("mesh", "apply", "--prune", "-f", "-", given=as_yaml(content))

    assert "- virtual node front" in outcome.out
    listed = appmesh.list_virtual_nodes(meshName=applied)["virtualNodes"]
    assert [each["virtualNodeName"] for each in listed] == ["blue", "green"]


def test_pruning_refuses_what_is_in_use_in_the_end(run: Run, applied: str):
    content = [each for each in documents(applied) if each.get("virtualNodeName") != "green"]

    outcome = run("mesh", "apply", "--prune", "-f", "-", given=as_yaml(content))

    assert outcome.code == 1
    assert "virtual node green: virtualNodeName: virtual node 'green' is in use by" in outcome.err


def test_pruning_leaves_the_mesh_itself(run: Run, applied: str, control_plane: ControlPlane):
    only = {"meshName": applied, "virtualServiceName": "left", "spec": service_spec()}

    run("mesh", "apply", "--prune", "-f", "-", given=as_yaml([only]))

    assert control_plane.find_status(applied) is not None


def test_tags_are_set_where_they_are_declared_and_raise_no_version(
    run: Run, applied: str, appmesh: Any
):
    content = documents(applied)
    named(content, virtualNodeName="blue")["tags"] = [{"key": "env", "value": "dev"}]
    del named(content, virtualRouterName="color")["tags"]

    outcome = run("mesh", "apply", "-f", "-", given=as_yaml(content))

    assert outcome.out.splitlines()[:2] == [
        "~ virtual node blue  (version 1)",
        '    + tags.env: "dev"',
    ]
    router = appmesh.describe_virtual_router(meshName=applied, virtualRouterName="color")
    tags = appmesh.list_tags_for_resource(
        resourceArn=router["virtualRouter"]["metadata"]["arn"],
    )
    assert tags["tags"] == [{"key": "team", "value": "colors"}]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("a: [", "standard input: is neither JSON nor YAML"),
        ("meshName: 2026-01-01", "document 1: meshName: is read as a date; put it in quotes"),
        ("on: x", "document 1: document: the key True is no text; put it in quotes"),
        ("a: &a [*a]", "nests too deeply, or holds itself"),
        pytest.param("- " * 50_000, "standard input: nests deeper than 60 levels", id="deep"),
        ("", "--file: there is no document to apply"),
        ("3", "document 1: is no object with a meshName"),
    ],
)
def test_a_file_that_is_no_mesh(run: Run, given: str, message: str):
    outcome = run("mesh", "apply", "-f", "-", given=given)

    assert outcome.code != 0
    assert message in outcome.err


def test_a_file_that_is_not_there(run: Run):
    outcome = run("mesh", "apply", "-f", "/nowhere.yaml")

    assert outcome == (
        2,
        "",
        "meshwright: /nowhere.yaml: can't be read: No such file or directory\n",
    )
