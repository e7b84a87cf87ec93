"""Tests of the AWS emulator: which one is chosen, that it serves, and that nothing stays."""

import docker
import httpx
import pytest

from pytest_meshwright import aws
from pytest_meshwright.aws import AwsEmulator, docker_answers, find_localstack_image
from pytest_meshwright.errors import HarnessError
from pytest_meshwright.processes import ProcessGroup
from pytest_meshwright.reaper import CONTAINER_LABEL


def count_containers(group: ProcessGroup) -> int:
    client = docker.from_env()
    label = f"{CONTAINER_LABEL}={group.mark}"
    count = len(client.containers.list(all=True, filters={"label": label}))
    client.close()
    return count


def test_without_an_image_moto_serves_in_process(group: ProcessGroup):
    with AwsEmulator(group) as emulator:
        assert emulator.kind.startswith("moto 5.")
        assert emulator.logs.describe_log_groups()["logGroups"] == []


def test_moto_forgets_what_the_last_one_held(group: ProcessGroup):
    with AwsEmulator(group) as emulator:
        emulator.logs.create_log_group(logGroupName="/meshwright/test")

    with AwsEmulator(group) as emulator:
        assert emulator.logs.describe_log_groups()["logGroups"] == []


def test_docker_can_be_switched_off(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(aws.DOCKER_VARIABLE, "off")

    assert (docker_answers(), find_localstack_image()) == (False, None)


def test_an_engine_that_does_not_answer_is_no_engine(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")

    assert find_localstack_image() is None


def test_an_emulator_that_was_not_started_says_so(group: ProcessGroup):
    with pytest.raises(HarnessError, match="has not been started"):
        _ = AwsEmulator(group).endpoint


@pytest.mark.meshwright_docker
def test_the_named_image_comes_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(aws.IMAGE_VARIABLE, "example/localstack:1")

    assert find_localstack_image() == "example/localstack:1"


@pytest.mark.meshwright_docker
def test_localstack_serves_this_machine_only_and_is_removed(group: ProcessGroup):
    with AwsEmulator(group, image=get_image()) as emulator:
        assert emulator.kind.startswith("LocalStack 4.")
        assert emulator.endpoint.startswith("http://127.0.0.1:")
        assert emulator.logs.describe_log_groups()["logGroups"] == []

    assert count_containers(group) == 0


@pytest.mark.meshwright_docker
def test_a_container_that_was_forgotten_goes_with_its_group():
    with ProcessGroup() as group:
        AwsEmulator(group, image=get_image()).start()

    assert count_containers(group) == 0


@pytest.mark.meshwright_docker
def test_a_container_that_dies_while_it_starts_is_told(
    group: ProcessGroup, monkeypatch: pytest.MonkeyPatch
):
    # A Python without its library ends at once.
    monkeypatch.setattr(aws, "_LOCALSTACK_SETTINGS", {"PYTHONHOME": "/nowhere"})

    with pytest.raises(HarnessError, match="LocalStack's container is exited; its log ends: "):
        AwsEmulator(group, image=get_image()).start()

    assert count_containers(group) == 0


def get_image() -> str:
    image = find_localstack_image()
    if image is None:
        pytest.skip("needs an image of LocalStack: set MESHWRIGHT_LOCALSTACK_IMAGE")
    return image


def test_no_proxy_of_the_environment_comes_between(
    group: ProcessGroup, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

    with AwsEmulator(group) as emulator:
        assert emulator.logs.describe_log_groups()["logGroups"] == []


def test_the_environment_leads_other_programs_to_it(group: ProcessGroup):
    with AwsEmulator(group) as emulator:
        endpoint = emulator.environment["AWS_ENDPOINT_URL"]

        assert httpx.get(f"{endpoint}/moto-api/data.json", trust_env=False).is_success
