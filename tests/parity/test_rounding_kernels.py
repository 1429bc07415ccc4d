"""What rounding means, held over both kernels: to the bit what Python's `round` gives."""

import ctypes
import math
import struct
from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np

from guardrail._core import _rounding_py
from tests.parity.conftest import PURE_WAS_CHOSEN

NAN, INF = math.nan, math.inf
#: More than the compiled kernel rounds at a time without the GIL, and not a multiple of it.
MANY = 40_001


def rounders():
    chosen = [pytest.param(_rounding_py.round_floats, id="pure")]
    if not PURE_WAS_CHOSEN:
        from guardrail._core import _rounding

        chosen.append(pytest.param(_rounding.round_floats, id="compiled"))
    return chosen


@pytest.fixture(params=rounders())
def round_floats(request):
    """One kernel after the other."""
    return request.param


def bits(values):
    return [struct.pack("d", value) for value in values]


@pytest.mark.parametrize("digits", [-1, 16, 10**30])
def test_digits_out_of_range_are_refused(round_floats, digits):
    with pytest.raises(ValueError, match="from 0 to 15"):
        round_floats(array("d", [1.5]), digits)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ([1.5], TypeError),
        (None, TypeError),
        (array("q", [1]), TypeError),
        (np.zeros(2, "f2"), TypeError),
        (np.zeros(2, ">f8"), TypeError),
        (np.zeros(2, "c16"), TypeError),
        (np.zeros(2, "O"), TypeError),
        (np.zeros(0, "i4"), TypeError),
        ((ctypes.c_longdouble * 2)(), TypeError),
        (bytes(8), BufferError),
        (memoryview(array("d", [1.5])).toreadonly(), BufferError),
        (np.broadcast_to(1.5, (2, 2)), BufferError),
        (np.zeros((3, 4)).T, BufferError),
        (np.zeros(9)[::2], BufferError),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_rounded_in_place_is_refused(round_floats, values, error):
    with pytest.raises(error):
        round_floats(values, 2)


@pytest.mark.parametrize("size", [6, MANY])
def test_halves_go_to_the_even_digit_and_what_only_looks_like_one_does_not(round_floats, size):
    values = array("d", [0.125, 0.375, 2.675, -0.125, 1.005, -0.001] * (size // 6 + 1))
    expected = [round(value, 2) for value in values]
    assert expected[:3] == [0.12, 0.38, 2.67]
    round_floats(values, 2)
    assert bits(values) == bits(expected)


def test_one_doubtful_element_among_many_is_rounded_alone(round_floats):
    values = np.full(MANY, 0.126)
    values[MANY - 2], values[20_000] = 0.125, 1e300
    round_floats(values, 2)
    assert (values[MANY - 2], values[20_000]) == (0.12, 1e300)
    assert set(np.delete(values, [MANY - 2, 20_000])) == {0.13}


def test_what_is_not_finite_and_the_sign_of_a_zero_stay(round_floats):
    values = array("d", [NAN, INF, -INF, -0.0, -1e-9, 0.0])
    round_floats(values, 3)
    assert math.isnan(values[0])
    assert bits(values[1:]) == bits([INF, -INF, -0.0, -0.0, 0.0])


def test_a_single_float_is_rounded_as_a_double_and_narrowed(round_floats):
    values = np.array([0.1, 2.675, 16_777_216.0, 3.4028235e38, 1e-45], "f4")
    expected = np.array([round(float(value), 2) for value in values], "f4")
    round_floats(values, 2)
    assert values.tobytes() == expected.tobytes()


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (2, 3), (1, 2, 3)])
def test_every_shape_is_rounded_whole(round_floats, shape):
    values = np.full(shape, 0.126)
    round_floats(values, 2)
    assert (values == 0.13).all()


def test_the_buffer_is_released_on_every_path(round_floats):
    values = array("d", [0.126])
    round_floats(values, 2)
    values.append(1.0)  # a BufferError while a view is held
    whole = array("q", [1])
    with pytest.raises(TypeError):
        round_floats(whole, 2)
    whole.append(1)


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
large = st.floats(2.0**40, 2.0**60)


@pytest.mark.parametrize("kernel", rounders())
@given(
    values=st.lists(st.floats() | st.floats(-1, 1) | ties | near_ties | large, max_size=12),
    digits=st.integers(0, 15),
)
def test_doubles_round_to_the_bit_as_python_rounds(kernel, values, digits):
    elements = array("d", values)
    kernel(elements, digits)
    for value, element in zip(values, elements, strict=True):
        if math.isnan(value):
            assert math.isnan(element)
        else:
            assert bits([element]) == bits([round(value, digits)])


@pytest.mark.parametrize("kernel", rounders())
@given(values=st_np.arrays(np.float32, st.integers(0, 8)), digits=st.integers(0, 15))
def test_single_floats_round_to_the_bit_as_python_rounds(kernel, values, digits):
    finite = np.isfinite(values)
    expected = np.array([round(float(value), digits) for value in values[finite]], "f4")
    before = values.copy()
    kernel(values, digits)
    assert values[finite].tobytes() == expected.tobytes()
    assert values[~finite].tobytes() == before[~finite].tobytes()
