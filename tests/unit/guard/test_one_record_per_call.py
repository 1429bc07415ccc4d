"""Each call leaves exactly one record on every path, and no output leaves without one."""

import asyncio
import gc
import threading

import numpy as np
import pytest
from bundles import GRANT, principal

from guardrail import (
    Denied,
    Guard,
    GuardUnavailable,
    InputRejected,
    NotAuthenticated,
    NotAuthorized,
    OutputBlocked,
    QuotaExceeded,
)
from guardrail.extensions import BlockingStep

ROWS = np.ones((2, 3))
ON = {"action": "predict", "resource": 'Model::"tumour"'}
INPUT = '@id("in") @input("patients") forbid (principal, action == Action::"predict", resource);'
ROUND = '@id("coarse") @round("1") forbid (principal, action, resource);'
QUOTA = '@id("fair") @quota("2/minute per principal") forbid (principal, action, resource);'


def outcomes(recorder):
    return [(record.outcome, record.code) for record in recorder.records]


@pytest.fixture
def guard(make_guard):
    return make_guard(GRANT + INPUT + ROUND)


def test_allowed_call_has_one_record_with_everything_and_no_value(guard, recorder):
    predict = guard.protect(**ON)(lambda patients: 0.125)
    with guard.acting_as(principal()):
        assert predict(ROWS) == 0.1
    (record,) = recorder.records
    assert (record.outcome, record.code, record.policies) == ("released", "allow", ("grant",))
    assert (record.guard, record.action, record.rows) == ("small", "predict", 2)
    assert (record.principal_type, record.resource_type) == ("User", "Model")
    assert record.obligations == ("input", "round")
    assert record.revision == guard.revision
    assert record.decision_id
    assert "clara" not in repr(record)


def test_a_call_without_identity_is_denied_and_recorded(guard, recorder):
    ran = []
    predict = guard.protect(**ON)(lambda patients: ran.append(1))
    with pytest.raises(NotAuthenticated) as caught:
        predict(ROWS)
    assert not ran
    assert outcomes(recorder) == [("denied", "not_authenticated")]
    assert caught.value.decision_id == recorder.records[0].decision_id


@pytest.mark.parametrize(
    ("rows", "kind", "path"),
    [
        (np.array([[1, 2, np.nan]]), InputRejected, "patients[0, 2]"),
        (np.array([[1, 2, 11.0]]), InputRejected, "patients[0, 2]"),
        (np.ones((1, 4)), InputRejected, "patients"),
        (np.ones((101, 3)), InputRejected, "patients"),
        (np.ones((1, 3), dtype=object), InputRejected, "patients"),
        (iter([1]), InputRejected, "patients"),
        (None, InputRejected, "patients"),
    ],
)
def test_a_refused_input_is_recorded_and_never_reaches_the_model(guard, recorder, rows, kind, path):
    ran = []
    predict = guard.protect(**ON)(lambda patients: ran.append(1))
    with guard.acting_as(principal()), pytest.raises(kind) as caught:
        predict(rows)
    assert caught.value.path == path
    assert not ran
    assert outcomes(recorder) == [("denied", "input_rejected")]


def test_an_input_over_the_bounds_is_refused_before_it_is_read(make_guard, recorder):
    guard = make_guard(
        GRANT,
        **{"guardrail.toml": '[bundle]\nname="s"\nversion="1"\n[bounds]\ninput_bytes = 16\n'},
    )
    predict = guard.protect(**ON)(lambda patients: 1)
    with guard.acting_as(principal()), pytest.raises(InputRejected) as caught:
        predict(ROWS)
    assert caught.value.code == "too_large"
    assert outcomes(recorder) == [("denied", "too_large")]


def test_a_denied_call_is_recorded_with_its_policies(make_guard, recorder):
    guard = make_guard(GRANT + '@id("no") @reason("Closed.") forbid (principal, action, resource);')
    predict = guard.protect(**ON)(lambda patients: 1)
    with guard.acting_as(principal()), pytest.raises(NotAuthorized) as caught:
        predict(ROWS)
    assert (caught.value.code, caught.value.policies) == ("prohibited", ("no",))
    assert caught.value.reason == "Closed."
    assert outcomes(recorder) == [("denied", "prohibited")]


def test_a_spent_quota_is_recorded_and_says_when_to_come_back(make_guard, recorder, clock):
    guard = make_guard(GRANT + QUOTA)
    predict = guard.protect(**ON)(lambda patients: 1)
    with guard.acting_as(principal()):
        assert [predict(ROWS), predict(ROWS)] == [1, 1]
        with pytest.raises(QuotaExceeded) as caught:
            predict(ROWS)
        assert 0 < caught.value.retry_after_s <= 60
        assert caught.value.policies == ("fair",)
        clock.advance(61)
        assert predict(ROWS) == 1
    assert [code for _, code in outcomes(recorder)] == ["allow", "allow", "quota_exceeded", "allow"]


def test_a_call_denied_by_policy_consumes_nothing(make_guard):
    guard = make_guard(
        '@id("g") permit (principal, action, resource) when { resource.purpose == "care" };' + QUOTA
    )
    good = guard.protect(**ON)(lambda patients: 1)
    bad = guard.protect(action="predict", resource='Model::"old"')(lambda patients: 1)
    with guard.acting_as(principal()):
        for _ in range(5):
            with pytest.raises(NotAuthorized):
                bad(ROWS)
        assert [good(ROWS), good(ROWS)] == [1, 1]


def test_bad_input_has_consumed(make_guard):
    guard = make_guard(GRANT + QUOTA + INPUT)
    predict = guard.protect(**ON)(lambda patients: 1)
    with guard.acting_as(principal()):
        for _ in range(2):
            with pytest.raises(InputRejected):
                predict(np.full((1, 3), np.nan))
        with pytest.raises(QuotaExceeded):
            predict(ROWS)


class Boom(Exception):
    pass


def test_the_models_exception_passes_unchanged_and_is_recorded_by_type(guard, recorder):
    error = Boom("secret")

    def predict(patients):
        raise error

    protected = guard.protect(**ON)(predict)
    with guard.acting_as(principal()), pytest.raises(Boom) as caught:
        protected(ROWS)
    assert caught.value is error
    assert error.__cause__ is None
    assert error.__context__ is None
    assert outcomes(recorder) == [("raised", "allow")]
    assert recorder.records[0].error_type == "Boom"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_even_an_interruption_of_the_model_is_recorded(guard, recorder, error):
    def predict(patients):
        raise error

    with guard.acting_as(principal()), pytest.raises(error):
        guard.protect(**ON)(predict)(ROWS)
    assert outcomes(recorder) == [("raised", "allow")]


@pytest.mark.parametrize("output", ["text", None, object(), {1: 2}, b"x", [["a"]]])
def test_an_output_that_an_obligation_cannot_work_on_is_blocked(guard, recorder, output):
    predict = guard.protect(**ON)(lambda patients: output)
    with guard.acting_as(principal()), pytest.raises(OutputBlocked) as caught:
        predict(ROWS)
    assert caught.value.policies == ("coarse",)
    assert outcomes(recorder) == [("blocked", "output_blocked")]


async def _coroutine():
    return 1.0


@pytest.mark.parametrize(
    "make",
    [lambda: (n for n in [1]), _coroutine, lambda: iter([1.0]), lambda: map(float, [1])],
    ids=["generator", "coroutine", "iterator", "map"],
)
def test_what_comes_later_and_unseen_is_blocked_even_without_obligations(
    make_guard, recorder, make
):
    guard = make_guard(GRANT)
    made = []

    def predict(patients):
        made.append(make())
        return made[0]

    with guard.acting_as(principal()), pytest.raises(OutputBlocked):
        guard.protect(**ON)(predict)(ROWS)
    assert outcomes(recorder) == [("blocked", "output_blocked")]
    if hasattr(made[0], "close"):
        made[0].close()


def test_nested_calls_have_a_record_each_and_know_their_parent(make_guard, recorder):
    guard = make_guard(GRANT)
    inner = guard.protect(**ON)(lambda patients: 1)
    outer = guard.protect(**ON)(lambda patients: inner(patients) + 1)
    with guard.acting_as(principal()):
        assert outer(ROWS) == 2
        assert inner(ROWS) == 1
    first, second, third = recorder.records
    assert first.parent_decision_id == second.decision_id
    assert second.parent_decision_id == ""
    assert third.parent_decision_id == ""


def test_a_denial_inside_a_model_is_the_models_own_exception(make_guard, recorder):
    guard = make_guard(GRANT)
    inner = guard.protect(action="predict", resource='Model::"none"')(lambda patients: 1)
    outer = guard.protect(**ON)(lambda patients: [inner(patients)])
    with guard.acting_as(principal()), pytest.raises(NotAuthorized):
        outer(ROWS)
    assert outcomes(recorder) == [("denied", "unknown_entity"), ("raised", "allow")]


# An exception in any step of ours.


class Source:
    namespace = "own"
    facts = frozenset({"value"})

    def compute(self, names, context):
        raise ZeroDivisionError("secret")


class Demanding:
    """An obligation that fails, or waits, where it is told to."""

    name = "demanding"
    on_admit = True
    on_release = True

    def __init__(self, admit=None, release=None):
        self._admit = admit
        self._release = release

    def parse(self, clause):
        return clause.argument

    def reads(self, demand):
        return ()

    def merge(self, one, other):
        return max(one, other)

    def describe(self, demand):
        return demand

    def admit(self, demand, context):
        return self._admit() if self._admit else None

    def release(self, demand, output, context):
        return self._release(output) if self._release else output


class Sink:
    """A sink that fails in the steps it is told to, and keeps what reaches it."""

    def __init__(self, *fail):
        self.fail = fail
        self.records = []

    def _step(self, name):
        if name in self.fail:
            raise OSError("secret")

    def begin(self, guard, action, function):
        self._step("begin")

    def enter(self, handle):
        self._step("enter")

    def leave(self, handle, token):
        self._step("leave")

    def end(self, handle, record):
        self._step("end")
        self.records.append(record)


def explode(*_):
    raise ZeroDivisionError("secret")


DEMAND = '@id("d") @demanding("x") forbid (principal, action, resource);'
OWN_SCHEMA = """
entity User { department: String }; entity Role; entity Model;
action predict appliesTo { principal: [User], resource: [Model],
  context: { own: { value: Long } } };
"""
OWN_ENTITIES = '[{"uid":{"type":"Model","id":"tumour"},"attrs":{},"parents":[]}]'


def assert_internal(caught, recorder, outcome):
    error = caught.value
    assert error.code == "internal_error"
    assert "ZeroDivisionError" in str(error)
    assert "secret" not in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None
    assert outcomes(recorder) == [(outcome, "internal_error")]
    assert recorder.records[0].error_type == "ZeroDivisionError"


@pytest.mark.parametrize(
    ("obligation", "outcome", "runs"),
    [
        (Demanding(admit=explode), "denied", False),
        (Demanding(admit=lambda: BlockingStep(explode)), "denied", False),
        (Demanding(admit=lambda: BlockingStep(int, explode)), "denied", False),
        (Demanding(release=explode), "blocked", True),
    ],
)
def test_an_obligation_that_raises_denies(make_guard, recorder, obligation, outcome, runs):
    guard = make_guard(GRANT + DEMAND, options={"obligations": (obligation,)})
    ran = []
    predict = guard.protect(**ON)(lambda patients: ran.append(1))
    with guard.acting_as(principal()), pytest.raises(GuardUnavailable) as caught:
        predict(ROWS)
    assert bool(ran) is runs
    assert_internal(caught, recorder, outcome)


def test_a_fact_source_that_raises_denies(make_guard, recorder):
    guard = make_guard(
        '@id("g") permit (principal, action, resource) when { context.own.value > 0 };',
        options={"facts": (Source(),)},
        **{"schema.cedarschema": OWN_SCHEMA, "entities.json": OWN_ENTITIES},
    )
    predict = guard.protect(**ON)(lambda patients: 1)
    with (
        guard.acting_as(principal_without_role()),
        pytest.raises(GuardUnavailable) as caught,
    ):
        predict(ROWS)
    assert_internal(caught, recorder, "denied")


def principal_without_role():
    from guardrail import Principal

    return Principal("User", "clara", attrs={"department": "care"})


@pytest.mark.parametrize("what", ["principal", "resource", "facts"])
def test_a_callable_of_the_arguments_that_raises_denies(make_guard, recorder, what):
    guard = make_guard(
        '@id("g") permit (principal, action, resource) '
        'when { context.app has purpose && context.app.purpose == "x" };'
    )
    options = {**ON, "principal": principal(), what: explode}
    predict = guard.protect(**options)(lambda patients: 1)
    with pytest.raises(GuardUnavailable) as caught:
        predict(ROWS)
    assert_internal(caught, recorder, "denied")


@pytest.mark.parametrize("what", ["principal", "resource"])
def test_a_callable_that_returns_text_denies(make_guard, recorder, what):
    guard = make_guard()
    options = {**ON, "principal": principal(), what: lambda patients: 'Model::"tumour"'}
    predict = guard.protect(**options)(lambda patients: 1)
    with pytest.raises(NotAuthorized) as caught:
        predict(ROWS)
    assert caught.value.code == "wrong_type"
    assert len(recorder.records) == 1


@pytest.mark.parametrize("step", ["begin", "enter", "end"])
def test_a_call_that_cannot_be_recorded_is_denied(make_bundle, caplog, step):
    sink = Sink(step)
    guard = Guard.from_dir(make_bundle(), sinks=(sink,))
    ran = []
    predict = guard.protect(**ON)(lambda patients: ran.append(1))
    with guard.acting_as(principal()), pytest.raises(GuardUnavailable) as caught:
        predict(ROWS)
    assert caught.value.code == "audit_unavailable"
    assert caught.value.decision_id
    assert bool(ran) is (step == "end")
    assert "secret" not in caplog.text
    # What no sink took stands in the log, the last resort.
    is_logged = caught.value.decision_id in caplog.text
    assert (len(sink.records), is_logged) == ((1, False) if step == "enter" else (0, True))


def test_one_sink_that_fails_keeps_no_other_from_the_record(make_bundle):
    good, bad = Sink(), Sink("end")
    guard = Guard.from_dir(make_bundle(), sinks=(bad, good))
    with guard.acting_as(principal()), pytest.raises(GuardUnavailable):
        guard.protect(**ON)(lambda patients: 1)(ROWS)
    assert len(good.records) == 1


def test_a_failing_audit_never_hides_the_models_exception(make_bundle):
    guard = Guard.from_dir(make_bundle(), sinks=(Sink("end", "leave"),))

    def predict(patients):
        raise Boom

    with guard.acting_as(principal()), pytest.raises(Boom):
        guard.protect(**ON)(predict)(ROWS)


# Waits: what blocks is run by the driver, and the call goes on after it.


def test_a_step_that_waits_is_resumed(make_guard, recorder):
    seen = []
    chain = BlockingStep(lambda: 1, lambda one: BlockingStep(lambda: one + 1, seen.append))
    guard = make_guard(GRANT + DEMAND, options={"obligations": (Demanding(admit=lambda: chain),)})
    with guard.acting_as(principal()):
        assert guard.protect(**ON)(lambda patients: 5)(ROWS) == 5
    assert seen == [2]
    assert outcomes(recorder) == [("released", "allow")]


def test_a_waiting_step_runs_off_the_event_loop(make_guard, recorder):
    threads = []
    waiting = Demanding(admit=lambda: BlockingStep(lambda: threads.append(threading.get_ident())))
    guard = make_guard(GRANT + DEMAND, options={"obligations": (waiting,)})

    @guard.protect(**ON)
    async def predict(patients):
        return 7

    async def main():
        with guard.acting_as(principal()):
            return await predict(ROWS)

    assert asyncio.run(main()) == 7
    assert threads
    assert threads[0] != threading.get_ident()
    assert outcomes(recorder) == [("released", "allow")]


# Coroutines, cancelled and abandoned.


def run(make):
    return asyncio.run(make())


def test_a_cancelled_coroutine_is_recorded_once_even_when_cancelled_twice(make_guard, recorder):
    guard = make_guard(GRANT)
    stubborn = []

    @guard.protect(**ON)
    async def predict(patients):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stubborn.append(1)
            await asyncio.Event().wait()

    async def main():
        with guard.acting_as(principal()):
            task = asyncio.ensure_future(predict(ROWS))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    run(main)
    assert stubborn
    assert outcomes(recorder) == [("cancelled", "allow")]


def test_a_coroutine_cancelled_while_a_step_waits_is_recorded(make_guard, recorder):
    release = threading.Event()
    waiting = Demanding(admit=lambda: BlockingStep(release.wait))
    guard = make_guard(GRANT + DEMAND, options={"obligations": (waiting,)})
    ran = []

    @guard.protect(**ON)
    async def predict(patients):
        ran.append(1)

    async def main():
        with guard.acting_as(principal()):
            task = asyncio.ensure_future(predict(ROWS))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        release.set()

    run(main)
    assert not ran
    assert [record.outcome for record in recorder.records] == ["cancelled"]


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_a_coroutine_that_is_never_awaited_is_recorded_as_abandoned(make_guard, recorder):
    guard = make_guard(GRANT)

    @guard.protect(**ON)
    async def predict(patients):
        return 1

    with guard.acting_as(principal()):
        coroutine = predict(ROWS)
    assert recorder.records == []
    del coroutine
    gc.collect()
    assert outcomes(recorder) == [("abandoned", "allow")]


def test_a_denied_coroutine_raises_when_awaited_so_that_gather_collects_it(make_guard, recorder):
    guard = make_guard(GRANT)

    @guard.protect(**ON)
    async def predict(patients):
        return 1

    async def main():
        return await asyncio.gather(predict(ROWS), predict(ROWS), return_exceptions=True)

    errors = run(main)
    assert all(isinstance(error, NotAuthenticated) for error in errors)
    assert len(recorder.records) == 2


# Generators.


def test_a_generator_that_ends_is_released_and_one_left_early_is_abandoned(make_guard, recorder):
    guard = make_guard(GRANT)

    @guard.protect(**ON)
    def stream(patients):
        received = yield 1
        yield received
        return "done"

    with guard.acting_as(principal()):
        whole = stream(ROWS)
        assert next(whole) == 1
        assert whole.send("sent") == "sent"
        with pytest.raises(StopIteration) as end:
            next(whole)
        assert end.value.value == "done"
        early = stream(ROWS)
        next(early)
        early.close()
        never = stream(ROWS)
        del never
        gc.collect()
        thrown = stream(ROWS)
        next(thrown)
        with pytest.raises(Boom):
            thrown.throw(Boom)
    assert [outcome for outcome, _ in outcomes(recorder)] == [
        "released", "abandoned", "abandoned", "raised",
    ]  # fmt: skip


def test_a_stream_under_an_output_obligation_is_blocked_before_the_model_runs(guard, recorder):
    ran = []

    @guard.protect(**ON)
    def stream(patients):
        ran.append(1)
        yield 0.123

    @guard.protect(**ON)
    async def astream(patients):
        ran.append(1)
        yield 0.123

    with guard.acting_as(principal()):
        for make in (stream, astream):
            with pytest.raises(OutputBlocked) as caught:
                make(ROWS)
            assert caught.value.policies == ("coarse",)
    assert not ran
    assert outcomes(recorder) == [("denied", "output_blocked")] * 2


def test_async_generators_end_close_and_pass_values(make_guard, recorder):
    guard = make_guard(GRANT)
    closed = []

    @guard.protect(**ON)
    async def stream(patients):
        try:
            received = yield 1
            yield received
        finally:
            closed.append(1)

    async def main():
        with guard.acting_as(principal()):
            assert [item async for item in stream(ROWS)] == [1, None]
            sent = stream(ROWS)
            await sent.__anext__()
            assert await sent.asend("x") == "x"
            await sent.aclose()
            thrown = stream(ROWS)
            await thrown.__anext__()
            with pytest.raises(Boom):
                await thrown.athrow(Boom)

    run(main)
    assert len(closed) == 3
    assert [outcome for outcome, _ in outcomes(recorder)] == ["released", "abandoned", "raised"]


def test_an_async_generator_that_must_wait_is_admitted_at_its_first_item(make_guard, recorder):
    waiting = Demanding(admit=lambda: BlockingStep(lambda: None))
    waiting.on_release = False
    guard = make_guard(GRANT + DEMAND, options={"obligations": (waiting,)})

    @guard.protect(**ON)
    async def stream(patients):
        yield 1

    async def main():
        with guard.acting_as(principal()):
            items = stream(ROWS)
        return [item async for item in items]  # identity was taken at the call

    assert run(main) == [1]
    assert outcomes(recorder) == [("released", "allow")]


# enforce.


def test_enforce_releases_once_and_filters(guard, recorder):
    with (
        guard.acting_as(principal()),
        guard.enforce(**ON, input=ROWS, name="patients") as call,
    ):
        assert call.input is ROWS
        assert call.release(0.125) == 0.1
        with pytest.raises(OutputBlocked):
            call.release(0.125)
    assert outcomes(recorder) == [("released", "allow")]


def test_enforce_left_without_release_is_an_error(guard, recorder):
    with (
        guard.acting_as(principal()),
        pytest.raises(OutputBlocked),
        guard.enforce(**ON, input=ROWS),
    ):
        pass
    assert outcomes(recorder) == [("blocked", "output_blocked")]


def test_enforce_passes_an_exception_through(guard, recorder):
    with guard.acting_as(principal()), pytest.raises(Boom), guard.enforce(**ON, input=ROWS):
        raise Boom
    assert outcomes(recorder) == [("raised", "allow")]


def test_enforce_denies_at_entry_and_cannot_be_misused(guard, recorder):
    block = guard.enforce(**ON, input=ROWS)
    with pytest.raises(RuntimeError):
        block.release(1.0)
    with pytest.raises(NotAuthenticated):
        block.__enter__()
    with pytest.raises(RuntimeError):
        block.__enter__()
    with guard.acting_as(principal()):
        with guard.enforce(**ON, input=ROWS) as call:
            call.release(1.0)
        with pytest.raises(RuntimeError):
            call.release(1.0)
    assert len(recorder.records) == 2


def test_enforce_never_entered_leaves_no_record(guard, recorder):
    guard.enforce(**ON, input=ROWS)
    gc.collect()
    assert recorder.records == []


def test_enforce_works_with_async_with(guard, recorder):
    async def main():
        with guard.acting_as(principal()):
            async with guard.enforce(**ON, input=ROWS) as call:
                return call.release(0.125)

    assert run(main) == 0.1
    assert outcomes(recorder) == [("released", "allow")]


def test_enforce_with_an_undeclared_action_or_unknown_resource_denies(guard, recorder):
    with guard.acting_as(principal()):
        for changed in ({"action": "prdict"}, {"resource": 'Model::"none"'}):
            with pytest.raises(Denied), guard.enforce(**{**ON, **changed}, input=ROWS):
                raise AssertionError
    assert [code for _, code in outcomes(recorder)] == ["undeclared_action", "unknown_entity"]


class Stopped:
    """A clock that has failed, or fails after a while."""

    def __init__(self, after):
        self.left = after

    def now(self):
        return self.elapsed()

    def elapsed(self):
        self.left -= 1
        if self.left < 0:
            raise OSError("secret")
        return 1_700_000_000.0


@pytest.mark.parametrize("after", range(5))
def test_a_clock_that_fails_denies(make_bundle, after):
    sink = Sink()
    guard = Guard.from_dir(make_bundle(), sinks=(sink,), clock=Stopped(after))
    predict = guard.protect(**ON)(lambda patients: 1)
    with guard.acting_as(principal()), pytest.raises(GuardUnavailable) as caught:
        predict(ROWS)
    assert caught.value.code == "audit_unavailable"
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_text_of_a_subclass_is_taken_for_what_it_holds(make_guard):
    class Sly(str):
        def __str__(self):
            return "sale"

    guard = make_guard(
        '@id("g") permit (principal, action == Action::"predict", resource) '
        'when { context.app has purpose && context.app.purpose == "sale" };'
    )
    asked = {"principal": principal(), **ON}
    assert guard.decide(**asked, facts={"app": {"purpose": "sale"}}).allowed
    assert not guard.decide(**asked, facts={"app": {"purpose": Sly("care")}}).allowed
