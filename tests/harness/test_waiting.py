"""Tests of waiting for conditions."""

import pytest

from pytest_meshwright.errors import WaitTimeoutError
from pytest_meshwright.waiting import wait_until


def test_returns_the_first_true_answer():
    answers = iter([0, "", "here"])

    assert wait_until(lambda: next(answers), what="an answer") == "here"


def test_timeout_names_what_was_wanted_and_what_was_seen_last():
    with pytest.raises(WaitTimeoutError) as caught:
        wait_until(list, what="three proxies", timeout=0)

    assert str(caught.value) == "waited 0 s in vain for three proxies; last seen: []"


def test_timeout_tells_the_exception_that_kept_coming():
    def refuse() -> bool:
        raise ConnectionError("nobody listens")

    with pytest.raises(WaitTimeoutError, match="last seen: ConnectionError: nobody listens"):
        wait_until(refuse, what="a server", timeout=0, retry_on=(ConnectionError,))


def test_other_exceptions_end_the_waiting():
    def fail() -> bool:
        raise RuntimeError("the process ended")

    with pytest.raises(RuntimeError, match="the process ended"):
        wait_until(fail, what="a server", retry_on=(ConnectionError,))


def test_a_description_of_the_state_replaces_the_answer():
    with pytest.raises(WaitTimeoutError, match="last seen: two of three"):
        wait_until(lambda: False, what="proxies", timeout=0, seen=lambda: "two of three")
