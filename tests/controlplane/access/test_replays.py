"""Replays: what was answered with success is not carried out again, a retry of what was not is."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from meshwright.access.canonical import RequestHead
from meshwright.access.errors import AccessError
from meshwright.access.replays import SpentSignatures
from meshwright.access.signatures import Claim, parse_claim
from tests.controlplane.access.requests import NOW, sign

SOON = NOW + timedelta(seconds=1)


def claim_of(number: int = 0, *, expires: int | None = None, at: datetime = NOW) -> Claim:
    """The claim of one of several different writes."""
    head: RequestHead = sign(body=b'{"n":"%d"}' % number, expires=expires, at=at).head
    return parse_claim(head)


def answer(spent: SpentSignatures, claim: Claim, *, now: datetime = NOW) -> None:
    """Carry out a write with success."""
    with spent.use(claim, now) as spend:
        spend()


def refusal(spent: SpentSignatures, claim: Claim, *, now: datetime = SOON) -> str:
    """The code of the error with which a write is refused."""
    with pytest.raises(AccessError) as caught, spent.use(claim, now):
        pass
    return caught.value.code


def test_a_write_that_was_answered_is_not_carried_out_again():
    spent = SpentSignatures()
    answer(spent, claim_of())

    assert refusal(spent, claim_of()) == "InvalidSignatureException"


def test_a_write_that_failed_may_be_retried_with_the_same_signature():
    spent = SpentSignatures()
    with pytest.raises(OSError, match="lost"), spent.use(claim_of(), NOW):
        raise OSError("lost")

    answer(spent, claim_of())


def test_a_write_that_is_still_under_way_is_to_be_tried_again():
    spent = SpentSignatures()

    with spent.use(claim_of(), NOW):
        assert refusal(spent, claim_of()) == "ServiceUnavailableException"


def test_another_write_has_another_signature():
    spent = SpentSignatures()
    answer(spent, claim_of(1))

    answer(spent, claim_of(2))


def test_another_key_with_the_same_secret_may_sign_the_same():
    spent = SpentSignatures()
    answer(spent, claim_of())

    answer(spent, replace(claim_of(), access_key_id="ANOTHER"))


def test_a_signature_is_remembered_as_long_as_it_is_good():
    spent = SpentSignatures()
    answer(spent, claim_of())

    assert refusal(spent, claim_of(), now=NOW + timedelta(minutes=5)) == "InvalidSignatureException"


def test_a_signature_that_has_expired_is_forgotten():
    spent = SpentSignatures()
    answer(spent, claim_of(1))

    answer(spent, claim_of(2, at=NOW + timedelta(minutes=6)), now=NOW + timedelta(minutes=6))

    assert len(spent) == 1


def test_beyond_what_can_be_remembered_writes_wait_instead_of_replays_getting_in():
    spent = SpentSignatures(limit=2)
    answer(spent, claim_of(1))
    answer(spent, claim_of(2))

    assert refusal(spent, claim_of(3)) == "ServiceUnavailableException"


def test_a_presigned_write_is_good_for_fifteen_minutes_at_most():
    claim = claim_of(expires=3600)

    code = refusal(SpentSignatures(), claim, now=NOW + timedelta(minutes=16))

    assert code == "InvalidSignatureException"
