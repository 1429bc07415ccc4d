"""An exception that is no `Exception` passes through, and the call has its one record."""

import asyncio
import signal

import pytest
from bundles import GRANT, principal

from guardrail import Guard
from guardrail.extensions import BlockingStep, ObligationBase, ObligationNotMet, SinkBase
from guardrail.testing import Recorder

ON = {"action": "predict", "resource": 'Model::"tumour"', "input": None}
OWN = GRANT + '@id("own") @own("1") forbid (principal, action, resource);'


class Stop(BaseException):
    """An interruption of the application's own, as libraries for timeouts have one."""


INTERRUPTIONS = [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, Stop]


class Own(ObligationBase):
    """An obligation whose parts a test sets."""

    name = "own"
    on_admit = True
    on_release = True

    def parse(self, clause):
        return 1

    def merge(self, one, other):
        return one

    def describe(self, demand):
        return demand


class Filter:
    def __init__(self, feed, close):
        self.feed = feed
        self.close = close


def fail(error):
    def step(*_):
        raise error

    return step


def sync(guard):
    return guard.protect(**ON)(lambda: "text")


def coroutine(guard):
    @guard.protect(**ON)
    async def predict():
        return "text"

    return lambda: asyncio.run(predict())


def generator(guard):
    @guard.protect(**ON)
    def predict():
        yield "one"
        yield "two"

    return lambda: list(predict())


def async_generator(guard):
    @guard.protect(**ON)
    async def predict():
        yield "one"
        yield "two"

    async def collect():
        return [item async for item in predict()]

    return lambda: asyncio.run(collect())


def enforced(guard):
    def call():
        with guard.enforce(action="predict", resource='Model::"tumour"') as block:
            return block.release("text")

    return call


VALUES = [sync, coroutine, enforced]
STREAMS = [generator, async_generator]


def assert_one_record(guard, recorder, style, error, outcomes):
    call = style(guard)
    with guard.acting_as(principal()), pytest.raises(error) as caught:
        call()
    (record,) = recorder.records  # while the traceback still refers to the call
    assert record.outcome in outcomes
    assert record.error_type == error.__name__
    assert "secret" not in repr(record)
    assert caught.value is not None


@pytest.mark.parametrize("error", INTERRUPTIONS)
@pytest.mark.parametrize("style", VALUES)
def test_a_release_that_is_interrupted_is_recorded(make_guard, recorder, style, error):
    class Broken(Own):
        release = fail(error("secret"))

    guard = make_guard(OWN, options={"obligations": [Broken()]})
    assert_one_record(guard, recorder, style, error, ("raised", "cancelled", "abandoned"))


@pytest.mark.parametrize("error", INTERRUPTIONS)
@pytest.mark.parametrize("part", ["feed", "close"])
@pytest.mark.parametrize("style", STREAMS)
def test_a_filter_that_is_interrupted_is_recorded(make_guard, recorder, style, part, error):
    class Streaming(Own):
        def stream(self, demand, context):
            broken = fail(error("secret"))
            if part == "feed":
                return Filter(broken, lambda: "")
            return Filter(lambda text: text, broken)

    guard = make_guard(OWN, options={"obligations": [Streaming()]})
    assert_one_record(guard, recorder, style, error, ("raised", "cancelled", "abandoned"))


@pytest.mark.parametrize("error", INTERRUPTIONS)
@pytest.mark.parametrize("part", ["work", "then"])
@pytest.mark.parametrize("style", [sync, generator, enforced])
def test_a_blocking_step_that_is_interrupted_is_recorded(make_guard, recorder, style, part, error):
    class Blocking(Own):
        on_release = False

        def admit(self, demand, context):
            broken = fail(error("secret"))
            return BlockingStep(broken) if part == "work" else BlockingStep(int, broken)

    guard = make_guard(OWN, options={"obligations": [Blocking()]})
    assert_one_record(guard, recorder, style, error, ("raised", "cancelled", "abandoned"))


@pytest.mark.parametrize("part", ["begin", "enter", "leave"])
@pytest.mark.parametrize("style", [sync, coroutine, generator])
@pytest.mark.parametrize("error", [SystemExit, Stop])
def test_a_sink_that_is_interrupted_does_not_prevent_the_record(make_guard, style, part, error):
    class Framed(SinkBase):
        frames = True

        def end(self, handle, record):
            return None

    class Frameless(Recorder):
        frames = False

    setattr(Framed, part, fail(error("secret")))
    recorder = Frameless()
    guard = make_guard(GRANT, options={"sinks": [recorder, Framed()]})
    assert_one_record(guard, recorder, style, error, ("raised", "cancelled", "abandoned"))


@pytest.mark.parametrize("style", [sync, coroutine, generator, enforced])
@pytest.mark.parametrize("error", [SystemExit, Stop])
def test_giving_back_that_is_interrupted_is_recorded(make_guard, recorder, style, error):
    class Taking(Own):
        on_release = False

        def admit(self, demand, context):
            context.notes.returns = (fail(error("secret")),)
            raise ObligationNotMet("no")

    guard = make_guard(OWN, options={"obligations": [Taking()]})
    assert_one_record(guard, recorder, style, error, ("denied", "cancelled"))


def test_a_signal_handler_that_exits_during_a_release_is_recorded(make_guard, recorder):
    def stop(*_):
        raise SystemExit(3)

    class Signalled(Own):
        def release(self, demand, output, context):
            signal.raise_signal(signal.SIGUSR1)
            return output

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        guard = make_guard(OWN, options={"obligations": [Signalled()]})
        assert_one_record(guard, recorder, sync, SystemExit, ("raised",))
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_an_interruption_while_the_record_is_made_is_recorded(make_guard, recorder):
    guard: Guard = make_guard(GRANT)
    runtime = sync(guard).__closure__
    target = next(
        cell.cell_contents for cell in runtime if type(cell.cell_contents).__name__ == "Target"
    )
    served = target.serving.runtime
    elapsed, times = served.elapsed, []

    def interrupted():
        times.append(1)
        if len(times) == 4:  # of `record_of`, after those of the start, admission and return
            raise SystemExit
        return elapsed()

    served.elapsed = interrupted
    call = sync(guard)
    with guard.acting_as(principal()), pytest.raises(SystemExit) as caught:
        call()
    assert [record.outcome for record in recorder.records] == ["cancelled"]
    assert caught.value is not None
