"""A sign-in that an application passes is typed and frozen, and gives the same facts as a token."""

import copy
import pickle

import pytest
from bundles import principal as clinician

from guardrail import ConfigurationError, Denied, Entity, Guard, NotAuthenticated, Principal

NOW = 1_700_000_000.0
POLICIES = """
@id("scoped") permit (principal, action == Action::"predict", resource)
when { context.identity has scopes && context.identity.scopes.contains("predict") };
@id("fresh") forbid (principal, action == Action::"predict", resource)
unless { context.identity has authenticated_age_s && context.identity.authenticated_age_s <= 60 };
@id("own-issuer") forbid (principal, action == Action::"predict", resource)
unless { context.identity has issuer && context.identity.issuer == "https://login.example" };
@id("two-factors") forbid (principal, action == Action::"predict", resource)
unless { context.identity.mfa };
@id("nobody-between") forbid (principal, action == Action::"predict", resource)
when { context.identity.delegated || context.identity has actor };
@id("of-the-application") forbid (principal, action == Action::"predict", resource)
unless { context.identity.provider == "application" && context.identity.method == "application" };
@id("lasting") forbid (principal, action == Action::"predict", resource)
when { context.identity has expires_in_s && context.identity.expires_in_s < 10 };
"""
SIGN_IN = {
    "issuer": "https://login.example", "mfa": True, "scopes": {"predict", "explain"},
    "authenticated_at": NOW - 30, "expires_at": NOW + 600,
}  # fmt: skip


def signed_in(**changes) -> Principal:
    return Principal(
        "User", "clara", parents=[Entity("Role", "clinician")], attrs={"department": "care"},
        **{**SIGN_IN, **changes},
    )  # fmt: skip


def outcome(guard: Guard, principal: Principal, *, by: str) -> str:
    named = principal if by == "principal" else None
    predict = guard.protect(
        action="predict", resource='Model::"tumour"', principal=named, input="rows"
    )(lambda rows: "ran")
    try:
        if by == "principal":
            return predict([[0.0]])
        if by == "enforce":
            with guard.enforce(
                action="predict", resource='Model::"tumour"', input=[[1.0]], principal=principal
            ) as call:
                return call.release("ran")
        with guard.acting_as(principal):
            return predict([[0.0]])
    except Denied as denial:
        return denial.code


@pytest.mark.parametrize("by", ["acting_as", "principal", "enforce"])
def test_what_the_application_knows_of_a_sign_in_is_a_fact(make_guard, by):
    guard = make_guard(POLICIES)
    assert outcome(guard, signed_in(), by=by) == "ran"
    for change, code in (
        ({"scopes": {"explain"}}, "no_grant"),
        ({"scopes": ()}, "no_grant"),
        ({"scopes": None}, "no_grant"),
        ({"issuer": "https://other.example"}, "prohibited"),
        ({"issuer": ""}, "prohibited"),
        ({"mfa": False}, "prohibited"),
        ({"actor": "robot"}, "prohibited"),
        ({"authenticated_at": NOW - 61}, "prohibited"),
        ({"authenticated_at": None}, "prohibited"),
        ({"expires_at": NOW + 5}, "prohibited"),
        ({"expires_at": None}, "ran"),
    ):
        assert outcome(guard, signed_in(**change), by=by) == code, change


def test_a_principal_of_whom_nothing_is_said_is_no_evaluation_error(make_guard):
    guard = make_guard(POLICIES)
    assert outcome(guard, clinician(), by="acting_as") == "prohibited"


@pytest.mark.parametrize("by", ["acting_as", "principal", "enforce"])
def test_a_sign_in_that_has_expired_denies(make_guard, clock, by):
    guard = make_guard(POLICIES)
    for until in (NOW, NOW - 1, 0):
        assert outcome(guard, signed_in(expires_at=until), by=by) == "token_expired"
    with guard.acting_as(signed_in()):
        clock.advance(600)
        with (
            pytest.raises(NotAuthenticated) as caught,
            guard.enforce(action="predict", resource='Model::"tumour"', input=[[1.0]]),
        ):
            pass
        assert caught.value.code == "token_expired"


@pytest.mark.parametrize(
    "change",
    [
        {"scopes": "predict"}, {"scopes": b"predict"}, {"scopes": {"predict": True}},
        {"scopes": [7]}, {"scopes": [""]}, {"scopes": 7}, {"mfa": 1}, {"mfa": "yes"},
        {"mfa": None}, {"issuer": None}, {"issuer": b"x"}, {"actor": None}, {"actor": 7},
        {"authenticated_at": True}, {"authenticated_at": "now"}, {"expires_at": float("nan")},
        {"expires_at": float("inf")}, {"authenticated_at": float("-inf")},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_of_another_type_is_refused_where_it_is_said(change):
    with pytest.raises(ConfigurationError) as caught:
        signed_in(**change)
    assert caught.value.message.startswith(f"A principal's `{next(iter(change))}` must be ")


def test_what_was_said_stays_as_it_was():
    scopes = {"predict"}
    who = signed_in(scopes=scopes)
    scopes.add("admin")
    told = who.authentication
    assert told is not None
    assert told.scopes == frozenset({"predict"})
    with pytest.raises(AttributeError):
        told.mfa = False
    with pytest.raises(AttributeError):
        who.authentication = None
    assert "login" not in repr(who) + repr(told)


def test_it_travels_with_the_principal():
    who = signed_in()
    for other in (copy.copy(who), copy.deepcopy(who), pickle.loads(pickle.dumps(who))):  # noqa: S301
        assert other.authentication == who.authentication
    assert Principal("User", "clara").authentication is None
