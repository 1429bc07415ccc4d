"""Top-k: only the largest numbers of a row are returned, and other values are blocked."""

import math

import numpy as np
import pytest

from guardrail._ports import ObligationContext, ObligationNotMet
from guardrail.errors import ConfigurationError, Place
from guardrail.obligations.output.top_k import TopK
from guardrail.values import NO_INPUT, Clause, Entity, Identity, Principal

TOP_K = TopK()
PLACE = Place("conditions.cedar", 9, 14)
NAN = math.nan
CALL = ObligationContext(
    Identity(Principal("User", "ana")), NO_INPUT, "predict", Entity("Model", "m"), 0.0, lambda _: 0
)


def parse(argument):
    return TOP_K.parse(Clause("coarse", "top_k", argument, PLACE))


def released(output, kept=1):
    return TOP_K.release(kept, output, CALL)


@pytest.mark.parametrize(
    "argument",
    ["", "0", "-1", "01", "1.0", " 1", "1 ", "k", "1 on ", "1 on a,b", "²", str(10**9 + 1)],
)
def test_malformed_number_is_a_fault_at_its_place(argument):
    with pytest.raises(ConfigurationError) as caught:
        parse(argument)
    (fault,) = caught.value.faults
    assert (fault.code, fault.place) == ("GR109", PLACE)


def test_number_is_the_demand_and_the_smaller_wins():
    assert TOP_K.merge(parse("3"), parse("1")) == 1
    assert parse(str(10**9)) == 10**9
    assert TOP_K.describe(3) == 3
    assert TOP_K.reads(3) == ()
    assert TOP_K.admit(3, CALL) is None


def test_rules_on_the_same_fields_join_and_others_stay_beside_each_other():
    one, other = parse("1 on a, b"), parse("2 on b, a")
    assert TOP_K.merge(one, other) == one
    both = TOP_K.merge(parse("2 on a, b, c"), parse("1 on c"))
    assert TOP_K.describe(both) == ["1 on c", "2 on a, b, c"]
    output = {"a": 0.1, "b": 0.2, "c": 0.3}
    assert TOP_K.release(both, output, CALL) == {"a": None, "b": 0.2, "c": 0.3}


@pytest.mark.parametrize(
    "output",
    [
        None,
        True,
        0.5,
        7,
        "benign",
        b"benign",
        object(),
        {0.5},
        (x for x in [0.5]),
        ["benign"],
        [True],
        [[[0.5]]],
        [0.5, [0.5]],
        {"a": "benign"},
        {1: 0.5},
        [np.array([0.5])],
        np.float64(0.5),
        np.array(0.5),
        np.array([1, 2]),
        np.array([True]),
        np.array(["benign"]),
        np.array([0.5], dtype=object),
        np.array([0.5], dtype=np.longdouble),
        np.ma.masked_array([0.5], mask=[True]),
    ],
)
def test_output_that_is_no_row_of_numbers_is_blocked_without_being_shown(output):
    with pytest.raises(ObligationNotMet) as caught:
        released(output)
    assert caught.value.code == "output_blocked"
    assert "benign" not in caught.value.message
    assert "0.5" not in caught.value.message


@pytest.mark.parametrize(
    ("output", "kept", "expected"),
    [
        ([0.1, 0.9, 0.5], 1, [None, 0.9, None]),
        ([0.1, 0.9, 0.5], 2, [None, 0.9, 0.5]),
        ([0.1, 0.9, 0.5], 9, [0.1, 0.9, 0.5]),
        ([0.5, 0.5, 0.5], 2, [0.5, 0.5, None]),
        ([None, -1.0], 2, [None, -1.0]),
        ([NAN, 0.2, NAN, 0.1], 3, [None, 0.2, None, 0.1]),
        ([NAN, None], 1, [None, None]),
        ([-math.inf, NAN, math.inf], 2, [-math.inf, None, math.inf]),
        ([1, 2.5, 2**70], 1, [None, None, 2**70]),
        ([], 1, []),
        ((1.0, 2.0), 1, (None, 2.0)),
        ([[0.1, 0.9], [0.8, 0.2]], 1, [[None, 0.9], [0.8, None]]),
        ([(0.1, 0.9), []], 1, [(None, 0.9), []]),
        ({"a": 0.5, "b": 0.5, "c": 0.1}, 1, {"a": 0.5, "b": None, "c": None}),
        ({"z": 0.1, "a": None, "m": NAN}, 2, {"z": 0.1, "a": None, "m": None}),
    ],
)
def test_only_the_largest_leave_and_ties_go_to_the_lowest_index(output, kept, expected):
    result = released(output, kept)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f8"])
def test_arrays_keep_shape_and_dtype_and_are_not_changed(dtype):
    values = np.array([[0.1, 0.9, 0.5], [0.5, 0.5, NAN], [NAN, NAN, NAN]], dtype)
    before = values.copy()
    result = released(values, 2)
    assert (type(result), result.dtype, result.shape) == (np.ndarray, values.dtype, values.shape)
    expected = [[NAN, 0.9, 0.5], [0.5, 0.5, NAN], [NAN, NAN, NAN]]
    np.testing.assert_array_equal(result, np.array(expected, dtype))
    np.testing.assert_array_equal(values, before)


def test_last_axis_is_the_row():
    values = np.arange(8.0).reshape(2, 2, 2)
    expected = [[[NAN, 1], [NAN, 3]], [[NAN, 5], [NAN, 7]]]
    np.testing.assert_array_equal(released(values), expected)


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3)])
def test_empty_arrays_stay_empty(shape):
    assert released(np.zeros(shape)).shape == shape


def test_released_array_is_never_the_model_s_own():
    values = np.array([1.0, 2.0])
    assert not np.shares_memory(released(values, 2), values)


def test_negative_infinity_is_kept_before_a_nan():
    values = np.array([NAN, -np.inf, NAN, -np.inf])
    np.testing.assert_array_equal(released(values, 1), [NAN, -np.inf, NAN, NAN])


def test_what_was_cut_can_be_cut_again_beside_a_text():
    once = released({"score": math.nan, "label": "benign"})
    assert once == {"score": None, "label": "benign"}
    assert released(once) == once
