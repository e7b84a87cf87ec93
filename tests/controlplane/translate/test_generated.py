"""Generated meshes: no exception in the translation, and nothing that a real Envoy rejects.

`pytest tests/controlplane/translate/test_generated.py --meshes 2000` tries so many, at random;
without the option a few, always the same.
"""

from __future__ import annotations

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from meshwright.graph import Graph
from meshwright.graph.graph import PROXY_KINDS
from meshwright.model.documents import render_document
from meshwright.translate import Interception, Proxy, translate
from tests.controlplane.translate.generated import meshes
from tests.controlplane.translate.validation import ACCEPTED, Judge

FEW = 12
"""About a second each, since Envoy looks at each proxy of a mesh."""


@st.composite
def proxies(draw: st.DrawFn) -> tuple[Graph, list[Proxy]]:
    """A mesh and a proxy for each of its virtual nodes and gateways."""
    graph = draw(meshes())
    return graph, [
        Proxy(key, Interception.EXPLICIT, "127.0.1.1", "127.0.2.1")
        if draw(st.booleans())
        else Proxy(key)
        for key in sorted(graph.resources)
        if key.kind in PROXY_KINDS
    ]


def test_what_the_api_accepts_becomes_what_envoy_accepts(
    request: pytest.FixtureRequest, judge: Judge
):
    wanted: int | None = request.config.getoption("--meshes")

    @settings(
        max_examples=wanted or FEW,
        derandomize=wanted is None,
        deadline=None,
        database=None,
        # Shrinking takes minutes, and the mesh is printed as a file that `render` takes.
        phases=[Phase.generate],
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.filter_too_much,
            HealthCheck.large_base_example,
        ],
    )
    @given(proxies())
    def check(drawn: tuple[Graph, list[Proxy]]) -> None:
        graph, all_of_it = drawn
        for proxy in all_of_it:
            verdict = judge.judge(translate(graph, proxy))
            assert verdict == ACCEPTED, f"{verdict}\n{proxy} of\n{render(graph)}"

    check()


def render(graph: Graph) -> str:
    """A mesh as `meshwright render --mesh` takes it."""
    resources = [graph.resources[key] for key in sorted(graph.resources)]
    account = graph.head.mesh.owner
    return yaml.safe_dump_all([render_document(each, account_id=account) for each in resources])
