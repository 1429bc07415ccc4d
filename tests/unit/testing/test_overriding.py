"""`overriding` replaces the policies, clock or sinks of a guard only while its block runs."""

from __future__ import annotations

import asyncio
import shutil
import threading
from array import array

import pytest
from bundles import GRANT, SCHEMA, principal
from typer.testing import CliRunner

from guardrail import (
    ConfigurationError,
    GuardUnavailable,
    InputRejected,
    NotAuthenticated,
    NotAuthorized,
    QuotaExceeded,
)
from guardrail.cli import app
from guardrail.testing import FrozenClock, Recorder, overriding
from guardrail.testing.application.observe import LetThrough

NEVER = '@id("never") forbid (principal, action, resource);\n'
RETIRED = (
    '@id("no-retired") @reason("It is retired.") forbid (principal, action, resource)'
    ' when { resource.purpose == "retired" };\n'
)
CLARA = principal()
FLAG = SCHEMA.replace("flag?: Bool", "flag: Bool").replace(
    "app: {", "own: { flag: Bool }, app: {", 1
)


@pytest.fixture
def make_app(make_guard):
    """Return a function that makes an application: its guard, and a function under it."""

    def make(policies=GRANT, *, function=None, model="tumour", options=None, **files):
        guard = make_guard(policies, options=options, **files)
        protect = guard.protect(action="predict", resource=f'Model::"{model}"', input="patients")

        def predict(patients):
            return 0.123456

        return guard, protect(function or predict)

    return make


@pytest.fixture
def other(make_bundle, tmp_path):
    """Return a function that writes another bundle than the guard's."""

    def other(policies, **files):
        folder = tmp_path / "other"
        shutil.copytree(tmp_path / "bundle", folder)
        (folder / "policies.cedar").write_text(policies)
        for name, text in files.items():
            (folder / name).write_text(text)
        return folder

    return other


def rows(count=1):
    return memoryview(array("d", [1.0] * 3 * count)).cast("B").cast("d", (count, 3))


def outcomes(records):
    return [(record.outcome, record.code) for record in records]


# Another bundle.


def test_a_decorated_function_is_decided_by_the_other_bundle_inside_and_by_its_own_after(
    make_app, other, recorder
):
    guard, predict = make_app(GRANT)
    revision = guard.revision
    with guard.acting_as(CLARA):
        with overriding(guard, bundle=other(NEVER + GRANT)) as seen:
            assert guard.revision != revision
            with pytest.raises(NotAuthorized) as caught:
                predict(rows())
            assert caught.value.policies == ("never",)
        assert predict(rows()) == 0.123456
    assert (guard.revision, seen) == (revision, [])
    assert outcomes(recorder.records) == [("denied", "prohibited"), ("released", "allow")]


def test_a_bundle_that_grants_more_is_undone_though_the_test_fails(make_app, other):
    guard, predict = make_app(NEVER + GRANT)
    folder = other(GRANT)

    def fail():
        with overriding(guard, bundle=folder):
            assert predict(rows()) == 0.123456
            raise ZeroDivisionError

    with guard.acting_as(CLARA):
        with pytest.raises(ZeroDivisionError):
            fail()
        with pytest.raises(NotAuthorized):
            predict(rows())


def test_a_bundle_that_does_not_load_overrides_nothing(make_app, other):
    guard, predict = make_app(GRANT)
    with pytest.raises(ConfigurationError) as caught, overriding(guard, bundle=other("permit (")):
        pytest.fail("it began")
    assert [fault.place.file for fault in caught.value.faults] == ["policies.cedar"]
    with guard.acting_as(CLARA):
        assert predict(rows()) == 0.123456


def test_quotas_start_anew_and_the_clock_is_the_one_given(make_app):
    quota = '@id("q") @quota("1/minute") forbid (principal, action, resource);'
    guard, predict = make_app(GRANT + quota)
    with guard.acting_as(CLARA):
        predict(rows())
        with pytest.raises(QuotaExceeded):
            predict(rows())
        clock = FrozenClock(1_000.0)
        with overriding(guard, clock=clock):
            predict(rows())
            with pytest.raises(QuotaExceeded):
                predict(rows())
            clock.advance(61)
            predict(rows())
        with pytest.raises(QuotaExceeded):
            predict(rows())


def test_records_go_where_it_says_and_nowhere_else(make_app, recorder):
    guard, predict = make_app(GRANT)
    mine = Recorder()
    with guard.acting_as(CLARA), overriding(guard, sinks=[mine]):
        predict(rows())
    assert (outcomes(mine.records), recorder.records) == ([("released", "allow")], [])


def test_the_journal_gets_nothing_where_sinks_are_given(make_app, tmp_path):
    guard, predict = make_app(GRANT, options={"journal": tmp_path / "journal"})
    with guard.acting_as(CLARA):
        with overriding(guard, sinks=[Recorder()]):
            predict(rows())
        assert list((tmp_path / "journal").glob("*.seg*")) == []
        predict(rows())
    guard.close()
    assert len(list((tmp_path / "journal").glob("*.seg*"))) == 1


def test_the_guard_says_in_the_log_that_it_is_overridden(make_app, other, caplog):
    guard, _ = make_app(GRANT)
    with overriding(guard, bundle=other(GRANT + RETIRED)):
        pass
    with overriding(guard, unsafe_observe=True):
        pass
    message = [
        record.getMessage().partition("> ")[2]
        for record in caplog.records
        if record.levelname == "WARNING"
    ]
    assert message == [
        "is overridden until `overriding` ends. This is for tests only.",
        "ENFORCES NOTHING until `overriding` ends. This is for tests only.",
    ]


def test_what_changes_nothing_is_refused(make_app):
    guard, _ = make_app(GRANT)
    with pytest.raises(ConfigurationError, match="has nothing to change"), overriding(guard):
        pytest.fail("it began")


# Order.


def test_overridings_nest_and_each_keeps_what_it_does_not_change(make_app, other, recorder):
    guard, predict = make_app(GRANT)
    mine = Recorder()
    with guard.acting_as(CLARA):
        with overriding(guard, bundle=other(NEVER + GRANT)):
            with overriding(guard, sinks=[mine]):
                with pytest.raises(NotAuthorized):
                    predict(rows())
                with overriding(guard, unsafe_observe=True) as seen:
                    assert predict(rows()) == 0.123456
                with pytest.raises(NotAuthorized):
                    predict(rows())
            with pytest.raises(NotAuthorized):
                predict(rows())
        assert predict(rows()) == 0.123456
    assert [each.code for each in seen] == ["prohibited"]
    assert outcomes(mine.records) == [
        ("denied", "prohibited"), ("released", "prohibited"), ("denied", "prohibited"),
    ]  # fmt: skip
    assert len(recorder.records) == 2


def test_the_wrong_order_is_an_error_and_enforces_in_the_end(make_app):
    guard, predict = make_app(NEVER + GRANT)
    outer, inner = (overriding(guard, unsafe_observe=True) for _ in range(2))
    outer.__enter__()
    inner.__enter__()
    with pytest.raises(ConfigurationError, match="reverse order"):
        outer.__exit__(None, None, None)
    with guard.acting_as(CLARA):
        assert predict(rows()) == 0.123456  # the inner one is still open
        inner.__exit__(None, None, None)
        with pytest.raises(NotAuthorized):
            predict(rows())


def test_a_reload_inside_ends_it_is_an_error_and_stays(make_app, other, tmp_path):
    guard, predict = make_app(GRANT)
    folder = other(NEVER + GRANT)

    def reload():
        with overriding(guard, bundle=folder):
            (tmp_path / "bundle" / "policies.cedar").write_text(GRANT + RETIRED)
            guard.reload()

    with pytest.raises(ConfigurationError, match="was reloaded inside"):
        reload()
    assert guard.policies == ("grant", "no-retired")
    with guard.acting_as(CLARA):
        assert predict(rows()) == 0.123456


def test_what_the_test_raises_comes_before_what_is_wrong_with_the_order(make_app):
    guard, _ = make_app(GRANT)

    def fail():
        with overriding(guard, sinks=[Recorder()]):
            overriding(guard, sinks=[Recorder()]).__enter__()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()


# Nothing enforced.


def test_what_is_denied_runs_leaves_unfiltered_and_is_told(make_app, recorder):
    rounded = '@id("rounded") @round("2") forbid (principal, action, resource);'
    guard, predict = make_app(GRANT + RETIRED + rounded, model="old")
    with guard.acting_as(CLARA):
        with overriding(guard, unsafe_observe=True) as seen:
            assert predict(rows()) == 0.123456
        with pytest.raises(NotAuthorized):
            predict(rows())
    (output,) = seen
    assert output == LetThrough(
        f"{__name__}.make_app.<locals>.make.<locals>.predict", "predict", "prohibited",
        ("no-retired",), "", "Forbidden by no-retired. It is retired.", output.decision,
    )  # fmt: skip
    assert (output.decision.allowed, output.decision.reason) == (False, "It is retired.")
    assert outcomes(recorder.records) == [("released", "prohibited"), ("denied", "prohibited")]
    assert recorder.records[0].policies == ("no-retired",)


def test_what_is_allowed_leaves_unfiltered_and_is_not_told(make_app, recorder):
    rounded = '@id("rounded") @round("2") forbid (principal, action, resource);'
    guard, predict = make_app(GRANT + rounded)
    with guard.acting_as(CLARA):
        with overriding(guard, unsafe_observe=True) as seen:
            assert predict(rows()) == 0.123456
        assert predict(rows()) == 0.12
    assert seen == []
    assert outcomes(recorder.records) == [("released", "allow")] * 2
    assert recorder.records[0].obligations == ("round",)


def test_nobody_acting_is_told_and_runs(make_app, recorder):
    guard, predict = make_app(GRANT)
    with overriding(guard, unsafe_observe=True) as seen:
        assert predict(rows()) == 0.123456
    assert [(each.code, each.decision) for each in seen] == [("not_authenticated", None)]
    assert outcomes(recorder.records) == [("released", "not_authenticated")]
    with pytest.raises(NotAuthenticated):
        predict(rows())


def test_obligations_before_the_model_are_tried_and_told(make_app):
    policies = (
        GRANT
        + '@id("q") @quota("2/minute") forbid (principal, action, resource);'
        + '@id("i") @input("patients") forbid (principal, action == Action::"predict", resource);'
    )
    guard, predict = make_app(policies)
    with guard.acting_as(CLARA):
        with overriding(guard, unsafe_observe=True) as seen:
            assert [predict(each) for each in (rows(), rows(101), rows())] == [0.123456] * 3
        with pytest.raises(QuotaExceeded):  # it was consumed
            predict(rows())
    assert [(each.code, each.policies, each.decision.code) for each in seen] == [
        ("input_rejected", ("i",), "allow"), ("quota_exceeded", ("q",), "allow"),
    ]  # fmt: skip
    assert seen[0].path == "patients"


def test_an_input_beyond_its_bounds_is_told_and_runs(make_app):
    toml = '[bundle]\nname = "small"\nversion = "1"\n[bounds]\ninput_bytes = 10\n'
    guard, predict = make_app(GRANT, **{"guardrail.toml": toml})
    with guard.acting_as(CLARA):
        with overriding(guard, unsafe_observe=True) as seen:
            assert predict(rows()) == 0.123456
        with pytest.raises(InputRejected):
            predict(rows())
    assert [(each.code, each.decision) for each in seen] == [("too_large", None)]


def test_an_output_that_would_be_blocked_leaves_and_is_told(make_app, recorder):
    policies = GRANT + '@id("top") @top_k("1") forbid (principal, action, resource);'
    guard, predict = make_app(policies, function=lambda patients: "no scores")
    with guard.acting_as(CLARA), overriding(guard, unsafe_observe=True) as seen:
        assert predict(rows()) == "no scores"
    assert [(each.code, each.policies) for each in seen] == [("output_blocked", ("top",))]
    assert outcomes(recorder.records) == [("released", "output_blocked")]


def test_facts_that_are_missing_or_of_a_wrong_type_are_told(make_guard, recorder):
    flag = '@id("f") forbid (principal, action == Action::"predict", resource)'
    guard = make_guard(GRANT + flag + " when { context.app.flag };", **{"schema.cedarschema": FLAG})

    def protected(facts):
        return guard.protect(
            action="predict", resource='Model::"tumour"', input=None, principal=CLARA, facts=facts
        )(lambda: 1)

    with overriding(guard, unsafe_observe=True) as seen:
        assert [protected(facts)() for facts in ({"flag": "text"}, {}, {"flag": False})] == [1] * 3
    assert [(each.code, each.path) for each in seen] == [
        ("bad_fact", "context.app.flag"), ("evaluation_error", "context.app.flag"),
    ]  # fmt: skip
    assert outcomes(recorder.records) == [
        ("released", "bad_fact"), ("released", "evaluation_error"), ("released", "allow"),
    ]  # fmt: skip


class Broken:
    namespace = "own"
    facts = frozenset(("flag",))

    def compute(self, names, context):
        raise RuntimeError("secret")


def test_a_fact_source_that_fails_is_told_without_its_text(make_guard):
    flag = '@id("f") forbid (principal, action == Action::"predict", resource)'
    guard = make_guard(
        GRANT + flag + " when { context.own.flag };",
        options={"facts": [Broken()]},
        **{"schema.cedarschema": FLAG},
    )
    predict = guard.protect(
        action="predict", resource='Model::"tumour"', input=None, principal=CLARA
    )(lambda: 1)
    with overriding(guard, unsafe_observe=True) as seen:
        assert predict() == 1
    assert [(each.code, each.message) for each in seen] == [
        ("internal_error", "The step facts failed with RuntimeError."),
    ]
    with pytest.raises(GuardUnavailable) as caught:
        predict()
    assert caught.value.code == "internal_error"


def test_what_the_model_raises_is_raised(make_app, recorder):
    def broken(patients):
        raise ZeroDivisionError

    guard, predict = make_app(NEVER + GRANT, function=broken)
    with (
        guard.acting_as(CLARA),
        overriding(guard, unsafe_observe=True) as seen,
        pytest.raises(ZeroDivisionError),
    ):
        predict(rows())
    assert [each.code for each in seen] == ["prohibited"]
    assert outcomes(recorder.records) == [("raised", "prohibited")]


def test_a_stream_passes_item_by_item(make_app):
    policies = GRANT + '@id("r") @redact("email") forbid (principal, action, resource);'

    def stream(patients):
        yield "to a@example.org"
        yield 7

    guard, predict = make_app(policies, function=stream)
    with guard.acting_as(CLARA), overriding(guard, unsafe_observe=True) as seen:
        assert list(predict(rows())) == ["to a@example.org", 7]
    assert seen == []


def test_a_stream_that_no_obligation_could_filter_passes_and_is_told(make_app):
    policies = GRANT + '@id("rounded") @round("2") forbid (principal, action, resource);'

    def stream(patients):
        yield 0.12345

    guard, predict = make_app(policies, function=stream)
    with guard.acting_as(CLARA), overriding(guard, unsafe_observe=True) as seen:
        assert list(predict(rows())) == [0.12345]
    assert [(each.code, each.policies) for each in seen] == [("output_blocked", ("rounded",))]


def test_coroutines_that_run_at_once_are_told_each_by_itself(make_app, recorder):
    async def slow(patients):
        await asyncio.sleep(0)
        return patients.shape[0]

    policies = '@id("few") permit (principal, action == Action::"predict", resource)'
    policies += " when { context.input.rows < 3 };"
    guard, predict = make_app(policies, function=slow)

    async def main():
        with guard.acting_as(CLARA):
            return await asyncio.gather(*(predict(rows(count)) for count in (1, 5, 2, 6)))

    with overriding(guard, unsafe_observe=True) as seen:
        assert asyncio.run(main()) == [1, 5, 2, 6]
    assert [each.code for each in seen] == ["no_grant"] * 2
    assert (
        sorted(outcomes(recorder.records))
        == [("released", "allow")] * 2 + [("released", "no_grant")] * 2
    )


def test_a_call_within_a_call_is_told_by_itself(make_guard):
    guard = make_guard(GRANT + RETIRED)

    def protect(model, function, **options):
        return guard.protect(action="predict", resource=f'Model::"{model}"', input=None, **options)(
            function
        )

    inner = protect("old", lambda: 1)

    def who():
        inner()
        return CLARA

    outer = protect("tumour", lambda: inner() + 1, principal=who)
    with guard.acting_as(CLARA), overriding(guard, unsafe_observe=True) as seen:
        assert outer() == 2
    assert [each.policies for each in seen] == [("no-retired",), ("no-retired",)]


def test_other_threads_of_the_process_are_observed_too(make_app):
    guard, predict = make_app(NEVER + GRANT)
    got = []

    def call():
        with guard.acting_as(CLARA):
            got.append(predict(rows()))

    with overriding(guard, unsafe_observe=True) as seen:
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
    assert (got, [each.code for each in seen]) == ([0.123456], ["prohibited"])


def test_an_enforced_block_is_observed_too(make_guard):
    guard = make_guard(NEVER + GRANT)
    with (
        overriding(guard, unsafe_observe=True) as seen,
        guard.enforce(action="predict", resource='Model::"tumour"', principal=CLARA) as call,
    ):
        assert call.release(0.123456) == 0.123456
    assert [(each.function, each.code) for each in seen] == [("enforce", "prohibited")]


def test_a_call_that_began_inside_ends_as_it_began(make_app):
    def stream(patients):
        yield 1
        yield 2

    guard, predict = make_app(NEVER + GRANT, function=stream)
    with guard.acting_as(CLARA), overriding(guard, unsafe_observe=True) as seen:
        items = predict(rows())
        assert next(items) == 1
    assert list(items) == [2]
    assert [each.code for each in seen] == ["prohibited"]


def test_dry_runs_tell_what_is_decided(make_app):
    guard, _ = make_app(NEVER + GRANT)
    with overriding(guard, unsafe_observe=True):
        decision = guard.decide(principal=CLARA, action="predict", resource='Model::"tumour"')
    assert (decision.allowed, decision.code) == (False, "prohibited")


def test_what_can_not_be_recorded_does_not_run(make_app):
    class Broken(Recorder):
        def begin(self, guard, action, function):
            raise OSError

    guard, predict = make_app(GRANT)
    with (
        guard.acting_as(CLARA),
        overriding(guard, unsafe_observe=True, sinks=[Broken()]) as seen,
        pytest.raises(GuardUnavailable) as caught,
    ):
        predict(rows())
    assert (caught.value.code, seen) == ("audit_unavailable", [])


def test_the_journal_holds_what_was_let_through_and_verifies(make_app, tmp_path, recorder):
    toml = (
        f'[bundle]\nname = "small"\nversion = "1"\n[audit]\njournal = "{tmp_path / "journal"}"\n'
        'durability = "each"\n'
    )
    guard, predict = make_app(NEVER + GRANT, **{"guardrail.toml": toml})
    with guard.acting_as(CLARA), overriding(guard, unsafe_observe=True):
        assert predict(rows()) == 0.123456
    guard.close()
    output = CliRunner().invoke(app, ["journal", "verify", str(tmp_path / "journal")])
    assert output.exit_code == 0, output.output
    shown = CliRunner().invoke(
        app, ["journal", "show", str(tmp_path / "journal"), "--format", "json"]
    )
    assert '"outcome": "released"' in shown.stdout, shown.stdout
    assert '"code": "prohibited"' in shown.stdout
