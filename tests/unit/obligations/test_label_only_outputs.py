"""`label_only`: the most likely class of each row, and nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np

from guardrail._ports import ObligationNotMet
from guardrail.errors import ConfigurationError, Place
from guardrail.obligations.output.label_only import LabelOnly
from guardrail.values import Clause

LABEL = LabelOnly(
    {"scores": ["malignant", "benign"], "same": ("malignant", "benign"), "abc": "abc"}
)
NAN = float("nan")


def parse(argument=""):
    return LABEL.parse(Clause("hide", "label_only", argument, Place("conditions.cedar", 3, 1)))


def label(output, argument=""):
    return LABEL.release(parse(argument), output, None)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ([0.1, 0.7, 0.2], 1),
        ((0.5, 0.5), 0),
        ([], None),
        ([None, NAN], None),
        ([NAN, -3, None], 1),
        ([[0.1, 0.9], [0.9, 0.1]], [1, 0]),
        (([0.1, 0.9], (0.9, 0.1)), (1, 0)),
        ({"cat": 0.1, "dog": 0.9}, "dog"),
        ([{"cat": 0.9, "dog": 0.1}, {}], ["cat", None]),
    ],
)
def test_rows_become_their_label(output, expected):
    before = repr(output)
    assert label(output) == expected
    assert repr(output) == before


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f8", "i4", "u1"])
def test_arrays_become_indices_along_the_last_axis(dtype):
    labels = label(np.array([[1, 2, 2], [3, 0, 1]], dtype=dtype))
    assert labels.tolist() == [1, 0]
    assert labels.dtype == np.int64


def test_an_array_of_one_row_becomes_a_number():
    assert label(np.array([0.1, 0.9])) == 1
    assert type(label(np.array([0.1, 0.9]))) is int
    assert label(np.ones((2, 0))).tolist() == [-1, -1]


@given(
    st_np.arrays(
        np.float64, st_np.array_shapes(min_dims=2, max_dims=3, max_side=4),
        elements=st.sampled_from([NAN, -np.inf, np.inf, 0.0, -0.0, 1.0, 5e-324]),
    )
)  # fmt: skip
def test_arrays_and_lists_agree(values):
    rows = values.reshape(-1, values.shape[-1])
    expected = [-1 if found is None else found for found in map(label, rows.tolist())]
    assert label(values).ravel().tolist() == expected


def test_a_spec_names_the_classes():
    assert label(np.array([[0.1, 0.9], [NAN, NAN]]), "scores") == ["benign", None]
    assert label([0.9, 0.1], "scores") == "malignant"
    assert label([[0.9, 0.1], [None, None]], "scores") == ["malignant", None]


@pytest.mark.parametrize("output", [np.ones((2, 3)), [0.1, 0.2, 0.3], [[1.0]]])
def test_another_number_of_classes_blocks(output):
    with pytest.raises(ObligationNotMet, match="classes"):
        label(output, "scores")


def test_specs_that_differ_in_their_classes_block():
    merge = LABEL.merge
    same, other = merge(parse("scores"), parse("same")), merge(parse("scores"), parse("abc"))
    assert LABEL.release(same, [0.1, 0.9], None) == "benign"
    with pytest.raises(ObligationNotMet) as caught:
        LABEL.release(other, [0.1, 0.9], None)
    assert caught.value.code == "output_blocked"


@pytest.mark.parametrize(
    "output",
    [
        "text", 3, None, 0.5, np.float64(1), np.array(["a"]), np.array([True]), [[1], 2], ["a"],
        [True], {1: 2}, {"a": "b"}, [[[1]]], np.ones(2, dtype=complex), {1, 2}, iter([1]),
        np.ma.masked_array([1.0]),
    ],
)  # fmt: skip
def test_an_output_that_is_no_scores_is_blocked(output):
    with pytest.raises(ObligationNotMet) as caught:
        label(output)
    assert caught.value.code == "output_blocked"


@pytest.mark.parametrize("argument", ["none", "scores, same", "../scores", " "])
def test_a_spec_without_classes_is_a_fault(argument):
    with pytest.raises(ConfigurationError) as caught:
        parse(argument)
    assert caught.value.faults[0].code == "GR109"


def test_it_is_described_as_json():
    assert LABEL.describe(parse()) is True
    assert LABEL.describe(parse("scores")) == ["scores"]
