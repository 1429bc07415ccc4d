"""The cache keeps recent entries within a limit, and never confuses two keys."""

import gc
import threading
import weakref
from types import MappingProxyType

import pytest

from guardrail.policy.generation_cache import GenerationCache, plain_key


def test_nothing_is_found_that_was_not_put():
    kept = GenerationCache(4)
    assert kept.get("a") is None
    kept.put("a", 1)
    assert kept.get("a") == 1
    assert kept.get("b") is None


def test_at_most_two_generations_are_kept():
    kept = GenerationCache(10)
    for number in range(1000):
        kept.put(number, number)
        assert len(kept) <= 20
    assert [kept.get(number) for number in range(980)] == [None] * 980
    assert kept.get(999) == 999


def test_what_is_asked_again_is_carried_over_and_the_rest_goes():
    kept = GenerationCache(10)
    kept.put("used", 1)
    kept.put("idle", 2)
    for number in range(100):
        kept.put(number, number)
        assert kept.get("used") == 1
    assert kept.get("idle") is None


def test_a_value_that_was_replaced_is_gone_in_both_generations():
    kept = GenerationCache(3)
    kept.put("a", 1)
    for number in range(3):
        kept.put(number, number)  # now "a" is in the older one
    kept.put("a", 2)
    assert kept.get("a") == 2


def test_what_goes_is_let_go_of():
    class Thing:
        pass

    kept, thing = GenerationCache(2), Thing()
    gone = weakref.ref(thing)
    kept.put("a", thing)
    del thing
    for number in range(6):
        kept.put(number, number)
    gc.collect()
    assert gone() is None


def test_the_bound_is_of_weights_where_values_have_them():
    kept = GenerationCache(100, weigh=len)
    for number in range(200):
        kept.put(number, "x" * 30)
        assert len(kept) <= 6
    assert kept.get(199) == "x" * 30


def test_a_value_over_the_bound_stands_alone_and_goes_with_the_next_ones():
    kept = GenerationCache(10, weigh=len)
    kept.put("big", "x" * 1000)
    assert kept.get("big")
    kept.put("a", "x" * 6)
    kept.put("b", "x" * 6)
    assert kept.get("big") is None
    assert len(kept) <= 3


def test_a_bound_of_nothing_keeps_next_to_nothing():
    kept = GenerationCache(0)
    for number in range(10):
        kept.put(number, number)
        assert len(kept) <= 2


def test_threads_that_race_lose_entries_and_never_mix_two():
    kept, wrong = GenerationCache(50), []

    def work(seed):
        for turn in range(20_000):
            key = (turn * seed) % 200
            found = kept.get(key)
            if found is None:
                kept.put(key, ("value", key))
            elif found != ("value", key):
                wrong.append((key, found))

    threads = [
        threading.Thread(target=work, args=(seed,)) for seed in (1, 3, 7, 11, 13, 17, 19, 23)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(kept) <= 2 * (50 + len(threads))


FLAT = (("app", "count", "Long"), ("app", "flag", "Bool"))


def key(facts, number=1, flat=FLAT):
    return plain_key(number, flat, facts)


def test_a_key_has_all_that_is_read_and_its_types():
    seen = [
        key({"app": {"count": count, "flag": flag}})
        for count in (1, True, 1.0, "1", 2)
        for flag in (0, False, 0.0, "")
    ] + [
        key({"app": {"count": 1}}),
        key({"app": {"flag": 1}}),
        key({"app": {}}),
        key({}),
        key({}, number=2),
        key({}, flat=FLAT[:1]),
        key({}, flat=()),
    ]
    assert None not in seen
    assert len(set(seen)) == len(seen)
    assert {hash(one) for one in seen}  # every one can be a key


def test_what_is_not_read_is_not_in_the_key():
    assert key({"app": {"count": 1, "other": [1]}, "more": 1}) == key({"app": {"count": 1}})


class Sly(str):
    __slots__ = ()


@pytest.mark.parametrize(
    "value",
    [None, [1], (1,), {"a": 1}, {1}, b"1", Sly("1"), 1j, object()],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_plain_has_no_key(value):
    assert key({"app": {"count": value}}) is None


@pytest.mark.parametrize(
    "facts",
    [
        MappingProxyType({"app": {"count": 1}}),
        {"app": MappingProxyType({"count": 1})},
        {"app": None},
        {"app": [("count", 1)]},
    ],
    ids=str,
)
def test_facts_in_anything_but_dicts_have_no_key(facts):
    assert key(facts) is None
