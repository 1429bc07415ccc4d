# ruff: noqa: E501  (a policy per line)
"""guardrail denies where Cedar would allow: errors, absent entities, impossible values."""

import pickle
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from ipaddress import ip_address

import numpy as np
import pytest
from bundles import GRANT, SCHEMA, principal

from guardrail import Entity, NotAuthorized, Principal, Resource
from guardrail.integrations.http import problem_response

TUMOUR = Resource("Model", "tumour")


def decide(guard, *, who=None, action="predict", resource=TUMOUR, **facts):
    facts.setdefault("input", {"rows": 1})
    return guard.decide(principal=who or principal(), action=action, resource=resource, facts=facts)


def test_a_grant_allows_and_is_named(make_guard):
    decision = decide(make_guard())
    assert decision.allowed
    assert decision.code == "allow"
    assert decision.policies == ("grant",)
    assert decision.decision_id
    assert decision.revision


def test_no_policy_at_all_denies(make_guard):
    assert decide(make_guard("")).code == "no_grant"


def test_a_matching_forbid_denies_with_its_reason(make_guard):
    guard = make_guard(GRANT + '@id("no") @reason("Retired.") forbid (principal, action, resource) '
                       'when { resource.purpose == "retired" };')  # fmt: skip
    assert decide(guard).allowed
    decision = decide(guard, resource=Resource("Model", "old"))
    assert (decision.code, decision.policies, decision.reason) == (
        "prohibited",
        ("no",),
        "Retired.",
    )


#: Clauses, and what becomes of a `forbid` that has one: by a value that overflows it errs; by one
#: that is absent, which the validator has asked for with `has`, it does not match.
CLAUSES = {
    "context.app.count > 1": "matches",
    "context.app.count + 9223372036854775807 > 1": "errs",
    "principal.level > 1": "does not match",
    'resource.owner.department == "x"': "does not match",
    "principal.team.level > 5": "does not match",
}


@pytest.mark.parametrize(("clause", "then"), CLAUSES.items())
@pytest.mark.parametrize(
    ("annotation", "obligations"),
    [("", []), ('@round("2")', ["round"]), ('@quota("5/minute")', ["quota"])],
)
def test_forbid_or_condition_that_errs_denies(make_guard, clause, then, annotation, obligations):
    guard = make_guard(
        GRANT + f'@id("erring") {annotation} forbid (principal, action, resource) '
        f"when {{ {_guarded(clause.split()[0])}{clause} }};"
    )
    decision = decide(guard, app={"count": 9_223_372_036_854_775_807})
    held = [each.name for each in decision.obligations]
    errors = [error.policy for error in decision.errors]
    if then == "errs":
        assert (decision.allowed, decision.code) == (False, "evaluation_error")
        assert (decision.policies, held, errors) == (("erring",), [], ["erring"])
    elif then == "matches" and not obligations:
        assert (decision.allowed, decision.code) == (False, "prohibited")
        assert (decision.policies, held, errors) == (("erring",), [], [])
    else:
        assert (decision.allowed, decision.code) == (True, "allow")
        assert (decision.policies, errors) == (("grant",), [])
        assert held == (obligations if then == "matches" else [])


def _guarded(path):
    parts = path.split(".")
    return "".join(
        f"{'.'.join(parts[: n + 1])} has {parts[n + 1]} && "
        for n in range(len(parts) - 1)
        if parts[0] in ("context", "principal", "resource")
    )


@pytest.mark.parametrize("annotation", ["", '@round("2")'])
def test_missing_required_fact_in_forbid_denies_and_names_the_path(make_guard, annotation):
    guard = make_guard(
        GRANT + f'@id("big") {annotation} forbid (principal, action, resource) '
        "when { context.input.bytes > 10 };"
    )
    decision = decide(guard, input={"rows": 1})
    assert (decision.code, decision.policies) == ("evaluation_error", ("big",))
    assert decision.path == "context.input.bytes"


def test_permit_that_errs_does_not_grant_and_is_recorded(make_guard):
    guard = make_guard(
        '@id("small") permit (principal, action, resource) when { context.input.bytes < 10 };'
    )
    decision = decide(guard, input={})
    assert decision.code == "no_grant"
    assert [error.policy for error in decision.errors] == ["small"]


def test_permit_that_errs_beside_a_real_grant_does_not_deny(make_guard):
    guard = make_guard(
        GRANT
        + '@id("small") permit (principal, action, resource) when { context.input.bytes < 9 };'
    )
    decision = decide(guard, input={})
    assert decision.allowed
    assert decision.policies == ("grant",)
    assert [error.policy for error in decision.errors] == ["small"]


def test_prohibition_is_named_even_where_another_errs(make_guard):
    guard = make_guard(
        GRANT + '@id("errs") forbid (principal, action, resource) when { context.input.bytes > 1 };'
        '@id("no") forbid (principal, action, resource);'
    )
    decision = decide(guard, input={})
    assert (decision.code, decision.policies) == ("prohibited", ("no",))


def test_a_condition_alone_never_grants(make_guard):
    guard = make_guard('@id("c") @round("2") forbid (principal, action, resource);')
    assert decide(guard).code == "no_grant"


def test_obligations_merge_and_name_their_policies(make_guard):
    guard = make_guard(
        GRANT + '@id("a") @round("3") forbid (principal, action, resource);'
        '@id("b") @round("1") @top_k("2") forbid (principal, action, resource);'
        '@id("c") @round("0") forbid (principal, action, resource) unless { principal in Role::"clinician" };'
    )
    decision = decide(guard)
    held = {item.name: item for item in decision.obligations}
    assert list(held) == ["top_k", "round"]
    assert (held["round"].demand, held["round"].policies) == (1, ("a", "b"))
    assert guard.describe(decision)["obligations"] == {"top_k": 2, "round": 1}


@pytest.mark.parametrize(
    ("who", "code"),
    [
        (Principal("User", "x", attrs={}), "wrong_type"),                      # department missing
        (Principal("User", "x", attrs={"department": 1}), "wrong_type"),
        (Principal("User", "x", attrs={"department": "a", "more": 1}), "wrong_type"),
        (Principal("Model", "tumour", attrs={"purpose": "x"}), "wrong_type"),
        (Principal("Nobody", "x"), "wrong_type"),
        (Principal("User\"", "x"), "wrong_type"),
        (Principal("User", "\ud800", attrs={"department": "a"}), "bad_fact"),
        (Principal("User", "x", attrs={"department": "\ud800"}), "bad_fact"),
        (Principal("User", "x", attrs={"department": "a", "score": float("nan")}), "bad_fact"),
        (Principal("User", "x", attrs={"department": None}), "bad_fact"),
        (principal("anlyst"), "wrong_type"),
        (Principal("User", "x", parents=[Entity("Team", "none")], attrs={"department": "a"}),
         "unknown_entity"),
        (Principal("User", "x", parents=[Entity("Model", "tumour")], attrs={"department": "a"}),
         "wrong_type"),
        (principal(team=Entity("Team", "none")), "unknown_entity"),
        (principal(team={"__entity": {"type": "Team", "id": "heart"}}), "bad_fact"),
        (Entity("User", "nobody"), "unknown_entity"),
        (Entity("Role", "clinician"), "wrong_type"),
    ],
)  # fmt: skip
def test_a_principal_that_is_unknown_or_does_not_fit_is_denied(make_guard, who, code):
    decision = decide(make_guard(), who=who)
    assert not decision.allowed
    assert decision.code == code


def test_a_dict_that_looks_like_a_uid_never_becomes_an_entity(make_guard):
    guard = make_guard(
        '@id("heart") permit (principal, action, resource) '
        'when { principal has team && principal.team == Team::"heart" };'
    )
    assert decide(guard, who=principal(team=Entity("Team", "heart"))).allowed
    assert not decide(guard, who=principal(team={"type": "Team", "id": "heart"})).allowed


def test_principals_of_the_bundle_and_given_ones(make_guard):
    guard = make_guard(
        '@id("c") permit (principal in Role::"clinician", action, resource) '
        'when { principal.department == "care" };'
    )
    assert decide(guard, who=Entity("User", "carl")).allowed
    assert decide(guard, who=Principal("User", "carl")).allowed
    # The bundle's attributes win, parents unite, a conflict is an error.
    assert decide(guard, who=Principal("User", "carl", attrs={"department": "care"})).allowed
    conflict = decide(guard, who=Principal("User", "carl", attrs={"department": "x"}))
    assert conflict.code == "wrong_type"
    united = make_guard('@id("a") permit (principal in Role::"auditor", action, resource);')
    assert decide(
        united, who=Principal("User", "carl", parents=[Entity("Role", "auditor")])
    ).allowed


@pytest.mark.parametrize(
    ("resource", "code"),
    [
        (Resource("Model", "unknown"), "unknown_entity"),
        (Resource("Team", "heart"), "wrong_type"),
        (Resource("Model", "\ud800"), "unknown_entity"),
        (Resource("Mo del", "x"), "unknown_entity"),
    ],
)
def test_a_resource_that_is_unknown_or_does_not_fit_is_denied(make_guard, resource, code):
    decision = decide(make_guard(), resource=resource)
    assert (decision.allowed, decision.code) == (False, code)


@pytest.mark.parametrize("action", ["prdict", "read", "", 'x" || true'])
def test_an_action_that_applies_to_nothing_is_denied(make_guard, action):
    assert decide(make_guard(), action=action).code == "undeclared_action"


READS_ALL = """
@id("all") permit (principal, action == Action::"predict", resource) when {
  context has app && context.app == context.app
};
"""
READS_EACH = """
@id("each") permit (principal, action == Action::"predict", resource) when {
  (context.app has purpose && context.app.purpose == "x") ||
  (context.app has score && context.app.score.greaterThan(decimal("0.0"))) ||
  (context.app has count && context.app.count > 0) ||
  (context.app has flag && context.app.flag) ||
  (context.app has tags && context.app.tags.contains("x")) ||
  (context.app has at && context.app.at > datetime("2020-01-01")) ||
  (context.app has span && context.app.span > duration("0s")) ||
  (context.app has ip && context.app.ip.isLoopback()) ||
  (context.app has owner && context.app.owner == User::"carl") ||
  (context.app has note && context.app.note.text == "x")
};
"""
GOOD = [
    ("purpose", "x"), ("score", 0.5), ("score", Decimal("0.5")), ("score", 1), ("count", 1),
    ("flag", True), ("tags", ["x"]), ("tags", {"x", "y"}), ("at", datetime(2024, 1, 1, tzinfo=UTC)),
    ("span", timedelta(seconds=1)), ("ip", "127.0.0.1"), ("ip", ip_address("::1")),
    ("owner", Entity("User", "carl")), ("note", {"text": "x"}),
]  # fmt: skip
BAD = [
    ("purpose", 1), ("purpose", None), ("purpose", "\ud800"), ("purpose", b"x"),
    ("score", float("nan")), ("score", float("inf")), ("score", True), ("score", "0.5"),
    ("score", 1e15), ("score", Decimal("NaN")),
    ("count", True), ("count", 1.0), ("count", 2**63), ("count", -(2**63) - 1), ("count", "1"),
    ("flag", 1), ("flag", "true"), ("flag", None),
    ("tags", "x"), ("tags", [1]), ("tags", [None]), ("tags", {"x": 1}),
    ("at", datetime(2024, 1, 1)), ("at", 1), ("at", "2024-01-01"),
    ("at", datetime.max.replace(tzinfo=timezone(timedelta(hours=-1)))),
    ("at", datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))),
    ("span", 1), ("ip", "localhost"), ("ip", "fe80::1%eth0"), ("ip", 2130706433),
    ("owner", 'User::"carl"'), ("owner", {"type": "User", "id": "carl"}),
    ("owner", {"__entity": {"type": "User", "id": "carl"}}),
    ("score", {"__extn": {"fn": "decimal", "arg": "0.5"}}),
    ("note", "x"), ("note", {"text": 1}), ("note", {"text": {"__extn": {}}}),
    ("note", {1: "x"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), GOOD)
def test_a_fact_of_the_right_type_is_read(make_guard, name, value):
    assert decide(make_guard(READS_EACH), app={name: value}).allowed


@pytest.mark.parametrize("policies", [READS_EACH, READS_ALL + READS_EACH])
@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_fact_of_another_type_is_denied_with_its_path(make_guard, policies, name, value):
    decision = decide(make_guard(policies), app={name: value})
    assert not decision.allowed
    assert decision.code == "bad_fact"
    assert decision.path.startswith("context.app")
    assert value is None or repr(value) not in decision.message


@pytest.mark.parametrize("depth", [1, 3, 10])
@pytest.mark.parametrize("key", ["__entity", "__extn"])
def test_cedars_own_forms_are_refused_at_any_depth_even_unread(make_guard, depth, key):
    value = {key: {"type": "User", "id": "carl"}}
    for level in range(depth):
        value = [value] if level % 2 else {"deep": value}
    assert decide(make_guard(), app={"unread": value}).code == "bad_fact"


def test_facts_that_nest_without_end_are_refused(make_guard):
    deep = {}
    for _ in range(100_000):
        deep = {"a": deep}
    assert decide(make_guard(), app={"x": deep}).code == "bad_fact"
    wide = {"x": [0] * 1_000_000}
    assert decide(make_guard(), app=wide).code == "bad_fact"
    cyclic = {}
    cyclic["me"] = cyclic
    assert decide(make_guard(), app=cyclic).code == "bad_fact"


def test_an_entity_in_a_fact_must_exist_and_be_of_the_declared_type(make_guard):
    guard = make_guard(READS_EACH)
    assert decide(guard, app={"owner": Entity("User", "nobody")}).code == "unknown_entity"
    assert decide(guard, app={"owner": Entity("Model", "tumour")}).code == "bad_fact"
    assert (
        decide(guard, who=principal(name="me"), app={"owner": Entity("User", "me")}).code
        == "no_grant"
    )


def test_one_typed_value_is_never_taken_for_another(make_guard):
    guard = make_guard(
        '@id("one") permit (principal, action, resource) when { context.app has count && context.app.count == 1 };'.replace(
            "action,", 'action == Action::"predict",'
        )
    )
    assert decide(guard, app={"count": 1}).allowed
    for value in (True, 1.0, "1", Decimal(1)):
        assert decide(guard, app={"count": value}).code == "bad_fact"
    assert decide(guard, app={"count": 1}).allowed


def test_negative_zero_and_rounding_of_decimals(make_guard):
    policy = """@id("zero") permit (principal, action == Action::"predict", resource) when {{
      context.app has score && context.app.score == decimal("{}") }};"""
    assert decide(make_guard(policy.format("0.0")), app={"score": -0.0}).allowed
    assert decide(make_guard(policy.format("0.1235")), app={"score": 0.12345000001}).allowed
    assert decide(make_guard(policy.format("0.1234")), app={"score": Decimal("0.12345")}).allowed
    assert decide(make_guard(policy.format("0.1236")), app={"score": Decimal("0.12355")}).allowed


def test_ids_with_any_characters_cannot_be_injected(make_guard):
    for name in ('x", action', "a\nb", "🙂", "\x00", "`p0`", 'User::"carl"'):
        decision = decide(make_guard(), who=principal(name=name))
        assert decision.allowed


def test_text_of_cedars_errors_is_never_kept(make_guard):
    guard = make_guard(
        GRANT + '@id("f") forbid (principal, action == Action::"predict", resource) when { '
        "context.input.bytes > 1 };"
    )
    decision = decide(guard, who=principal(name="s3cret-id"), input={})
    assert "s3cret" not in repr(decision)
    assert "record does not have" not in repr(decision)


def test_a_policy_id_in_a_value_does_not_shift_the_blame(make_guard):
    guard = make_guard(
        '@id("zero") permit (principal, action, resource);'
        '@id("one") forbid (principal, action == Action::"predict", resource) when { context.input.bytes > 1 };'
    )
    who = Principal("User", "error while evaluating policy `p0`: x", attrs={"department": "a"})
    decision = decide(guard, who=who, input={})
    assert (decision.code, decision.policies) == ("evaluation_error", ("one",))


def test_decide_has_no_side_effects(make_guard, recorder):
    guard = make_guard(GRANT + '@id("q") @quota("1/minute") forbid (principal, action, resource);')
    assert all(decide(guard).allowed for _ in range(5))
    assert recorder.records == []


LACKING = '@id("lacking") permit (principal, action == Action::"predict", resource) when { context.app.purpose == "care" };'
OVERFLOWS = (
    '@id("overflows") permit (principal, action == Action::"predict", resource) '
    "when { 9223372036854775807 + context.input.rows > 0 };"
)


@pytest.mark.parametrize(
    ("policies", "errors", "path", "says"),
    [
        (LACKING, ("lacking",), "context.app.purpose", "context.app.purpose is missing"),
        (OVERFLOWS, ("overflows",), "", "a value it reads is missing or overflows"),
        (
            LACKING + OVERFLOWS,
            ("lacking", "overflows"),
            "context.app.purpose",
            "The grant lacking could not",
        ),
        (
            OVERFLOWS + '@id("q") @quota("1/day") forbid (principal, action, resource);',
            ("overflows",),
            "",
            "The grant overflows could not",
        ),
    ],
)
def test_a_denial_for_want_of_a_grant_names_the_one_that_erred(
    make_guard, recorder, policies, errors, path, says
):
    loose = SCHEMA.replace("purpose?: String, score", "purpose: String, score")
    guard = make_guard(policies, **{"schema.cedarschema": loose})
    on = {"action": "predict", "resource": 'Model::"tumour"', "principal": principal()}
    predict = guard.protect(**on)(lambda rows: rows)
    for _ in range(2):  # the second time from the cache
        with pytest.raises(NotAuthorized) as caught:
            predict(np.ones((2, 3)))
        denial = caught.value
        assert (denial.code, denial.policies, denial.errors) == ("no_grant", (), errors)
        assert denial.path == path
        assert says in denial.message
        assert recorder.records[-1].errors == errors
        problem = problem_response(denial)
        assert problem.status == 403
        for word in (b"purpose", b"lacking", b"overflows", b"evaluated"):
            assert word not in problem.body
        assert pickle.loads(pickle.dumps(denial)).errors == errors  # noqa: S301


def test_a_grant_that_errs_beside_one_that_grants_is_no_matter(make_guard):
    guard = make_guard(OVERFLOWS + GRANT)
    on = {"action": "predict", "resource": 'Model::"tumour"', "principal": principal()}
    guard.protect(**on)(lambda rows: rows)(np.ones((2, 3)))


def test_a_forbid_that_errs_is_named_in_the_errors_too(make_guard):
    guard = make_guard(GRANT + OVERFLOWS.replace("permit", "forbid"))
    on = {"action": "predict", "resource": 'Model::"tumour"', "principal": principal()}
    with pytest.raises(NotAuthorized) as caught:
        guard.protect(**on)(lambda rows: rows)(np.ones((2, 3)))
    assert (caught.value.code, caught.value.errors) == ("evaluation_error", ("overflows",))


def test_a_call_without_any_grant_has_no_errors(make_guard):
    guard = make_guard(GRANT.replace("principal,", 'principal == User::"carl",'))
    on = {"action": "predict", "resource": 'Model::"tumour"', "principal": principal()}
    with pytest.raises(NotAuthorized) as caught:
        guard.protect(**on)(lambda rows: rows)(np.ones((2, 3)))
    assert (caught.value.errors, "Ask for a grant" in caught.value.message) == ((), True)
