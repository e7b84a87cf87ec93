"""Golden pairs: a mesh as YAML beside the Envoy resources that it becomes.

A folder in `testdata/` is a case: `mesh.yaml`, the findings, and for each virtual node and
virtual gateway its resources by type under explicit interception; where the case has `transparent`
in its name, under transparent. With `service-addresses` in its name, the virtual services have
addresses of their own. `pytest tests/controlplane/translate --rewrite-golden` writes them
anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from meshwright.graph import Graph
from meshwright.graph.findings import find_problems
from meshwright.graph.graph import PROXY_KINDS
from meshwright.model.resources import Kind
from meshwright.offline import load_graph
from meshwright.translate import Interception, Proxy, ProxyResources, translate
from meshwright.translate.packing import Resources
from meshwright.translate.static import render_packed
from tests.controlplane.translate.validation import ACCEPTED, Judge

TESTDATA = Path(__file__).parent / "testdata"
CASES = sorted(path.parent for path in TESTDATA.glob("*/mesh.yaml"))


def proxies_of(case: Path, graph: Graph) -> dict[str, Proxy]:
    """The proxies of a case, by the name of their virtual node or virtual gateway."""
    keys = [key for key in graph.resources if key.kind in PROXY_KINDS]
    services = sorted(key.name for key in graph.resources if key.kind is Kind.VIRTUAL_SERVICE)
    own = "service-addresses" in case.name
    addresses = tuple((name, f"10.0.0.{n}") for n, name in enumerate(services if own else (), 1))
    explicit = Proxy(keys[0], Interception.EXPLICIT, "127.0.1.1", "127.0.2.1")
    proxy = Proxy(keys[0]) if "transparent" in case.name else explicit
    return {key.name: replace(proxy, key=key, service_addresses=addresses) for key in keys}


def expected_files(case: Path) -> dict[str, str]:
    """What the translation says the files of a case should hold, by their path in it."""
    graph = load_graph((case / "mesh.yaml").read_text())
    files = {"findings.yaml": dump([asdict(finding) for finding in find_problems(graph)])}
    for name, proxy in proxies_of(case, graph).items():
        resources = translate(graph, proxy)
        if resources.lookups:
            lookups = [{type(each).__name__: asdict(each)} for each in resources.lookups]
            files[f"{name}/lookups.yaml"] = dump(json.loads(json.dumps(lookups)))
        for kind, packed in by_type(resources).items():
            if packed:
                rendered = [render_packed(each) for each in packed.values()]
                files[f"{name}/{kind}.yaml"] = dump(rendered)
    return files


def by_type(resources: ProxyResources) -> Mapping[str, Resources]:
    return {
        "clusters": resources.clusters,
        "listeners": resources.listeners,
        "routes": resources.routes,
        "secrets": resources.secrets,
    }


def dump(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, width=100)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_mesh_becomes_the_resources_beside_it(case: Path, request: pytest.FixtureRequest):
    wanted = expected_files(case)
    found = {
        str(path.relative_to(case)): path.read_text()
        for path in case.rglob("*.yaml")
        if path.name != "mesh.yaml"
    }
    if request.config.getoption("--rewrite-golden"):
        rewrite(case, found, wanted)
        found = wanted

    assert found == wanted


def rewrite(case: Path, found: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    for orphan in found.keys() - wanted.keys():
        (case / orphan).unlink()
    for name, text in wanted.items():
        (case / name).parent.mkdir(exist_ok=True)
        (case / name).write_text(text)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_envoy_accepts_what_a_mesh_becomes(case: Path, judge: Judge):
    graph = load_graph((case / "mesh.yaml").read_text())
    verdicts = {
        name: judge.judge(translate(graph, proxy))
        for name, proxy in proxies_of(case, graph).items()
    }

    assert verdicts == dict.fromkeys(verdicts, ACCEPTED)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_is_short(case: Path):
    lines = (case / "mesh.yaml").read_text().splitlines()

    assert lines[0].startswith("# ")
    assert len(lines) <= 80
