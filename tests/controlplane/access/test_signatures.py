"""Signatures, held to botocore's own signer: what it signs is taken, whatever is altered is not."""

from __future__ import annotations

import re
from datetime import timedelta
from email.utils import format_datetime
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from meshwright.access.canonical import normalize_path
from meshwright.access.errors import AccessError
from meshwright.access.keys import AccessKey
from tests.controlplane.access.requests import ENDPOINT, KEY, NOW, Arrived, identify, sign

text = st.text(max_size=20)
# Hypothesis finds the names of the signature's own parameters in the sources and tries them.
names = st.text(min_size=1, max_size=20).filter(
    lambda each: each not in (".", "..") and not each.startswith("X-Amz-")
)
paths = st.lists(names, min_size=1, max_size=5).map(
    lambda segments: "/" + "/".join(quote(each, safe="-_~:@$!*'()") for each in segments)
)
queries = st.lists(st.tuples(st.just("") | names, text), max_size=5)
header_names = st.from_regex(r"x-(amz-)?[a-z]{1,10}", fullmatch=True).filter(
    lambda name: name not in ("x-amz-date",)
)
header_values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
headers = st.lists(st.tuples(header_names, header_values), max_size=5)
regions = st.sampled_from(["us-east-1", "eu-west-1", "mars-north-1"])
URL = f"{ENDPOINT}/v20190125/meshes"
in_its_time = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)


def refused(arrived: Arrived, **how: object) -> str:
    """The code of the error with which a request is refused."""
    with pytest.raises(AccessError) as caught:
        identify(arrived, **how)  # pyright: ignore[reportArgumentType]
    return caught.value.code


@in_its_time
@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE"]),
    path=paths,
    query=queries,
    headers=headers,
    body=st.binary(max_size=50),
    region=regions,
)
def test_what_botocore_signs_in_the_header_is_taken(
    method: str,
    path: str,
    query: list[tuple[str, str]],
    headers: list[tuple[str, str]],
    body: bytes,
    region: str,
):
    encoded = urlencode(query, quote_via=quote, safe="-_.~")
    arrived = sign(
        method,
        f"{ENDPOINT}{path}?{encoded}",
        headers=headers,
        body=body,
        region=region,
    )

    assert identify(arrived).key == KEY


@in_its_time
@given(params=st.dictionaries(names, text, max_size=4))
def test_parameters_whose_spaces_become_plus_signs_are_taken(params: dict[str, str]):
    assert identify(sign("GET", URL, params=params, body=b"")).key == KEY


@in_its_time
@given(path=paths, query=st.dictionaries(names, text, max_size=4), region=regions)
def test_what_botocore_presigns_is_taken(path: str, query: dict[str, str], region: str):
    url = f"{ENDPOINT}{path}?{urlencode(query, quote_via=quote)}"

    assert identify(sign("GET", url, body=b"", region=region, expires=60)).key == KEY


@in_its_time
@given(path=st.from_regex(r"(/[a.]{0,2}){1,6}", fullmatch=True))
def test_a_path_is_normalized_as_botocore_does_it(path: str):
    from botocore.utils import normalize_url_path

    assert normalize_path(path) == normalize_url_path(path)


@in_its_time
@given(data=st.data(), presigned=st.booleans(), part=st.sampled_from(["path", "query", "body"]))
def test_a_changed_byte_anywhere_is_refused(data: st.DataObject, presigned: bool, part: str):
    arrived = sign("PUT", f"{URL}/demo?limit=5&nextToken=abc", expires=60 if presigned else None)
    parts = {"path": arrived.head.path, "query": arrived.head.query, "body": arrived.body.decode()}
    spot = data.draw(st.integers(0, len(parts[part])))
    new = data.draw(st.characters(min_codepoint=33, max_codepoint=126))
    parts[part] = parts[part][:spot] + new + parts[part][spot + 1 :]
    altered = Arrived(
        arrived.altered(path=parts["path"], query=parts["query"]).head, parts["body"].encode()
    )
    # A & more between parameters changes nothing that is read.
    is_same = altered.head.query_pairs == arrived.head.query_pairs
    assume(altered.head.path != arrived.head.path or altered.body != arrived.body or not is_same)

    with pytest.raises(AccessError):
        identify(altered)


@pytest.mark.parametrize(
    "altered",
    [
        lambda each: each.altered(method="DELETE"),
        lambda each: each.altered(path="/v20190125/meshes/other"),
        lambda each: each.altered(query="meshOwner=1"),
        lambda each: each.with_header("host", "other.example"),
        lambda each: each.with_header("content-type", "text/plain"),
        lambda each: Arrived(each.head, b"{}"),
        lambda each: Arrived(each.head, b""),
        lambda each: each.altered(path="/v20190125//meshes"),
        lambda each: each.altered(path="/v20190125/meshes/x/.."),
        lambda each: each.with_header("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
    ],
    ids=["method", "path", "query", "host", "header", "body", "no body", "slash", "dots", "hash"],
)
def test_an_altered_request_is_refused(altered: object):
    arrived = sign(headers=[("content-type", "application/json")])

    code = refused(altered(arrived))  # pyright: ignore[reportCallIssue]

    assert code in ("InvalidSignatureException", "IncompleteSignatureException")


def test_a_signature_of_another_secret_is_refused():
    other = AccessKey(KEY.access_key_id, "another secret access key", KEY.account_id)

    assert refused(sign(key=other)) == "InvalidSignatureException"


def test_an_unknown_key_is_refused():
    other = AccessKey("AKIDOTHER", KEY.secret_access_key, KEY.account_id)

    assert refused(sign(key=other)) == "UnrecognizedClientException"


def test_an_unsigned_request_is_refused():
    assert refused(sign().without_header("authorization")) == "MissingAuthenticationTokenException"


@pytest.mark.parametrize("seconds", [-299, 0, 299])
def test_a_clock_within_five_minutes_is_taken(seconds: int):
    assert identify(sign(), at=NOW + timedelta(seconds=seconds)).key == KEY


@pytest.mark.parametrize(
    ("seconds", "message"),
    [
        (301, "Signature expired: 20260930T120000Z is now earlier than 20260930T120001Z"),
        (-301, "Signature not yet current: 20260930T120000Z is still later than 20260930T115959Z"),
    ],
)
def test_a_clock_further_off_is_refused_in_words_that_sdks_know(seconds: int, message: str):
    with pytest.raises(AccessError, match=re.escape(message)) as caught:
        identify(sign(), at=NOW + timedelta(seconds=seconds))

    assert caught.value.code == "InvalidSignatureException"


def test_a_presigned_request_is_good_until_it_expires():
    arrived = sign("GET", URL, body=b"", expires=3600)

    assert identify(arrived, at=NOW + timedelta(seconds=3599)).key == KEY
    assert refused(arrived, at=NOW + timedelta(seconds=3601)) == "InvalidSignatureException"


def test_a_scope_of_another_service_is_refused():
    assert refused(sign(service="s3")) == "InvalidSignatureException"


def test_a_scope_of_another_day_is_refused():
    arrived = sign()
    value = arrived.head.header_values("authorization")[0].replace("/20260930/", "/20260929/")

    assert refused(arrived.with_header("authorization", value)) == "InvalidSignatureException"


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        ("^AWS4-HMAC-SHA256", "Bearer"),
        ("Credential=[^,]*,", ""),
        ("Credential=[^,]*,", "Credential=AKIDEXAMPLE/20260930,"),
        ("SignedHeaders=[^,]*,", ""),
        ("SignedHeaders=[^,]*,", "SignedHeaders=x-amz-date,"),
        ("SignedHeaders=[^,]*,", "SignedHeaders=host,"),
        ("Signature=.*", ""),
        ("Signature=.*", "Signature=\u00e9"),
        ("Signature=(.*)", r"Signature=\1, Signature=\1"),
    ],
)
def test_a_signature_without_all_of_its_parts_is_incomplete(pattern: str, replacement: str):
    arrived = sign()
    value = re.sub(pattern, replacement, arrived.head.header_values("authorization")[0])

    assert refused(arrived.with_header("authorization", value)) == "IncompleteSignatureException"


@pytest.mark.parametrize("date", ["", "yesterday", "99991231T235959Z", "00010101T000000Z"])
def test_a_time_that_makes_no_sense_is_incomplete(date: str):
    assert refused(sign().with_header("x-amz-date", date)) == "IncompleteSignatureException"


@pytest.mark.parametrize("expires", ["0", "604801", "-1", "soon", "99999999999999999999"])
def test_an_expiry_that_makes_no_sense_is_incomplete(expires: str):
    arrived = sign("GET", URL, body=b"", expires=60)
    query = arrived.head.query.replace("X-Amz-Expires=60", f"X-Amz-Expires={expires}")

    assert refused(arrived.altered(query=query)) == "IncompleteSignatureException"


def test_a_presigned_parameter_that_is_there_twice_is_incomplete():
    arrived = sign("GET", URL, body=b"", expires=60)
    query = f"{arrived.head.query}&X-Amz-Expires=600"

    assert refused(arrived.altered(query=query)) == "IncompleteSignatureException"


def test_a_request_signed_in_both_ways_is_incomplete():
    arrived = sign("GET", URL, body=b"", expires=60).with_header(
        "authorization", "AWS4-HMAC-SHA256"
    )

    assert refused(arrived) == "IncompleteSignatureException"


def test_an_amz_header_that_is_not_signed_is_refused():
    arrived = sign().with_header("x-amz-target", "Other")

    assert refused(arrived) == "IncompleteSignatureException"


def test_a_header_that_a_load_balancer_adds_does_no_harm():
    arrived = (
        sign().with_header("x-amzn-trace-id", "Root=1").with_header("x-forwarded-for", "1.2.3.4")
    )

    assert identify(arrived).key == KEY


def test_a_session_token_is_signed_and_means_nothing_else():
    arrived = sign(token="left over")

    assert identify(arrived).key == KEY
    assert refused(arrived.with_header("x-amz-security-token", "x")) == "InvalidSignatureException"


def test_an_unsigned_payload_is_taken_only_where_there_is_none():
    headers = [("x-amz-content-sha256", "UNSIGNED-PAYLOAD")]

    assert identify(sign("GET", URL, body=b"", headers=headers)).key == KEY
    assert refused(sign(headers=headers)) == "InvalidSignatureException"


def test_a_date_header_serves_where_there_is_no_amz_date():
    arrived = sign(headers=[("Date", format_datetime(NOW))])

    assert arrived.head.header_values("x-amz-date") == []
    assert identify(arrived).key == KEY
