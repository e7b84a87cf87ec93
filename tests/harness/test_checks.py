"""Tests of what is complained about after a test, from records of a control plane's log."""

import json
from typing import Any

from pytest_meshwright.checks import (
    Complaint,
    find_complaints,
    find_leftovers,
    render_complaints,
)
from pytest_meshwright.control_plane import LogRecord
from pytest_meshwright.reaper import FoundProcess

PEER = "ipv4:127.0.0.1:5555"
FRONT = "arn:aws:appmesh:us-east-1:000000000000:mesh/demo/virtualNode/front"


def record(event: str, level: str = "info", **fields: Any) -> LogRecord:
    content = {"timestamp": "2026-11-23T15:00:00.123456Z", "level": level, "event": event}
    return LogRecord.parse(json.dumps({**content, **fields}))


def connected(peer: str = PEER) -> LogRecord:
    return record("proxy_connected", resource=FRONT, peer=peer)


def push(
    name: str = "rds_egress", kind: str = "RouteConfiguration", version: str = "abc", **fields: Any
) -> LogRecord:
    common: dict[str, Any] = {"resource": FRONT, "type": kind, "removed": [], "revision": 7}
    return record("push", **{**common, "sent": {name: version}, "peers": [PEER], **fields})


def kinds(records: list[LogRecord]) -> list[str]:
    return [complaint.kind for complaint in find_complaints(records)]


def test_a_healthy_log_gives_no_complaint():
    records = [record("serving"), connected(), push(), record("proxy_refused", "warning")]

    assert find_complaints(records) == []


def test_a_rejection_is_told_in_the_logs_words():
    records = [record("proxy_rejected", "error", resource=FRONT, detail="no such cluster")]

    assert find_complaints(records) == [
        Complaint("rejection", f"error proxy_rejected resource={FRONT!r} detail='no such cluster'")
    ]


def test_any_other_error_is_an_error():
    assert kinds([record("unexpected_error", "error")]) == ["error"]


def test_a_line_that_is_no_record_is_an_error():
    records = [LogRecord.parse("Traceback (most recent call last):")]

    assert find_complaints(records) == [
        Complaint("error", "error no log record text='Traceback (most recent call last):'")
    ]


def test_the_same_version_at_another_revision_is_a_resend():
    assert kinds([connected(), push(), push(revision=8)]) == ["resend"]


def test_a_changed_resource_is_no_resend():
    assert kinds([connected(), push(), push(version="def")]) == []


def test_a_resource_that_was_removed_between_is_no_resend():
    removal = push(sent={}, removed=["rds_egress"])

    assert kinds([connected(), push(), removal, push()]) == []


def test_a_new_connection_starts_with_nothing():
    gone = record("proxy_disconnected", resource=FRONT)

    assert kinds([connected(), push(), gone, connected(), push()]) == []


def test_endpoints_may_come_again_with_their_cluster():
    endpoints = push("cds_egress", "ClusterLoadAssignment")

    assert kinds([connected(), endpoints, endpoints]) == []


def test_two_proxies_of_one_node_get_the_same_without_complaint():
    assert kinds([connected("a"), connected("b"), push(peers=["a", "b"])]) == []


def test_a_resend_to_one_of_two_proxies_is_told_by_its_peer():
    records = [connected("a"), connected("b"), push(peers=["a", "b"]), push(peers=["b"])]

    assert kinds(records) == ["resend"]


def test_a_process_that_had_to_be_killed_is_a_leftover():
    complaints = find_leftovers([FoundProcess(4711, "sleep 100")])

    assert complaints == [Complaint("leftover", "sleep 100 (pid 4711)")]


def test_the_failure_says_how_to_allow_what_happened():
    complaints = [Complaint("resend", "x"), Complaint("rejection", "y")]

    assert render_complaints(complaints) == (
        "the mesh was not well after this test:\n"
        "  resend: x\n"
        "  rejection: y\n"
        "where the test means this to happen, mark it and say why:\n"
        '  @pytest.mark.meshwright_allow("rejection", "resend", reason="...")'
    )


def test_what_is_allowed_is_no_failure():
    assert render_complaints([Complaint("rejection", "y")], {"rejection"}) is None
