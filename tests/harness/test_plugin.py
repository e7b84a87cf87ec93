"""Tests of the pytest plugin as another repository meets it, its texts included."""

from pathlib import Path

import pytest

from pytest_meshwright.checks import KINDS

pytest_plugins = ["pytester"]

ERROR = '{"timestamp":"2026-11-23T15:00:00Z","level":"error","event":"unexpected_error","x":1}'
LOG_AN_ERROR = f"""
    with meshwright_lab.control_plane.log.open("a") as log:
        log.write({ERROR!r} + "\\n")
"""


def run(pytester: pytest.Pytester, source: str, *options: str) -> pytest.RunResult:
    """Run a test file of another repository, where nothing but the plugin is installed."""
    pytester.makepyfile(f"import pytest\n{source}")
    # In a process of its own: a second import of what is loaded lazily would confuse the first.
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:xdist", *options)


def test_fixtures_tell_what_they_are_for(pytester: pytest.Pytester):
    result = pytester.runpytest_subprocess("--fixtures", "-p", "no:xdist")

    result.stdout.fnmatch_lines(
        [
            "meshwright_envoy_binary [[]session scope[]] -- *",
            "    The Envoy that runs: *",
            "meshwright_lab -- *",
            "    A running control plane and DNS server to which services *",
            "meshwright_control_plane -- *",
            "    The lab's control plane: *",
            "meshwright_aws [[]session scope[]] -- *",
            "    An emulated AWS for the session: *",
            "meshwright_pulumi_stack -- *",
            "    Makes a Pulumi stack of a program, *",
        ]
    )


def test_markers_tell_what_they_allow(pytester: pytest.Pytester):
    result = pytester.runpytest_subprocess("--markers", "-p", "no:xdist")

    result.stdout.fnmatch_lines(
        [
            "@pytest.mark.meshwright_allow(*kinds, reason): *; kinds: "
            + ", ".join(f'"{kind}"' for kind in KINDS),
            "@pytest.mark.meshwright_docker: needs a Docker engine; without one it is skipped, *",
            "@pytest.mark.meshwright_namespaces: needs root, iptables and Linux network *",
        ]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ('"rejection"', '*meshwright_allow needs reason="..."'),
        ('"nack", reason="x"', "*meshwright_allow allows nack; choose from rejection, error, *"),
        ('reason="x"', "*meshwright_allow allows nothing; choose from rejection, error, *"),
    ],
)
def test_a_marker_that_allows_without_saying_what_or_why_is_refused(
    arguments: str, message: str, pytester: pytest.Pytester
):
    result = run(pytester, f"@pytest.mark.meshwright_allow({arguments})\ndef test(): pass")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


NEEDS_DOCKER = "@pytest.mark.meshwright_docker\ndef test(): pass"


def test_without_docker_a_users_machine_skips(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MESHWRIGHT_DOCKER", "off")
    monkeypatch.delenv("CI", raising=False)

    result = run(pytester, NEEDS_DOCKER, "-rs")

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED * needs Docker, which does not answer"])


def test_without_docker_ci_fails(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MESHWRIGHT_DOCKER", "off")
    monkeypatch.setenv("CI", "true")

    result = run(pytester, NEEDS_DOCKER)

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*with CI=true that is no reason to skip"])


def test_a_lab_serves_the_api(pytester: pytest.Pytester):
    result = run(
        pytester,
        """
def test(meshwright_control_plane):
    client = meshwright_control_plane.client()
    client.create_mesh(meshName="demo")
    assert meshwright_control_plane.status("demo").revision == 1
    client.close()
""",
        "-W",
        "error",
    )

    result.assert_outcomes(passed=1)


def test_an_error_in_the_log_fails_the_test_and_says_how_to_allow_it(pytester: pytest.Pytester):
    result = run(pytester, f"def test(meshwright_lab):{LOG_AN_ERROR}")

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "the mesh was not well after this test:",
            "  error: error unexpected_error x=1",
            "where the test means this to happen, mark it and say why:",
            '  @pytest.mark.meshwright_allow("error", reason="...")',
            "logs and state of the mesh: *",
        ]
    )


def test_an_error_that_is_allowed_passes(pytester: pytest.Pytester):
    marker = '@pytest.mark.meshwright_allow("error", reason="the test makes one")'

    result = run(pytester, f"{marker}\ndef test(meshwright_lab):{LOG_AN_ERROR}")

    result.assert_outcomes(passed=1)


def test_a_process_that_was_left_running_fails_the_test(pytester: pytest.Pytester):
    result = run(
        pytester,
        """
def test(meshwright_lab):
    meshwright_lab.group.start("stray", ["sleep", "1000"], meshwright_lab.folder)
""",
    )

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["  leftover: sleep 1000 (pid *)"])


FAILING = """
def test(meshwright_lab):
    meshwright_lab.add_service("front", mesh="demo").envoy.wait_admin()
    assert False
"""


def test_of_a_failed_test_logs_and_state_are_kept(pytester: pytest.Pytester, tmp_path: Path):
    result = run(pytester, FAILING, "--meshwright-artifacts", str(tmp_path / "kept"))

    result.assert_outcomes(failed=1)
    folder = next((tmp_path / "kept").iterdir())
    result.stdout.fnmatch_lines([f"logs and state of the mesh: {folder}"])
    assert {
        "control-plane.stderr",
        "envoy-front.json",
        "envoy-front.stderr",
        "envoy-front.stdout",
        "envoy-front.config_dump.json",
        "envoy-front.clusters.txt",
        "envoy-front.listeners.txt",
        "envoy-front.stats.txt",
        "application-front.stderr",
        "meshwright.db",
    } <= {file.name for file in folder.iterdir()}


def test_without_the_option_they_are_kept_in_pytests_folder(pytester: pytest.Pytester):
    result = run(pytester, FAILING, "--basetemp", str(pytester.path / "base"))

    result.stdout.fnmatch_lines(
        [f"logs and state of the mesh: {pytester.path}/base/meshwright-artifacts/*"]
    )


def test_of_a_passed_test_nothing_is_kept(pytester: pytest.Pytester, tmp_path: Path):
    kept = tmp_path / "kept"

    run(pytester, "def test(meshwright_lab): pass", "--meshwright-artifacts", str(kept))

    assert not kept.exists()


def test_a_run_of_another_repository_loads_the_plugin_by_itself(pytester: pytest.Pytester):
    pytester.makepyfile(
        "def test(meshwright_envoy_binary): assert meshwright_envoy_binary.exists()"
    )

    result = pytester.runpytest_subprocess("-n", "2")

    result.assert_outcomes(passed=1)
