"""`mask`: a masked value is nowhere in the output, and the model's objects are not changed."""

import dataclasses

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import pytest

from guardrail._ports import ObligationNotMet
from guardrail.errors import ConfigurationError, Place
from guardrail.obligations.output.mask import Mask
from guardrail.values import Clause

MASK = Mask()
SECRET = "s3cret-4711"


def parse(argument):
    return MASK.parse(Clause("hide", "mask", argument, Place("conditions.cedar", 3, 1)))


def mask(argument, output):
    return MASK.release(parse(argument), output, None)


@dataclasses.dataclass(frozen=True)
class Patient:
    name: str
    age: int


@dataclasses.dataclass(slots=True)
class Slotted:
    name: str
    age: int


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", frozen=True)
    name: str
    age: int


class Private(pydantic.BaseModel):
    name: str
    _cached: str = SECRET


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ({"name": SECRET, "age": 3}, {"name": None, "age": 3}),
        ({"age": 3}, {"age": 3}),
        ([{"name": SECRET}, {"age": 3}], [{"name": None}, {"age": 3}]),
        (({"name": SECRET},), ({"name": None},)),
        ([], []),
        (Patient(SECRET, 3), Patient(None, 3)),
        (Slotted(SECRET, 3), Slotted(None, 3)),
        ([Patient(SECRET, 3)], [Patient(None, 3)]),
    ],
)
def test_fields_are_hidden_in_a_copy(output, expected):
    before = repr(output)
    assert mask("name, iban", output) == expected
    assert repr(output) == before


def test_a_model_of_pydantics_is_hidden_with_its_extra_fields():
    output = Model(name=SECRET, age=3, iban=SECRET)
    hidden = mask("name, iban", output)
    assert SECRET not in hidden.model_dump_json()
    assert (hidden.age, output.name) == (3, SECRET)


def test_what_a_dataclass_carries_beside_its_fields_is_hidden_too():
    output = Patient("x", 3)
    object.__setattr__(output, "name_before", SECRET)
    assert vars(mask("name_before", output))["name_before"] is None


FRAMES = [
    pd.DataFrame({"name": [SECRET, "b"], "age": [1, 2], "at": pd.to_datetime(["2026-01-01"] * 2)}),
    pl.DataFrame({"name": [SECRET, "b"], "age": [1, 2]}),
    pa.table({"name": [SECRET, "b"], "age": pa.array([1, 2], pa.int16())}),
]


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: type(frame).__module__)
def test_columns_of_tables_are_hidden_in_a_copy(frame):
    hidden = mask("name, age, iban", frame)
    assert SECRET not in repr(hidden)
    assert type(hidden) is type(frame)
    columns = getattr(hidden, "column_names", None) or list(hidden.columns)
    assert columns[:2] == ["name", "age"]
    values = pd.DataFrame(hidden.to_pydict()) if isinstance(hidden, pa.Table) else hidden
    nulls = values.null_count() if isinstance(values, pl.DataFrame) else values.isna().sum()
    assert int(nulls["name"].sum() if hasattr(nulls["name"], "sum") else nulls["name"]) == 2
    assert SECRET in repr(frame)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"name": [SECRET], "age": [1]}).set_index("name"),
        pd.DataFrame([[SECRET, 1]]),
        pd.DataFrame([[SECRET, 1]], columns=["name", "name"]),
        pd.DataFrame([[SECRET, 1]], columns=pd.MultiIndex.from_tuples([("name", 1), ("age", 2)])),
        type("Own", (pd.DataFrame,), {})({"name": [SECRET]}),
        pl.DataFrame({"name": [SECRET]}).lazy(),
    ],
)
def test_a_table_whose_columns_are_unclear_is_blocked(frame):
    with pytest.raises(ObligationNotMet) as caught:
        mask("name", frame)
    assert caught.value.code == "output_blocked"
    assert SECRET not in caught.value.message


def test_columns_of_arrays_are_hidden_by_number():
    rows = np.arange(6.0).reshape(2, 3)
    hidden = mask("0, 2, 9", rows)
    assert np.isnan(hidden[:, [0, 2]]).all()
    assert hidden[:, 1].tolist() == [1, 4]
    assert rows[0, 0] == 0
    assert mask("1", [[1, 2], [3]]) == [[1, None], [3]]


@pytest.mark.parametrize(
    "output",
    [
        "text", 3, None, b"x", object(), np.arange(3), np.float64(2), np.ones(3), [[1.0]],
        [{"a": 1}, 3], {1: "a"}, Private(name="x"), Patient, {"name"}, iter([{"name": 1}]),
        np.array([("a", 1)], dtype=[("name", "U3"), ("age", "i4")]),
    ],
)  # fmt: skip
def test_an_output_without_names_is_blocked(output):
    with pytest.raises(ObligationNotMet) as caught:
        mask("name", output)
    assert caught.value.code == "output_blocked"


@pytest.mark.parametrize("argument", ["", "a,b", "a, a", " a", "a; b", "a, ", "x" * 201])
def test_what_names_no_columns_is_a_fault_at_its_place(argument):
    with pytest.raises(ConfigurationError) as caught:
        parse(argument)
    assert caught.value.faults[0].code == "GR109"


def test_demands_unite():
    assert MASK.merge(parse("a"), parse("b, a")) == parse("b, a")
    assert MASK.describe(parse("b, a")) == ["a", "b"]
