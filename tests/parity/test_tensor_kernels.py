"""What the tensor check means, held over both kernels."""

import ctypes
import math
import sys
from array import array

import numpy as np
import pytest

from guardrail._core import ABOVE, BELOW, NOT_FINITE, OK

NAN, INF = math.nan, math.inf
FLOATS = ["f2", "f4", "f8"]
INTEGERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]
#: One size for the exact loop alone, and several that are screened: whole and broken tiles.
SIZES = [30, 1024, 3000, 20_000]
FOREIGN = ">" if sys.byteorder == "little" else "<"


def doubles(*values):
    return array("d", values)


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("size", SIZES)
def test_the_first_element_that_is_not_finite_is_named(check_tensor, size, dtype, bad):
    values = np.zeros(size, dtype)
    values[size - 1] = NAN
    values[size - 2] = bad
    assert check_tensor(values, None, None, True) == (NOT_FINITE, size - 2)


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS + ["?"])
@pytest.mark.parametrize("size", SIZES)
def test_what_lies_outside_its_bounds_is_named(check_tensor, size, dtype):
    values = np.ones(size, dtype)
    assert check_tensor(values, doubles(1), doubles(1), True) == (OK, 0)
    values[size - 3] = 0
    assert check_tensor(values, doubles(1), doubles(2), False) == (BELOW, size - 3)
    assert check_tensor(values, doubles(0), doubles(0.5), False) == (ABOVE, 0)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(1, 7), (300, 7), (3, 700), (2, 1500), (2000, 600)])
def test_each_column_has_its_own_bounds(check_tensor, shape, order):
    values = np.zeros(shape, "f4", order=order) + np.arange(shape[1], dtype="f4")
    lows = highs = doubles(*range(shape[1]))
    if values.size > 20_000:  # the twin would take a second for what the kernel skips over
        values = values[:20].copy(order)
    assert check_tensor(values, lows, highs, True) == (OK, 0)
    row, column = values.shape[0] - 1, shape[1] - 2
    values[row, column] += 1
    assert check_tensor(values, lows, highs, True) == (ABOVE, row * shape[1] + column)
    values[row, column] -= 2
    assert check_tensor(values, lows, highs, True) == (BELOW, row * shape[1] + column)


def test_columns_run_over_all_axes_but_the_first(check_tensor):
    values = np.zeros((2, 2, 3), "i4")
    values[1, 1, 0] = 9
    lows, highs = doubles(*[0] * 6), doubles(0, 0, 0, 9, 0, 0)
    assert check_tensor(values, lows, highs, True) == (OK, 0)
    values[1, 1, 1] = 9
    assert check_tensor(values, lows, highs, True) == (ABOVE, 10)


@pytest.mark.parametrize("size", SIZES)
def test_nan_never_passes_a_bound(check_tensor, size):
    values = np.full(size, NAN)
    assert check_tensor(values, doubles(0), doubles(INF), False) == (NOT_FINITE, 0)
    assert check_tensor(values, doubles(-INF), doubles(1), False) == (NOT_FINITE, 0)
    assert check_tensor(values, doubles(-INF), doubles(INF), False) == (OK, 0)
    assert check_tensor(values, None, None, False) == (OK, 0)


@pytest.mark.parametrize("dtype", ["f4", "i2", "u8"])
@pytest.mark.parametrize("size", SIZES)
def test_a_bound_that_is_nan_lets_nothing_pass(check_tensor, size, dtype):
    values = np.ones(size, dtype)
    assert check_tensor(values, doubles(NAN), doubles(2), True) == (BELOW, 0)
    assert check_tensor(values, doubles(0), doubles(NAN), True) == (ABOVE, 0)


@pytest.mark.parametrize("size", SIZES)
def test_infinity_passes_only_where_it_is_allowed_and_unbounded(check_tensor, size):
    values = np.full(size, INF, "f4")
    assert check_tensor(values, doubles(0), doubles(INF), False) == (OK, 0)
    assert check_tensor(values, doubles(0), doubles(1e300), False) == (ABOVE, 0)
    assert check_tensor(values, doubles(INF), doubles(INF), True) == (NOT_FINITE, 0)


@pytest.mark.parametrize("size", SIZES)
def test_a_float32_is_compared_as_the_double_it_is(check_tensor, size):
    values = np.full(size, 0.1, "f4")  # a little above the double 0.1
    assert check_tensor(values, doubles(0), doubles(0.1), True) == (ABOVE, 0)
    assert check_tensor(values, doubles(0.1), doubles(1), True) == (OK, 0)
    tiny = np.zeros(size, "f4")
    assert check_tensor(tiny, doubles(1e-300), doubles(1), True) == (BELOW, 0)
    assert check_tensor(tiny, doubles(-1), doubles(-1e-300), True) == (ABOVE, 0)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("dtype", "value", "low", "high", "code"),
    [
        ("i8", 2**53 + 1, 0, 2.0**53, ABOVE),  # rounds to the bound as a double
        ("i8", 2**53 + 1, 2.0**53 + 2, INF, BELOW),
        ("i8", 2**63 - 1, 0, 2.0**63, OK),
        ("i8", 2**63 - 1, 2.0**63, INF, BELOW),
        ("i8", -(2**63), -(2.0**63), INF, OK),
        ("i8", -(2**63), -INF, -(2.0**63) - 2048, ABOVE),
        ("u8", 2**64 - 1, 0, 2.0**64, OK),
        ("u8", 2**64 - 1, 2.0**64, INF, BELOW),
        ("u8", 2**64 - 1, 0, 2.0**64 - 2048, ABOVE),
        ("u8", 0, -5.5, 0.5, OK),
        ("u8", 0, -5.5, -0.5, ABOVE),
        ("u1", 255, 0, 254.5, ABOVE),
        ("u1", 255, 255.5, INF, BELOW),
        ("i1", -128, -128.5, -127.5, OK),
        ("i1", -128, -127.5, 0, BELOW),
        ("i4", 2**31 - 1, 2.0**31 - 0.5, INF, BELOW),
    ],
)
def test_integers_are_compared_exactly(check_tensor, size, dtype, value, low, high, code):
    values = np.full(size, value, dtype)
    assert check_tensor(values, doubles(low), doubles(high), True) == (code, 0)


@pytest.mark.parametrize("shape", [(0,), (0, 30), (3, 0), (2, 0, 4)])
def test_an_empty_tensor_is_fine(check_tensor, shape):
    values = np.zeros(shape)
    columns = math.prod(shape[1:])
    assert check_tensor(values, None, None, True) == (OK, 0)
    assert check_tensor(values, doubles(5), doubles(1), True) == (OK, 0)
    assert check_tensor(values, doubles(*[5] * columns), doubles(*[1] * columns), True) == (OK, 0)


def test_a_scalar_is_one_element(check_tensor):
    assert check_tensor(np.array(3.0), doubles(0), doubles(5), True) == (OK, 0)
    assert check_tensor(np.array(NAN), None, None, True) == (NOT_FINITE, 0)


@pytest.mark.parametrize("size", SIZES)
def test_strides_of_any_kind_are_followed(check_tensor, size):
    base = np.zeros((size, 4))
    base[5, 2] = NAN
    assert check_tensor(base[::-1], None, None, True) == (NOT_FINITE, (size - 6) * 4 + 2)
    assert check_tensor(base.T, None, None, True) == (NOT_FINITE, 2 * size + 5)
    assert check_tensor(base[:, ::-2], None, None, True) == (OK, 0)
    assert check_tensor(base[:, 2], None, None, True) == (NOT_FINITE, 5)
    assert check_tensor(np.broadcast_to(base[5], (size, 4)), None, None, True) == (NOT_FINITE, 2)


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
@pytest.mark.parametrize("size", SIZES)
def test_the_other_byte_order_is_read(tensor_kernel, size, dtype):
    values = np.arange(size).astype(FOREIGN + dtype)
    values %= 100
    values[size - 2] = 101
    within = doubles(0), doubles(100), True
    assert tensor_kernel.check_tensor(values, *within) == (ABOVE, size - 2)
    assert tensor_kernel.count_bad(values, *within) == 1
    assert tensor_kernel.check_tensor(values, doubles(0), doubles(101), True) == (OK, 0)
    if dtype in FLOATS:
        values[1] = NAN
        assert tensor_kernel.check_tensor(values, *within) == (NOT_FINITE, 1)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(1, 9), (40, 7), (300, 30), (9, 2100)])
def test_every_bad_element_is_counted(count_bad, shape, order):
    values = np.zeros(shape, "f4", order=order)
    lows, highs = doubles(*[0] * shape[1]), doubles(*[1] * shape[1])
    assert count_bad(values, lows, highs, True) == 0
    values[0, 3], values[-1, 0], values[-1, -1], values[shape[0] // 2, 5] = NAN, -1, 2, INF
    assert count_bad(values, lows, highs, True) == 4
    assert count_bad(values[::-1], lows, highs, True) == 4
    assert count_bad(values, None, None, True) == 2
    assert count_bad(values, None, None, False) == 0
    assert count_bad(values, doubles(5), doubles(4), True) == values.size


def test_an_empty_tensor_has_no_bad_element(count_bad):
    assert count_bad(np.zeros((0, 3)), None, None, True) == 0


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
@pytest.mark.parametrize(
    ("columns", "step"),
    [
        (1, 1), (3, 1), (8, 1), (30, 1), (33, 1), (2049, 97),
        pytest.param(2049, 1, marks=pytest.mark.long),
    ],
)  # fmt: skip
def test_each_place_of_a_tile_is_seen(check_tensor, columns, step, dtype):
    rows = 700 // columns + 17
    values = np.ones((rows, columns), dtype)
    lows, highs = doubles(*[1] * columns), doubles(*[1] * columns)
    assert check_tensor(values, lows, highs, True) == (OK, 0)
    if not check_tensor.__module__.endswith("._tensor"):
        step = {1: 97, 97: 997}[step]  # the twin is slow
    for index in range(0, values.size, step):
        values.flat[index] = 2
        assert check_tensor(values, lows, highs, True) == (ABOVE, index)
        values.flat[index] = 1


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_nan_without_bounds_does_not_hide_what_follows(check_tensor, dtype):
    values = np.zeros((600, 4), dtype)
    values[:, 1] = NAN
    bounds = doubles(0, -INF, 0, 0), doubles(1, INF, 1, 1)
    assert check_tensor(values, *bounds, False) == (OK, 0)
    values[599, 3] = 2
    assert check_tensor(values, *bounds, False) == (ABOVE, 2399)


@pytest.mark.parametrize("size", SIZES)
def test_misaligned_elements_are_read(check_tensor, size):
    values = np.frombuffer(bytes(1) + np.ones(size, "f8").tobytes(), "u1")[1:].view("f8")
    assert check_tensor(values, doubles(1), doubles(1), True) == (OK, 0)
    assert check_tensor(values, doubles(0), doubles(0), True) == (ABOVE, 0)


def test_exporters_other_than_numpy_are_read(check_tensor):
    assert check_tensor(array("f", [1, NAN]), None, None, True) == (NOT_FINITE, 1)
    assert check_tensor((ctypes.c_int * 3)(1, 2, 3), doubles(0), doubles(2), True) == (ABOVE, 2)
    assert check_tensor(b"\x01\x05", doubles(0), doubles(4), True) == (ABOVE, 1)


def test_a_bool_is_the_byte_it_is(check_tensor):
    dishonest = np.array([0, 1, 7], "u1").view("?")
    assert check_tensor(dishonest, doubles(0), doubles(1), True) == (ABOVE, 2)


def test_every_half_float_is_widened_exactly(check_tensor):
    halves = np.arange(2**16, dtype="u2").view("f2")
    for half in halves[:: 2**16 // 512]:
        value = float(half)
        one = np.array([half])
        if math.isfinite(value):
            assert check_tensor(one, doubles(value), doubles(value), True) == (OK, 0)
        else:
            assert check_tensor(one, None, None, True) == (NOT_FINITE, 0)


@pytest.mark.parametrize(
    "values",
    [
        np.zeros(3, "c16"),
        np.zeros(3, ">c8"),
        np.zeros(3, "O"),
        np.zeros(3, "U3"),
        np.zeros(3, "S8"),
        np.zeros(3, "i4,f4"),
        np.zeros(0, "c16"),
        np.zeros(3, "g"),
        array("w" if sys.version_info >= (3, 13) else "u", "abc"),
    ],
    ids=lambda values: str(getattr(values, "dtype", "text")),
)
def test_what_is_no_number_is_refused(tensor_kernel, values):
    for kernel in (tensor_kernel.check_tensor, tensor_kernel.count_bad):
        with pytest.raises(TypeError, match="expected a buffer of bool, float or integer"):
            kernel(values, None, None, True)


def test_what_is_no_buffer_is_refused(check_tensor):
    with pytest.raises(TypeError):
        check_tensor([1.0, 2.0], None, None, True)


@pytest.mark.parametrize(
    ("lows", "highs", "error"),
    [
        (doubles(0, 0), doubles(1, 1), ValueError),
        (doubles(0), doubles(1, 1, 1), ValueError),
        (doubles(), doubles(), ValueError),
        (doubles(0), None, ValueError),
        (None, doubles(0), ValueError),
        ([0.0], [1.0], TypeError),
        (array("f", [0]), array("f", [1]), TypeError),
        (array("q", [0]), array("q", [1]), TypeError),
    ],
)
def test_bounds_that_do_not_fit_are_refused(check_tensor, lows, highs, error):
    with pytest.raises(error, match="expected"):
        check_tensor(np.zeros((2, 3)), lows, highs, True)


@pytest.mark.parametrize("size", SIZES)
def test_the_buffers_are_released_on_every_path(check_tensor, size):
    values, lows, highs = array("d", [0.0] * size), doubles(0), doubles(1)
    check_tensor(values, lows, highs, True)
    values[1] = NAN
    check_tensor(values, lows, highs, True)
    with pytest.raises(ValueError, match="expected"):
        check_tensor(values, lows, doubles(1, 2), True)
    for each in (values, lows, highs):
        each.append(1.0)  # a BufferError while a view is held
