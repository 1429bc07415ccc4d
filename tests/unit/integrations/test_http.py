"""Each denial has one HTTP response, which discloses no more than the caller may know."""

import json
import math

import pytest

from guardrail import (
    ConfigurationError,
    Denied,
    GuardUnavailable,
    InputRejected,
    NotAuthenticated,
    NotAuthorized,
    OutputBlocked,
    QuotaExceeded,
)
from guardrail.integrations.http import problem_response

MARK = "leak-4711"


def answer(denial, *, has_credential=True):
    problem = problem_response(denial, realm="r", has_credential=has_credential)
    body = json.loads(problem.body)
    assert body["status"] == problem.status
    assert body["code"] == problem.code
    assert body["type"] == f"urn:guardrail:{problem.code}"
    return problem, dict(problem.headers), body


@pytest.mark.parametrize(
    ("denial", "status", "code"),
    [
        (NotAuthenticated("x"), 401, "not_authenticated"),
        (NotAuthenticated("x", code="bad_signature"), 401, "not_authenticated"),
        (NotAuthenticated("x", code="revoked"), 401, "not_authenticated"),
        (NotAuthenticated("x", code="unknown_entity"), 401, "not_authenticated"),
        (NotAuthenticated("x", code="token_expired"), 401, "token_expired"),
        (NotAuthenticated("x", code="ambiguous_credential"), 400, "ambiguous_credential"),
        (NotAuthenticated("x", code="provider_unavailable"), 503, "provider_unavailable"),
        (NotAuthenticated("x", code="revocations_unavailable"), 503, "revocations_unavailable"),
        (NotAuthorized("x"), 403, "no_grant"),
        (NotAuthorized("x", code="obligation_failed"), 403, "obligation_failed"),
        (InputRejected("x"), 422, "input_rejected"),
        (InputRejected("x", code="too_large"), 413, "too_large"),
        (QuotaExceeded("x"), 429, "quota_exceeded"),
        (OutputBlocked("x"), 403, "output_blocked"),
        (GuardUnavailable("x"), 503, "internal_error"),
        (GuardUnavailable("x", code="store_unavailable"), 503, "store_unavailable"),
        (Denied("x"), 403, "denied"),
    ],
    ids=lambda value: getattr(value, "code", None),
)
def test_a_denial_has_its_status(denial, status, code):
    problem, headers, body = answer(denial)
    assert (problem.status, body["code"]) == (status, code)
    assert headers["content-type"] == "application/problem+json"
    assert headers["cache-control"] == "no-store"
    assert ("www-authenticate" in headers) == (status in (400, 401))
    assert body["title"]


@pytest.mark.parametrize(
    "kind",
    [
        NotAuthenticated, NotAuthorized, InputRejected, QuotaExceeded, OutputBlocked,
        GuardUnavailable,
    ],
)  # fmt: skip
def test_neither_messages_nor_policies_are_told(kind):
    error = kind(f"message {MARK}", policies=(f"policy-{MARK}",))
    error.__cause__ = ValueError(MARK)
    assert MARK not in answer(error)[0].body.decode()


def test_of_a_failed_authentication_neither_path_nor_reason_is_told():
    error = NotAuthenticated("x", code="missing_claim", path=f"token.{MARK}", reason=MARK)
    error.decision_id = "0190"
    _, headers, body = answer(error)
    assert body == {
        "type": "urn:guardrail:not_authenticated",
        "title": "The caller is not authenticated.",
        "status": 401,
        "code": "not_authenticated",
        "decision_id": "0190",
    }
    assert "missing" not in str(headers)


@pytest.mark.parametrize(
    ("seconds", "header"),
    [
        (None, None),
        (math.nan, None),
        (math.inf, None),
        (0.0, "1"),
        (-5.0, None),
        (0.2, "1"),
        (1.0, "1"),
        (1.01, "2"),
        (59.999, "60"),
        (3600, "3600"),
    ],
)
@pytest.mark.parametrize("kind", [QuotaExceeded, GuardUnavailable])
def test_when_to_try_again_is_told_in_whole_seconds_rounded_up(kind, seconds, header):
    assert answer(kind("x", retry_after_s=seconds))[1].get("retry-after") == header


@pytest.mark.parametrize(
    "seconds", ["x", True, -1.0, -0.5, 10**400, 1e300, float("nan"), object(), [1], b"1"]
)
def test_a_wait_that_a_plug_in_got_wrong_is_left_out(seconds):
    problem, headers, _ = answer(QuotaExceeded("x", retry_after_s=seconds))
    assert problem.status == 429
    assert "retry-after" not in headers


def test_no_other_answer_says_when_to_try_again():
    for kind in (NotAuthenticated, NotAuthorized, InputRejected, OutputBlocked):
        assert "retry-after" not in answer(kind("x", retry_after_s=5.0))[1]


def test_the_challenge_names_an_error_only_to_who_brought_something():
    error = NotAuthenticated("x")
    assert answer(error)[1]["www-authenticate"] == 'Bearer realm="r", error="invalid_token"'
    assert answer(error, has_credential=False)[1]["www-authenticate"] == 'Bearer realm="r"'


def test_a_body_is_ascii_whatever_a_path_or_a_reason_holds():
    error = NotAuthorized("x", path="context.app.\ud800", reason='"\u2028</script>\u00e4')
    problem, _, body = answer(error)
    assert problem.body.isascii()
    assert body["reason"] == error.reason


def test_the_response_is_a_frozen_value_with_text_headers():
    response = problem_response(QuotaExceeded("x", retry_after_s=2.5))
    assert response == problem_response(QuotaExceeded("x", retry_after_s=2.5))
    assert response.headers == (
        ("content-type", "application/problem+json"),
        ("content-length", str(len(response.body))),
        ("cache-control", "no-store"),
        ("retry-after", "3"),
    )
    with pytest.raises(AttributeError):
        response.status = 200


@pytest.mark.parametrize("realm", ['a"b', "a\\b", "a\r\nx: y", "\u00e9", "\x00"])
@pytest.mark.parametrize("kind", [NotAuthenticated, NotAuthorized])
def test_a_realm_that_would_change_the_header_is_an_error(realm, kind):
    with pytest.raises(ConfigurationError, match="printable ASCII"):
        problem_response(kind("x"), realm=realm)
