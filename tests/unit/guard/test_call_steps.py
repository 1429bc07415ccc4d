"""The record names the step at which a call ended, and an intent is taken before the model runs."""

import asyncio
import math

import numpy as np
import pytest
from bundles import GRANT, SCHEMA, principal
from clocks import SetClock

from guardrail import Denied, Guard, GuardUnavailable, InputRejected, NotAuthorized
from guardrail.extensions import BlockingStep, ObligationNotMet
from guardrail.testing import Recorder

ROWS = np.ones((2, 3))
ON = {"action": "predict", "resource": 'Model::"tumour"'}
INPUT = '@id("in") @input("patients") forbid (principal, action == Action::"predict", resource);'
QUOTA = '@id("fair") @quota("1/minute per principal") forbid (principal, action, resource);'
OWN = SCHEMA.replace("time: guardrail::TimeFacts,", "own: { value?: Long },")


class Intents(Recorder):
    """A sink that takes a call before its model runs, and keeps the order of what reaches it."""

    intents = True

    def __init__(self, answer=None, fails=()):
        super().__init__()
        self.answer = answer
        self.fails = fails
        self.events = []

    def _do(self, step):
        self.events.append(step)
        if step in self.fails:
            raise OSError("secret")

    def begin(self, guard, action, function):
        self._do("begin")

    def admit(self, handle, record):
        self._do("admit")
        self.intent = record
        return self.answer

    def end(self, handle, record):
        self.events.append(f"end {record.outcome}")
        super().end(handle, record)

    __slots__ = ("answer", "events", "fails", "intent")


class Own:
    """A fact source of the application."""

    namespace = "own"
    facts = frozenset({"value"})

    def __init__(self, value=None, fault=None):
        self.value, self.fault = value, fault

    def compute(self, names, context):
        if self.fault is not None:
            raise self.fault
        return {} if self.value is None else {"value": self.value}

    def why_absent(self, context):
        return "patients[3]", "a number"


class Other(Own):
    namespace = "other"

    def why_absent(self, context):
        return "", ""


def called(guard, model=lambda patients: 1, rows=ROWS):
    with guard.acting_as(principal()):
        return guard.protect(**ON)(model)(rows)


# The stages of records.


def test_a_call_without_identity_ends_at_identify(make_guard, recorder):
    with pytest.raises(Denied):
        make_guard().protect(**ON)(lambda patients: 1)(ROWS)
    assert recorder.records[-1].stage == "identify"


def test_an_unreadable_input_ends_at_bounds(make_guard, recorder):
    with pytest.raises(InputRejected):
        called(make_guard(GRANT + INPUT), rows=iter([1]))
    assert recorder.records[-1].stage == "bounds"


def test_a_call_without_grant_ends_at_decide(make_guard, recorder):
    with pytest.raises(NotAuthorized):
        called(make_guard('@id("no") forbid (principal, action, resource);'))
    assert recorder.records[-1].stage == "decide"


READS_OWN = '@id("high") forbid (principal, action == Action::"predict", resource) when {{ {} }};'


def test_a_fact_source_that_fails_ends_the_call_at_facts(make_guard, recorder):
    policies = GRANT + READS_OWN.format("context.own has value && context.own.value > 3")
    guard = make_guard(
        policies, options={"facts": (Own(fault=ValueError()),)}, **{"schema.cedarschema": OWN}
    )
    with pytest.raises(GuardUnavailable):
        called(guard)
    assert recorder.records[-1].stage == "facts"


def test_a_denial_by_a_fact_ends_at_decide(make_guard, recorder):
    policies = GRANT + READS_OWN.format("context.own has value && context.own.value > 3")
    guard = make_guard(policies, options={"facts": (Own(4),)}, **{"schema.cedarschema": OWN})
    with pytest.raises(NotAuthorized) as caught:
        called(guard)
    assert recorder.records[-1].stage == "decide"
    assert caught.value.path == ""


def test_a_released_call_ends_at_release_and_one_whose_model_raises_at_model(make_guard, recorder):
    guard = make_guard(GRANT + INPUT)
    called(guard)
    assert recorder.records[-1].stage == "release"
    with pytest.raises(ZeroDivisionError):
        called(guard, lambda patients: 1 / 0)
    assert recorder.records[-1].stage == "model"


def test_an_unmet_quota_and_a_refused_input_end_at_their_obligations(make_guard, recorder):
    guard = make_guard(GRANT + QUOTA + INPUT)
    with pytest.raises(InputRejected):
        called(guard, rows=np.ones((2, 4)))
    assert recorder.records[-1].stage == "input"
    with pytest.raises(Denied):
        called(guard)
    assert recorder.records[-1].stage == "quota"


# The cause of an absent fact.


@pytest.mark.parametrize("sources", [(Own(),), (Own(), Other()), (Other(), Own())])
def test_the_cause_of_an_absent_fact_is_reported(make_guard, sources):
    required = OWN.replace("value?", "value")
    schema = required.replace("own: {", "other: { value: Long }, own: {")
    policies = (
        GRANT + '@id("e") forbid (principal, action == Action::"predict", resource) when '
        "{ context.own.value > 3 || context.other.value > 3 };"
    )
    if len(sources) == 1:
        schema, policies = required, policies.replace(" || context.other.value > 3", "")
    guard = make_guard(policies, options={"facts": sources}, **{"schema.cedarschema": schema})
    with pytest.raises(NotAuthorized) as caught:
        called(guard)
    assert caught.value.code == "evaluation_error"
    assert caught.value.path == "patients[3]"
    assert str(caught.value).startswith("patients[3]: a number. ")


# Clocks without a time.


@pytest.mark.parametrize("time", [math.nan, math.inf, -math.inf])
def test_a_call_without_a_time_is_recorded_at_zero(make_guard, recorder, time):
    guard = make_guard(GRANT, options={"clock": SetClock(time)})
    with pytest.raises(GuardUnavailable, match="NaN or infinity"):
        called(guard)
    assert recorder.records[-1].started_at == 0.0


# Intents.


def test_the_intent_is_taken_once_before_the_model_runs(make_guard):
    sink = Intents()
    guard = make_guard(GRANT + INPUT, options={"sinks": (sink,)})
    called(guard, lambda patients: sink.events.append("model"))
    assert sink.events == ["begin", "admit", "model", "end released"]
    assert (sink.intent.outcome, sink.intent.stage) == ("admitted", "audit")


@pytest.mark.parametrize("is_async", [False, True])
def test_the_model_waits_until_the_intent_is_safe(make_guard, is_async):
    sink = Intents()
    sink.answer = BlockingStep(lambda: sink.events.append("safe"))
    guard = make_guard(GRANT + INPUT, options={"sinks": (sink,)})
    if is_async:

        async def predict(patients):
            sink.events.append("model")

        with guard.acting_as(principal()):
            asyncio.run(guard.protect(**ON)(predict)(ROWS))
    else:
        called(guard, lambda patients: sink.events.append("model"))
    assert sink.events == ["begin", "admit", "safe", "model", "end released"]


def test_an_intent_that_is_not_safe_denies(make_guard):
    def work():
        raise OSError("secret")

    sink = Intents(BlockingStep(work))
    ran = []
    guard = make_guard(GRANT + INPUT, options={"sinks": (sink,)})
    with pytest.raises(GuardUnavailable) as caught:
        called(guard, ran.append)
    assert (ran, caught.value.policies) == ([], ())
    assert sink.events == ["begin", "admit", "end denied"]
    assert sink.records[-1].stage == "audit"


def test_an_intent_that_is_not_taken_denies(make_guard):
    sink = Intents(fails=("admit",))
    ran = []
    guard = make_guard(GRANT, options={"sinks": (sink,)})
    with pytest.raises(GuardUnavailable) as caught:
        called(guard, ran.append)
    assert (ran, caught.value.code) == ([], "audit_unavailable")
    assert sink.records[-1].stage == "audit"


class Framing(Intents):
    """A sink with frames: a failure of its `begin` ends the call later."""

    __slots__ = ()
    frames = True

    def enter(self, handle):
        self._do("enter")

    def leave(self, handle, token):
        self._do("leave")


def test_a_call_that_a_sink_did_not_begin_ends_before_its_identity_is_read(make_guard):
    kept, failing = Recorder(), Framing(fails=("begin",))
    guard = make_guard(GRANT + QUOTA, options={"sinks": (kept, failing)})
    with pytest.raises(GuardUnavailable) as caught:
        called(guard)
    assert caught.value.code == "audit_unavailable"
    (record,) = kept.records
    assert (record.stage, record.principal_type, record.counts) == ("audit", "", ())


# Obligations that wait.


class Waiting:
    """An obligation that is met, or not, only after a step that blocks."""

    name = "waiting"
    on_admit = True
    on_release = False

    def __init__(self, *results):
        self.results = list(results)
        self.events = []

    def parse(self, clause):
        return clause.argument

    def reads(self, demand):
        return ()

    def merge(self, one, other):
        return max(one, other)

    def describe(self, demand):
        return demand

    def admit(self, demand, context):
        return BlockingStep(lambda: self.events.append(self.name), self._then)

    def _then(self, result):
        following = self.results.pop(0) if self.results else None
        if isinstance(following, Exception):
            raise following
        return following

    def release(self, demand, output, context):
        return output


class Second(Waiting):
    name = "second"


BOTH = (
    '@id("one") @waiting("x") forbid (principal, action, resource);\n'
    '@id("two") @second("x") forbid (principal, action, resource);\n'
)


@pytest.fixture
def waits(make_guard):
    """Return a function that makes a guard with two obligations that wait, and their order."""

    def make(first=(), second=(), policies=GRANT + BOTH, **options):
        kinds = Waiting(*first), Second(*second)
        guard = make_guard(policies, options={"obligations": kinds, **options})
        decision = guard.decide(principal=principal(), action="predict", resource=ON["resource"])
        return guard, kinds, [held.name for held in decision.obligations]

    return make


def test_every_obligation_is_met_after_the_one_before_has_waited(waits):
    guard, kinds, _ = waits()
    assert called(guard) == 1
    assert [kind.events for kind in kinds] == [["waiting"], ["second"]]


def test_an_input_is_checked_after_an_obligation_has_waited(waits, recorder):
    guard, kinds, order = waits(policies=GRANT + INPUT + BOTH)
    with pytest.raises(InputRejected):
        called(guard, rows=np.ones((2, 4)))
    assert recorder.records[-1].outcome == "denied"


def test_a_step_that_follows_a_step_is_run(waits):
    followed = []
    guard, kinds, _ = waits(first=[BlockingStep(lambda: followed.append(1))])
    assert called(guard) == 1
    assert followed == [1]
    assert kinds[1].events == ["second"]


@pytest.mark.parametrize(("at", "policy"), [(0, "one"), (1, "two")])
@pytest.mark.parametrize("fault", [ObligationNotMet("too much"), ZeroDivisionError("secret")])
def test_an_obligation_that_fails_after_waiting_names_its_policies(
    waits, recorder, at, policy, fault
):
    results = ([fault], []) if at == 0 else ([], [fault])
    guard, _, _ = waits(*results)
    ran = []
    with pytest.raises(Denied) as caught:
        called(guard, ran.append)
    assert ran == []
    if isinstance(fault, ObligationNotMet):
        assert caught.value.policies == (policy,)
    assert recorder.records[-1].stage == ("waiting", "second")[at]


def test_an_unsafe_intent_names_no_policy_of_an_obligation(waits):
    def work():
        raise ObligationNotMet("not safe")

    guard, _, _ = waits(sinks=(Intents(BlockingStep(work)),))
    with pytest.raises(Denied) as caught:
        called(guard)
    assert caught.value.policies == ()


def test_a_failure_to_give_back_does_not_replace_the_denial(make_guard, recorder):
    def fail():
        raise ZeroDivisionError

    class Spending(Waiting):
        def admit(self, demand, context):
            context.notes.returns = (fail,)
            raise ObligationNotMet("too much", code="quota_exceeded")

    guard = make_guard(
        GRANT + '@id("one") @waiting("x") forbid (principal, action, resource);',
        options={"obligations": (Spending(),)},
    )
    with pytest.raises(Denied) as caught:
        called(guard)
    assert (caught.value.code, caught.value.policies) == ("quota_exceeded", ("one",))
    assert recorder.records[-1].code == "quota_exceeded"


# Checks right before a model that starts later.


def started(function, *arguments, change=lambda: None, **named):
    """Call an async function, change its argument, and run it; return the result."""
    made = function(*arguments, **named)
    change()

    async def run():
        return await made

    return asyncio.run(run())


async def one(patients):
    return 1


async def fails(patients):
    raise ZeroDivisionError


CHAT = {"action": "summarize", "resource": 'Model::"tumour"'}


def test_a_change_that_is_refused_ends_at_the_step_that_finds_it(make_guard, recorder):
    guard = make_guard(GRANT + INPUT)
    record = {"text": "hello"}
    with guard.acting_as(principal()):
        with pytest.raises(InputRejected):
            started(guard.protect(**CHAT)(one), record, change=lambda: record.update(text=iter("")))
        assert recorder.records[-1].stage == "bounds"
        rows = np.ones((2, 3))
        with pytest.raises(InputRejected):
            started(guard.protect(**ON)(one), rows, change=lambda: rows.fill(99.0))
        assert recorder.records[-1].stage == "input"
        with pytest.raises(ZeroDivisionError):
            started(guard.protect(**ON)(fails), np.ones((2, 3)))
        assert recorder.records[-1].stage == "model"


def test_a_change_that_policies_forbid_ends_at_decide(make_guard, recorder):
    small = (
        '@id("small") forbid (principal, action == Action::"summarize", resource)\n'
        "when { context.input.bytes > 40 };"
    )
    guard = make_guard(GRANT + small)
    record = {"text": "hello"}
    with guard.acting_as(principal()), pytest.raises(NotAuthorized):
        started(guard.protect(**CHAT)(one), record, change=lambda: record.update(more="x" * 99))
    assert recorder.records[-1].stage == "decide"


@pytest.mark.parametrize(("option", "stage"), [("principal", "identify"), ("resource", "decide")])
@pytest.mark.parametrize("interruption", [None, KeyboardInterrupt])
def test_another_principal_or_resource_ends_the_call(
    make_guard, recorder, option, stage, interruption
):
    from guardrail import Resource

    guard = make_guard(GRANT)
    answers = {
        "principal": [principal(), principal(name="other")],
        "resource": [Resource("Model", "tumour"), Resource("Model", "old")],
    }[option]

    def answer(patients):
        if len(answers) == 1 and interruption is not None:
            raise interruption
        return answers.pop(0)

    options = {**CHAT, "principal": principal(), option: answer}
    with pytest.raises(interruption or InputRejected) as caught:
        started(guard.protect(**options)(one), {"text": "hello"})
    record = recorder.records[-1]
    assert record.stage == stage
    if interruption is None:
        assert caught.value.path == f"{option}="
        assert record.outcome == "denied"
    else:
        assert (record.outcome, record.error_type) == ("cancelled", "KeyboardInterrupt")


def test_a_change_after_the_journal_named_the_input_is_refused(make_bundle, tmp_path, clock):
    guard = Guard.from_dir(make_bundle(GRANT), journal=tmp_path / "journal", clock=clock)
    record = {"text": "hello"}
    with guard.acting_as(principal()):
        function = guard.protect(**CHAT)(one)
        assert started(function, record) == 1
        with pytest.raises(InputRejected, match="patients: ") as caught:
            started(function, record, change=lambda: record.update(text="jello"))
    assert caught.value.path == "patients"
    guard.close()
