"""Nonces: each is issued once, accepted once, and expires."""

import secrets

import pytest
from attestations import MARK, NOW
from hypothesis import given
from hypothesis import strategies as st

from guardrail.identity.attestation.nonces import Challenges


def make(**options):
    return Challenges(random=secrets.token_bytes, **options)


def test_a_nonce_is_32_bytes_in_base64url():
    challenges = Challenges(random=lambda count: b"\xff" * count)
    assert challenges.issue(NOW) == "_" * 42 + "8"


def test_nonces_differ_and_are_taken_once():
    challenges = make()
    nonces = [challenges.issue(NOW) for _ in range(100)]
    assert len(set(nonces)) == 100
    assert all(challenges.take(nonce, NOW) for nonce in nonces)
    assert not any(challenges.take(nonce, NOW) for nonce in nonces)


@pytest.mark.parametrize("nonce", ["", "x", "A" * 43])
def test_what_was_never_given_out_is_not_taken(nonce):
    challenges = make()
    challenges.issue(NOW)
    assert not challenges.take(nonce, NOW)


@pytest.mark.parametrize(
    ("later", "held"), [(0, True), (299.9, True), (300, False), (float("nan"), False)]
)
def test_a_nonce_holds_for_its_time(later, held):
    challenges = make()
    assert challenges.take(challenges.issue(NOW), NOW + later) is held


def test_a_nonce_made_at_no_time_is_never_taken():
    challenges = make()
    assert not challenges.take(challenges.issue(float("nan")), NOW)


def test_at_the_limit_the_oldest_goes():
    challenges = make(limit=3)
    nonces = [challenges.issue(NOW) for _ in range(5)]
    assert [challenges.take(nonce, NOW) for nonce in nonces] == [False] * 2 + [True] * 3


def test_no_more_is_kept_than_the_limit_and_what_lapsed_goes_first():
    challenges = make(limit=50, ttl_s=10)
    for second in range(1000):
        challenges.issue(NOW + second)
    assert len(challenges._issued) == 10
    assert MARK not in repr(challenges)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=40))
def test_no_order_of_giving_and_taking_takes_one_twice(steps):
    challenges = make(limit=4)
    given_out, taken = [], []
    for is_issue, which in steps:
        if is_issue:
            given_out.append(challenges.issue(NOW))
        elif which < len(given_out) and challenges.take(given_out[which], NOW):
            taken.append(given_out[which])
    assert len(taken) == len(set(taken))
    assert len(challenges._issued) <= 4
