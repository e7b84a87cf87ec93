"""`meshwright mesh list|show|export|delete`, and how they fail."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from meshwright.operator.files import render_documents
from pytest_meshwright.control_plane import ControlPlane
from tests.controlplane.operator.conftest import Run, as_yaml, documents, named


@pytest.fixture
def applied(mesh: str, run: Run) -> str:
    """A mesh with everything of `documents` in it."""
    content = documents(mesh)
    named(content, virtualNodeName="front")["spec"]["backends"].append(
        {"virtualService": {"virtualServiceName": "nowhere"}}
    )
    run("mesh", "apply", "-f", "-", given=as_yaml(content))
    return mesh


def test_list_is_tab_separated_in_a_pipe(run: Run, applied: str):
    lines = run("mesh", "list").out.splitlines()

    assert f"{applied}\t2\t3\t1\t1\t1\t0\t0\t1\t0" in lines


def test_list_as_json(run: Run, applied: str):
    listed = json.loads(run("mesh", "list", "--json").out)

    counts = next(each for each in listed if each["mesh"] == applied)["resources"]
    assert (counts["virtualNode"], counts["route"]) == (3, 1)


def test_show_draws_services_routers_routes_with_shares_and_nodes(run: Run, applied: str):
    assert run("mesh", "show", applied).out == (
        f"mesh {applied}  revision 2\n"
        "├─ virtual service color.local  v1\n"
        "│  └─ virtual router color  v1  http 8080\n"
        "│     └─ route split  v1  http prefix /\n"
        "│        ├─ 80% virtual node blue  v1  http 8080  blue.local\n"
        "│        └─ 20% virtual node green  v1  http 8080  green.local\n"
        "└─ virtual node front  v1  http 8080  front.local  -> color.local, nowhere\n"
        "\n"
        "BackendMissing: virtual node 'front' has the backend 'nowhere', and there is no such "
        f"virtual service in mesh '{applied}'\n"
        "  remedy: create the virtual service 'nowhere', or take the backend out of the virtual "
        "node\n"
    )


def test_show_as_json_holds_resources_findings_and_proxies(run: Run, applied: str):
    shown = json.loads(run("mesh", "show", applied, "--json").out)

    assert len(shown["resources"]) == 7
    assert [each["code"] for each in shown["findings"]] == ["BackendMissing"]
    assert shown["proxies"] == []


def test_what_was_exported_is_applied_without_a_change(
    run: Run, applied: str, control_plane: ControlPlane
):
    before = control_plane.status(applied).revision
    exported = run("mesh", "export", applied).out

    outcome = run("mesh", "apply", "--prune", "-f", "-", given=exported)

    assert "0 created, 0 changed, 0 deleted, 7 unchanged" in outcome.out
    assert control_plane.status(applied).revision == before


def test_what_was_exported_makes_the_mesh_anew(run: Run, applied: str):
    exported = run("mesh", "export", applied).out
    run("mesh", "delete", applied, "--recursive", "--yes")

    outcome = run("mesh", "apply", "-f", "-", given=exported)

    assert "7 created" in outcome.out
    assert run("mesh", "export", applied).out.splitlines()[1:] == exported.splitlines()[1:]


def test_an_export_can_be_taken_apart_and_made_one_by_one(run: Run, applied: str, appmesh: Any):
    exported = list(yaml.safe_load_all(run("mesh", "export", applied).out))
    run("mesh", "delete", applied, "--recursive", "--yes")

    for document in exported:
        made = next(
            verb
            for member, verb in (
                ("routeName", appmesh.create_route),
                ("virtualNodeName", appmesh.create_virtual_node),
                ("virtualServiceName", appmesh.create_virtual_service),
                ("virtualRouterName", appmesh.create_virtual_router),
                ("meshName", appmesh.create_mesh),
            )
            if member in document
        )
        made(**document)

    assert "7 unchanged" in run("mesh", "apply", "-f", "-", given=as_yaml(exported)).out


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.lists(st.dictionaries(st.text(), JSON, min_size=1), min_size=1))
def test_any_text_survives_as_yaml(content: list[dict[str, Any]]):
    assert list(yaml.load_all(render_documents(content), yaml.CSafeLoader)) == content


def test_a_mesh_that_is_not_empty_is_not_deleted(run: Run, applied: str, appmesh: Any):
    outcome = run("mesh", "delete", applied, "--yes")

    assert outcome.code == 1
    assert f"mesh {applied} is not empty; --recursive deletes what is in it too" in outcome.err
    assert len(appmesh.list_virtual_nodes(meshName=applied)["virtualNodes"]) == 3


def test_a_mesh_is_deleted_with_everything_in_it_in_one_revision(
    run: Run, applied: str, control_plane: ControlPlane
):
    outcome = run("mesh", "delete", applied, "--recursive", "--yes")

    assert outcome.out.splitlines()[-1] == (
        f"mesh {applied} is now at revision 3: 0 created, 0 changed, 7 deleted, 0 unchanged"
    )
    assert control_plane.find_status(applied) is None


def test_delete_without_a_terminal_wants_yes(run: Run, mesh: str, control_plane: ControlPlane):
    outcome = run("mesh", "delete", mesh)

    assert (outcome.code, outcome.err) == (
        2,
        "meshwright: there is no terminal to ask on; --yes deletes without asking\n",
    )
    assert control_plane.find_status(mesh) is not None


@pytest.mark.parametrize(
    "command",
    [
        ["mesh", "show", "nowhere"],
        ["mesh", "export", "nowhere"],
        ["mesh", "delete", "nowhere", "--yes"],
        ["status", "--mesh", "nowhere"],
        ["wait", "--mesh", "nowhere"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_a_mesh_that_is_not_there_is_one_line(run: Run, command: list[str]):
    outcome = run(*command)

    assert outcome.code == 1
    assert outcome.err.startswith("meshwright: ")
    assert outcome.err.endswith("there is no mesh 'nowhere'\n")


def test_nobody_at_the_endpoint_is_one_line(run: Run):
    outcome = run("mesh", "list", "--endpoint", "http://127.0.0.1:1")

    assert outcome == (
        2,
        "",
        (
            "meshwright: http://127.0.0.1:1 can't be reached: Connection refused; is `meshwright "
            "serve` running there? (--endpoint or MESHWRIGHT_ENDPOINT)\n"
        ),
    )


def test_an_endpoint_that_is_no_url(run: Run):
    outcome = run("mesh", "list", "--endpoint", "localhost:4580")

    assert outcome.code == 2
    assert "--endpoint 'localhost:4580': expected a URL, for instance http://" in outcome.err


def test_half_a_key_is_refused(run: Run):
    outcome = run("mesh", "list", MESHWRIGHT_ACCESS_KEY_ID="AK")

    assert "MESHWRIGHT_ACCESS_KEY_ID and MESHWRIGHT_SECRET_ACCESS_KEY belong" in outcome.err


@pytest.mark.parametrize("command", ["list", "show", "export", "apply", "delete"])
def test_help_teaches(run: Run, command: str):
    assert f"meshwright mesh {command}" in run("mesh", command, "--help").out.replace(
        "root", "meshwright"
    )
