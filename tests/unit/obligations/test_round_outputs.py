"""Rounding: numbers are rounded as Python does, and other values are blocked."""

import collections
import decimal
import math

import numpy as np
import pytest

from guardrail._ports import ObligationContext, ObligationNotMet
from guardrail.errors import ConfigurationError, Place
from guardrail.obligations.output.rounding import Round
from guardrail.values import NO_INPUT, Clause, Entity, Identity, Principal

ROUND = Round()
PLACE = Place("conditions.cedar", 9, 4)
CALL = ObligationContext(
    Identity(Principal("User", "ana")), NO_INPUT, "predict", Entity("Model", "m"), 0.0, lambda _: 0
)


def parse(argument):
    return ROUND.parse(Clause("coarse", "round", argument, PLACE))


def released(output, digits=2):
    return ROUND.release(digits, output, CALL)


@pytest.mark.parametrize(
    "argument",
    ["", " ", "-1", "16", "2.0", "02", " 2", "2 ", "two", "٢", "2 columns", "on a", "1" * 5000],
)
def test_malformed_digits_are_a_fault_at_their_place(argument):
    with pytest.raises(ConfigurationError) as caught:
        parse(argument)
    (fault,) = caught.value.faults
    assert (fault.code, fault.place) == ("GR109", PLACE)


def test_fields_narrow_the_demand():
    demand = parse("2 on amount, age")
    assert ROUND.describe(demand) == "2 on age, amount"
    both = ROUND.merge(ROUND.merge(demand, parse("1 on age, x")), parse("3"))
    assert ROUND.describe(both) == ["1 on age, x", "2 on amount", "3"]
    assert ROUND.merge(both, demand) == both
    assert ROUND.release(both, {"age": 0.126, "amount": 0.126, "y": 0.12345}, CALL) == {
        "age": 0.1, "amount": 0.13, "y": 0.123,
    }  # fmt: skip


def test_digits_are_the_demand_and_the_coarser_wins():
    assert (parse("0"), parse("15")) == (0, 15)
    assert ROUND.merge(parse("3"), parse("1")) == 1
    assert ROUND.describe(2) == 2
    assert ROUND.reads(2) == ()
    assert ROUND.admit(2, CALL) is None


@pytest.mark.parametrize(
    "output",
    [
        None,
        True,
        "0.123456",
        b"0.1",
        0.1j,
        decimal.Decimal("0.123456"),
        object(),
        (x for x in [0.123456]),
        {0.123456},
        {"a": "0.123456"},
        {1: 0.123456},
        [0.123456, "x"],
        [0.123456, True],
        [[[0.123456]]],
        [0.5, [0.123456]],
        [np.array([0.123456])],
        [np.array(0.123456)],
        [np.bool_(True)],
        np.array([True]),
        np.array(["0.123456"]),
        np.array([0.123456], dtype=object),
        np.array([0.1j]),
        np.array([(0.123456,)], dtype=[("secret", "f8")]),
        np.longdouble("0.123456"),
        np.array([0.123456], dtype=np.longdouble),
        np.ma.masked_array([0.123456], mask=[True]),
        np.array([[0.123456]]).view(type("Odd", (np.ndarray,), {})),
        np.datetime64("2026-11-23"),
    ],
)
def test_output_that_is_not_numbers_is_blocked_without_being_shown(output):
    with pytest.raises(ObligationNotMet) as caught:
        released(output)
    assert caught.value.code == "output_blocked"
    assert "123456" not in caught.value.message
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (0.125, 0.12),
        (0.375, 0.38),
        (2.675, 2.67),
        (-0.125, -0.12),
        (7, 7),
        (math.inf, math.inf),
        ([], []),
        ([0.126, 3, None], [0.13, 3, None]),
        ((0.126, 0.5), (0.13, 0.5)),
        ([[0.126], (0.876,)], [[0.13], (0.88,)]),
        ([None, None], [None, None]),
        ({"a": 0.126, "b": None, "c": 1}, {"a": 0.13, "b": None, "c": 1}),
        (collections.OrderedDict(a=0.126), {"a": 0.13}),
    ],
)
def test_numbers_leave_rounded_half_even(output, expected):
    result = released(output)
    assert result == expected
    assert type(result) is type(expected)


def test_zero_digits_leave_whole_floats():
    assert released([0.5, 1.5, 2.5], 0) == [0.0, 2.0, 2.0]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4", ">f8"])
@pytest.mark.parametrize("shape", [(), (0,), (6,), (2, 3), (1, 2, 3)])
def test_arrays_keep_shape_and_dtype_and_are_not_changed(dtype, shape):
    values = np.resize(np.array([0.126, 0.125, np.nan, np.inf, -1.005, 7.0]), shape).astype(dtype)
    before = values.copy()
    result = released(values)
    assert type(result) is np.ndarray
    assert (result.dtype, result.shape) == (values.dtype, values.shape)
    assert not np.shares_memory(result, values)
    np.testing.assert_array_equal(values, before)
    expected = [round(float(value), 2) for value in values.ravel()]
    np.testing.assert_array_equal(result.ravel(), np.array(expected).astype(dtype))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f8"])
@pytest.mark.parametrize("lay", [np.asfortranarray, lambda a: a[::-1, ::2], lambda a: a.T])
def test_arrays_that_do_not_lie_in_order_are_rounded_in_their_places(dtype, lay):
    values = lay(np.linspace(-1, 1, 40_000).reshape(200, 200).astype(dtype))
    result = released(values)
    assert (result.dtype, result.shape) == (values.dtype, values.shape)
    expected = [round(float(value), 2) for value in values.ravel()]
    np.testing.assert_array_equal(result.ravel(), np.array(expected).astype(dtype))


def test_read_only_array_is_rounded_into_a_new_one():
    values = np.array([0.126])
    values.flags.writeable = False
    assert released(values).tolist() == [0.13]
    assert values.tolist() == [0.126]


def test_half_precision_survives_many_digits():
    np.testing.assert_array_equal(released(np.array([0.5], np.float16), 15), np.float16(0.5))


def test_more_digits_than_a_double_can_scale_are_rounded_as_python_does():
    values = [5.123456789012345, -4.9999999999999996, 9.007199254740993, 0.1 + 0.2]
    for digits in (13, 14, 15):
        expected = [round(value, digits) for value in values]
        assert released(np.array(values), digits).tolist() == expected


def test_number_just_below_a_half_is_not_scaled_up_to_it():
    assert np.round(np.array([2.675]), 2)[0] == 2.68
    assert released(np.array([2.675]))[0] == released(2.675) == 2.67


def test_huge_values_stay():
    values = np.array([1e300, -1e300, 5e15 + 1, 1e-300])
    np.testing.assert_array_equal(released(values, 15), [1e300, -1e300, 5e15 + 1, 0.0])


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint16])
def test_integer_arrays_are_round_already(dtype):
    values = np.array([1, 2], dtype)
    np.testing.assert_array_equal(released(values), values)
    assert released(values).dtype == dtype


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_numpy_scalars_keep_their_type(kind):
    assert type(released(kind(0.126))) is kind
    assert released(kind(0.126)) == kind(0.13)
    assert type(released([kind(0.126)])[0]) is kind
    assert released(np.int64(3)) == 3
