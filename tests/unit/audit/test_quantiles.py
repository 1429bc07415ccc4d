"""Percentiles are within their error, for any durations in any order."""

import math

from hypothesis import given
from hypothesis import strategies as st

from guardrail.audit.report.quantiles import ERROR, LEAST_S, DurationQuantiles


def durations_of(made):
    one = DurationQuantiles()
    one.add(made)
    return one


@given(st.lists(st.floats(1e-8, 1e6), min_size=1, max_size=200), st.sampled_from((0.5, 0.9, 0.99)))
def test_percentiles_are_within_their_error(made, part):
    one = durations_of(made)
    exact = sorted(made)[max(1, math.ceil(part * len(made))) - 1]
    assert abs(one.percentile(part) - exact) <= exact * ERROR * (1 + 1e-9)
    assert one.longest_s == max(made)


@given(st.lists(st.floats(0, 1e6), max_size=50), st.lists(st.floats(0, 1e6), max_size=50))
def test_in_parts_or_at_once_is_the_same(first, second):
    parted = durations_of(first)
    parted.add(second)
    whole = durations_of(second + first)
    assert (parted.count, parted.longest_s) == (whole.count, whole.longest_s)
    assert [parted.percentile(part) for part in (0, 0.3, 1)] == [
        whole.percentile(part) for part in (0, 0.3, 1)
    ]


@given(st.lists(st.floats(0, 3e9), max_size=2000))
def test_there_are_few_classes(made):
    assert (
        len(durations_of([*made, *(1e-9 * 1.01**power for power in range(4000))])._classes) < 1100
    )


def test_no_durations_have_no_percentile():
    assert DurationQuantiles().percentile(0.5) == 0
    assert durations_of([]).longest_s == 0


def test_what_took_no_time_has_a_percentile():
    one = durations_of([0.0, 0.0, 1e-12])
    assert one.count == 3
    assert 0 <= one.percentile(0.5) <= LEAST_S


def test_what_is_no_duration_is_left_out():
    one = durations_of([math.nan, math.inf, -math.inf, -1e-9, 1e300, 0.5])
    assert (one.count, one.longest_s) == (1, 0.5)
