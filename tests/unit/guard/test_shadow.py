"""A shadow does not change a call; the record has the differences of its decision."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from bundles import GRANT, SCHEMA, principal

from guardrail import ConfigurationError, Denied, Guard, NotAuthorized, QuotaExceeded
from guardrail.audit.journal_read.reader import read_calls
from guardrail.policy.engine.shadow import LIMIT_NAMES

ROWS = np.ones((2, 3))
ON = {"action": "predict", "resource": 'Model::"tumour"'}
CLARA = principal()
EMPTY = '@id("nobody") permit (principal, action, resource) when { 1 > 2 };\n'
ROUND = '@id("coarse") @round("1") forbid (principal, action, resource);\n'
FORBID = '@id("{}") forbid (principal, action == Action::"predict", resource) when {{ {} }};\n'
NEVER = '@id("never") @reason("Closed.") forbid (principal, action, resource);\n'
RISKY = {
    "schema.cedarschema": SCHEMA.replace(
        "time: guardrail::TimeFacts,",
        "time: guardrail::TimeFacts, risk: { score: Long, at: Long },",
    )
}


def shadow(policies: str) -> str:
    """Return policies, each with ``@mode("shadow")``."""
    return policies.replace("@id", '@mode("shadow") @id')


class Risk:
    """A fact source that notes what it is asked for, and may raise."""

    namespace, facts = "risk", frozenset(("score", "at"))

    def __init__(self, raises: BaseException | None = None) -> None:
        self.asked: list[set[str]] = []
        self.raises = raises

    def compute(self, names, context):
        self.asked.append(set(names))
        if self.raises is not None:
            raise self.raises
        return dict.fromkeys(names, 7)


def counts(recorder):
    return [dict(record.counts) for record in recorder.records]


# What differs, and what is recorded of it.


def test_a_prohibition_in_shadow_denies_nothing_and_is_counted(make_guard, recorder):
    guard = make_guard(GRANT + shadow(NEVER))
    assert guard.protect(**ON, principal=CLARA)(lambda patients: 0.125)(ROWS) == 0.125
    (record,) = recorder.records
    assert (record.outcome, record.policies) == ("released", ("grant",))
    assert record.counts == (("shadow/denies/prohibited/never", 1),)


def test_a_grant_in_shadow_grants_nothing_and_is_counted(make_guard, recorder):
    guard = make_guard(EMPTY + shadow(GRANT))
    with pytest.raises(NotAuthorized) as caught:
        guard.protect(**ON, principal=CLARA)(lambda patients: 1)(ROWS)
    assert (caught.value.code, caught.value.policies) == ("no_grant", ())
    assert counts(recorder) == [{"shadow/allows/grant": 1}]


def test_a_condition_in_shadow_cuts_nothing_and_is_counted(make_guard, recorder):
    guard = make_guard(GRANT + shadow(ROUND))
    assert guard.protect(**ON, principal=CLARA)(lambda patients: 0.125)(ROWS) == 0.125
    (record,) = recorder.records
    assert record.obligations == ()
    assert record.counts == (("shadow/obligations/round/coarse", 1),)


def test_a_demand_that_is_made_anyway_is_no_difference(make_guard, recorder):
    finer = '@id("fine") @round("3") forbid (principal, action, resource);\n'
    guard = make_guard(GRANT + ROUND + shadow(finer))
    assert guard.protect(**ON, principal=CLARA)(lambda patients: 0.125)(ROWS) == 0.1
    assert counts(recorder) == [{}]


def test_a_tighter_demand_names_whoever_demands_it(make_guard, recorder):
    guard = make_guard(
        GRANT + ROUND + shadow('@id("whole") @round("0") forbid (principal, action, resource);\n')
    )
    assert guard.protect(**ON, principal=CLARA)(lambda patients: 0.125)(ROWS) == 0.1
    assert counts(recorder) == [{"shadow/obligations/round/whole": 1}]


def test_another_prohibition_of_what_is_denied_anyway_is_no_difference(make_guard, recorder):
    guard = make_guard(GRANT + NEVER + shadow(NEVER.replace("never", "nor-now")))
    with pytest.raises(NotAuthorized) as caught:
        guard.protect(**ON, principal=CLARA)(lambda patients: 1)(ROWS)
    assert caught.value.policies == ("never",)
    assert counts(recorder) == [{}]


def test_a_policy_in_shadow_that_errs_is_counted_by_its_code(make_guard, recorder):
    errs = FORBID.format("late", "principal has level && principal.level * 9223372036854775807 > 1")
    guard = make_guard(EMPTY + shadow(errs))
    predict = guard.protect(**ON, principal=principal(level=5))(lambda patients: 1)
    with pytest.raises(NotAuthorized) as caught:
        predict(ROWS)
    assert caught.value.code == "no_grant"
    assert counts(recorder) == [{"shadow/code/evaluation_error/late": 1}]


def test_of_many_policies_in_shadow_only_so_many_are_named(make_guard, recorder):
    many = "".join(NEVER.replace("never", f"never-{number:02}") for number in range(20))
    make_guard(GRANT + shadow(many)).protect(**ON, principal=CLARA)(lambda patients: 1)(ROWS)
    (found,) = counts(recorder)
    assert list(found) == [f"shadow/denies/prohibited/never-{n:02}" for n in range(LIMIT_NAMES)]


def test_a_call_that_is_refused_later_is_recorded_with_the_difference(make_guard, recorder):
    checks = (
        '@id("in") @input("patients") forbid (principal, action == Action::"predict", resource);'
    )
    predict = make_guard(GRANT + checks + shadow(NEVER)).protect(**ON, principal=CLARA)(
        lambda patients: 1
    )
    with pytest.raises(Denied) as caught:
        predict(ROWS * 11)
    assert caught.value.code == "input_rejected"
    assert counts(recorder) == [{"shadow/denies/prohibited/never": 1}]


# Nothing is consumed.


def test_a_quota_in_shadow_consumes_nothing(make_guard, recorder):
    tiny = '@id("tiny") @quota("1/minute") forbid (principal, action, resource);\n'
    fair = '@id("fair") @quota("3/minute") forbid (principal, action, resource);\n'
    predict = make_guard(GRANT + fair + shadow(tiny)).protect(**ON, principal=CLARA)(
        lambda patients: 1
    )
    assert [predict(ROWS) for _ in range(3)] == [1, 1, 1]
    with pytest.raises(QuotaExceeded) as caught:
        predict(ROWS)
    assert caught.value.policies == ("fair",)
    differs = {"shadow/obligations/quota/tiny": 1}
    assert counts(recorder) == [{**differs, "quota/fair/calls": 1}] * 3 + [differs]


# Facts.

READS = FORBID.format("risky", "context.risk.score > 5")
READS_AT = FORBID.format("later", "context.risk.score > 9 && context.risk.at > 5")


def test_what_only_the_shadow_reads_is_computed_for_it(make_guard, recorder):
    risk = Risk()
    guard = make_guard(GRANT + shadow(READS), options={"facts": [risk]}, **RISKY)
    assert guard.protect(**ON, principal=CLARA)(lambda patients: 1)(ROWS) == 1
    assert risk.asked == [{"score"}]
    assert counts(recorder) == [{"shadow/denies/prohibited/risky": 1}]


def test_what_was_computed_for_the_call_is_not_computed_again(make_guard, recorder):
    risk = Risk()
    live = READS.replace("risky", "live").replace("> 5", "> 100")
    guard = make_guard(GRANT + live + shadow(READS + READS_AT), options={"facts": [risk]}, **RISKY)
    assert guard.protect(**ON, principal=CLARA)(lambda patients: 1)(ROWS) == 1
    assert risk.asked == [{"score"}, {"at"}]
    assert counts(recorder) == [{"shadow/denies/prohibited/risky": 1}]


def test_a_fact_source_that_raises_for_the_shadow_touches_nothing(make_guard, recorder):
    risk = Risk(ValueError("secret"))
    guard = make_guard(GRANT + shadow(READS), options={"facts": [risk]}, **RISKY)
    assert guard.protect(**ON, principal=CLARA)(lambda patients: 0.125)(ROWS) == 0.125
    (record,) = recorder.records
    assert (record.outcome, record.error_type, record.stage) == ("released", "", "release")
    assert record.counts == (("shadow/failed/ValueError", 1),)
    assert "secret" not in repr(record)


def test_an_error_whose_type_is_named_by_a_caller_is_no_name(make_guard, recorder, tmp_path):
    raises = type("of clara/1", (ValueError,), {})()
    options = {"facts": [Risk(raises)], "journal": tmp_path / "journal"}
    guard = make_guard(GRANT + shadow(READS), options=options, **RISKY)
    assert guard.protect(**ON, principal=CLARA)(lambda patients: 1)(ROWS) == 1
    assert counts(recorder) == [{"shadow/failed/Exception": 1}]


def test_an_interruption_in_the_shadow_passes_as_anywhere(make_guard, recorder):
    risk = Risk(KeyboardInterrupt())
    guard = make_guard(GRANT + shadow(READS), options={"facts": [risk]}, **RISKY)
    with pytest.raises(KeyboardInterrupt):
        guard.protect(**ON, principal=CLARA)(lambda patients: 1)(ROWS)
    assert [record.outcome for record in recorder.records] == ["cancelled"]


def test_the_applications_facts_that_only_the_shadow_asks_for_may_fail(make_guard, recorder):
    reads = '@id("paid") forbid (principal, action, resource) when { context.app has purpose };'
    predict = make_guard(GRANT + shadow(reads)).protect(
        **ON, principal=CLARA, facts=lambda patients: {"purpose": 1 / 0}
    )(lambda patients: 1)
    assert predict(ROWS) == 1
    assert counts(recorder) == [{"shadow/failed/ZeroDivisionError": 1}]


def test_the_applications_facts_are_asked_for_once(make_guard, recorder):
    reads = '@id("paid") forbid (principal, action, resource) when { context.app has purpose };'
    asked = []
    live = reads.replace("paid", "live").replace(
        "purpose }", 'purpose && context.app.purpose == "x" }'
    )
    predict = make_guard(GRANT + live + shadow(reads)).protect(
        **ON, principal=CLARA, facts=lambda patients: asked.append(1) or {"purpose": "care"}
    )(lambda patients: 1)
    assert predict(ROWS) == 1
    assert asked == [1]
    assert counts(recorder) == [{"shadow/denies/prohibited/paid": 1}]


# Every way to call.


def _sync(guard):
    return guard.protect(**ON, principal=CLARA)(lambda patients: 0.125)(ROWS)


def _coroutine(guard):
    @guard.protect(**ON, principal=CLARA)
    async def predict(patients):
        return 0.125

    return asyncio.run(predict(ROWS))


def _generator(guard):
    @guard.protect(**ON, principal=CLARA)
    def predict(patients):
        yield 0.125
        yield 0.25

    return list(predict(ROWS))


def _async_generator(guard):
    @guard.protect(**ON, principal=CLARA)
    async def predict(patients):
        yield 0.125

    async def run():
        return [item async for item in predict(ROWS)]

    return asyncio.run(run())


def _block(guard):
    with guard.enforce(**ON, principal=CLARA, input=ROWS) as call:
        return call.release(0.125)


def told(call, guard, recorder):
    """Return what a call came to, for its caller and in its record, ids and times aside."""
    try:
        came = call(guard)
    except Denied as error:
        came = (type(error), error.code, error.policies, error.message, error.path)
    record = recorder.records[-1]
    kept = record._replace(
        decision_id="", revision="", admit_s=0, model_s=0, release_s=0, counts=(), cached=None
    )
    return came, kept, [count for count in record.counts if not count[0].startswith("shadow/")]


@pytest.mark.parametrize("call", [_sync, _coroutine, _generator, _async_generator, _block])
@pytest.mark.parametrize(
    "live", [GRANT, GRANT + NEVER, EMPTY], ids=["allows", "forbids", "no_grant"]
)
@pytest.mark.parametrize(
    "beside", [NEVER.replace("never", "aside"), ROUND, GRANT.replace("grant", "open"), READS]
)
def test_a_call_is_the_same_with_a_shadow(make_guard, recorder, call, live, beside):
    options = {"facts": [Risk(OSError())]}
    without = told(call, make_guard(live, options=options, **RISKY), recorder)
    guard = make_guard(live + shadow(beside), options=options, **RISKY)
    assert told(call, guard, recorder) == without


# What else knows of it.


def test_whoever_asks_the_policies_gets_what_is_enforced(make_guard):
    guard = make_guard(GRANT + shadow(NEVER + ROUND))
    assert guard.policies == ("grant",)
    decision = guard.decide(principal=CLARA, **ON)
    assert (decision.allowed, decision.obligations) == (True, ())


def test_without_policies_in_shadow_there_is_none(make_guard):
    assert make_guard(GRANT)._serving.runtime.shadow is None


def test_the_journal_keeps_the_differences(make_guard, tmp_path):
    guard = make_guard(GRANT + shadow(NEVER), options={"journal": tmp_path / "journal"})
    assert guard.protect(**ON, principal=CLARA)(lambda patients: 1)(ROWS) == 1
    guard.close()
    (kept,) = read_calls(tmp_path / "journal")
    assert kept.record.counts == (("shadow/denies/prohibited/never", 1),)


# A second bundle.


@pytest.fixture
def second(tmp_path):
    """Return a function that writes a second bundle, like the first but for what is said."""

    def make(first, policies, **files):
        folder = tmp_path / "next"
        for path in first.rglob("*"):
            if path.is_file():
                target = folder / path.relative_to(first)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
        for name, text in {"policies.cedar": policies, **files}.items():
            (folder / name).write_text(text)
        return folder

    return make


def test_a_second_bundle_looks_on(make_bundle, second, clock, recorder):
    first = make_bundle(GRANT)
    guard = Guard.from_dir(
        first, shadow=second(first, GRANT + NEVER), clock=clock, sinks=[recorder]
    )
    assert guard.protect(**ON, principal=CLARA)(lambda patients: 1)(ROWS) == 1
    assert counts(recorder) == [{"shadow/denies/prohibited/never": 1}]


def test_a_second_bundle_that_takes_a_demand_away_is_told_by_whose(
    make_bundle, second, clock, recorder
):
    first = make_bundle(GRANT + ROUND)
    guard = Guard.from_dir(first, shadow=second(first, GRANT), clock=clock, sinks=[recorder])
    assert guard.protect(**ON, principal=CLARA)(lambda patients: 0.125)(ROWS) == 0.1
    assert counts(recorder) == [{"shadow/obligations/round/coarse": 1}]


def test_a_second_bundle_that_changes_a_demand_is_told_by_whose(
    make_bundle, second, clock, recorder
):
    first = make_bundle(GRANT + ROUND)
    other = second(first, GRANT + ROUND.replace('"1"', '"2"'))
    guard = Guard.from_dir(first, shadow=other, clock=clock, sinks=[recorder])
    assert guard.protect(**ON, principal=CLARA)(lambda patients: 0.125)(ROWS) == 0.1
    assert counts(recorder) == [{"shadow/obligations/round/coarse": 1}]


def test_a_second_bundle_that_is_the_same_differs_in_nothing(make_bundle, second, clock, recorder):
    policies = (
        GRANT + ROUND + '@id("fair") @quota("3/minute") forbid (principal, action, resource);'
    )
    first = make_bundle(policies)
    guard = Guard.from_dir(first, shadow=second(first, policies), clock=clock, sinks=[recorder])
    assert guard.protect(**ON, principal=CLARA)(lambda patients: 0.125)(ROWS) == 0.1
    assert counts(recorder) == [{"quota/fair/calls": 1}]


def test_an_action_that_the_second_bundle_lacks_is_a_difference(
    make_bundle, second, clock, recorder
):
    first = make_bundle(GRANT)
    schema = SCHEMA.replace("predict, explain", "explain")
    other = second(first, GRANT, **{"schema.cedarschema": schema})
    guard = Guard.from_dir(first, shadow=other, clock=clock, sinks=[recorder])
    assert guard.protect(**ON, principal=CLARA)(lambda patients: 1)(ROWS) == 1
    assert counts(recorder) == [{"shadow/denies/undeclared_action": 1}]


def test_a_second_bundle_computes_its_facts_in_its_own_time_zone(
    make_bundle, second, clock, recorder
):
    late = FORBID.format("late", "context.time.hour >= 23")
    first = make_bundle(GRANT + late)  # it is 22:13 in UTC, and an hour later in Berlin
    toml = '[bundle]\nname = "small"\nversion = "1.0.0"\ntimezone = "Europe/Berlin"\n'
    other = second(first, GRANT + late, **{"guardrail.toml": toml})
    guard = Guard.from_dir(first, shadow=other, clock=clock, sinks=[recorder])
    assert guard.protect(**ON, principal=CLARA)(lambda patients: 1)(ROWS) == 1
    assert counts(recorder) == [{"shadow/denies/prohibited/late": 1}]


def test_the_faults_of_a_second_bundle_name_its_folder(make_bundle, second, clock):
    first = make_bundle(GRANT)
    other = second(first, "permit (")
    with pytest.raises(ConfigurationError) as caught:
        Guard.from_dir(first, shadow=other, clock=clock)
    assert {fault.place.file for fault in caught.value.faults} == {str(other / "policies.cedar")}


def test_two_shadows_at_once_are_refused(make_bundle, second, clock):
    first = make_bundle(GRANT + shadow(NEVER))
    with pytest.raises(ConfigurationError) as caught:
        Guard.from_dir(first, shadow=second(first, GRANT), clock=clock)
    (fault,) = caught.value.faults
    assert (fault.code, str(fault.place)) == ("GR115", "policies.cedar:2:1")


def test_what_is_in_shadow_in_a_second_bundle_is_no_part_of_it(
    make_bundle, second, clock, recorder
):
    first = make_bundle(GRANT)
    other = second(first, GRANT + shadow(NEVER))
    guard = Guard.from_dir(first, shadow=other, clock=clock, sinks=[recorder])
    assert guard.protect(**ON, principal=CLARA)(lambda patients: 1)(ROWS) == 1
    assert counts(recorder) == [{}]


@pytest.mark.parametrize("error", [GeneratorExit, asyncio.CancelledError])
def test_an_exception_of_the_shadow_that_is_no_interruption_ends_no_call(
    make_guard, recorder, error
):
    policies = shadow(FORBID.format("risky", "context.risk.score > 8"))
    guard = make_guard(GRANT + policies, options={"facts": [Risk(error("secret"))]}, **RISKY)
    assert guard.protect(**ON, principal=CLARA)(lambda patients: 0.125)(ROWS) == 0.125
    assert counts(recorder) == [{f"shadow/failed/{error.__name__}": 1}]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_no_exception_of_the_shadow_ends_a_call_on_another_thread(make_guard, recorder, error):
    policies = shadow(FORBID.format("risky", "context.risk.score > 8"))
    guard = make_guard(GRANT + policies, options={"facts": [Risk(error("secret"))]}, **RISKY)
    predict = guard.protect(**ON, principal=CLARA)(lambda patients: 0.125)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(predict, ROWS).result() == 0.125
    assert counts(recorder) == [{f"shadow/failed/{error.__name__}": 1}]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_an_interruption_on_the_main_thread_ends_the_call_and_is_recorded(
    make_guard, recorder, error
):
    policies = shadow(FORBID.format("risky", "context.risk.score > 8"))
    guard = make_guard(GRANT + policies, options={"facts": [Risk(error())]}, **RISKY)
    predict = guard.protect(**ON, principal=CLARA)(lambda patients: 0.125)
    with pytest.raises(error):
        predict(ROWS)
    assert [record.outcome for record in recorder.records] == ["cancelled"]
