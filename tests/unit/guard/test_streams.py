"""Streams with obligations: items leave one by one, in order, and only after they were checked."""

import asyncio

import pytest
from bundles import GRANT, principal

from guardrail import ConfigurationError, GuardUnavailable, OutputBlocked
from guardrail.extensions import ObligationNotMet

ON = {"action": "predict", "resource": 'Model::"tumour"', "input": None}
DASHED = '@id("dashes") @dashed("x") forbid (principal, action, resource);'
ROUND = '@id("coarse") @round("1") forbid (principal, action, resource);'


class Holding:
    """A filter that holds one character back, writes in capitals, and refuses a letter."""

    def __init__(self, refused):
        self.refused = refused
        self.held = ""

    def feed(self, text):
        if self.refused in text:
            raise ObligationNotMet("@dashed: a letter may not leave.", code="output_blocked")
        both = self.held + text.upper()
        self.held = both[-1:]
        return both[:-1]

    def close(self):
        return self.held + "."


class Dashed:
    """An obligation on texts, whole or in pieces."""

    name = "dashed"
    on_admit = False
    on_release = True

    def parse(self, clause):
        if len(clause.argument) != 1:
            raise ConfigurationError.at(clause.place, "GR109", "@dashed takes a letter.")
        return clause.argument

    def reads(self, demand):
        return ()

    def merge(self, one, other):
        return max(one, other)

    def describe(self, demand):
        return demand

    def admit(self, demand, context):
        return None

    def release(self, demand, output, context):
        held = Holding(demand)
        return held.feed(output) + held.close()

    def stream(self, demand, context):
        return Holding(demand)


@pytest.fixture
def protect(make_guard):
    guard = make_guard(GRANT + DASHED, options={"obligations": [Dashed()]})

    def decorate(function):
        guarded = guard.protect(**ON)(function)

        def call(*arguments):
            with guard.acting_as(principal()):
                return guarded(*arguments)

        return call

    return decorate


def outcomes(recorder):
    return [(record.outcome, record.code) for record in recorder.records]


def test_what_is_held_back_leaves_later_and_the_rest_at_the_end(protect, recorder):
    @protect
    def reply():
        yield from ("a", "bc", "", "d")

    assert list(reply()) == ["AB", "C", "D."]
    assert outcomes(recorder) == [("released", "allow")]


def test_an_async_stream_is_filtered_alike(protect, recorder):
    @protect
    async def reply():
        for piece in ("a", "bc", "", "d"):
            await asyncio.sleep(0)
            yield piece

    async def all_of():
        return [piece async for piece in reply()]

    assert asyncio.run(all_of()) == ["AB", "C", "D."]
    assert outcomes(recorder) == [("released", "allow")]


def test_a_refused_piece_ends_the_stream_and_the_model(protect, recorder):
    ended = []

    @protect
    def reply():
        try:
            yield "ab"
            yield "cxd"
            yield "never asked for"
        finally:
            ended.append(1)

    got = []
    with pytest.raises(OutputBlocked) as caught:
        got.extend(reply())
    assert (got, ended) == (["A"], [1])
    assert caught.value.policies == ("dashes",)
    assert outcomes(recorder) == [("blocked", "output_blocked")]


def test_a_refused_piece_ends_an_async_stream_too(protect, recorder):
    ended = []

    @protect
    async def reply():
        try:
            yield "ab"
            yield "x"
        finally:
            ended.append(1)

    async def all_of():
        async for _ in reply():
            pass

    with pytest.raises(OutputBlocked):
        asyncio.run(all_of())
    assert ended == [1]
    assert outcomes(recorder) == [("blocked", "output_blocked")]


@pytest.mark.parametrize("item", [3, b"ab", None, ["a"], {"text": "a"}])
def test_an_item_without_a_text_that_is_known_is_blocked(protect, recorder, item):
    @protect
    def reply():
        yield item

    with pytest.raises(OutputBlocked):
        list(reply())
    assert outcomes(recorder) == [("blocked", "output_blocked")]


def test_what_a_generator_returns_beside_its_items_is_blocked(protect, recorder):
    @protect
    def reply():
        yield "ab"
        return "the whole text"

    with pytest.raises(OutputBlocked):
        list(reply())
    assert outcomes(recorder) == [("blocked", "output_blocked")]


def test_an_abandoned_stream_gives_out_nothing_that_was_held(protect, recorder):
    @protect
    def reply():
        yield "ab"
        yield "cd"

    stream = reply()
    assert next(stream) == "A"
    stream.close()
    assert outcomes(recorder) == [("abandoned", "allow")]


def test_what_the_model_raises_ends_the_stream_without_what_was_held(protect, recorder):
    @protect
    def reply():
        yield "ab"
        raise KeyError("model")

    got = []
    with pytest.raises(KeyError):
        got.extend(reply())
    assert got == ["A"]
    assert outcomes(recorder) == [("raised", "allow")]


def test_what_is_sent_and_thrown_reaches_the_model(protect, recorder):
    seen = []

    @protect
    def reply():
        seen.append((yield "ab"))
        try:
            yield "cd"
        except ValueError:
            yield "ef"

    stream = reply()
    assert next(stream) == "A"
    assert stream.send("more") == "BC"
    assert stream.throw(ValueError()) == "DE"
    assert list(stream) == ["F."]
    assert seen == ["more"]
    assert outcomes(recorder) == [("released", "allow")]


def test_what_is_thrown_at_the_rest_is_raised(protect, recorder):
    @protect
    def reply():
        yield "ab"

    stream = reply()
    assert [next(stream), next(stream)] == ["A", "B."]
    with pytest.raises(ValueError, match="late"):
        stream.throw(ValueError("late"))
    assert outcomes(recorder) == [("raised", "allow")]


def test_an_obligation_that_cannot_stream_refuses_the_stream_at_the_call(make_guard, recorder):
    guard = make_guard(GRANT + DASHED + ROUND, options={"obligations": [Dashed()]})
    ran = []

    @guard.protect(**ON)
    def reply():
        ran.append(1)
        yield "ab"

    with guard.acting_as(principal()), pytest.raises(OutputBlocked) as caught:
        reply()
    assert (ran, caught.value.policies) == ([], ("coarse",))
    assert outcomes(recorder) == [("denied", "output_blocked")]


def test_a_filter_that_fails_blocks_the_stream(make_guard, recorder):
    class Broken(Dashed):
        def stream(self, demand, context):
            class Failing(Holding):
                def feed(self, text):
                    raise RuntimeError("s3cret")

            return Failing(demand)

    guard = make_guard(GRANT + DASHED, options={"obligations": [Broken()]})

    @guard.protect(**ON)
    def reply():
        yield "ab"

    with guard.acting_as(principal()), pytest.raises(GuardUnavailable) as caught:
        list(reply())
    assert caught.value.code == "internal_error"
    assert "s3cret" not in str(caught.value)
    assert outcomes(recorder) == [("blocked", "internal_error")]
