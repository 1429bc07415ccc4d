"""What selection means, held over both kernels: the largest of each row, ties to the first."""

import ctypes
import math
import struct
from array import array

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail._core import _select_py
from tests.parity.conftest import PURE_WAS_CHOSEN

NAN, INF = math.nan, math.inf
#: A row for the heap, and some that are searched: with and without a broken vector.
LENGTHS = [1, 2, 15, 16, 17, 64, 65, 80, 300]


def kernels():
    chosen = [pytest.param(_select_py, id="pure")]
    if not PURE_WAS_CHOSEN:
        from guardrail._core import _select

        chosen.append(pytest.param(_select, id="compiled"))
    return chosen


@pytest.fixture(params=kernels())
def kernel(request):
    """One kernel after the other."""
    return request.param


def by_definition(row, kept):
    """The row as `keep_largest` leaves it, from Python's stable sort."""
    numbers = [index for index, entry in enumerate(row) if entry == entry]
    held = set(sorted(numbers, key=lambda index: -row[index])[:kept])
    return [entry if index in held else NAN for index, entry in enumerate(row)]


def label_by_definition(row):
    numbers = [index for index, entry in enumerate(row) if entry == entry]
    return min(numbers, key=lambda index: (-row[index], index), default=-1)


def bits(values):
    return [struct.pack("d", value) for value in values]


@pytest.mark.parametrize("kept", [0, -1, -(10**30)])
def test_to_keep_nothing_is_refused(kernel, kept):
    with pytest.raises(ValueError, match="one entry or more"):
        kernel.keep_largest(array("d", [1.5]), kept)


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
        (np.zeros(()), ValueError),
        (np.broadcast_to(1.5, (2, 2)), BufferError),
        (np.zeros((3, 4)).T, BufferError),
        (np.zeros(9)[::2], BufferError),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_rows_of_floats_is_refused(kernel, values, error):
    with pytest.raises(error):
        kernel.keep_largest(values, 1)
    with pytest.raises(error):
        kernel.label_rows(values)


def test_what_cannot_be_written_is_not_cut_and_is_labelled(kernel):
    values = np.array([1.0, 2.0])
    values.flags.writeable = False
    with pytest.raises(BufferError):
        kernel.keep_largest(values, 1)
    assert kernel.label_rows(values) == array("q", [1])


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("length", LENGTHS)
def test_ties_go_to_the_lowest_index(kernel, length, dtype):
    values = np.zeros((3, length), dtype)
    values[1, :] = NAN
    values[2, ::2] = INF
    for kept in (1, 2, length - 1, length, length + 1, 10**30):
        if kept < 1:
            continue
        cut = values.copy()
        kernel.keep_largest(cut, kept)
        for before, after in zip(values.tolist(), cut.tolist(), strict=True):
            assert bits(after) == bits(by_definition(before, kept))
    assert kernel.label_rows(values).tolist() == [0, -1, 0]


@pytest.mark.parametrize("length", LENGTHS)
def test_the_zeros_are_equal_and_keep_their_sign(kernel, length):
    values = array("d", [-0.0, 0.0] * length)
    kernel.keep_largest(values, 1)
    assert math.copysign(1, values[0]) == -1
    assert all(value != value for value in values[1:])


@pytest.mark.parametrize("length", LENGTHS)
def test_negative_infinity_is_kept_before_a_nan(kernel, length):
    values = array("d", [NAN] * length + [-INF, NAN, -INF])
    assert kernel.label_rows(values) == array("q", [length])
    kernel.keep_largest(values, 1)
    assert [index for index, value in enumerate(values) if value == value] == [length]


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("kept", [1, 2, 70, 80, 90])
def test_a_nan_that_was_there_carries_nothing_out(kernel, kept, dtype):
    values = np.full((2, 80), NAN, dtype)
    raw = values.view(f"u{values.itemsize}")
    usual = int(raw[0, 0])
    raw[0, 5] |= 0x2A
    raw[1, 6] |= 1
    kernel.keep_largest(values, kept)
    assert set(raw.ravel().tolist()) == {usual}


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3), (2, 0, 3), (2, 3, 0)])
def test_what_is_empty_stays_empty(kernel, shape):
    values = np.zeros(shape)
    kernel.keep_largest(values, 1)
    assert kernel.label_rows(values).tolist() == [-1] * math.prod(shape[:-1])


def test_the_last_axis_is_the_row(kernel):
    values = np.arange(24.0).reshape(2, 3, 4)
    assert kernel.label_rows(values).tolist() == [3] * 6
    kernel.keep_largest(values, 2)
    assert np.isnan(values[..., :2]).all()
    assert not np.isnan(values[..., 2:]).any()


def test_the_buffer_is_released_on_every_path(kernel):
    values, whole = array("d", [0.5, 0.25]), array("q", [1])
    kernel.keep_largest(values, 1)
    kernel.label_rows(values)
    values.append(1.0)  # a BufferError while a view is held
    for refuse in (kernel.label_rows, lambda buffer: kernel.keep_largest(buffer, 1)):
        with pytest.raises(TypeError):
            refuse(whole)
        whole.append(1)


entries = st.sampled_from([0.0, -0.0, 0.5, 1.0, INF, -INF, NAN, 5e-324, -5e-324]) | st.floats(
    width=32
)


@pytest.mark.parametrize("kernel", kernels())
@settings(deadline=None)
@given(
    row=st.lists(entries, min_size=1, max_size=12),
    repeat=st.sampled_from([1, 1, 7, 23]),
    kept=st.integers(1, 200),
    dtype=st.sampled_from(["f4", "f8"]),
)
def test_any_row_is_cut_and_labelled_as_by_a_stable_sort(kernel, row, repeat, kept, dtype):
    values = np.array([row * repeat, (row * repeat)[::-1]], dtype)
    expected = [by_definition(one, kept) for one in values.tolist()]
    labels = [label_by_definition(one) for one in values.tolist()]
    assert kernel.label_rows(values).tolist() == labels
    kernel.keep_largest(values, kept)
    assert [bits(one) for one in values.tolist()] == [bits(one) for one in expected]


@pytest.mark.parametrize("kernel", kernels())
@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["f4", "f8"]), st.integers(65, 200), st.data())
def test_long_rows_of_any_floats_are_cut(kernel, seed, dtype, length, data):
    size = np.dtype(dtype).itemsize
    raw = np.random.default_rng(seed).bytes(3 * length * size)
    values = np.frombuffer(bytearray(raw), dtype).reshape(3, length)
    kept = data.draw(st.integers(1, length))
    expected = [by_definition(one, kept) for one in values.tolist()]
    assert kernel.label_rows(values).tolist() == [label_by_definition(r) for r in values.tolist()]
    kernel.keep_largest(values, kept)
    assert [bits(one) for one in values.tolist()] == [bits(one) for one in expected]
