"""Tests of the application behind each Envoy, as a real process."""

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pytest_meshwright.addresses import AddressBlock
from pytest_meshwright.application.client import Target
from pytest_meshwright.applications import Application
from pytest_meshwright.envoy_bootstrap import Endpoint
from pytest_meshwright.errors import HarnessError
from pytest_meshwright.processes import ProcessGroup
from pytest_meshwright.waiting import wait_until


@pytest.fixture
def application(block: AddressBlock, group: ProcessGroup, folder: Path) -> Iterator[Application]:
    """An application that calls itself color-blue."""
    endpoint = Endpoint(block.address(91), 8080)
    with Application("color-blue", endpoint, folder=folder, group=group) as application:
        yield application


def test_any_path_answers_with_name_path_and_headers(application: Application):
    answer = httpx.get(f"{application.url}/some/path?x=1", headers={"X-Color": "blue"}).json()

    assert (answer["service"], answer["path"], answer["headers"]["x-color"]) == (
        "color-blue",
        "/some/path",
        "blue",
    )


def test_counts_what_it_served_without_the_harness_own_pages(application: Application):
    httpx.get(f"{application.url}/")
    application.count_served()

    assert application.count_served() == 1


def test_calls_are_tallied_by_who_answered(application: Application):
    tally = application.call(application.url, requests=100)

    assert (tally.answers, tally.failures, tally.total) == ({"color-blue": 100}, {}, 100)


def test_calls_that_nobody_answers_are_tallied_by_what_went_wrong(
    application: Application, block: AddressBlock
):
    tally = application.call(f"http://{block.address(92)}:8080/", requests=3)

    assert sum(tally.failures.values()) == 3
    assert all("connect" in failure for failure in tally.failures)


def test_a_proxy_is_asked_with_the_absolute_form():
    target = Target.of("http://color.demo.local:8080/a?b=c", "http://127.61.7.11:15001")

    assert (target.host, target.port) == ("127.61.7.11", 15001)
    assert target.path == "http://color.demo.local:8080/a?b=c"
    assert target.authority == "color.demo.local:8080"


def test_a_url_of_another_form_is_refused_with_its_reason(application: Application):
    with pytest.raises(HarnessError, match="is not of the form"):
        application.call("ftp://color.demo.local/")


def test_a_peer_that_closes_without_an_answer_is_a_failure(application: Application):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        port = server.getsockname()[1]
        tally = application.call(f"http://127.0.0.1:{port}/", requests=1, timeout=0.2)

    assert tally.failures == {"TimeoutError": 1}


def test_a_probe_records_each_request_until_it_is_stopped(application: Application):
    application.start_probe(application.url, rate=500)
    wait_until(lambda: len(application.read_probe()) >= 20, what="20 records")

    records = application.stop_probe()

    assert {(record.status, record.service) for record in records} == {(200, "color-blue")}
    assert application.count_served() == len(records)


def test_a_second_probe_is_refused(application: Application):
    application.start_probe(application.url)

    with pytest.raises(HarnessError, match="a probe runs already"):
        application.start_probe(application.url)


def test_an_address_that_is_taken_is_told_with_the_applications_own_words(
    application: Application, group: ProcessGroup, folder: Path
):
    second = Application("second", application.endpoint, folder=folder, group=group).start()

    with pytest.raises(HarnessError, match="address already in use"):
        second.wait_ready()
