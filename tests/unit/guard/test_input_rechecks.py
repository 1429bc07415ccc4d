"""If a model starts later than its call, its input is checked again."""

import asyncio
import datetime
import threading
import zoneinfo

import numpy as np
import pytest
from bundles import GRANT, principal

from guardrail import InputRejected, NotAuthorized, Principal, QuotaExceeded, Resource
from guardrail.extensions import BlockingStep

ON = {"action": "predict", "resource": 'Model::"tumour"'}
CHAT = {"action": "summarize", "resource": 'Model::"tumour"'}
INPUT = '@id("in") @input("patients") forbid (principal, action == Action::"predict", resource);\n'
SMALL = (
    '@id("small") forbid (principal, action == Action::"summarize", resource)\n'
    "when { context.input.bytes > 40 };\n"
)


@pytest.fixture
def guard(make_guard):
    return make_guard(GRANT + INPUT + SMALL)


def three(protect, body):
    """Protect a coroutine, a generator and an async generator; yield each, and what runs it."""

    async def coroutine(value, other=None):
        return body(value)

    def generator(value, other=None):
        yield body(value)

    async def async_generator(value, other=None):
        yield body(value)

    async def first(items):
        return [each async for each in items].pop()

    yield protect(coroutine), lambda made: asyncio.run(_awaited(made))
    yield protect(generator), lambda made: [*made].pop()
    yield protect(async_generator), lambda made: asyncio.run(first(made))


async def _awaited(coroutine):
    return await coroutine


def test_a_change_that_policies_forbid_denies(guard, recorder):
    ran = []
    with guard.acting_as(principal()):
        for function, run in three(guard.protect(**CHAT, input="value"), ran.append):
            record = {"text": "hello"}
            made = function(record)
            record["more"] = "x" * 100
            with pytest.raises(NotAuthorized) as caught:
                run(made)
            assert caught.value.policies == ("small",)
            assert recorder.records[-1].outcome == "denied"
            assert recorder.records[-1].code == "prohibited"
    assert ran == []
    assert len(recorder.records) == 3


def test_a_change_that_the_spec_refuses_denies(guard, recorder):
    ran = []
    with guard.acting_as(principal()):
        for function, run in three(guard.protect(**ON, input="value"), ran.append):
            rows = np.ones((2, 3))
            made = function(rows)
            rows[1, 2] = 99.0
            with pytest.raises(InputRejected) as caught:
                run(made)
            assert caught.value.path == "value[1, 2]"
    assert ran == []
    assert [record.outcome for record in recorder.records] == ["denied"] * 3


@pytest.mark.parametrize("bad", [object(), {1: "x"}, iter("x")])
def test_a_change_that_cannot_be_looked_at_denies(guard, bad):
    with guard.acting_as(principal()):
        for function, run in three(guard.protect(**CHAT, input="value"), lambda value: value):
            record = {"text": "hello"}
            made = function(record)
            record["text"] = bad
            with pytest.raises(InputRejected):
                run(made)


def test_a_change_that_is_allowed_runs_as_whoever_called(guard, recorder):
    for start in range(3):
        function, run = list(three(guard.protect(**CHAT, input="value"), len))[start]
        with guard.acting_as(principal()):
            record = {"text": "hello"}
            made = function(record)
        record["more"] = "x"
        assert run(made) == 2
        assert recorder.records[-1].outcome == "released"


@pytest.mark.parametrize(
    ("value", "looks"),
    [("text", 1), (("a", ("b", 1)), 1), (["a"], 2), ({"a": 1}, 2), ((["a"],), 2)],
)
def test_only_what_can_change_is_looked_at_again(make_guard, value, looks):
    guard = make_guard()
    taken = []
    runtime = guard._serving.runtime
    take = runtime.take_view
    runtime.take_view = lambda *arguments: taken.append(1) or take(*arguments)
    schema_free = guard.protect(
        action="predict", resource='Model::"tumour"', input="value", principal=principal()
    )
    for function, run in three(schema_free, lambda value: value):
        taken.clear()
        assert run(function(value)) == value
        assert len(taken) == looks

    def plain(value):
        return value

    taken.clear()
    assert schema_free(plain)(value) == value
    assert len(taken) == 1


class Moving(datetime.tzinfo):
    """A time zone that somebody moves."""

    hours = 0

    def utcoffset(self, when):
        return datetime.timedelta(hours=self.hours)


def nested(levels, width=1):
    value = ()
    for _ in range(levels):
        value = (value,) * width
    return value


@pytest.mark.parametrize(
    ("value", "looks"),
    [
        (datetime.datetime(2026, 1, 1), 1),
        (datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), 1),
        (datetime.datetime(2026, 1, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")), 1),
        (datetime.datetime(2026, 1, 1, tzinfo=Moving()), 2),
        ((datetime.time(1, tzinfo=Moving()),), 2),
        (nested(100), 1),
        (nested(5_000), 1),
        (nested(50_000), 2),
        (nested(60, 2), 2),  # which is small, and has more ways through it than can be gone
        ((0,) * 5_000, 1),
        ((0,) * 50_000, 2),
    ],
    ids=range(11),
)
def test_what_refers_to_what_can_change_or_is_too_large_to_tell_is_looked_at_again(
    make_guard, recorder, value, looks
):
    guard = make_guard(
        GRANT + '@id("why") forbid (principal, action == Action::"predict", resource)\n'
        'when { context.app has purpose && context.app.purpose == "none" };\n'
    )
    asked = []

    def facts(value, other):
        asked.append(value)
        return {"purpose": "care"}

    on = {**ON, "facts": facts, "principal": principal()}
    for function, run in three(guard.protect(**on, input=None), lambda value: value):
        asked.clear()
        run(function(value, None))
        assert len(asked) == looks
    assert [record.outcome for record in recorder.records] == ["released"] * 3


def test_a_time_zone_that_moves_is_decided_anew(make_guard):
    guard = make_guard(
        GRANT + '@id("late") forbid (principal, action == Action::"predict", resource) when\n'
        '{ context.app has at && context.app.at > datetime("2026-01-01T05:00:00Z") };\n'
    )
    on = {**ON, "facts": lambda value, other: {"at": value}, "principal": principal()}
    for function, run in three(guard.protect(**on, input=None), lambda value: value):
        zone = Moving()
        made = function(datetime.datetime(2026, 1, 1, 5, tzinfo=zone), None)
        zone.hours = -10
        with pytest.raises(NotAuthorized):
            run(made)


# Other arguments, which callables of `protect` read.


def test_facts_that_have_changed_are_decided_anew(make_guard):
    guard = make_guard(
        GRANT
        + '@id("care") forbid (principal, action, resource)\n'
        + 'unless { context.app has purpose && context.app.purpose == "care" };\n'
    )
    protect = guard.protect(
        **ON,
        input="value",
        principal=principal(),
        facts=lambda value, other: {"purpose": other["purpose"]},
    )
    for function, run in three(protect, lambda value: value):
        why = {"purpose": "care"}
        made = function("x", why)
        why["purpose"] = "curiosity"
        with pytest.raises(NotAuthorized) as caught:
            run(made)
        assert caught.value.policies == ("care",)
        assert run(function("x", {"purpose": "care"})) == "x"


@pytest.mark.parametrize("what", ["principal", "resource"])
def test_another_principal_or_resource_denies(make_guard, what):
    guard = make_guard()

    def who(value, other):
        return Principal("User", other["who"], attrs={"department": "care"})

    def which(value, other):
        return Resource("Model", other["which"])

    options = {"principal": who} if what == "principal" else {"principal": principal()}
    resource = which if what == "resource" else ON["resource"]
    protect = guard.protect(action="predict", resource=resource, input="value", **options)
    for function, run in three(protect, lambda value: value):
        other = {"who": "clara", "which": "tumour"}
        assert run(function("x", dict(other))) == "x"
        made = function("x", other)
        other.update(who="root-4711", which="old")
        with pytest.raises(InputRejected, match=f"{what}=") as caught:
            run(made)
        assert "4711" not in str(caught.value)


def test_obligations_that_have_changed_deny(make_guard):
    guard = make_guard(
        GRANT
        + '@id("round") @round("1") forbid (principal, action == Action::"predict", resource)\n'
        + "when { context.app has flag && context.app.flag };\n"
    )

    @guard.protect(
        **ON, input=None, principal=principal(), facts=lambda flags: {"flag": flags["exact"]}
    )
    async def score(flags):
        return 0.123

    async def main():
        flags = {"exact": True}
        made = score(flags)
        flags["exact"] = False
        with pytest.raises(InputRejected):
            await made
        return await score({"exact": True})

    assert asyncio.run(main()) == 0.1


# Quotas.


def test_a_quota_is_spent_once_and_what_grew_meanwhile_is_denied(make_guard, recorder):
    guard = make_guard(
        GRANT
        + '@id("q") @quota("10 rows/hour per principal") '
        + 'forbid (principal, action == Action::"predict", resource);\n'
    )

    @guard.protect(**ON, input="rows")
    async def score(rows):
        return len(rows)

    async def main():
        with guard.acting_as(principal()):
            assert await score(["a", "b"]) == 2
            rows = ["a", "b"]
            made = score(rows)
            rows.append("c")
            with pytest.raises(InputRejected):
                await made
            assert await score(["a"] * 6) == 6  # the rows of the refused call are given back
            with pytest.raises(QuotaExceeded):
                await score(["a"] * 3)
            assert await score(["a"] * 2) == 2

    asyncio.run(main())


# Steps that wait on another thread.


class Slow:
    """An obligation of a user's own, which waits for something."""

    name = "slow"
    on_admit = True
    on_release = False

    def __init__(self, meanwhile):
        self.meanwhile = meanwhile
        self.asked = 0

    def parse(self, clause):
        return clause.argument

    def reads(self, demand):
        return ()

    def merge(self, one, other):
        return max(one, other)

    def describe(self, demand):
        return demand

    def admit(self, demand, context):
        self.asked += 1
        return BlockingStep(self.meanwhile)

    def release(self, demand, output, context):
        return output


@pytest.mark.parametrize("how", ["plain", "enforce", "coroutine", "async enforce", "generator"])
def test_an_input_that_changes_while_a_step_waits_is_denied(make_guard, how, recorder):
    record = {"text": "hello"}
    changes = []

    def meanwhile():
        thread = threading.Thread(target=lambda: [change() for change in changes])
        thread.start()
        thread.join()

    slow = Slow(meanwhile)
    guard = make_guard(
        GRANT + '@id("s") @slow("") forbid (principal, action == Action::"summarize", resource);',
        options={"obligations": (slow,)},
    )
    protect = guard.protect(**CHAT, input="value", principal=principal())

    def plain(value):
        return value["text"]

    async def later(value):
        return value["text"]

    def items(value):
        yield value["text"]

    def enforced():
        with guard.enforce(**CHAT, input=record, principal=principal()) as call:
            return call.release(record["text"])

    async def enforced_later():
        async with guard.enforce(**CHAT, input=record, principal=principal()) as call:
            return call.release(record["text"])

    run = {
        "plain": lambda: protect(plain)(record),
        "enforce": enforced,
        "coroutine": lambda: asyncio.run(_awaited(protect(later)(record))),
        "async enforce": lambda: asyncio.run(enforced_later()),
        "generator": lambda: "".join(protect(items)(record)),
    }[how]
    assert run() == "hello"
    assert slow.asked == 1
    changes.append(lambda: record.update(text="other"))
    with pytest.raises(InputRejected, match="was changed after"):
        run()
    assert [each.outcome for each in recorder.records] == ["released", "denied"]


def test_an_obligation_of_a_users_own_is_met_again_unless_it_spends(make_guard):
    asked = []

    class Polite(Slow):
        def admit(self, demand, context):
            asked.append(list(context.view.value))

    polite = Polite(None)
    guard = make_guard(
        GRANT + '@id("s") @slow("") forbid (principal, action == Action::"predict", resource);',
        options={"obligations": (polite,)},
    )

    @guard.protect(**ON, input="value", principal=principal())
    async def later(value):
        return value

    async def main():
        history = ["hi"]
        made = later(history)
        history[0] = "ho"
        return await made

    assert asyncio.run(main()) == ["ho"]
    assert asked == [["hi"], ["ho"]]
    asked.clear()
    Polite.spends = True
    assert asyncio.run(main()) == ["ho"]
    assert asked == [["hi"]]


def test_a_generator_that_is_never_started_is_not_checked_again(guard, recorder):
    with guard.acting_as(principal()):

        @guard.protect(**CHAT, input="value")
        def items(value):
            yield value

        record = {"text": "hello"}
        made = items(record)
        record["more"] = "x" * 100
        del made
    assert [each.outcome for each in recorder.records] == ["abandoned"]
