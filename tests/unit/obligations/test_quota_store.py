"""The memory store: bounded, swept, and usable as a storage of `limits`."""

import signal
import subprocess
import sys
import threading

import pytest
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import (
    FixedWindowRateLimiter,
    MovingWindowRateLimiter,
    SlidingWindowCounterRateLimiter,
)
from limits_storage import ClockedStorage

from guardrail.obligations.quota.counters import Counters, StoreFullError
from guardrail.obligations.quota.windows import EXACT_HITS, FixedWindow, Hit, MovingWindow, Window
from guardrail.testing import FrozenClock


@pytest.fixture
def clock():
    return FrozenClock()


@pytest.fixture
def storage(clock):
    return ClockedStorage(clock)


def hit(key, *, limit=1, strategy="moving", amount=1):
    return Hit(strategy, key, limit, 60, amount)


@pytest.mark.parametrize("strategy", ["fixed", "moving", "sliding"])
def test_nothing_is_taken_where_one_hit_does_not_fit(storage, strategy):
    spent, free = (hit(key, strategy=strategy) for key in ("spent", "free"))
    assert storage.acquire_all([spent]) == [0.0]
    assert storage.acquire_all([free, spent])[0] == 0.0
    assert storage.acquire_all([free, spent])[1] > 0
    assert storage.acquire_all([free]) == [0.0]


@pytest.mark.parametrize("strategy", ["fixed", "moving", "sliding"])
def test_amount_over_the_limit_never_fits(storage, strategy):
    assert storage.acquire_all([hit("a", strategy=strategy, amount=2)]) == [float("inf")]


@pytest.mark.parametrize("strategy", ["fixed", "moving", "sliding"])
def test_counters_that_are_over_are_swept(storage, clock, strategy):
    for number in range(500):
        storage.acquire_all([hit(str(number), strategy=strategy)])
    clock.advance(121)
    for number in range(500, 760):
        storage.acquire_all([hit(str(number), strategy=strategy)])
    assert len(storage) <= 262


def test_counters_that_are_over_are_swept_where_no_new_one_is_opened(storage, clock):
    for number in range(500):
        storage.acquire(hit(str(number)))
    clock.advance(60)
    for _ in range(20):
        clock.advance(0.01)
        storage.acquire(hit("again", limit=100))
    assert len(storage) == 1


def test_counter_that_is_swept_under_its_own_call_is_opened_anew(storage, clock):
    assert storage.acquire(hit("a")) == 0.0
    clock.advance(60)
    assert storage.acquire(hit("a")) == 0.0
    assert storage.acquire(hit("a")) == 60.0


def test_full_store_refuses_one_hit_and_keeps_those_it_has(clock):
    storage = ClockedStorage(clock, limit_keys=1)
    storage.acquire(hit("a", limit=2))
    with pytest.raises(StoreFullError):
        storage.acquire(hit("b"))
    assert storage.acquire(hit("a", limit=2)) == 0.0
    assert storage.acquire(hit("a", limit=2)) == 60.0


def test_live_counters_are_never_swept(storage, clock):
    for number in range(300):
        clock.advance(0.1)
        storage.acquire_all([hit(str(number))])
    assert all(any(storage.acquire_all([hit(str(number))])) for number in range(300))


def test_full_store_takes_nothing_until_something_is_over(clock):
    storage = ClockedStorage(clock, limit_keys=2)
    storage.acquire_all([hit("a", limit=2)])
    with pytest.raises(StoreFullError):
        storage.acquire_all([hit("a", limit=2), hit("b"), hit("c")])
    assert storage.acquire_all([hit("a", limit=2)]) == [0.0]
    clock.advance(60)
    assert storage.acquire_all([hit("c"), hit("d")]) == [0.0, 0.0]


@pytest.mark.parametrize("strategy", ["fixed", "moving"])
def test_window_that_ends_now_is_over_and_the_next_one_counts(storage, clock, strategy):
    storage.acquire_all([hit("a", strategy=strategy)])
    clock.advance(60)
    assert storage.acquire_all([hit("a", strategy=strategy)]) == [0.0]
    assert storage.acquire_all([hit("a", strategy=strategy)]) == [60.0]


@pytest.mark.parametrize("strategy", ["fixed", "moving", "sliding"])
def test_one_key_counts_apart_for_each_strategy(storage, strategy):
    for other in ("fixed", "moving", "sliding"):
        if other != strategy:
            storage.acquire(hit("a", strategy=other))
    assert storage.acquire(hit("a", strategy=strategy)) == 0.0


def test_hits_at_one_moment_are_counted_and_left_together(storage, clock):
    assert [storage.acquire(hit("a", limit=2)) for _ in range(3)] == [0.0, 0.0, 60.0]
    clock.advance(60)
    assert [storage.acquire(hit("a", limit=2)) for _ in range(3)] == [0.0, 0.0, 60.0]


def test_fixed_window_starts_anew_at_its_end():
    window = FixedWindow(60)
    window.take(0.0, 1)
    window.take(60.0, 1)
    assert (window.count(60.0), window.ends_at) == (1, 120.0)


def test_moving_window_counts_each_hit_from_its_own_time(storage, clock):
    for _ in range(3):
        storage.acquire_all([hit("a", limit=3)])
        clock.advance(1)
    clock.advance(57)
    assert [storage.acquire_all([hit("a", limit=3)]) for _ in range(2)] == [[0.0], [1.0]]


@pytest.mark.parametrize(("start", "now"), [(1.18, 20.508), (1.71, 20.922), (2.15, 27.202)])
def test_wait_reaches_the_moment_where_plain_subtraction_falls_short(start, now):
    window = FixedWindow(60)
    window.take(start, 1)
    assert now + (window.ends_at - now) < window.ends_at
    assert window.wait_s(now + window.wait_s(now, limit=1, amount=1), limit=1, amount=1) == 0.0


def test_moving_window_is_bounded_in_memory_and_never_forgets_early():
    window = MovingWindow(60)
    for number in range(3 * EXACT_HITS):
        window.take(number * 1e-4, 1)
    assert len(window._hits) <= 3 * 2 * EXACT_HITS
    assert window.count(59.9) == 3 * EXACT_HITS
    assert window.count(60 + 3e-4 * EXACT_HITS + 60 / EXACT_HITS) == 0


def test_moving_window_that_is_asked_to_acquire_is_bounded_in_memory_too():
    window = MovingWindow(60)
    for number in range(2 * EXACT_HITS):
        assert window.acquire(number * 1e-4, Hit("moving", "a", 2 * EXACT_HITS, 60)) == 0.0
    assert len(window._hits) <= 3 * (EXACT_HITS + 2000)
    assert window.acquire(59.9, Hit("moving", "a", 2 * EXACT_HITS, 60)) > 0
    assert window.count(59.9) == 2 * EXACT_HITS


def test_hits_that_have_left_are_kept_no_longer_than_as_many_as_are_left():
    window = MovingWindow(60)
    for number in range(1000):
        window.take(float(number), 1)
        assert window.count(float(number)) <= 60
        assert len(window._hits) <= 3 * 2 * 60 + 3
    assert window.count(2000.0) == 0
    assert window._hits == []


def test_kind_of_window_without_an_arithmetic_of_its_own_counts_nothing():
    window = Window(60)
    with pytest.raises(NotImplementedError):
        window.acquire(0.0, hit("a"))
    with pytest.raises(NotImplementedError):
        window.take(0.0, 1)
    with pytest.raises(NotImplementedError):
        window.ends_at  # noqa: B018


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_lock_is_let_go_where_taking_is_interrupted(error):
    def interrupted():
        raise error

    counters = Counters(interrupted)
    with pytest.raises(error):
        counters.acquire(hit("a"))
    free = []
    other = threading.Thread(target=lambda: free.append(counters.lock.acquire(blocking=False)))
    other.start()
    other.join()
    assert free == [True]


@pytest.fixture
def interruption():
    """Turn the first SIGINT into a `KeyboardInterrupt`; tells whether it came."""
    came = threading.Event()

    def interrupt(*_):
        if not came.is_set():
            came.set()
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    yield came
    signal.signal(signal.SIGINT, before)


def test_call_that_is_interrupted_while_it_waits_leaves_the_lock_with_its_owner(
    clock, interruption
):
    counters, main = Counters(clock.elapsed), threading.get_ident()
    taken, done = threading.Event(), threading.Event()

    def hold():
        with counters.lock:
            taken.set()
            while not interruption.wait(0.001):  # a signal before the wait does not end it
                signal.pthread_kill(main, signal.SIGINT)
            done.wait(10)

    holder = threading.Thread(target=hold)

    def call():
        holder.start()
        taken.wait(10)
        counters.acquire(hit("a"))

    with pytest.raises(KeyboardInterrupt):
        call()
    assert not counters.lock.acquire(blocking=False)
    done.set()
    holder.join()
    assert counters.acquire(hit("a")) == 0.0


def test_lock_that_another_thread_holds_is_not_let_go_for_it(clock):
    counters = Counters(clock.elapsed)
    taken, done = threading.Event(), threading.Event()

    def hold():
        with counters.lock:
            taken.set()
            done.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    assert taken.wait(10)
    with pytest.raises(RuntimeError):
        counters.lock.release()
    assert not counters.lock.acquire(blocking=False)
    done.set()
    holder.join()
    assert counters.acquire(hit("a")) == 0.0


def test_clock_that_calls_back_takes_before_the_call_and_not_beyond_the_limit():
    def now():
        if len(reentered) < 1:
            reentered.append(None)
            reentered.append(counters.acquire(hit("a")))
        return 0.0

    reentered = []
    counters = Counters(now)
    assert counters.acquire(hit("a")) == 60.0
    assert reentered == [None, 0.0]


def test_store_starts_no_threads(storage):
    before = threading.active_count()
    storage.acquire_all([hit("a")])
    storage.incr("b", 60)
    assert threading.active_count() == before


def test_memory_scheme_of_limits_is_left_alone(storage):
    other = storage_from_string("memory://")
    assert type(other) is MemoryStorage
    other.timer.cancel()
    other.timer.join()


STRATEGIES = [
    FixedWindowRateLimiter,
    MovingWindowRateLimiter,
    SlidingWindowCounterRateLimiter,
]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_strategies_of_limits_run_on_it(storage, clock, strategy):
    limiter, item = strategy(storage), RateLimitItemPerMinute(3)
    assert limiter.test(item, "key", cost=3)
    assert limiter.hit(item, "key", cost=2)
    assert limiter.test(item, "key")
    assert limiter.hit(item, "key")
    assert not limiter.test(item, "key")
    assert not limiter.hit(item, "key")
    assert limiter.get_window_stats(item, "key").remaining == 0
    clock.advance(120)
    assert limiter.test(item, "key", cost=3)
    assert limiter.hit(item, "key", cost=3)


@pytest.mark.parametrize("strategy", STRATEGIES[:2])
def test_windows_of_limits_end_by_our_clock_and_can_be_cleared(storage, clock, strategy):
    limiter, item = strategy(storage), RateLimitItemPerMinute(1)
    clock.advance(5)
    assert limiter.hit(item, "key")
    clock.advance(5)
    assert limiter.get_window_stats(item, "key").reset_time == 65
    limiter.clear(item, "key")
    assert limiter.hit(item, "key")


def test_sliding_window_can_be_cleared_and_the_store_reset(storage):
    assert storage.acquire_sliding_window_entry("key", 1, 60)
    assert not storage.acquire_sliding_window_entry("key", 1, 60)
    storage.clear_sliding_window("key", 60)
    assert storage.acquire_sliding_window_entry("key", 1, 60)
    assert storage.get_sliding_window("other", 60) == (0, 0.0, 0, 0.0)
    assert storage.check()
    assert storage.reset() == 1
    assert storage.acquire_sliding_window_entry("key", 1, 60)


def test_cleared_counter_is_swept_and_can_be_taken_again(storage):
    storage.acquire_all([hit("a")])
    storage.clear("a")
    storage.clear("never taken")
    assert storage.acquire_all([hit("a")]) == [0.0]
    assert any(storage.acquire_all([hit("a")]))


def test_importing_and_reading_a_bundle_without_quota_imports_no_heavy_library():
    program = (
        "import sys, guardrail.testing\n"
        "from guardrail.obligations import standard\n"
        "from guardrail.testing import FrozenClock\n"
        "standard(specs_documents={}, bundle='b', clock=FrozenClock(), take_view=print)\n"
        "print({'limits', 'numpy', 'hypothesis', 'jwt'} & set(sys.modules))"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
