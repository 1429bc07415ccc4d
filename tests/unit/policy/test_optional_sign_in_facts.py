"""Facts of a sign-in that can be absent: a policy must test for them before it reads them."""

import pytest
from bundles import principal

from guardrail import ConfigurationError

READS = {
    "issuer": 'context.identity.issuer == "https://x.example"',
    "actor": 'context.identity.actor == "robot"',
    "scopes": 'context.identity.scopes.contains("admin")',
    "authenticated_age_s": "context.identity.authenticated_age_s > 60",
    "expires_in_s": "context.identity.expires_in_s < 60",
}
PREDICT = '(principal, action == Action::"predict", resource)'
GRANT = '@id("grant") permit (principal, action, resource);\n'


@pytest.mark.parametrize("fact", READS)
@pytest.mark.parametrize(
    "policy",
    [
        '@id("it") forbid {scope} when {{ {reads} }};',
        '@id("it") forbid {scope} unless {{ {reads} }};',
        '@id("it") permit {scope} when {{ {reads} }};',
        '@id("it") @quota("5/hour") forbid {scope} when {{ {reads} }};',
        '@id("it") forbid {scope} when {{ context.identity has {other} && {reads} }};',
    ],
)
def test_a_policy_that_does_not_ask_does_not_load(make_guard, fact, policy):
    other = "issuer" if fact == "actor" else "actor"
    text = policy.format(scope=PREDICT, reads=READS[fact], other=other)
    with pytest.raises(ConfigurationError) as caught:
        make_guard(GRANT + text)
    assert {fault.code for fault in caught.value.faults} == {"GR108"}
    assert fact in str(caught.value)


@pytest.mark.parametrize("fact", READS)
def test_one_that_asks_decides_on_whom_nobody_says_it(make_guard, recorder, fact):
    reads = READS[fact]
    guard = make_guard(
        f'{GRANT}@id("it") forbid {PREDICT} when {{ context.identity has {fact} && {reads} }};'
    )
    predict = guard.protect(action="predict", resource='Model::"tumour"', input="rows")(
        lambda rows: "ran"
    )
    with guard.acting_as(principal()):
        assert predict([[1.0]]) == "ran"
    assert [record.errors for record in recorder.records] == [()]


@pytest.mark.parametrize("fact", ["provider", "method", "mfa", "delegated"])
def test_those_that_are_never_absent_need_no_question(make_guard, fact):
    is_text = fact in ("provider", "method")
    reads = f'context.identity.{fact} == "x"' if is_text else f"context.identity.{fact}"
    guard = make_guard(f'{GRANT}@id("it") forbid {PREDICT} when {{ {reads} }};')
    predict = guard.protect(action="predict", resource='Model::"tumour"', input="rows")(
        lambda rows: "ran"
    )
    with guard.acting_as(principal()):
        assert predict([[1.0]]) == "ran"
