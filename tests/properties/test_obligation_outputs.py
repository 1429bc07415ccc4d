"""Filters: arrays and lists agree, and a filter's own output passes it unchanged."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np

from guardrail._ports import ObligationContext
from guardrail.obligations.output.rounding import Round
from guardrail.obligations.output.top_k import TopK
from guardrail.testing.contracts import shown
from guardrail.values import NO_INPUT, Entity, Identity, Principal

CALL = ObligationContext(
    Identity(Principal("User", "ana")), NO_INPUT, "predict", Entity("Model", "m"), 0.0, lambda _: 0
)

# Halves at every digit: where scaling, and with it numpy's own rounding, goes wrong.
near_ties = st.builds(
    lambda whole, digits, ulps: math.nextafter((whole + 0.5) / 10**digits, ulps * math.inf),
    st.integers(-(10**6), 10**6),
    st.integers(0, 12),
    st.sampled_from((-1, 1)),
)
ties = st.builds(
    lambda whole, digits: (whole + 0.5) / 10**digits,
    st.integers(-(10**6), 10**6),
    st.integers(0, 12),
)
floats = st.one_of(st.floats(), st.floats(-1, 1), ties, near_ties)
digits = st.integers(0, 15)
dtypes = st.sampled_from((np.float16, np.float32, np.float64))
scores = st.one_of(st.sampled_from((0.25, 0.5, -math.inf, math.inf, math.nan)), st.floats(0, 1))


def same(one, other):
    return shown(one) == shown(other)


@given(st.lists(floats, max_size=20), digits)
def test_array_rounds_to_the_bit_as_python_rounds_its_elements(values, digits):
    with np.errstate(all="raise"):
        array = Round().release(digits, np.array(values, np.float64), CALL)
    assert same(array.tolist(), [round(value, digits) for value in values])
    assert same(array.tolist(), Round().release(digits, values, CALL))


@given(st_np.arrays(dtypes, st_np.array_shapes(max_dims=2, max_side=4)), digits)
def test_narrow_floats_round_as_python_rounds_and_stay_narrow(values, digits):
    array = Round().release(digits, values, CALL)
    expected = np.array([round(float(value), digits) for value in values.ravel()])
    assert same(array.ravel(), expected.astype(values.dtype))


@given(st_np.arrays(dtypes, st_np.array_shapes(max_dims=2, max_side=4)), digits, digits)
def test_what_was_rounded_stays_under_the_same_and_finer_digits(values, one, other):
    coarse = Round().release(min(one, other), values, CALL)
    assert same(Round().release(max(one, other), coarse, CALL), coarse)


@given(st.integers(1, 6), st.lists(st.lists(scores, min_size=5, max_size=5), max_size=4))
def test_array_and_list_keep_the_same_entries(kept, rows):
    array = TopK().release(kept, np.array(rows, np.float64).reshape(-1, 5), CALL)
    plain = TopK().release(kept, rows, CALL)
    as_array = [[math.nan if entry is None else entry for entry in row] for row in plain]
    assert same(array.tolist(), as_array)


@given(st.integers(1, 6), st.lists(scores, max_size=8))
def test_at_most_k_are_kept_and_none_that_is_cut_is_larger(kept, row):
    result = TopK().release(kept, row, CALL)
    held = [entry for entry in result if entry is not None]
    cut = [value for value, entry in zip(row, result, strict=True) if entry is None]
    assert len(held) == min(kept, sum(value == value for value in row))
    assert not any(value > least for value in cut for least in held)
    assert all(entry is None or entry == value for value, entry in zip(row, result, strict=True))


@given(st.integers(1, 4), digits, st.lists(scores, max_size=6))
def test_top_k_then_round_keeps_what_was_cut_cut(kept, digits, row):
    for output in (row, np.array(row, np.float64)):
        cut = TopK().release(kept, output, CALL)
        rounded = Round().release(digits, cut, CALL)
        for before, after in zip(cut, rounded, strict=True):
            assert (before is None or before != before) == (after is None or after != after)
