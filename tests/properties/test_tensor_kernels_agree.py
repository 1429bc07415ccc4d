"""Property: both kernels and numpy's own arithmetic agree on every tensor."""

import itertools
import math
import os
import struct
from array import array

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail._core import _tensor_py
from guardrail._core.terms import ABOVE, BELOW, NOT_FINITE, OK, dtype_of

if os.environ.get("GUARDRAIL_PURE", "") not in ("", "0"):
    pytest.skip("GUARDRAIL_PURE is set: there is one kernel", allow_module_level=True)

from guardrail._core import _tensor

DTYPES = ["?", "f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]
EDGES = [0.0, -0.0, 1.0, -1.0, 0.1, 2.0**53, 2.0**63, -(2.0**63), 2.0**64, 127.5, 65504.0, 1e300]
BOUNDS = st.one_of(
    st.sampled_from([*EDGES, math.inf, -math.inf, math.nan]),
    st.floats(allow_nan=True),
    st.integers(-300, 300).map(float),
)


@st.composite
def tensors(draw):
    """Arrays of any dtype with any strides: steps, reversals, transposes, repeats.

    And in any byte order, at any address, read-only, with any bits as a NaN.
    """
    dtype = np.dtype(draw(st.sampled_from(DTYPES))).newbyteorder(draw(st.sampled_from("<>")))
    shape = tuple(draw(st.lists(st.integers(0, 6), max_size=4)))
    if draw(st.booleans()):  # long enough to be screened: by patterns, by rows, by columns
        shape = draw(st.sampled_from([(1030, 2), (1600, 3), (70, 5), (9, 33), (8, 2050)]))
    steps = draw(st.tuples(*[st.sampled_from([1, 1, 2, -1, -2])] * len(shape)))
    base = tuple(length * abs(step) for length, step in zip(shape, steps, strict=True))
    values = np.zeros(base, dtype, order=draw(st.sampled_from("CF")))
    for _ in range(draw(st.integers(0, 4))):
        if values.size:
            raw = draw(st.binary(min_size=dtype.itemsize, max_size=dtype.itemsize))
            at = tuple(draw(st.integers(0, length - 1)) for length in base)
            values[at] = np.frombuffer(raw, dtype)[0]
    values = values[(..., *(slice(None, None, step) for step in steps))]
    if draw(st.booleans()):
        values = values.T
    if draw(st.booleans()):
        values = values.copy(order=draw(st.sampled_from("CF")))
    if draw(st.booleans()):
        shifted = np.frombuffer(bytearray(values.nbytes + 1), "u1")[1:].view(dtype)
        shifted = shifted.reshape(values.shape)
        shifted[...] = values
        values = shifted
    values.flags.writeable = draw(st.booleans())
    return values


@st.composite
def cases(draw):
    values = draw(tensors())
    columns = math.prod(values.shape[1:])
    count = draw(st.sampled_from([None, 1, columns]))
    if count is None:
        return values, None, None
    bounds = st.lists(BOUNDS, min_size=min(count, 12), max_size=min(count, 12))
    lows, highs = draw(bounds), draw(bounds)
    if count > 12:  # as many as are drawn, and for the rest loose ones
        lows, highs = lows + [-math.inf] * (count - 12), highs + [1e300] * (count - 12)
    return values, array("d", lows), array("d", highs)


def bad_by_definition(values, lows, highs, finite):
    """The same again from numpy's flat order and Python's exact comparisons."""
    elements = values.view("u1") if values.dtype == bool else values
    lows, highs = lows or [-math.inf], highs or [math.inf]
    for index, element in enumerate(elements.ravel().tolist()):
        low, high = lows[index % len(lows)], highs[index % len(highs)]
        if element != element or abs(element) == math.inf:
            bounded = low > -math.inf or high < math.inf
            if finite or (element != element and bounded):
                yield NOT_FINITE, index
                continue
            if element != element and low == low and high == high:
                continue
        if not element >= low:
            yield BELOW, index
        elif not element <= high:
            yield ABOVE, index


def by_definition(values, lows, highs, finite):
    return next(bad_by_definition(values, lows, highs, finite), (OK, 0))


@settings(max_examples=300, deadline=None)
@given(cases(), st.booleans())
def test_the_kernels_give_the_same_code_and_index(case, finite):
    values, lows, highs = case
    expected = by_definition(values, lows, highs, finite)
    assert _tensor_py.check_tensor(values, lows, highs, finite) == expected
    assert _tensor.check_tensor(values, lows, highs, finite) == expected
    count = sum(1 for _ in bad_by_definition(values, lows, highs, finite))
    assert _tensor_py.count_bad(values, lows, highs, finite) == count
    assert _tensor.count_bad(values, lows, highs, finite) == count


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=4),
    BOUNDS,
    BOUNDS,
    st.sampled_from([1, 1500]),
)
def test_64_bit_integers_never_round(integers, low, high, repeat):
    values = np.array(integers * repeat, "i8")
    for each in (values, values.view("u8")):
        case = (each, array("d", [low]), array("d", [high]), True)
        assert _tensor.check_tensor(*case) == by_definition(*case)


def test_every_half_float_reads_the_same():
    halves = np.arange(2**16, dtype="u2").view("f2")
    for low, high in [(-1.0, 1.0), (6e-8, 65504.0), (-math.inf, math.inf)]:
        for part in np.split(halves, 64):
            case = (part, array("d", [low]), array("d", [high]), False)
            assert _tensor.check_tensor(*case) == _tensor_py.check_tensor(*case)
    for half in halves[np.isfinite(halves)]:
        exact = array("d", [float(half)])
        assert _tensor.check_tensor(np.array([half]), exact, exact, True) == (OK, 0)


def test_both_kernels_read_the_same_formats():
    exporter = pytest.importorskip("_testbuffer", reason="a test module of CPython").ndarray
    seen = set()
    for prefix, code in itertools.product(["", *"@=<>!"], "cbB?hHiIlLqQnNefdsP"):
        try:
            buffer = exporter([1 if code not in "cs" else b"x"], shape=[1], format=prefix + code)
        except struct.error:  # the prefix rules the code out
            continue
        view = memoryview(buffer)
        is_known = dtype_of(view.format, view.itemsize) != ""
        seen.add(is_known)
        for kernel in (_tensor.check_tensor, _tensor_py.check_tensor):
            if is_known:
                assert kernel(buffer, None, None, True) == (OK, 0)
            else:
                with pytest.raises(TypeError, match="expected a buffer of"):
                    kernel(buffer, None, None, True)
    assert seen == {True, False}
