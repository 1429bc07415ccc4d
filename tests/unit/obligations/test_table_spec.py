"""Specs of tables: valid files, and what is rejected on a call, in every library."""

import math

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from guardrail._documents import read_yaml
from guardrail._ports import ObligationNotMet
from guardrail.errors import ConfigurationError
from guardrail.facts import Bounds, take_view
from guardrail.facts.input_view.tables import read_table
from guardrail.obligations.input.specs import read_specs
from guardrail.values import View

SECRET = "s3cret-value"
SPEC = """\
kind: table
rows: 1..6
columns:
  amount: {type: float64, min: 0, max: 100}
  age: {type: int16, min: 0, max: 130, nullable: true}
  country: {type: string, one_of: [DE, FR, US]}
  note: {type: string, max_chars: 5, nullable: true}
  adult: {type: bool}
  seen: {type: timestamp, nullable: true}
extra_columns: reject
on_bad_row: reject
"""
TYPES = {
    "amount": pa.float64(), "age": pa.int16(), "country": pa.string(), "note": pa.string(),
    "adult": pa.bool_(), "seen": pa.timestamp("us"),
}  # fmt: skip
GOOD = {
    "amount": [0.0, 50.0, 100.0, 1.0],
    "age": [0, 130, 7, 8],
    "country": ["DE", "FR", "US", "DE"],
    "note": ["", "abcde", "é€𝄞xy", "z"],
    "adult": [True, False, True, True],
    "seen": [0, 1, 2, 3],
}


def read(text, name="transactions"):
    return read_specs({name: read_yaml(f"inputs/{name}.yaml", text.encode())})[name]


def fault(text):
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    assert caught.value.__context__ is None
    return caught.value.faults[0]


def as_dict(columns, types=TYPES):
    arrays = {}
    for name, items in columns.items():
        kind = types[name]
        if pa.types.is_string(kind):
            arrays[name] = np.empty(len(items), object)
            arrays[name][:] = items
        elif pa.types.is_timestamp(kind):
            times = ["NaT" if item is None else item for item in items]
            arrays[name] = np.array(times, "M8[us]")
        else:
            arrays[name] = np.array(items, kind.to_pandas_dtype())
    return arrays


def as_arrow(columns, types=TYPES):
    return pa.table({name: pa.array(items, types[name]) for name, items in columns.items()})


def as_pandas(columns, types=TYPES):
    masked = {pa.int16(): pd.Int16Dtype(), pa.bool_(): pd.BooleanDtype()}

    frame = as_arrow(columns, types).to_pandas()
    for name in columns:
        if types[name] in masked and frame[name].dtype != types[name].to_pandas_dtype():
            frame[name] = pd.array(columns[name], masked[types[name]])
    return frame


def as_pandas_masked(columns, types=TYPES):
    frame = as_arrow(columns, types).to_pandas(integer_object_nulls=True)
    kinds = {
        "double": "Float64", "int16": "Int16", "bool": "boolean",
        "string": pd.StringDtype("python"),
    }  # fmt: skip
    for name, items in columns.items():
        kind = kinds.get(str(types[name]))
        if kind == "Float64":  # so that a NaN stays one
            mask = np.array([item is None for item in items], bool)
            values = np.array([0.0 if item is None else item for item in items], float)
            frame[name] = pd.arrays.FloatingArray(values, mask)
        elif kind is not None:
            frame[name] = pd.array(items, kind)
    return frame


def as_pandas_objects(columns, types=TYPES):
    frame = as_pandas(columns, types)
    return frame.astype({name: object for name in columns if pa.types.is_string(types[name])})


def as_pandas_coded(columns, types=TYPES):
    frame = as_pandas(columns, types)
    return frame.astype({name: "category" for name in columns if pa.types.is_string(types[name])})


def as_pandas_arrow(columns, types=TYPES):
    return as_arrow(columns, types).to_pandas(types_mapper=pd.ArrowDtype)


def as_arrow_coded(columns, types=TYPES):
    table = as_arrow(columns, types)
    for place, name in enumerate(columns):
        if pa.types.is_string(types[name]):
            table = table.set_column(place, name, table[name].dictionary_encode())
    return table


def as_arrow_chunks(columns, types=TYPES):
    parts = [as_arrow({name: items[:1] for name, items in columns.items()}, types)]
    parts.append(as_arrow({name: items[1:] for name, items in columns.items()}, types))
    return pa.concat_tables(parts)


def as_arrow_slice(columns, types=TYPES):
    padded = {name: [items[0]] * 3 + items + [items[0]] for name, items in columns.items()}
    return as_arrow(padded, types)[3:-1]


def as_arrow_batch(columns, types=TYPES):
    return as_arrow(columns, types).combine_chunks().to_batches()[0]


def as_polars(columns, types=TYPES):
    return pl.from_arrow(as_arrow(columns, types))


def as_polars_coded(columns, types=TYPES):
    frame = as_polars(columns, types)
    texts = [name for name in columns if pa.types.is_string(types[name])]
    return frame.with_columns(pl.col(texts).cast(pl.Categorical))


LIBRARIES = [
    as_dict, as_pandas, as_pandas_masked, as_pandas_objects, as_pandas_coded, as_pandas_arrow,
    as_arrow, as_arrow_coded, as_arrow_chunks, as_arrow_slice, as_arrow_batch, as_polars,
    as_polars_coded,
]  # fmt: skip
#: Those of which a column of integers or bools can have nulls.
NULLABLE = [make for make in LIBRARIES if make is not as_dict]
every_library = pytest.mark.parametrize("make", LIBRARIES, ids=lambda make: make.__name__[3:])
every_nullable = pytest.mark.parametrize("make", NULLABLE, ids=lambda make: make.__name__[3:])


def check(spec, value):
    view = read_table(value, "transactions", Bounds())
    assert view.value is value
    assert spec.check(view) is None


def refusal(spec, value):
    with pytest.raises(ObligationNotMet) as caught:
        check(spec, value)
    error = caught.value
    assert SECRET not in str(error)
    assert error.code == "input_rejected"
    assert error.__cause__ is None
    assert error.__context__ is None
    assert error.message.startswith(error.path)
    return error.path, error.message


def with_items(**columns):
    return {**GOOD, **columns}


@every_library
def test_a_good_table_passes(make):
    check(read(SPEC), make(GOOD))


@every_library
@pytest.mark.parametrize(
    ("name", "items", "row", "part"),
    [
        ("amount", [1.0, -0.5, 200.0, -1.0], 1, "at least 0; got less (3 bad rows"),
        ("amount", [1.0, 2.0, 3.0, 100.5], 3, "at most 100; got more (1 bad row "),
        ("amount", [math.inf, 2.0, 3.0, -1.0], 0, "finite numbers; got one that is not finite (2"),
        ("age", [1, 2, -1, 131], 2, "at least 0; got less (2 bad rows"),
        ("age", [1, 131, 2, 3], 1, "at most 130; got more (1 bad row "),
        ("country", ["DE", SECRET, "FR", "de"], 1, "one of the 3 texts that the spec lists; got"),
        ("country", ["DE", "FR", "", "US"], 2, "one of the 3 texts"),
        ("country", ["DE", "FR", "US", "DE\0"], 3, "one of the 3 texts"),
        ("note", ["abcdef", "", SECRET, ""], 0, "at most 5 characters; got more (2 bad rows"),
        ("note", ["", "é€𝄞xyz", "", ""], 1, "at most 5 characters; got more (1 bad row "),
    ],
)
def test_the_first_bad_row_is_named_with_its_rule_and_the_count(make, name, items, row, part):
    path, message = refusal(read(SPEC), make(with_items(**{name: items})))
    assert path == f"transactions[{row}].{name}"
    assert part in message


@every_library
def test_the_first_bad_column_is_that_of_the_spec(make):
    table = make(with_items(note=[SECRET] * 4, age=[1, 2, 3, 999]))
    assert refusal(read(SPEC), table)[0] == "transactions[3].age"


@every_nullable
@pytest.mark.parametrize("name", ["amount", "country", "adult"])
def test_a_null_is_refused_where_the_spec_has_none(make, name):
    path, message = refusal(read(SPEC), make(with_items(**{name: [*GOOD[name][:3], None]})))
    assert path == f"transactions[3].{name}"
    # a plain float of pandas has no other null than NaN
    is_nan = name == "amount" and make in (as_pandas, as_pandas_objects, as_pandas_coded)
    said = "finite numbers; got one that is not finite" if is_nan else "a value; got null"
    assert f"{said} (1 bad row " in message


@every_nullable
def test_a_null_passes_where_the_spec_has_nullable(make):
    nulls = with_items(age=[None, 1, 2, None], note=[None, None, "a", None], seen=[None, 1, 2, 3])
    if make is as_polars_coded or make is as_arrow_coded:
        nulls = {**nulls, "note": ["a", None, "a", None]}
    check(read(SPEC), make(nulls))
    assert refusal(read(SPEC), make({**nulls, "age": [None, 1, 131, None]}))[0].endswith("[2].age")
    assert refusal(read(SPEC), make({**nulls, "note": ["a", None, "x" * 6, None]}))[0].endswith(
        "[2].note"
    )


@every_library
def test_nat_is_null(make):
    spec = read(SPEC.replace("timestamp, nullable: true", "timestamp"))
    check(spec, make(GOOD))
    path, message = refusal(spec, make(with_items(seen=[0, 1, None, None])))
    assert path == "transactions[2].seen"
    assert "got null (2 bad rows" in message


@every_library
@pytest.mark.parametrize("nullable", [False, True])
def test_nan_is_null_where_the_column_is_nullable_in_every_library(make, nullable):
    spec = read(SPEC.replace("max: 100}", f"max: 100, nullable: {str(nullable).lower()}}}"))
    table = make(with_items(amount=[1.0, math.nan, 2.0, math.nan]))
    if nullable:
        check(spec, table)
        worse = make(with_items(amount=[1.0, math.nan, math.inf, 101.0]))
        path, message = refusal(spec, worse)
        assert (path, "(2 bad rows" in message) == ("transactions[2].amount", True)
        return
    path, message = refusal(spec, table)
    assert path == "transactions[1].amount"
    assert "finite numbers; got one that is not finite (2" in message


@every_library
def test_where_numbers_need_not_be_finite_they_still_keep_their_bounds(make):
    types = {"a": pa.float64()}
    free = read("kind: table\ncolumns: {a: {type: float64, finite: false, nullable: true}}\n")
    check(free, make({"a": [math.inf, math.nan, -math.inf]}, types))
    low = read("kind: table\ncolumns: {a: {type: float64, finite: false, min: 0}}\n")
    check(low, make({"a": [math.inf, 1.0]}, types))
    assert refusal(low, make({"a": [1.0, -math.inf]}, types))[0] == "transactions[1].a"
    refusal(low, make({"a": [1.0, math.nan]}, types))


@every_library
def test_a_missing_column_is_named(make):
    columns = {name: items for name, items in GOOD.items() if name != "age"}
    path, message = refusal(read(SPEC), make(columns))
    assert path == "transactions.age"
    assert "a column of int16; got no such column" in message


@every_library
def test_other_columns_are_refused_or_ignored(make):
    types = {**TYPES, SECRET: pa.string()}
    table = make(with_items(**{SECRET: [SECRET] * 4}), types)
    path, message = refusal(read(SPEC), table)
    assert path == "transactions"
    assert "no columns but amount, age, country, note, adult, seen; got 1 more" in message
    check(read(SPEC.replace("extra_columns: reject", "extra_columns: ignore")), table)


@every_library
@pytest.mark.parametrize(
    ("name", "kind", "items", "arrived"),
    [
        ("age", pa.int64(), [1, 2, 3, 4], "int64"),
        ("age", pa.uint16(), [1, 2, 3, 4], "uint16"),
        ("amount", pa.float32(), [1, 2, 3, 4], "float32"),
        ("amount", pa.int64(), [1, 2, 3, 4], "int64"),
        ("amount", pa.string(), ["1"] * 4, "string"),
        ("country", pa.bool_(), [True] * 4, "bool"),
        ("adult", pa.uint8(), [0, 1, 0, 1], "uint8"),
        ("seen", pa.int64(), [0, 1, 2, 3], "int64"),
    ],
)
def test_no_type_is_converted(make, name, kind, items, arrived):
    types = {**TYPES, name: kind}
    path, message = refusal(read(SPEC), make(with_items(**{name: items}), types))
    assert path == f"transactions.{name}"
    assert f"got {arrived}." in message


@every_library
def test_one_of_several_types_is_enough(make):
    spec = read("kind: table\ncolumns: {a: {type: [int16, float64], min: 2}}\n")
    for kind in (pa.int16(), pa.float64()):
        check(spec, make({"a": [2, 3]}, {"a": kind}))
        assert refusal(spec, make({"a": [3, 1]}, {"a": kind}))[0] == "transactions[1].a"
    message = refusal(spec, make({"a": [2, 3]}, {"a": pa.int32()}))[1]
    assert "a column of float64 or int16; got int32" in message


@every_library
@pytest.mark.parametrize("count", [0, 7])
def test_the_number_of_rows_is_held(make, count):
    columns = {name: (items * 2)[:count] for name, items in GOOD.items()}
    value = (
        make(columns)
        if count or make not in (as_arrow_slice, as_arrow_batch)
        else as_arrow(columns)
    )
    path, message = refusal(read(SPEC), value)
    assert path == "transactions"
    assert f"1..6 rows; got {count}." in message


def test_without_rows_any_number_is_fine():
    spec = read("kind: table\ncolumns: {}\n")
    check(spec, pd.DataFrame())
    exactly = read("kind: table\nrows: 2\ncolumns: {a: {type: int64}}\n")
    check(exactly, pd.DataFrame({"a": [1, 2]}))
    assert "2 rows; got 1." in refusal(exactly, pd.DataFrame({"a": [1]}))[1]


def test_a_column_whose_name_is_no_plain_one_is_named_because_the_spec_names_it():
    spec = read('kind: table\ncolumns: {"mean radius": {type: int64, max: 1}}\n')
    assert refusal(spec, pd.DataFrame({"mean radius": [1, 2]}))[0] == (
        'transactions[1]["mean radius"]'
    )
    assert refusal(spec, pd.DataFrame({"a": [1]}))[0] == 'transactions["mean radius"]'


def test_a_bad_row_is_counted_over_all_chunks():
    chunks = pa.chunked_array([[1, 2], [], [3, 9, 9], [9]], pa.int16())
    spec = read("kind: table\ncolumns: {a: {type: int16, max: 5}}\n")
    path, message = refusal(spec, pa.table({"a": chunks}))
    assert path == "transactions[3].a"
    assert "(3 bad rows in this column)" in message


def test_entries_of_a_dictionary_that_no_row_has_do_not_count():
    spec = read("kind: table\ncolumns: {a: {type: string, one_of: [DE]}}\n")
    frame = pd.DataFrame({"a": pd.Categorical(["DE"], categories=[SECRET, "DE"])})
    check(spec, frame)
    check(spec, pl.DataFrame({"a": ["DE"]}, schema={"a": pl.Enum([SECRET, "DE"])}))
    refusal(spec, pd.DataFrame({"a": pd.Categorical([SECRET, "DE"])}))


def test_a_null_in_a_dictionary_is_a_null():
    values = pa.DictionaryArray.from_arrays(pa.array([0, 1], "int8"), pa.array(["a", None]))
    table = pa.table({"a": values})
    check(read("kind: table\ncolumns: {a: {type: string, nullable: true}}\n"), table)
    spec = read("kind: table\ncolumns: {a: {type: string}}\n")
    path, message = refusal(spec, table)
    assert (path, "got null" in message) == ("transactions[1].a", True)


def test_what_is_no_unicode_is_refused():
    spec = read("kind: table\ncolumns: {a: {type: string}}\n")
    raw = [pa.py_buffer(np.array([0, 1, 2], "i4").tobytes()), pa.py_buffer(b"a\xff")]
    tables = [
        pa.table({"a": pa.Array.from_buffers(pa.string(), 2, [None, *raw])}),
        pd.DataFrame({"a": pd.Series(["a", "\ud800"], dtype=object)}),
    ]
    for table in tables:
        path, message = refusal(spec, table)
        assert path == "transactions[1].a"
        assert "Unicode text" in message


def test_what_lies_outside_of_its_buffers_is_refused():
    spec = read("kind: table\ncolumns: {a: {type: string, nullable: true}}\n")
    views = np.array([1, 0, 0, 0, 20, 0, 0, 2**30], "i4").tobytes()
    buffers = [None, pa.py_buffer(views), pa.py_buffer(b"x" * 20)]
    codes = pa.DictionaryArray.from_arrays(pa.array([0, 7], "int8"), pa.array(["a"]), safe=False)
    for values in (pa.Array.from_buffers(pa.string_view(), 2, buffers), codes):
        path, message = refusal(spec, pa.table({"a": values}))
        assert path == "transactions[1].a"
        assert "a value of its type; got invalid bytes" in message


def test_a_byte_that_is_no_bool_is_refused():
    values = np.array([0, 1, 2], "u1").view("?")
    spec = read("kind: table\ncolumns: {a: {type: bool}}\n")
    for table in ({"a": values}, pd.DataFrame({"a": values})):
        assert refusal(spec, table)[0] == "transactions[2].a"


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_integers_are_compared_exactly(dtype):
    spec = read(f"kind: table\ncolumns: {{a: {{type: {dtype}, max: {2**53}}}}}\n")
    check(spec, {"a": np.array([2**53], dtype)})
    assert refusal(spec, {"a": np.array([2**53, 2**53 + 1], dtype)})[0] == "transactions[1].a"


@pytest.mark.parametrize("rows", [511, 512, 513, 20_000])
def test_long_columns_are_read_to_their_last_row(rows):
    spec = read(
        "kind: table\ncolumns: {a: {type: float64, max: 1}, b: {type: string, one_of: [x]}}\n"
    )
    good = {"a": np.zeros(rows), "b": np.full(rows, "x", object)}
    bad = {"a": good["a"].copy(), "b": good["b"].copy()}
    bad["a"][-1], bad["b"][-1] = 2, SECRET
    for make in (dict, pd.DataFrame, pa.table, pl.DataFrame):
        check(spec, make(good))
        assert refusal(spec, make({**good, "a": bad["a"]}))[0] == f"transactions[{rows - 1}].a"
        assert refusal(spec, make({**good, "b": bad["b"]}))[0] == f"transactions[{rows - 1}].b"


def test_columns_with_gaps_between_their_rows_are_read():
    values = np.arange(12.0).reshape(4, 3)
    spec = read("kind: table\ncolumns: {a: {type: float64, max: 7}}\n")
    table = {"a": values[:, 1]}
    assert refusal(spec, table)[0] == "transactions[3].a"
    assert refusal(spec, {"a": values[::-1, 1]})[0] == "transactions[0].a"
    frame = pd.DataFrame({"a": pd.arrays.IntegerArray(np.arange(8), np.arange(8) > 5)})[::2]
    wide = read("kind: table\ncolumns: {a: {type: int64, max: 3, nullable: true}}\n")
    assert refusal(wide, frame)[0] == "transactions[2].a"


@pytest.mark.parametrize("view", [View("none"), View("text", "transactions", SECRET)])
def test_what_is_no_table_is_refused(view):
    with pytest.raises(ObligationNotMet) as caught:
        read(SPEC).check(view)
    assert caught.value.code == "input_rejected"
    assert SECRET not in str(caught.value)


def test_a_record_is_no_table_and_a_tensor_neither():
    for value in ({"amount": 1}, np.zeros(3)):
        view = take_view(value, name="transactions", bounds=Bounds())
        with pytest.raises(ObligationNotMet, match="expected a table; got a"):
            read(SPEC).check(view)


class TestFiles:
    def test_the_example_of_the_language_is_read(self):
        spec = read(
            "kind: table\n"
            "rows: 1..5000000\n"
            "columns:\n"
            "  amount: {type: float64, min: 0, max: 10000000}\n"
            "  age: {type: int16, min: 0, max: 130, nullable: true}\n"
            "  country: {type: string, one_of: [DE, FR, US]}\n"
            "extra_columns: reject            # or ignore\n"
            "on_bad_row: reject               # or quarantine (batches)\n"
        )
        assert spec.name == "transactions"
        assert spec.rows == (1, 5_000_000)
        assert list(spec.columns) == ["amount", "age", "country"]
        assert not spec.allows_extra

    def test_a_spec_is_secure_where_it_says_little(self):
        spec = read("kind: table\ncolumns: {a: {type: float64}}\n")
        rule = spec.columns["a"]
        assert (rule.finite, rule.nullable, spec.allows_extra) == (True, False, False)

    def test_quarantine_is_not_built_yet(self):
        found = fault(SPEC.replace("on_bad_row: reject", "on_bad_row: quarantine"))
        assert found.code == "GR004"
        assert found.place.line == 11
        assert "not built yet" in found.message

    @pytest.mark.parametrize(
        ("old", "new", "part"),
        [
            ("type: float64", "type: double", "expected one or several of bool, date"),
            ("type: float64", "type: float8", "expected one or several of"),
            ("type: float64", "type: []", "expected one or several of"),
            ("type: float64, min", "min", "is required"),
            ("min: 0, max: 100}", "min: 9, max: 1}", "nothing could pass"),
            ("min: 0, max: 100}", "min: nan}", "finite number"),
            ("min: 0, max: 100}", f"min: {2**53 + 1}}}", "no exact 64-bit float"),
            ("min: 0, max: 100}", f"max: {10**400}}}", ""),
            ("min: 0, max: 100}", "one_of: [a]}", "`one_of` does not apply to type float64"),
            ("min: 0, max: 100}", "max_chars: 3}", "`max_chars` does not apply to type float64"),
            ("type: int16, min", "type: int16, finite: true, min", "`finite` does not apply"),
            ("type: int16, min", "type: [int16, string], min", "not apply to type string"),
            ("type: timestamp", "type: timestamp, min: 0", "`min` of a timestamp is a time"),
            ("type: bool", "type: bool, max: 1", "`max` does not apply to type bool"),
            ("one_of: [DE, FR, US]", "one_of: []", "at least 1"),
            ("one_of: [DE, FR, US]", "one_of: [1]", "a text"),
            ("one_of: [DE, FR, US]", r'one_of: ["\uD800"]', ""),
            ("one_of: [DE, FR, US]", "one_of: [DE], max_chars: 1", "over `max_chars`"),
            ("max_chars: 5", "max_chars: -1", "at least 0"),
            ("rows: 1..6", "rows: 6..1", "ends before it begins"),
            ("rows: 1..6", "rows: many", "range"),
            ("extra_columns: reject", "extra_columns: drop", "reject or ignore"),
            ("on_bad_row: reject", "on_bad_row: skip", "expected reject"),
            ("extra_columns: reject", "extra_fields: reject", "not a key of this version"),
        ],
    )
    def test_a_bad_spec_is_a_fault_with_its_place(self, old, new, part):
        assert old in SPEC
        found = fault(SPEC.replace(old, new, 1))
        assert found.code in (("GR300",) if part else ("GR300", "GR002"))
        assert part in found.message
        assert found.place.line is not None
