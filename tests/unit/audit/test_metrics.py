"""Metrics: what is counted, under which names, and what no metric contains."""

import gc
import threading

import pytest
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from guardrail.audit import Metrics

GUARD = {"guardrail.guard.name": "clinical_scoring"}
HITS, MISSES = "guardrail.decision.cache.hits", "guardrail.decision.cache.misses"
RELOADS = "guardrail.policy.reloads"


@pytest.fixture
def reader():
    return InMemoryMetricReader()


@pytest.fixture
def provider(reader):
    provider = MeterProvider([reader], shutdown_on_exit=False)
    yield provider
    provider.shutdown()


@pytest.fixture
def meters(provider):
    return Metrics("clinical_scoring", meter_provider=provider)


def collected(reader):
    """Return what was collected: for each metric, its points by their attributes."""
    data = reader.get_metrics_data()
    if data is None:
        return {}
    return {
        metric.name: {tuple(sorted(point.attributes.items())): point.value for point in points}
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if (points := metric.data.data_points)
    }


def key(**more):
    return tuple(sorted({**GUARD, **more}.items()))


def test_the_cache_is_asked_when_the_metrics_are_collected(meters, reader):
    counts = [3, 4]
    meters.observe_cache(lambda: (counts[0], counts[1]))
    assert collected(reader) == {HITS: {key(): 3}, MISSES: {key(): 4}}
    counts[0] = 10
    assert collected(reader)[HITS] == {key(): 10}


def test_the_next_cache_goes_on_where_the_one_before_it_ended(meters, reader):
    first = [5, 6]
    meters.observe_cache(lambda: (first[0], first[1]))
    meters.observe_cache(lambda: (1, 2))
    first[0] = 1000  # a call that ends on the old one is no longer counted
    assert collected(reader) == {HITS: {key(): 6}, MISSES: {key(): 8}}
    meters.observe_cache(lambda: (0, 0))
    assert meters.cache_counts() == (6, 8)


def test_reloads_are_counted_by_their_outcome(meters, reader):
    for ok in (True, False, True):
        meters.count_reload(ok)
    found = collected(reader)[RELOADS]
    assert found == {
        key(**{"guardrail.reload.outcome": "ok"}): 2,
        key(**{"guardrail.reload.outcome": "failed"}): 1,
    }


def test_a_metric_carries_the_guards_name_and_nothing_of_a_call(meters, reader):
    meters.observe_cache(lambda: (1, 1))
    meters.count_reload(True)
    names = {
        name
        for points in collected(reader).values()
        for attributes in points
        for name, _ in attributes
    }
    assert names == {"guardrail.guard.name", "guardrail.reload.outcome"}


def test_two_guards_count_apart_and_two_of_one_name_together(meters, reader, provider):
    other, twin = (Metrics(name, meter_provider=provider) for name in ("other", "clinical_scoring"))
    meters.observe_cache(lambda: (1, 2))
    other.observe_cache(lambda: (10, 20))
    twin.observe_cache(lambda: (100, 200))
    assert collected(reader) == {
        HITS: {key(): 101, (("guardrail.guard.name", "other"),): 10},
        MISSES: {key(): 202, (("guardrail.guard.name", "other"),): 20},
    }


def test_a_guard_that_comes_after_another_has_gone_is_counted(provider, reader):
    for count in (1, 2):
        meters = Metrics("again", meter_provider=provider)
        meters.observe_cache(lambda count=count: (count, count))
        assert set(collected(reader)[HITS].values()) == {count}
        del meters
        gc.collect()


def test_a_guard_that_is_gone_is_not_kept_alive_by_its_metrics(provider, reader):
    meters = Metrics("gone", meter_provider=provider)
    meters.observe_cache(lambda: (1, 1))
    del meters
    gc.collect()
    assert collected(reader) == {}


def test_reading_while_caches_are_swapped_never_goes_back(meters):
    def swap():
        for _ in range(2000):
            meters.observe_cache(lambda: (1, 1))

    thread = threading.Thread(target=swap)
    thread.start()
    last = (0, 0)
    while thread.is_alive():
        counts = meters.cache_counts()
        assert counts >= last
        last = counts
    thread.join()
    assert meters.cache_counts() == (2000, 2000)


def test_without_an_sdk_nothing_is_counted_and_nothing_fails():
    for provider in (None, NoOpMeterProvider()):
        meters = Metrics("g", meter_provider=provider)
        meters.observe_cache(lambda: (1, 1))
        meters.count_reload(False)
