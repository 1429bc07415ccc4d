"""Columns of times, decimals, lists, small floats, codes and nulls, equal in every library."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from guardrail._documents import read_yaml
from guardrail._ports import ObligationNotMet
from guardrail.errors import ConfigurationError
from guardrail.facts import Bounds
from guardrail.facts.input_view.tables import digest_table, null_count, read_table
from guardrail.obligations.input.specs import read_specs

#: Of each type of a spec, values, their type in Arrow, and that in numpy where it has one.
TYPES = {
    "date": ([dt.date(2020, 1, 1), dt.date(1960, 5, 7)], pa.date32(), "M8[D]"),
    "timestamp": (
        [dt.datetime(2020, 1, 1, 12), dt.datetime(1960, 5, 7)], pa.timestamp("us"), "M8[us]",
    ),
    "duration": ([dt.timedelta(seconds=90), dt.timedelta(days=-1)], pa.duration("us"), "m8[us]"),
    "time": ([dt.time(12, 30), dt.time(0)], pa.time64("us"), ""),
    "decimal": ([Decimal("1.50"), Decimal("-99.99")], pa.decimal128(4, 2), ""),
    "float16": ([1.5, -2.0], pa.float16(), "f2"),
    "list": ([["a", "bc"], []], pa.list_(pa.string()), ""),
    "null": ([None, None], pa.null(), ""),
}  # fmt: skip


def as_arrow(items, kind, dtype):
    del dtype
    return pa.table({"a": pa.array(items, kind)})


def as_chunks(items, kind, dtype):
    del dtype
    return pa.table({"a": pa.chunked_array([[each] for each in items], kind)})


def as_slice(items, kind, dtype):
    return as_arrow([items[0], items[1], *items, items[0]], kind, dtype)[2:-1]


def as_coded(items, kind, dtype):
    table = as_arrow(items, kind, dtype)
    return pa.table({"a": table["a"].dictionary_encode()})


def as_pandas_arrow(items, kind, dtype):
    return as_arrow(items, kind, dtype).to_pandas(types_mapper=pd.ArrowDtype)


def as_polars(items, kind, dtype):
    frame = pl.from_arrow(as_arrow(items, kind, dtype))
    return frame.cast(pl.Float16) if pa.types.is_float16(kind) else frame


def as_dict(items, kind, dtype):
    del kind
    return {"a": np.array(items, dtype)}


def as_pandas(items, kind, dtype):
    return pd.DataFrame(as_dict(items, kind, dtype))


LIBRARIES = [
    as_arrow, as_chunks, as_slice, as_coded, as_pandas_arrow, as_polars, as_dict, as_pandas,
]  # fmt: skip
#: What a library has no column for: numpy and pandas some types, Arrow some codes.
LACKING = {
    as_dict: {"time", "decimal", "list", "null"},
    as_pandas: {"time", "decimal", "list", "null", "date"},
    as_coded: {"decimal", "list", "null", "float16"},
}


def pairs(*names):
    """Return each library with each type that it has."""
    return [
        pytest.param(make, name, id=f"{make.__name__[3:]}-{name}")
        for make in LIBRARIES
        for name in names or TYPES
        if name not in LACKING.get(make, ())
    ]


every_pair = pytest.mark.parametrize(("make", "name"), pairs())
every_type = pytest.mark.parametrize("name", TYPES)


def read(value, **bounds):
    return read_table(value, "visits", Bounds(**bounds), frozenset("a"))


def spec(text):
    raw = f"kind: table\ncolumns: {{a: {{{text}}}}}\n".encode()
    return read_specs({"s": read_yaml("inputs/s.yaml", raw)})["s"]


def refusal(text, value):
    with pytest.raises(ObligationNotMet) as caught:
        spec(text).check(read(value))
    assert caught.value.__context__ is None
    return caught.value.path, caught.value.message


def fault(text):
    with pytest.raises(ConfigurationError) as caught:
        spec(text)
    return caught.value.faults[0].message


@every_pair
def test_a_column_is_known_by_its_type(make, name):
    view = read(make(*TYPES[name]))
    assert view.data.columns["a"].dtype == name
    spec(f'type: "{name}", nullable: true').check(view)
    spec(f'type: [int8, "{name}"], nullable: true').check(view)
    path, message = refusal("type: int8", make(*TYPES[name]))
    assert (path, f"got {name}" in message) == ("visits.a", True)
    assert view.nbytes > 0 or name == "null"


@every_pair
def test_a_column_that_nothing_reads_passes(make, name):
    raw = b"kind: table\ncolumns: {}\nextra_columns: ignore\n"
    read_specs({"s": read_yaml("inputs/s.yaml", raw)})["s"].check(read(make(*TYPES[name])))


@every_type
def test_the_digest_is_that_of_the_values_in_every_library(name):
    makers = [make for make in LIBRARIES if name not in LACKING.get(make, ())]
    digests = {digest_table(read(make(*TYPES[name]))) for make in makers}
    assert len(makers) >= 5
    if name == "duration":
        assert len(digests) == 1
    # polars has other units of time, and other widths of decimals
    assert len(digests) <= 1 + (name in ("time", "decimal"))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        pair
        for pair in pairs(*sorted(TYPES.keys() - {"null"}))
        if pair.values not in ((as_dict, "float16"), (as_pandas, "float16"))  # which have NaN
    ],
)
def test_a_null_is_null(make, name):
    items, kind, dtype = TYPES[name]
    value = make([*items, None], kind, dtype)
    assert null_count(read(value)) == 1
    spec(f"type: {name}, nullable: true").check(read(value))
    path, message = refusal(f"type: {name}", value)
    assert (path, "a value; got null (1 bad" in message) == ("visits[2].a", True)


BOUNDS = [
    ("date", "min: 1960-05-08", "max: 1960-05-07", (1, 0)),
    ("date", "min: '1960-05-08'", "max: '2019-12-31'", (1, 0)),
    ("timestamp", "min: 1960-05-07T00:00:00.000001", "max: 2020-01-01T11:59:59.999999", (1, 0)),
    ("duration", "min: -86399.999999", "max: 89.999999", (1, 0)),
    ("duration", "min: 0", "max: 89", (1, 0)),
    ("decimal", "min: -99.98", "max: 1.49", (1, 0)),
    ("float16", "min: -1.9", "max: 1.4", (1, 0)),
]


@pytest.mark.parametrize(
    ("make", "name", "low", "high", "row"),
    [
        (make, *bounds)
        for make in LIBRARIES
        for bounds in BOUNDS
        if bounds[0] not in LACKING.get(make, ())
    ],
)
def test_bounds_are_exact(make, name, low, high, row):
    value = make(*TYPES[name])
    assert refusal(f"type: {name}, {low}", value)[0] == f"visits[{row[0]}].a"
    assert refusal(f"type: {name}, {high}", value)[0] == f"visits[{row[1]}].a"


ON_BOUNDS = [
    ("date", "min: 1960-05-07, max: 2020-01-01"),
    ("timestamp", "min: 1960-05-07T00:00:00, max: 2020-01-01T12:00:00"),
    ("duration", "min: -86400, max: 90"),
    ("decimal", "min: -99.99, max: 1.5"),
    ("float16", "min: -2, max: 1.5"),
]


@pytest.mark.parametrize(
    ("make", "name", "bounds"),
    [
        (make, *bounds)
        for make in LIBRARIES
        for bounds in ON_BOUNDS
        if bounds[0] not in LACKING.get(make, ())
    ],
)
def test_a_value_on_a_bound_passes(make, name, bounds):
    spec(f"type: {name}, {bounds}").check(read(make(*TYPES[name])))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_bound_without_an_exact_float_is_compared_exactly(unit):
    """A nanosecond is finer than a double is in 2026."""
    at = "2026-12-01T10:00:00.123457"
    ticks = {"s": 0, "ms": 3, "us": 6, "ns": 9}[unit]
    bound = 1_796_119_200_123_457 * 10**3 // 10 ** (9 - ticks)
    for shift, passes in ((0, unit in ("us", "ns")), (1, True), (-1, False)):
        value = pa.table({"a": pa.array([bound + shift], pa.timestamp(unit))})
        if passes:
            spec(f"type: timestamp, min: {at}").check(read(value))
        else:
            assert refusal(f"type: timestamp, min: {at}", value)[0] == "visits[0].a"


ZONED = pa.timestamp("us", "Europe/Berlin")


@pytest.mark.parametrize(
    ("zone", "kind", "passes"),
    [
        ("UTC", pa.timestamp("us", "UTC"), True),
        ("UTC", pa.timestamp("us", "+00:00"), True),
        ("Z", pa.timestamp("us", "Etc/UTC"), True),
        ("UTC", ZONED, False),
        ("Europe/Berlin", ZONED, True),
        ("Europe/Berlin", pa.timestamp("us"), False),
        ("none", pa.timestamp("us"), True),
        ("none", ZONED, False),
        ("'+01:00'", pa.timestamp("us", "+01:00"), True),
    ],
)
def test_a_zone_is_met_or_not(zone, kind, passes):
    value = pa.table({"a": pa.array([0], kind)})
    for table in (value, value.to_pandas()):
        if passes:
            spec(f"type: timestamp, zone: {zone}").check(read(table))
        else:
            assert refusal(f"type: timestamp, zone: {zone}", table)[0] == "visits.a"


def test_bounds_with_a_zone_are_of_timestamps_with_one():
    aware, naive = "min: 2020-01-01T00:00:00Z", "min: 2020-01-01T00:00:00"
    late = dt.datetime(2020, 1, 1, 0, 30)
    zoned = pa.table({"a": pa.array([late], pa.timestamp("us", "UTC"))})
    plain = pa.table({"a": pa.array([late], pa.timestamp("us"))})
    spec(f"type: timestamp, {aware}").check(read(zoned))
    spec(f"type: timestamp, {naive}").check(read(plain))
    assert "with a time zone" in refusal(f"type: timestamp, {aware}", plain)[1]
    assert "without a time zone" in refusal(f"type: timestamp, {naive}", zoned)[1]
    east = "min: 2020-01-01T01:30:00+01:00"
    spec(f"type: timestamp, {east}").check(read(zoned))
    assert refusal("type: timestamp, min: 2020-01-01T00:30:00-01:00", zoned)[0] == "visits[0].a"


LISTS = [["a", "bc"], None, ["d"], []]


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.string()), pa.large_list(pa.string_view()), pa.list_(pa.large_string())]
)
def test_items_of_lists_are_held_to_their_rule(kind):
    table = pa.table({"a": pa.array([["x"], *LISTS], kind)})[1:]
    for value in (table, pl.from_arrow(table), table.to_pandas(types_mapper=pd.ArrowDtype)):
        fits = "type: list, nullable: true, max_items: 2, items: {type: string, max_chars: 2}"
        spec(fits).check(read(value))
        assert refusal(fits.replace("chars: 2", "chars: 1"), value)[0] == "visits[0].a"
        path, message = refusal(fits.replace("items: 2", "items: 1"), value)
        assert (path, "at most 1 items; got more" in message) == ("visits[0].a", True)
        path, message = refusal(fits.replace("max_chars: 2", "one_of: [a, bc]"), value)
        assert (path, "one of the 2 texts" in message) == ("visits[2].a", True)
        path, message = refusal(fits.replace("string, max_chars: 2", "int8"), value)
        assert (path, "items as a column of int8; got string" in message) == ("visits.a", True)


def test_lists_of_lists_and_of_one_length():
    deep = pa.table(
        {"a": pa.array([[[1.0], [2.0, 3.0]], [[4.0]]], pa.list_(pa.list_(pa.float64())))}
    )
    rule = "type: list, items: {type: list, max_items: 2, items: {type: float64, max: 4}}"
    spec(rule).check(read(deep))
    path, message = refusal(rule.replace("max: 4", "max: 3"), deep)
    assert (path, "at most 3; got more" in message) == ("visits[1].a", True)
    even = pa.table({"a": pa.array([[0, 0], [1, 2], [3, 4]], pa.list_(pa.int8(), 2))})[1:]
    for value in (even, pl.from_arrow(even)):
        spec("type: list, items: {type: int8, min: 1, max: 4}").check(read(value))
        assert refusal("type: list, items: {type: int8, min: 3}", value)[0] == "visits[0].a"
    assert refusal("type: list", pa.table({"a": pa.array([[1], None])}))[0] == "visits[1].a"


@pytest.mark.parametrize(
    ("make", "dtype"),
    [
        (lambda items: pd.DataFrame({"a": pd.Categorical(items)}), "int64"),
        (lambda items: pa.table({"a": pa.array(items).dictionary_encode()}), "int64"),
        (lambda items: pd.DataFrame({"a": pd.Categorical(pd.Series(items) / 2)}), "float64"),
        (lambda items: pd.DataFrame({"a": pd.Categorical(pd.to_datetime(items))}), "timestamp"),
    ],
)  # fmt: skip
def test_codes_of_other_things_than_text_are_those_things(make, dtype):
    view = read(make([3, 1, None, 3]))
    assert view.data.columns["a"].dtype == dtype
    assert null_count(view) == 1
    spec(f"type: {dtype}, nullable: true").check(view)
    assert refusal(f"type: {dtype}", make([3, 1, None, 3]))[0] == "visits[2].a"
    if dtype != "timestamp":
        assert refusal(f"type: {dtype}, nullable: true, min: 1", make([3, 0, None, 3]))[0].endswith(
            "1].a"
        )


def test_codes_have_the_digest_of_what_they_stand_for():
    plain = pa.table({"a": pa.array([3, 1, None, 3])})
    coded = pa.table({"a": plain["a"].dictionary_encode()})
    framed = pd.DataFrame({"a": pd.Categorical([3, 1, None, 3])})
    assert len({digest_table(read(each)) for each in (plain, coded, framed)}) == 1


def test_a_date_of_numpy_and_of_arrow_is_one():
    days = [dt.date(2020, 1, 1), None]
    assert digest_table(read({"a": np.array(days, "M8[D]")})) == digest_table(
        read(pa.table({"a": pa.array(days, pa.date32())}))
    )


@pytest.mark.parametrize(
    ("value", "chars"),
    [
        (pa.table({"a": ["ab", None, "é"]}), 3),
        (pa.table({"a": pa.array(["ab", "more than twelve bytes"], pa.string_view())}), 24),
        (pa.table({"a": pa.array(["ab", "ab", "c"]).dictionary_encode()}), 5),
        (pa.table({"a": pa.array([["ab", "c"], None, ["d"]])}), 4),
        (pa.table({"a": ["x", "ab", "y"]})[1:2], 2),
        (pd.DataFrame({"a": pd.Series(["ab", None], dtype=object)}), 2),
        (pd.DataFrame({"a": pd.Categorical(["ab", None, "ab"])}), 4),
        (pl.DataFrame({"a": ["ab", "cd"]}), 4),
        (pa.table({"a": [1, 2]}), 0),
        (pa.table({"a": pa.array([None])}), 0),
    ],
    ids=str,
)  # fmt: skip
def test_characters_are_those_of_all_texts_and_of_the_names(value, chars):
    assert read(value).data.chars() == chars + len("a")


def test_bytes_count_what_lists_hold():
    few, many = ([["x" * size]] for size in (10, 10_000))
    for make in (pa.table, pl.DataFrame):
        small, large = read(make({"a": few})), read(make({"a": many}))
        assert large.nbytes - small.nbytes >= 9_900
        with pytest.raises(ObligationNotMet) as caught:
            read(make({"a": many}), input_bytes=9_000)
        assert caught.value.code == "too_large"


def test_a_slice_of_lists_counts_what_is_in_it():
    table = pa.table({"a": [["x" * 100_000], ["y"]]})[1:]
    assert read(table).nbytes < 100


def test_offsets_of_lists_that_lead_nowhere_are_refused():
    for offsets in ([0, 3, 1], [0, 2, 1]):
        buffers = [None, pa.py_buffer(np.array(offsets, "i4").tobytes())]
        broken = pa.Array.from_buffers(
            pa.list_(pa.int8()), 2, buffers, children=[pa.array([1] * 3, "int8")]
        )
        with pytest.raises(ObligationNotMet) as caught:
            read(pa.table({"a": broken}))
        assert caught.value.path == "visits.a"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("type: date, min: 5", "is a date"),
        ("type: date, min: 2020-01-01T00:00:00", "is a date"),
        ("type: timestamp, min: 2020-01-01", "is a time"),
        ("type: float64, min: 2020-01-01", "is a number"),
        ("type: [date, timestamp], min: 2020-01-01", "several kinds"),
        ("type: [int8, date], min: 1", "several kinds"),
        ("type: date, min: 2020-01-02, max: 2020-01-01", "Swap them"),
        ("type: timestamp, min: 2020-01-01T00:00:00, max: 2021-01-01T00:00:00Z", "time zone"),
        ("type: timestamp, zone: none, min: 2020-01-01T00:00:00Z", "time zone"),
        ("type: timestamp, zone: UTC, min: 2020-01-01T00:00:00", "time zone"),
        ("type: timestamp, zone: Atlantis", "not a time zone"),
        ("type: timestamp, zone: ../x", "not a time zone"),
        ("type: date, zone: UTC", "does not apply"),
        ("type: string, items: {type: int8}", "does not apply"),
        ("type: list, items: {type: int8, max_chars: 1}", "does not apply"),
        ("type: float64, max_items: 1", "does not apply"),
        ("type: time, min: 1", "does not apply"),
        ("type: 'null', min: 1", "does not apply"),
        ("type: decimal, min: .nan", "finite number"),
        ("type: date, min: soon", "finite number, a date"),
    ],
)
def test_a_spec_that_can_not_be_met_is_a_fault(text, says):
    assert says in fault(text)
