"""Input specs: errors at load, each with its place."""

import math

import pytest

from guardrail._documents import Document, read_yaml
from guardrail.errors import ConfigurationError
from guardrail.obligations.input.specs import read_spec, read_specs
from guardrail.obligations.input.tensor import unravel


def read(text, name="patients"):
    document = read_yaml(f"inputs/{name}.yaml", text.encode())
    return read_specs({name: document})[name]


def faults(text):
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    assert caught.value.__context__ is None
    return caught.value.faults


TENSOR = """\
kind: tensor
dtype: [float32, float64]
shape: [1..1000, 30]
finite: true
columns:
  - {name: mean radius, min: 0, max: 50}
  - {names: "1..29", min: 0, max: 10000}
"""


def test_the_example_of_the_language_is_read():
    spec = read(TENSOR)
    assert spec.name == "patients"
    assert spec.dtypes == {"float32", "float64"}
    assert spec.shape == ((1, 1000), (30, 30))
    assert list(spec.lows) == [0.0] * 30
    assert list(spec.highs) == [50.0] + [10000.0] * 29
    assert spec.columns == {0: "mean radius"}


def test_a_spec_is_secure_where_it_says_little():
    spec = read("kind: tensor\ndtype: float32\nshape: [4]\n")
    assert spec.finite
    assert spec.lows is None
    assert not read("kind: record\nfields: {}\n").allows_extra


def test_equal_bounds_are_kept_once():
    text = 'kind: tensor\ndtype: uint8\nshape: [1, 9]\ncolumns: [{names: "0..8", min: 0, max: 9}]\n'
    assert (list(read(text).lows), list(read(text).highs)) == ([0.0], [9.0])


def test_a_column_without_bounds_has_infinite_ones():
    text = "kind: tensor\ndtype: float32\nshape: [1, 2]\ncolumns: [{name: a}, {name: b, min: 1}]\n"
    assert list(read(text).lows) == [-math.inf, 1.0]
    assert list(read(text).highs) == [math.inf, math.inf]


@pytest.mark.parametrize(
    ("old", "new", "line", "part"),
    [
        ("[float32, float64]", "float128", 2, "float32"),
        ("[float32, float64]", "[]", 2, "expected one or several"),
        ("[float32, float64]", "[float32, 4]", 2, "expected one or several"),
        ("1..1000, 30", "1..1000, any", 3, "1..1000"),
        ("1..1000, 30", "9..1, 30", 3, "ends before it begins"),
        ("1..1000, 30", "1..1000, -1", 3, "whole number"),
        ("1..1000, 30", "1..1000, true", 3, "whole number"),
        ("1..1000, 30", "1..1000, 31", 1, "describes 30 columns; `shape` has 31"),
        ("1..1000, 30", "1..1000, 29..31", 1, "fixed length"),
        ("finite: true", "finite: 1", 4, "true or false"),
        ("finite: true", "finit: true", 4, "not a key of this version"),
        ("min: 0, max: 50", "min: nan", 6, "finite number"),
        ("min: 0, max: 50", "min: .nan", 6, "finite number"),
        ("min: 0, max: 50", "max: .inf", 6, "finite number"),
        ("min: 0, max: 50", "max: true", 6, "finite number"),
        ("min: 0, max: 50", 'max: "5"', 6, "finite number"),
        ("min: 0, max: 50", "min: 51, max: 50", 6, "`min` is over `max`"),
        ("min: 0, max: 50", "max: 9007199254740993", 6, "exact 64-bit float"),
        ("min: 0, max: 50", "unit: mm", 6, "not a key of this version"),
        ("{name: mean radius, ", "{", 6, "`name`"),
        ("{name: mean radius, ", '{name: a, names: "0..0", ', 6, "`name`"),
        ('"1..29"', '"2..30"', 1, "the next index is 1"),
        ('"1..29"', '"0..29"', 1, "the next index is 1"),
        ('"1..29"', '"1..28"', 1, "describes 29 columns"),
        ('"1..29"', '"1..999999999999999999"', 1, "`shape` has 30"),
        ('"1..29"', "a-z", 7, "range"),
        ('"1..29"', "1000000000000000000", 7, "range"),
        ("kind: tensor", "kind: tensr", 1, "is tensor, record, table, text or messages"),
        ("kind: tensor", "kind: [tensor]", 1, "is tensor, record, table, text or messages"),
    ],
)
def test_a_bad_tensor_spec_is_a_fault_with_its_place(old, new, line, part):
    assert old in TENSOR
    found = faults(TENSOR.replace(old, new))
    assert {fault.code for fault in found} == {"GR004" if "not built" in part else "GR300"}
    assert any(part in fault.message for fault in found), found
    assert {fault.place.line for fault in found} == {line}
    assert {fault.place.file for fault in found} == {"inputs/patients.yaml"}


@pytest.mark.parametrize("text", ["", "- a\n", "just text\n", "fields: {}\n"])
def test_what_is_no_spec_is_a_fault(text):
    assert faults(text)[0].code == "GR300"


RECORD = """\
kind: record
fields:
  age: {type: int, min: 0, max: 130}
  note: {type: string, max_chars: 1000}
extra_fields: reject
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "part"),
    [
        ("type: int", "type: integer", 3, "Did you mean int?"),
        ("type: int, ", "", 3, "required"),
        ("min: 0, max: 130", "min: 9, max: 1", 3, "`min` is over `max`"),
        ("min: 0, max: 130", "max_chars: 3", 3, "does not apply"),
        ("max_chars: 1000", "min: 3", 4, "do not apply"),
        ("max_chars: 1000", "max_chars: -1", 4, "at least 0"),
        ("max_chars: 1000", "pattern: a+", 4, "not a key of this version"),
        ("max_chars: 1000", "one_of: [a, 1]", 4, "not of type string"),
        ("max_chars: 1000", "one_of: []", 4, "at least 1"),
        ("type: int, min: 0, max: 130", "type: float, one_of: [1]", 3, "does not apply"),
        ("type: int, min: 0, max: 130", "type: int, one_of: [true]", 3, ""),
        ("extra_fields: reject", "extra_fields: keep", 5, "reject or ignore"),
        ("extra_fields: reject", "extra: reject", 5, "not a key of this version"),
    ],
)
def test_a_bad_record_spec_is_a_fault_with_its_place(old, new, line, part):
    assert old in RECORD
    found = faults(RECORD.replace(old, new))
    assert {fault.code for fault in found} == {"GR300"}
    assert any(part in fault.message for fault in found), found
    assert line in {fault.place.line for fault in found}


def test_the_faults_of_all_files_come_together():
    documents = {
        name: read_yaml(f"inputs/{name}.yaml", b"kind: tensor\nshape: 3\n") for name in ("b", "a")
    }
    with pytest.raises(ConfigurationError) as caught:
        read_specs(documents)
    assert [fault.place.file for fault in caught.value.faults][::2] == [
        "inputs/a.yaml",
        "inputs/b.yaml",
    ]


@pytest.mark.parametrize(
    ("index", "shape", "indices"),
    [(97, (1000, 30), (3, 7)), (5, (6,), (5,)), (0, (), ()), (23, (2, 3, 4), (1, 2, 3))],
)
def test_a_flat_index_is_unravelled(index, shape, indices):
    assert unravel(index, shape) == indices


def test_a_misspelt_kind_names_the_nearest():
    with pytest.raises(ConfigurationError) as caught:
        read_spec("patients", Document("inputs/patients.yaml", {"kind": "records"}))
    assert "Did you mean record?" in caught.value.faults[0].message
