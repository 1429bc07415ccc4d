"""Quota keys are injective, and no window ever lets more through than its limit."""

import copy

from hypothesis import given, settings
from hypothesis import strategies as st
from limits import RateLimitItemPerMinute
from limits.strategies import (
    FixedWindowRateLimiter,
    MovingWindowRateLimiter,
    SlidingWindowCounterRateLimiter,
)
from limits_storage import ClockedStorage

from guardrail._ports import ObligationContext
from guardrail.errors import Place
from guardrail.obligations.quota.grammar import read_limits
from guardrail.obligations.quota.obligation import _key, encode
from guardrail.obligations.quota.windows import KINDS, Hit
from guardrail.testing import FrozenClock
from guardrail.values import NO_INPUT, Clause, Entity, Identity, Principal

# Short texts over the characters that could confuse an encoding, lone surrogates included.
texts = st.text(st.sampled_from('a1:/"\\e-s\ud800\udfff\x00é'), max_size=4)
values = st.one_of(
    texts,
    st.text(st.characters(), max_size=6),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-2, 2),
    st.builds(Entity, texts, texts),
)


def typed(value):
    return type(value), value


@given(st.lists(values, max_size=3), st.lists(values, max_size=3))
def test_encoding_is_injective_over_types_and_values(one, other):
    same = list(map(typed, one)) == list(map(typed, other))
    assert ("".join(map(encode, one)) == "".join(map(encode, other))) == same


@st.composite
def counters(draw):
    """Draw all that names a counter, and its key."""
    bundle, policy, principal, tenant = (draw(texts) for _ in range(4))
    value = draw(values)
    argument = draw(
        st.sampled_from(
            (
                "5/minute per principal",
                "5/minute per principal and context.app.x",
                "5/minute per context.app.x",
                "5/minute per context.app.x and context.app.y",
                "5/minute per context.app.x using fixed",
                "55/minute per context.app.x",
            )
        )
    )
    (limit,) = read_limits(Clause(policy, "quota", argument, Place("a")), bundle=bundle)
    facts = {"context.app.x": value, "context.app.y": tenant}
    identity = Identity(Principal("User", principal))
    context = ObligationContext(
        identity, NO_INPUT, "predict", Entity("M", "m"), 0.0, lambda path: facts[str(path)]
    )
    read = [typed(facts[str(path)]) if path.attrs else principal for path in limit.keys]
    return (bundle, policy, argument, read), _key(limit, context)


@given(counters(), counters())
def test_two_counters_share_a_key_only_where_they_are_one(one, other):
    assert (one[0] == other[0]) == (one[1] == other[1])


steps = st.lists(
    st.tuples(st.sampled_from((0, 1, 2, 29, 30, 59)) | st.floats(0, 45), st.integers(1, 4)),
    min_size=1,
    max_size=40,
)


@given(steps, st.integers(1, 8))
def test_moving_window_never_holds_more_than_its_limit(steps, limit):
    clock, admitted = FrozenClock(), []
    storage = ClockedStorage(clock)
    for pause, amount in steps:
        clock.advance(pause)
        now = clock.elapsed()
        (wait,) = storage.acquire_all([Hit("moving", "key", limit, 60, amount)])
        held = sum(taken for at, taken in admitted if at + 60 > now)
        assert (wait == 0.0) == (held + amount <= limit)
        if not wait:
            admitted.append((now, amount))


@given(steps, st.integers(1, 8), st.sampled_from(sorted(KINDS)), st.integers(0, 10**9))
def test_wait_that_is_told_is_enough_and_about_the_least(steps, limit, strategy, start):
    clock = FrozenClock()
    clock.advance(start / 1000)
    storage = ClockedStorage(clock)
    for pause, amount in steps:
        clock.advance(pause)
        (wait,) = storage.acquire_all([Hit(strategy, "key", limit, 60, amount)])
        if amount > limit:
            assert wait == float("inf")
        elif wait:
            window = copy.deepcopy(
                storage.counters.find(strategy, "key")
            )  # it forgets when looked at
            at = clock.elapsed() + wait
            if wait > 0.003:
                assert window.wait_s(at - 0.003, limit=limit, amount=amount) > 0
            assert window.wait_s(at, limit=limit, amount=amount) == 0


@settings(max_examples=50)
@given(steps, st.integers(1, 6), st.sampled_from(sorted(KINDS)))
def test_strategies_of_limits_agree_with_taking_all_at_once(steps, limit, strategy):
    clock = FrozenClock()
    ours, theirs = ClockedStorage(clock), ClockedStorage(clock)
    limiter = {
        "fixed": FixedWindowRateLimiter,
        "moving": MovingWindowRateLimiter,
        "sliding": SlidingWindowCounterRateLimiter,
    }[strategy](theirs)
    item = RateLimitItemPerMinute(limit)
    for pause, amount in steps:
        clock.advance(pause)
        fits = limiter.test(item, "key", cost=amount)
        if fits:  # a denied hit of theirs burns a fixed window
            assert limiter.hit(item, "key", cost=amount)
        assert fits == (ours.acquire_all([Hit(strategy, "key", limit, 60, amount)]) == [0.0])


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), max_size=40))
def test_all_or_none_equals_checking_each_and_then_taking_each(calls):
    clock = FrozenClock()
    storage, counts = ClockedStorage(clock), {}
    for one, other in calls:
        keys = sorted({one, other})
        fits = all(counts.get(key, 0) < 3 for key in keys)
        waits = storage.acquire_all([Hit("moving", key, 3, 60) for key in keys])
        assert fits == (not any(waits))
        if fits:
            for key in keys:
                counts[key] = counts.get(key, 0) + 1
