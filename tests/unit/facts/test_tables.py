"""Tables: what is read of each library, what is rejected, and that nothing is copied."""

import collections
import datetime
import decimal
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from guardrail._ports import ObligationNotMet
from guardrail.facts import Bounds, take_view
from guardrail.facts.input_view import table_libraries as libraries
from guardrail.facts.input_view.tables import (
    column_names,
    digest_table,
    holds_arrays,
    is_table,
    null_count,
    read_table,
)

SECRET = "s3cret-value"
BYTES_OF_MASKED = {"Int64": "int64", "UInt8": "uint8", "Float32": "float32", "boolean": "bool"}


def read(value, **bounds):
    return read_table(value, "visits", Bounds(**bounds), frozenset(("a", "b", "fine")))


def types(value):
    return {name: column.dtype for name, column in read(value).data.columns.items()}


def refusal(value, *, code="input_rejected", **bounds):
    with pytest.raises(ObligationNotMet) as caught:
        read(value, **bounds)
    error = caught.value
    assert SECRET not in str(error)
    assert error.code == code
    assert error.__cause__ is None
    assert error.__context__ is None
    assert error.message.startswith(error.path)
    return error


def objects(*items):
    values = np.empty(len(items), object)
    values[:] = items
    return values


def frames():
    """The same table in every library, without nulls."""
    arrays = {
        "amount": np.array([1.5, 2.5, 3.5]),
        "age": np.array([1, 2, 3], "i2"),
        "adult": np.array([True, False, True]),
        "country": objects("DE", "FR", "more than twelve bytes"),
        "seen": np.array(["2020-01-01", "2021-01-01", "2022-01-01"], "M8[us]"),
    }
    frame = pd.DataFrame(arrays)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return {
        "dict": arrays,
        "pandas": frame,
        "pandas_objects": frame.astype({"country": object}),
        "pandas_python": frame.astype({"country": pd.StringDtype("python")}),
        "pandas_arrow": table.to_pandas(types_mapper=pd.ArrowDtype),
        "pandas_coded": frame.astype({"country": "category"}),
        "pandas_coded_objects": frame.astype({"country": object}).astype({"country": "category"}),
        "pandas_masked": frame.astype({"amount": "Float64", "age": "Int16", "adult": "boolean"}),
        "polars": pl.from_arrow(table),
        "polars_coded": pl.from_arrow(table).with_columns(pl.col("country").cast(pl.Categorical)),
        "pyarrow": table,
        "pyarrow_batch": table.to_batches()[0],
        "pyarrow_coded": table.set_column(3, "country", table["country"].dictionary_encode()),
    }


FRAMES = frames()


@pytest.mark.parametrize("library", FRAMES)
class TestEveryLibrary:
    def test_a_table_is_seen_as_it_is(self, library):
        value = FRAMES[library]
        view = read(value)
        assert (view.kind, view.name, view.shape) == ("table", "visits", (3, 5))
        assert (view.rows, view.features) == (3, 5)
        assert view.value is value
        assert types(value) == {
            "amount": "float64", "age": "int16", "adult": "bool", "country": "string",
            "seen": "timestamp",
        }  # fmt: skip
        kinds = [column.kind for column in view.data.columns.values()]
        assert kinds == ["float", "int", "bool", "string", "timestamp"]
        assert view.nbytes >= 3 * (8 + 2 + 8) + 26

    def test_its_facts_are_those_of_the_table(self, library):
        view = read(FRAMES[library])
        assert column_names(view) == {"amount", "age", "adult", "country", "seen"}
        assert null_count(view) == 0
        assert digest_table(view) == digest_table(read(FRAMES["dict"]))

    def test_another_table_has_another_digest(self, library):
        view = read(pd.DataFrame(FRAMES["dict"])[::-1])
        assert digest_table(view) != digest_table(read(FRAMES[library]))

    def test_no_repr_shows_a_name_or_a_value(self, library):
        view = read(FRAMES[library])
        parts = [column.parts for column in view.data.columns.values()]
        shown = f"{view!r} {view.data!r} {list(view.data.columns.values())!r} {parts!r}"
        assert "more than" not in shown
        assert "country" not in shown

    @pytest.mark.parametrize(
        ("bounds", "limit"),
        [
            ({"input_rows": 2}, "2 rows"),
            ({"input_nodes": 4}, "4 columns"),
            ({"input_bytes": 40}, "40 bytes"),
        ],
    )
    def test_over_the_bounds_it_is_too_large(self, library, bounds, limit):
        error = refusal(FRAMES[library], code="too_large", **bounds)
        assert error.path == "visits"
        assert limit in error.message

    def test_the_bounds_themselves_are_allowed(self, library):
        nbytes = read(FRAMES[library]).nbytes
        read(FRAMES[library], input_rows=3, input_nodes=5, input_bytes=nbytes)
        refusal(FRAMES[library], code="too_large", input_bytes=nbytes - 1)

    def test_its_type_is_that_of_a_table(self, library):
        value = FRAMES[library]
        assert is_table(type(value)) or holds_arrays(value)


def with_nulls():
    frame = pd.DataFrame(
        {
            "amount": [1.5, None, 3.5, None],
            "age": pd.array([1, None, 3, 4], "Int16"),
            "adult": pd.array([None, None, True, False], "boolean"),
            "country": ["DE", None, "FR", "more than twelve bytes"],
            "seen": pd.to_datetime(["2020-01-01", None, None, None]).as_unit("us"),
        }
    )
    table = pa.Table.from_pandas(frame, preserve_index=False)
    polars = pl.from_arrow(table)
    return {
        "pandas": frame,
        "pandas_objects": frame.astype({"country": object}),
        "pandas_python": frame.astype({"country": pd.StringDtype("python")}),
        "pandas_coded": frame.astype({"country": "category"}),
        "pandas_arrow": table.to_pandas(types_mapper=pd.ArrowDtype),
        "polars": polars,
        "polars_coded": polars.with_columns(pl.col("country").cast(pl.Categorical)),
        "pyarrow": table,
    }


NULLS = with_nulls()


@pytest.mark.parametrize("library", NULLS)
def test_nulls_are_counted_as_the_library_has_them(library):
    columns = read(NULLS[library]).data.columns
    counts = {name: column.null_count() for name, column in columns.items()}
    assert counts == {"amount": 2, "age": 1, "adult": 2, "country": 1, "seen": 3}
    assert null_count(read(NULLS[library])) == 9


def test_what_stands_under_a_null_is_not_in_the_digest():
    one, other = np.array([1, 2, 3], "i4"), np.array([1, 9, 3], "i4")
    mask = np.array([False, True, False])
    digests = {
        digest_table(read(pd.DataFrame({"a": pd.arrays.IntegerArray(values, mask)})))
        for values in (one, other)
    }
    tables = [pa.table({"a": pa.array(values, mask=mask)}) for values in (one, other)]
    digests |= {digest_table(read(table)) for table in tables}
    assert len(digests) == 1
    assert digest_table(read(pa.table({"a": pa.array([1, 0, 3], "int32")}))) not in digests


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_nan_is_null_in_every_library(dtype):
    values = np.array([1.0, np.nan], dtype)
    assert null_count(read(pd.DataFrame({"a": values}))) == 1
    assert null_count(read({"a": values})) == 1
    assert null_count(read(pa.table({"a": pa.array(values)}))) == 1
    assert null_count(read(pl.DataFrame({"a": values}))) == 1


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow", "polars_coded"])
def test_chunks_do_not_count_in_the_digest_and_are_not_joined(library):
    whole = NULLS[library]
    cut = [whole[:1], whole[1:1], whole[1:3], whole[3:]]
    if library == "pyarrow":
        cut = [part for part in cut if part.num_rows]
        joined = pa.concat_tables(cut)
    elif library == "pandas":
        arrow = pa.concat_tables([pa.Table.from_pandas(p, preserve_index=False) for p in cut])
        joined = arrow.to_pandas(types_mapper=pd.ArrowDtype)
    else:
        joined = pl.concat(cut, rechunk=False)
    if library == "pandas":
        whole = NULLS["pyarrow"]
    view = read(joined)
    assert len(view.data.columns["country"].parts) > 1
    assert digest_table(view) == digest_table(read(whole))
    assert null_count(view) == null_count(read(whole))


def test_a_digest_tells_names_types_and_rows_apart():
    tables = [
        {"a": pa.array([1], "int32")},
        {"b": pa.array([1], "int32")},
        {"a": pa.array([1], "int64")},
        {"a": pa.array([None], "int32")},
        {"a": pa.array([], "int32")},
        {"a": pa.array([0], pa.timestamp("us"))},
        {"a": pa.array([0], pa.timestamp("ns"))},
        {"a": pa.array([0], pa.timestamp("us", "UTC"))},
        {"a": pa.array(["ab", ""])},
        {"a": pa.array(["a", "b"])},
        {"a": pa.array(["", None])},
        {"a": pa.array([None, ""])},
    ]
    assert len({digest_table(read(pa.table(each))) for each in tables}) == len(tables)


@pytest.mark.parametrize("library", FRAMES)
def test_no_rows_are_fine(library):
    value = FRAMES[library]
    empty = {k: v[:0] for k, v in value.items()} if library == "dict" else value[:0]
    view = read(empty)
    assert view.shape == (0, 5)
    assert null_count(view) == 0
    assert digest_table(view) == digest_table(read({k: v[:0] for k, v in FRAMES["dict"].items()}))


@pytest.mark.parametrize("value", [pd.DataFrame(), pl.DataFrame(), pa.table({})])
def test_no_columns_are_fine(value):
    assert read(value).shape == (0, 0)


class TestWithoutCopies:
    def test_numbers_are_read_where_the_library_keeps_them(self):
        frame = pd.DataFrame({"a": np.arange(9.0), "b": np.arange(9, dtype="u1")})
        for name, column in read(frame).data.columns.items():
            assert np.shares_memory(np.asarray(column.parts[0].values), frame[name].to_numpy())

    def test_masked_arrays_are_read_where_they_are(self):
        for dtype, name in BYTES_OF_MASKED.items():
            frame = pd.DataFrame({"a": pd.array([1, None, 0], dtype)})
            column = read(frame).data.columns["a"]
            assert column.dtype == name
            assert np.shares_memory(np.asarray(column.parts[0].mask), frame["a"].array._mask)
            assert np.shares_memory(np.asarray(column.parts[0].values), frame["a"].array._data)

    def test_objects_are_read_where_they_are(self):
        for dtype in (object, pd.StringDtype("python")):
            frame = pd.DataFrame({"a": pd.Series(["x", None], dtype=dtype)})
            values = read(frame).data.columns["a"].parts[0].values
            assert np.shares_memory(values, frame["a"].array.to_numpy())

    @pytest.mark.parametrize("dtype", ["string", "large_string", "string_view", "int16", "bool"])
    def test_arrow_s_buffers_are_read_where_they_are(self, dtype):
        texts = ["a", "b", "more than twelve bytes"]
        items = {"int16": [1, 2, 3], "bool": [True, False, True]}.get(dtype, texts)
        table = pa.table({"a": pa.array(items, dtype)})
        part = read(table).data.columns["a"].parts[0]
        names = ("values", "offsets", "data", "views", "buffers")
        held = [getattr(part, name) for name in names if hasattr(part, name)]
        held = [each for some in held for each in (some if isinstance(some, tuple) else [some])]
        own = [b for b in table["a"].chunks[0].buffers() if b is not None]
        places = [range(b.address, b.address + b.size) for b in own]
        for each in held:
            address = np.frombuffer(each, "u1").ctypes.data
            assert any(address in place for place in places)

    def test_polars_hands_its_own_buffers_out(self):
        frame = pl.DataFrame({"a": [1.0, 2.0], "s": ["more than twelve bytes", "b"]})
        columns = read(frame).data.columns
        own = frame["a"].to_numpy(allow_copy=False)
        assert np.shares_memory(np.asarray(columns["a"].parts[0].values), own)
        assert type(columns["s"].parts[0]).__name__ == "ArrowTextViews"


class Frame(pd.DataFrame):
    pass


class Mapping(dict):
    pass


class Array(np.ndarray):
    pass


def shadowed():
    frame = pd.DataFrame({"a": [1.0]})
    frame.__dict__["items"] = lambda: iter(())
    return frame


class Impostor:
    """Says that it is one of pandas' own."""


Impostor.__module__, Impostor.__qualname__ = "pandas", "DataFrame"


class TestRefusals:
    @pytest.mark.parametrize(
        "value",
        [
            Frame({"a": [SECRET]}),
            type("Frame", (pl.DataFrame,), {})({"a": [SECRET]}),
            Impostor(),
            shadowed(),
        ],
        ids=["pandas", "polars", "impostor", "shadowed"],
    )
    def test_a_subclass_could_show_other_values(self, value):
        assert is_table(type(value))
        error = refusal(value)
        assert error.path == "visits"
        assert "plain DataFrame" in error.message

    @pytest.mark.parametrize(
        "value",
        [{}, {"a": [1]}, [1], "text", None, np.zeros(3), pl.LazyFrame({"a": [1]}),
         Mapping(a=np.zeros(1)), collections.UserDict(a=np.zeros(1)), pd.Series([1])],
    )  # fmt: skip
    def test_what_is_no_table_is_refused(self, value):
        assert not is_table(type(value))
        assert not holds_arrays(value) if type(value) is dict else True
        assert refusal(value).path == "visits"

    @pytest.mark.parametrize(
        "values",
        [
            pd.Series([SECRET, 1.5], dtype=object),
            pd.Series([SECRET, b"x"], dtype=object),
            pd.Series([SECRET, [SECRET]], dtype=object),
            pd.Series([SECRET, type("Text", (str,), {})(SECRET)], dtype=object),
            pd.Categorical([SECRET, b"x"]),
            pd.period_range("2020", periods=2, freq="D"),
            pd.arrays.SparseArray([1, 2]),
            pd.arrays.IntervalArray.from_breaks([1, 2, 3]),
            pd.array([{SECRET: 1}] * 2, pd.ArrowDtype(pa.struct({SECRET: pa.int8()}))),
            np.array([1, 2], "c16"),
            np.array([1, 2], "g"),
            np.array([1, 2], ">i4" if sys.byteorder == "little" else "<i4"),
        ],
        ids=lambda values: type(values).__name__ + str(getattr(values, "dtype", ""))[:6],
    )
    def test_columns_of_pandas_that_no_kernel_reads(self, values):
        error = refusal(pd.DataFrame({"fine": [1, 2], "a": values}))
        is_of_cells = str(getattr(values, "dtype", "")) == "object"
        assert error.path == ("visits[1].a" if is_of_cells else "visits.a")

    @pytest.mark.parametrize(
        "values",
        [
            pa.array([{SECRET: SECRET}]),
            pa.array([[{SECRET: SECRET}]]),
            pa.array([[SECRET.encode()]]),
            pa.array([[]], pa.list_(pa.int8(), 0)),
            pa.array([[1]], pa.list_view(pa.int8())),
            pa.array([SECRET.encode()]),
            pa.array([b"x"]).dictionary_encode(),
            pa.RunEndEncodedArray.from_arrays(pa.array([1], "int32"), pa.array([SECRET])),
            pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16], pa.binary(16))),
            pa.ExtensionArray.from_storage(pa.json_(), pa.array([f'"{SECRET}"'])),
        ],
        ids=lambda values: str(values.type)[:12],
    )
    def test_columns_of_arrow_that_no_kernel_reads(self, values):
        assert refusal(pa.table({"fine": [1], "a": values})).path == "visits.a"

    @pytest.mark.parametrize(
        "values",
        [
            pl.Series([{"x": SECRET}]),
            pl.Series([[{"x": SECRET}]]),
            pl.Series([SECRET.encode()]),
            pl.Series([1]).cast(pl.Int128),
            pl.Series([object()], dtype=pl.Object),
        ],
        ids=lambda values: str(values.dtype)[:9],
    )
    def test_columns_of_polars_that_no_kernel_reads(self, values):
        assert refusal(pl.DataFrame({"fine": [1], "a": values})).path == "visits.a"

    @pytest.mark.parametrize(
        "values",
        [
            [SECRET],
            np.array([[1.0]]),
            np.array(1.0),
            np.zeros(2),
            np.zeros(1).view(Array),
            np.ma.zeros(1),
            np.array([SECRET]),
            np.array([SECRET.encode()]),
            np.array([(1,)], "i4,"),
            np.array([1], "m8[D]"),
            np.array([1], "M8[Y]"),
            np.array(["2020"], "M8[s]").astype(">M8[s]" if sys.byteorder == "little" else "<M8[s]"),
            objects(1.5),
            objects(float("nan")),
            pd.Series([1]),
        ],
        ids=lambda values: f"{type(values).__name__}-{getattr(values, 'dtype', '')}",
    )
    def test_arrays_that_no_kernel_reads(self, values):
        error = refusal({"fine": np.zeros(1), "a": values})
        is_of_cells = isinstance(values, np.ndarray) and values.dtype == object
        assert error.path == ("visits[0].a" if is_of_cells else "visits.a")

    @pytest.mark.parametrize(
        ("value", "path"),
        [
            (pd.DataFrame([[1, 2]], columns=["a", "a"]), "visits.a"),
            (pd.DataFrame([[1, 2]], columns=[SECRET, SECRET]), "visits[...]"),
            (pa.table([pa.array([1])] * 2, ["a", "a"]), "visits.a"),
            (pd.DataFrame([[1, 2]]), "visits"),
            (pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", SECRET)])), "visits"),
            (pd.DataFrame([[1]], columns=[None]), "visits"),
            ({1: np.zeros(1)}, "visits"),
            ({"\ud800": np.zeros(1)}, "visits"),
            ({type("Name", (str,), {})("a"): np.zeros(1)}, "visits"),
            ({"a b": [1], "c": np.zeros(1)}, "visits[...]"),
            ({"a" * 65: [1], "c": np.zeros(1)}, "visits[...]"),
            ({"a": np.zeros(1), "b": np.zeros(2)}, "visits.b"),
        ],
    )
    def test_names_and_lengths(self, value, path):
        assert refusal(value).path == path

    def test_a_column_of_a_subclass_could_show_other_values(self):
        series = pd.Series(np.zeros(2).view(Array), copy=False)
        assert type(series.values) is Array
        assert refusal(pd.DataFrame({"a": series}, copy=False)).path == "visits.a"

    def test_a_name_that_no_spec_has_is_not_shown(self):
        frame = pd.DataFrame({"secret_of_anna": [1j]})
        for value in (frame, pa.table({"secret_of_anna": [{"x": 1}]})):
            error = refusal(value)
            assert error.path == "visits[...]"
            assert "anna" not in error.message

    def test_the_row_of_an_object_that_is_no_text_is_named(self):
        error = refusal(pd.DataFrame({"a": pd.Series(["x"] * 7 + [3], dtype=object)}))
        assert error.path == "visits[7].a"

    def test_bounds_come_before_any_look_at_rows(self):
        frame = pd.DataFrame({"a": pd.Series([3] * 9, dtype=object)})
        refusal(frame, code="too_large", input_rows=8)
        refusal(frame, code="too_large", input_bytes=71)
        refusal(frame, input_bytes=72)

    def test_text_that_rows_share_counts_each_time(self):
        text = "x" * 1000
        frame = pd.DataFrame({"a": pd.Series([text] * 100, dtype=object)})
        refusal(frame, code="too_large", input_bytes=100_000)
        views = np.array([1000, 0, 0, 0] * 100, "i4").tobytes()
        table = broken([None, views, text.encode()], "string_view", 100)
        refusal(table, code="too_large", input_bytes=100_000)


def broken(buffers, type_, rows):
    buffers = [None if each is None else pa.py_buffer(each) for each in buffers]
    return pa.table({"a": pa.Array.from_buffers(pa.type_for_alias(type_), rows, buffers)})


def numbers(*items, dtype="i4"):
    return np.array(items, dtype).tobytes()


class TestBrokenBuffers:
    """Files of Arrow are not validated by those who read them."""

    @pytest.mark.parametrize(
        "table",
        [
            broken([None, numbers(0, 2, 1, 3), b"abc"], "string", 3),
            broken([None, numbers(0, -1, 1, 3), b"abc"], "string", 3),
            broken([None, numbers(0, 4, 3), b"abc"], "string", 2),
            broken([None, numbers(0, 2**62, 3, dtype="i8"), b"abc"], "large_string", 2),
        ],
        ids=range(4),
    )
    def test_offsets_out_of_order_are_refused(self, table):
        assert refusal(table).path == "visits.a"

    @pytest.mark.parametrize(
        ("read_part", "buffers", "rows", "offset"),
        [
            (lambda chunk: libraries._arrow_numbers(chunk, "i"), [None, numbers(0, 1)], 3, 0),
            (lambda chunk: libraries._arrow_numbers(chunk, "i"), [None, numbers(0, 1)], 2, 1),
            (lambda chunk: libraries._arrow_numbers(chunk, "i"), [None, None], 1, 0),
            (lambda chunk: libraries._arrow_numbers(chunk, "b"), [b"\xff", bytes(9)], 9, 0),
            (libraries._arrow_bits, [None, b"\xff"], 9, 0),
            (libraries._arrow_bits, [None, None], 1, 0),
            (lambda chunk: libraries._arrow_text(chunk, "i"), [None, numbers(0, 1), b"abc"], 2, 0),
            (lambda chunk: libraries._arrow_text(chunk, "i"), [None, None, b"abc"], 2, 0),
            (lambda chunk: libraries._arrow_text(chunk, ""), [None, bytes(31)], 2, 0),
        ],
        ids=range(9),
    )
    def test_buffers_that_end_too_soon_are_refused(self, read_part, buffers, rows, offset):
        # pyarrow's own constructors refuse them, but they are not the only ones
        class Chunk:
            def __len__(self):
                return rows

            def buffers(self):
                return buffers

        Chunk.offset = offset
        with pytest.raises(libraries.Unreadable, match="ends too soon"):
            read_part(Chunk())

    def test_a_view_outside_of_its_buffer_is_not_read(self):
        view = np.array([20, 0, 0, 2**30], "i4").tobytes()
        table = broken([None, view, b"x" * 20], "string_view", 1)
        assert null_count(read(table)) == 0
        assert len(digest_table(read(table))) == 64

    def test_no_code_outside_of_its_dictionary_is_read(self):
        codes = pa.array([0, -1, 7], "int8")
        values = pa.DictionaryArray.from_arrays(codes, pa.array(["a"]), safe=False)
        view = read(pa.table({"a": values}))
        assert null_count(view) == 2
        assert len(digest_table(view)) == 64


def test_reading_imports_no_library():
    code = (
        "import json, sys\n"
        "from guardrail.facts.input_view import tables\n"
        "assert not tables.is_table(int) and not tables.holds_arrays({'a': 1})\n"
        "print(json.dumps(sorted({'pandas', 'polars', 'pyarrow', 'numpy'} & set(sys.modules))))"
    )
    run = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert json.loads(run.stdout) == []


class TestAdvice:
    @pytest.mark.parametrize(
        ("items", "says"),
        [
            ([True, None], '"boolean"'),
            ([1, None], '"Int64"'),
            ([1.5, None], "float64"),
            ([decimal.Decimal(1)], "decimal128"),
            ([datetime.datetime(2026, 12, 1)], "to_datetime"),
            ([datetime.date(2026, 12, 1)], "date32"),
            ([datetime.timedelta(1)], "to_timedelta"),
            ([[1]], "list, in Arrow"),
            ([b"x"], "decoded"),
            ([object()], "leave the column out"),
        ],
    )
    def test_a_column_of_objects_is_told_its_type(self, items, says):
        for value in (pd.DataFrame({"a": pd.Series(items, dtype=object)}), {"a": objects(*items)}):
            error = refusal(value)
            assert error.path == "visits[0].a"
            assert f"got {type(items[0]).__name__}. " in error.message
            assert says in error.message

    def test_what_is_advised_is_read(self):
        frame = pd.DataFrame({"a": pd.Series([True, None], dtype=object).astype("boolean")})
        assert types(frame) == {"a": "bool"}
        swapped = np.array([1, 2], ">i4")
        frame = pd.DataFrame({"a": swapped})
        assert ".newbyteorder('=')" in refusal(frame).message
        native = swapped.astype(swapped.dtype.newbyteorder("="))
        assert types({"a": native}) == {"a": "int32"}

    @pytest.mark.parametrize(
        ("value", "says"),
        [
            (pl.LazyFrame({"a": [1]}), ".collect()"),
            ({"a": [pd.DataFrame({"b": [1]})]}, "by itself"),
            ({"a": pl.DataFrame({"b": [1]})}, ".to_dicts()"),
            ({"a": 1, "b": np.zeros(2)}, ".tolist()"),
            ({"a": pd.Series([1])}, "list()"),
            ({"a": pd.Timestamp("2026-12-01")}, ".to_pydatetime()"),
        ],
        ids=lambda value: str(type(value)),
    )
    def test_other_values_are_told_what_to_pass(self, value, says):
        with pytest.raises(ObligationNotMet) as caught:
            take_view(value, name="visits", bounds=Bounds())
        assert says in caught.value.message

    @pytest.mark.parametrize(
        ("values", "says"),
        [
            (pd.period_range("2020", periods=1, freq="D"), ".to_timestamp()"),
            (pd.arrays.SparseArray([1]), ".to_dense()"),
            (pd.arrays.IntervalArray.from_breaks([1, 2]), ".left"),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_arrays_of_pandas_are_told_what_to_be(self, values, says):
        assert says in refusal(pd.DataFrame({"a": values})).message
