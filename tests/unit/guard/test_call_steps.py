"""The record names the step at which a call ended, and an intent is taken before the model runs."""

import array
import asyncio
import datetime
import math
from contextlib import nullcontext

import numpy as np
import pytest
from bundles import GRANT, SCHEMA, principal
from clocks import SetClock

from guardrail import Denied, Guard, GuardUnavailable, InputRejected, NotAuthorized, Resource
from guardrail.extensions import BlockingStep, ObligationNotMet
from guardrail.runtime.flow import is_fixed
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
    guard, _, _ = waits(policies=GRANT + INPUT + BOTH)
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


AUDITED = """
[bundle]
name = "small"
version = "1.0.0"
[audit]
digests = ["input", "output"]
facts = ["app.purpose"]
journal = "../journal"
"""


@pytest.fixture
def audited(make_bundle, recorder):
    """Return a function that loads a guard with a journal and digests."""
    guards = []

    def load(policies=GRANT, **options):
        folder = make_bundle(policies + PURPOSE, **{"guardrail.toml": AUDITED})
        chosen = {"clock": Ticking(), "sinks": (recorder,), **options}
        guards.append(Guard.from_dir(folder, **chosen))
        return guards[-1]

    yield load
    for guard in guards:
        guard.close()


class Ticking(SetClock):
    """A clock on which a second passes each time that it is read."""

    def elapsed(self):
        self.run += 1.0
        return self.run


def test_a_change_after_the_journal_named_the_input_is_refused(audited, recorder):
    guard, record = audited(), {"text": "hello"}
    with guard.acting_as(principal()):
        function = guard.protect(**CHAT)(one)
        assert started(function, record) == 1
        with pytest.raises(InputRejected, match="patients: ") as caught:
            started(function, record, change=lambda: record.update(text="jello"))
    assert (caught.value.path, caught.value.code) == ("patients", "input_rejected")
    assert recorder.records[-1].stage == "audit"


PURPOSE = (
    '@id("purpose") forbid (principal, action == Action::"predict", resource)\n'
    'when { context.app has purpose && context.app.purpose == "sale" };'
)


def test_the_facts_of_a_call_are_recorded_unless_one_has_another_type(audited, recorder):
    guard = audited()
    for purpose, kept in ((7, {}), ("care", None)):
        with guard.acting_as(principal()):
            function = guard.protect(**ON, facts=lambda _, purpose=purpose: {"purpose": purpose})(
                lambda patients: 1
            )
            if kept is None:
                function(ROWS)
                assert dict(recorder.records[-1].facts).get("app.purpose")
            else:
                with pytest.raises(NotAuthorized):
                    function(ROWS)
                assert recorder.records[-1].code == "bad_fact"
                assert not dict(recorder.records[-1].facts).get("app.purpose")


class Shaped:
    """A class of the application with the attributes of an array."""

    shape = (5,)
    nbytes = 7


@pytest.mark.parametrize(
    ("output", "rows", "size"),
    [
        ([1, 2, 3], 3, 0), ((1, 2), 2, 0), ("text", 1, 4), ("\u00e4", 1, 2), (b"abc", 1, 3),
        (np.ones((2, 3)), 2, 48), (np.float64(1.0), 0, 8), (Shaped(), 0, 0), ({"a": 1}, 0, 0),
    ],
)  # fmt: skip
def test_the_size_of_an_output_is_recorded(audited, recorder, output, rows, size):
    called(audited(), lambda patients: output)
    record = recorder.records[-1]
    assert (record.output_rows, record.output_bytes) == (rows, size)


def test_outputs_have_digests(audited, recorder):
    guard = audited()
    called(guard, lambda patients: np.ones((2, 3)))
    called(guard, lambda patients: np.zeros((2, 3)))
    one, two = recorder.records
    assert one.output_digest
    assert one.output_digest != two.output_digest


class Replacing(Waiting):
    """An obligation that returns another value."""

    on_admit = False
    on_release = True

    def __init__(self, output):
        super().__init__()
        self.output = output

    def release(self, demand, output, context):
        if isinstance(self.output, Exception):
            raise self.output
        return self.output


WAITING = GRANT + '@id("one") @waiting("x") forbid (principal, action, resource);'


@pytest.mark.parametrize(
    ("before", "after", "rows", "size"),
    [(np.ones((2, 3)), Shaped(), 0, 0), (Shaped(), np.ones((2, 3)), 2, 48)],
)
def test_the_recorded_size_is_that_of_what_leaves(audited, recorder, before, after, rows, size):
    guard = audited(WAITING, obligations=(Replacing(after),))
    assert called(guard, lambda patients: before) is after
    record = recorder.records[-1]
    assert (record.output_rows, record.output_bytes) == (rows, size)


def test_a_blocked_output_ends_at_its_obligation(make_guard, recorder):
    fault = ObligationNotMet("no", code="output_blocked")
    guard = make_guard(WAITING, options={"obligations": (Replacing(fault),)})
    with pytest.raises(Denied):
        called(guard)
    assert recorder.records[-1].stage == "waiting"


@pytest.mark.parametrize("name", ["__await__", "__next__", "__anext__", "__aiter__"])
def test_an_output_whose_values_come_later_is_blocked(make_guard, recorder, name):
    later = type("Later", (), {name: lambda self: None})
    with pytest.raises(Denied) as caught:
        called(make_guard(), lambda patients: later())
    assert caught.value.code == "output_blocked"
    assert (recorder.records[-1].outcome, recorder.records[-1].stage) == ("blocked", "release")


# Frames.


def test_the_sinks_are_entered_around_the_model(make_guard):
    sink = Framing()
    guard = make_guard(GRANT, options={"sinks": (sink,)})
    called(guard, lambda patients: sink.events.append("model"))
    assert sink.events == ["begin", "admit", "enter", "model", "leave", "end released"]


def test_a_sink_that_can_not_be_entered_denies(make_guard):
    sink, ran = Framing(fails=("enter",)), []
    guard = make_guard(GRANT, options={"sinks": (sink,)})
    with pytest.raises(GuardUnavailable):
        called(guard, ran.append)
    assert ran == []
    assert sink.events == ["begin", "admit", "enter", "end denied"]


# Times, and streams.

REDACT = GRANT + '@id("r") @redact("email as block") forbid (principal, action, resource);'
MAIL = "ann@clinic.example "


def stream(*items, result=None):
    def generate(patients):
        yield from items
        return result

    return generate


@pytest.mark.parametrize(
    ("policies", "model", "outcome", "stage"),
    [
        (GRANT, stream("a"), "released", "model"),
        (REDACT, stream("a"), "released", "release"),
        (REDACT, stream(MAIL * 50), "blocked", "release"),
        (REDACT, stream("a", result="b"), "blocked", "release"),
    ],
)
def test_a_stream_ends_at_release(make_guard, recorder, policies, model, outcome, stage):
    guard = make_guard(policies, options={"clock": Ticking()})
    with guard.acting_as(principal()):
        made = guard.protect(**ON)(model)(ROWS)
        with nullcontext() if outcome == "released" else pytest.raises(Denied):
            list(made)
    record = recorder.records[-1]
    assert (record.outcome, record.stage) == (outcome, stage)
    assert record.model_s > 0.0
    assert record.release_s > 0.0


def test_a_model_that_raises_has_its_time(make_guard, recorder):
    guard = make_guard(options={"clock": Ticking()})
    with pytest.raises(ZeroDivisionError):
        called(guard, lambda patients: 1 / 0)
    record = recorder.records[-1]
    assert (record.outcome, record.model_s, record.release_s) == ("raised", 1.0, 1.0)


# What counts as immutable.


@pytest.mark.parametrize(
    "value",
    [
        (1,) * 10_000, frozenset({1, "a"}), ((1, (2.0, b"x")), None),
        datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), datetime.time(1),
        (datetime.datetime(2026, 1, 1),),
    ],
)  # fmt: skip
def test_immutable_values_are_fixed(value):
    assert is_fixed(value)


@pytest.mark.parametrize(
    "value",
    [(1,) * 10_001, ((1,) * 10_000,), ([],), (1, [2]), {1}, (datetime.time(1), {})],
    ids=lambda value: str(value)[:20],
)
def test_large_and_mutable_values_are_not_fixed(value):
    assert not is_fixed(value)


# What is checked again, and under which name.


@pytest.mark.parametrize(("input_name", "path"), [("patients", "patients"), (None, "facts=")])
def test_other_facts_that_demand_more_are_a_change(make_guard, input_name, path):
    demand = (
        '@id("c") @round("1") forbid (principal, action == Action::"predict", resource)\n'
        'when { context.app has purpose && context.app.purpose == "sale" };'
    )
    answers = [{"purpose": "care"}, {"purpose": "sale"}]
    guard = make_guard(GRANT + demand)
    rows = np.ones((2, 3))
    with guard.acting_as(principal()), pytest.raises(InputRejected) as caught:
        started(guard.protect(**ON, input=input_name, facts=lambda _: answers.pop(0))(one), rows)
    assert caught.value.path == path


def test_an_obligation_that_waited_allows_a_call_without_an_input(waits):
    guard, _, _ = waits()
    options = {"input": None, "facts": lambda patients: {}}
    with guard.acting_as(principal()):
        assert started(guard.protect(**ON, **options)(one), [1]) == 1


class Once(Waiting):
    """An obligation that is met once."""

    def admit(self, demand, context):
        self.events.append(1)
        if len(self.events) > 1:
            raise ObligationNotMet("too late")


class OnceMore(Once):
    name = "second"

    def admit(self, demand, context):
        self.events.append(1)


@pytest.mark.parametrize("kinds", [(Once(), OnceMore()), (OnceMore(), Once())])
def test_each_obligation_is_met_again(make_guard, recorder, kinds):
    for kind, name in zip(kinds, ("waiting", "second"), strict=True):
        kind.name = name
    guard = make_guard(GRANT + BOTH, options={"obligations": kinds})
    with guard.acting_as(principal()), pytest.raises(Denied) as caught:
        started(guard.protect(**ON)(one), np.ones((2, 3)))
    at = [type(kind) for kind in kinds].index(Once)
    assert caught.value.policies == (("one", "two")[at],)
    assert recorder.records[-1].stage == ("waiting", "second")[at]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_model_may_resize_its_input(make_guard, is_async):
    guard = make_guard()
    values = array.array("d", [1.0, 2.0])

    async def grow(patients):
        patients.append(3.0)

    with guard.acting_as(principal()):
        if is_async:
            started(guard.protect(**ON)(grow), values)
        else:
            guard.protect(**ON)(lambda patients: patients.append(3.0))(values)
    assert len(values) == 3
