"""The memory store takes exactly what the strategies of `limits` take from their own."""

import time
from types import SimpleNamespace
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage, memory
from limits.strategies import (
    FixedWindowRateLimiter,
    MovingWindowRateLimiter,
    SlidingWindowCounterRateLimiter,
)
from limits_storage import ClockedStorage

from guardrail.obligations.quota.windows import KINDS, Hit
from guardrail.testing import FrozenClock

LIMITERS = {
    "fixed": FixedWindowRateLimiter,
    "moving": MovingWindowRateLimiter,
    "sliding": SlidingWindowCounterRateLimiter,
}
#: Pauses in seconds. A moving window of `limits` still counts a hit at its very end, ours no
#: more (who waits as told is let through): sevens never come to 60, at which they would
#: differ. The share of a sliding window is exact in eighths.
PAUSES = {"fixed": (0, 7, 30, 60, 61), "moving": (0, 7, 14, 28, 63), "sliding": (0, 7.5, 15, 60)}


class Stilled(MemoryStorage):
    """The library's own store without its timer threads, which would look at the real clock."""

    def __init__(self):
        with mock.patch.object(memory.threading, "Timer", mock.Mock()):
            super().__init__()

    def _MemoryStorage__schedule_expiry(self):
        pass


@st.composite
def calls(draw):
    strategy = draw(st.sampled_from(sorted(KINDS)))
    steps = st.tuples(st.sampled_from(PAUSES[strategy]), st.sampled_from("ab"), st.integers(1, 4))
    return strategy, draw(st.lists(steps, max_size=40)), draw(st.integers(1, 8))


@settings(max_examples=300, deadline=None)
@given(calls())
def test_every_hit_is_taken_where_limits_takes_it(drawn):
    strategy, steps, limit = drawn
    clock = FrozenClock(600.0)
    clock.advance(600)  # both of its times alike
    with mock.patch.object(memory, "time", SimpleNamespace(time=clock.elapsed)):
        theirs = LIMITERS[strategy](Stilled())
        one, all_of_one, listed = (ClockedStorage(clock) for _ in range(3))
        behind = LIMITERS[strategy](listed)
        item = RateLimitItemPerMinute(limit)
        for pause, key, amount in steps:
            clock.advance(pause)
            # `limits` counts a refused hit in a fixed window; a call of ours takes nothing
            fits = theirs.test(item, key, cost=amount) and theirs.hit(item, key, cost=amount)
            hit = Hit(strategy, key, limit, 60, amount)
            assert (one.acquire(hit) == 0.0) == fits
            assert (all_of_one.acquire_all([hit]) == [0.0]) == fits
            assert behind.test(item, key, cost=amount) == fits
            assert not fits or behind.hit(item, key, cost=amount)


@given(
    st.sampled_from(sorted(KINDS)),
    st.lists(st.tuples(st.floats(0, 45), st.integers(1, 4)), max_size=40),
    st.integers(1, 8),
)
def test_one_hit_waits_as_long_alone_as_among_all(strategy, steps, limit):
    clock = FrozenClock()
    alone, among = ClockedStorage(clock), ClockedStorage(clock)
    for pause, amount in steps:
        clock.advance(pause)
        hit = Hit(strategy, "key", limit, 60, amount)
        assert [alone.acquire(hit)] == among.acquire_all([hit])


def test_the_clock_of_limits_is_its_own_again():
    assert memory.time is time
