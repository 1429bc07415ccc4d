"""The walk over outputs: known types are rebuilt, and unknown ones are blocked."""

import collections
import dataclasses
import datetime
import decimal
import enum
import functools
import types
import uuid
import zoneinfo
from typing import Any, NamedTuple, TypedDict

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import pytest
from leaving import holds

from guardrail._ports import ObligationContext, ObligationNotMet
from guardrail.errors import ConfigurationError, Place
from guardrail.obligations.output.label_only import LabelOnly
from guardrail.obligations.output.mask import Mask
from guardrail.obligations.output.only import Only
from guardrail.obligations.output.redact import STYLES, Redact
from guardrail.obligations.output.rounding import Round
from guardrail.obligations.output.top_k import TopK
from guardrail.obligations.output_walk.field_paths import LIMIT_PLACES, paths_of
from guardrail.values import NO_INPUT, Clause, Entity, Identity, Principal, View

SECRET = "s3cret-4711-canary"
MAIL = "ann.canary@clinic.example"
TYPES = {
    "mask": Mask(), "only": Only(), "redact": Redact(key=b"k" * 32), "round": Round(),
    "top_k": TopK(), "label_only": LabelOnly({}),
}  # fmt: skip


def context(view=NO_INPUT):
    return ObligationContext(
        Identity(Principal("User", "ana")), view, "predict", Entity("Model", "m"), 0.0, lambda _: 0
    )


def parse(name, argument):
    return TYPES[name].parse(Clause("p", name, argument, Place("conditions.cedar", 3, 1)))


def release(name, argument, output, view=NO_INPUT):
    return TYPES[name].release(parse(name, argument), output, context(view))


def blocked(name, argument, output, view=NO_INPUT):
    with pytest.raises(ObligationNotMet) as caught:
        release(name, argument, output, view)
    assert caught.value.code == "output_blocked"
    assert SECRET not in caught.value.message
    assert MAIL not in caught.value.message
    return caught.value


def leaves_without(name, argument, output, canary):
    """Release, or see it blocked; then nothing that left holds the canary."""
    refusal = None
    try:
        released = release(name, argument, output)
    except ObligationNotMet as unmet:
        refusal = unmet
    if refusal is not None:
        assert (refusal.code, canary in refusal.message) == ("output_blocked", False)
        return None
    assert holds(released, canary) == []
    return released


# Kinds of outputs with a value under the name `ssn`, at every depth.


@dataclasses.dataclass
class Data:
    ssn: Any
    age: int = 3


@dataclasses.dataclass(frozen=True)
class Box:
    inner: Any


class Pair(NamedTuple):
    ssn: Any
    age: int = 3


class Model(pydantic.BaseModel):
    ssn: Any
    age: int = 3


class Aliased(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(populate_by_name=True)
    number: Any = pydantic.Field(alias="ssn")
    age: int = 3


class Outgoing(pydantic.BaseModel):
    number: Any = pydantic.Field(serialization_alias="ssn")


class Incoming(pydantic.BaseModel):
    number: Any = pydantic.Field(validation_alias=pydantic.AliasChoices("id", "ssn"))


class Generated(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(alias_generator=lambda name: name.removeprefix("x_"))
    x_ssn: Any


class Extra(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    age: int = 3


class Typed(TypedDict):
    ssn: Any


class Root(pydantic.RootModel[list[dict[str, Any]]]):
    pass


class Computed(pydantic.BaseModel):
    number: Any

    @pydantic.computed_field
    def ssn(self) -> Any:
        return self.number


def tables(cells, name="ssn"):
    """Tables of each library with these texts in a column of the name."""
    yield pd.DataFrame({name: cells, "age": range(len(cells))})
    yield pd.DataFrame({name: pd.Categorical(cells), "age": range(len(cells))})
    yield pd.DataFrame({name: pd.Series(cells, dtype=object), "age": 1.5})
    arrow = pa.table({name: cells, "age": [1] * len(cells), "x": [{"y": 0.5}] * len(cells)})
    yield arrow.to_pandas(types_mapper=pd.ArrowDtype)
    yield pl.DataFrame({name: cells, "age": [1] * len(cells)})
    yield pl.DataFrame({name: pl.Series(cells, dtype=pl.Categorical)})
    yield pl.DataFrame({name: pl.Series(cells, dtype=pl.Enum(sorted(set(cells))))})
    yield pa.table({name: cells, "age": [1] * len(cells)})
    yield pa.table({name: pa.array(cells).dictionary_encode()})
    yield pa.table({name: pa.array(cells, pa.large_string())})


def nested_tables(record):
    yield pl.DataFrame({"t": [record]})
    yield pl.DataFrame({"t": [[record]]})
    yield pa.table({"t": [record]})
    yield pa.table({"t": [[record]]})
    yield pd.DataFrame({"t": [record]})


def outputs_with_ssn():
    yield {"ssn": SECRET}
    yield {"ssn": [SECRET], "x": 1}
    yield {"ssn": {"deep": SECRET}}
    yield from (Data(SECRET), Pair(SECRET), Model(ssn=SECRET), Aliased(ssn=SECRET))
    yield from (Outgoing(number=SECRET), Incoming(ssn=SECRET), Generated(ssn=SECRET))
    yield from (Extra(ssn=SECRET), Typed(ssn=SECRET), Root([{"ssn": SECRET}]))
    yield Computed(number=SECRET)
    yield types.MappingProxyType({"ssn": SECRET})
    yield collections.OrderedDict(ssn=SECRET)
    yield from tables([SECRET, "b"])
    yield from nested_tables({"ssn": SECRET, "age": 3})
    yield pd.Series([SECRET], name="ssn")
    yield pd.Series([SECRET, "3"], index=["ssn", "age"])
    yield pd.DataFrame({"ssn": [SECRET], "age": [3]}).T
    yield pd.DataFrame({"age": [3]}, index=pd.Index([SECRET], name="ssn"))
    yield pd.DataFrame({"ssn": [SECRET], "k": ["a"], "age": [3]}).set_index(["ssn", "k"])
    yield pd.DataFrame({"ssn": [SECRET], "k": ["a"], "age": [3]}).pivot(
        index="k", columns="ssn", values="age"
    )
    yield pl.Series("ssn", [SECRET])
    yield np.array([(SECRET, 1)], dtype=[("ssn", "U20"), ("age", "i4")])


SSN = [pytest.param(output, id=f"{n}-{type(output).__name__}")
       for n, output in enumerate(outputs_with_ssn())]  # fmt: skip
WRAPPERS = {
    "itself": lambda output: output,
    "in a field": lambda output: {"patient": output, "n": 1},
    "in a list": lambda output: [output],
    "in rows": lambda output: {"rows": [output, output]},
    "in a data class": Box,
    "in a model": lambda output: Extra(patient=output),
    "in a tuple": lambda output: (output, {"age": 3}),
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
@pytest.mark.parametrize("output", SSN)
def test_a_masked_field_leaves_from_no_depth_of_no_kind(output, wrap):
    whole = wrap(output)
    released = leaves_without("mask", "ssn", whole, SECRET)
    if released is not None:
        assert type(released) is type(whole) or not isinstance(whole, tuple | list)


@pytest.mark.parametrize("output", SSN)
def test_what_an_allow_list_does_not_name_leaves_from_no_depth(output):
    for wrap in WRAPPERS.values():
        leaves_without("only", "age, n", wrap(output), SECRET)


@pytest.mark.parametrize("output", [
    {"patient": {"ssn": SECRET, "age": 3}},
    {"rows": [{"ssn": SECRET}, {"ssn": SECRET}]},
    {"t": pd.DataFrame({"ssn": [SECRET], "age": [3]})},
    [Model(ssn=SECRET), {"x": Data(SECRET)}],
    Aliased(ssn=SECRET),
    Root([{"ssn": SECRET}]),
])  # fmt: skip
def test_these_are_masked_and_not_blocked(output):
    released = release("mask", "ssn", output)
    assert holds(released, SECRET) == []
    assert type(released) is type(output)


def test_a_path_means_its_place_and_a_field_of_its_name():
    output = {"ssn": "a", "patient": {"ssn": "b", "age": 1}, "patient.ssn": "c",
              "x": {"ssn": "d", "patient": {"ssn": "e"}, "patient.ssn": "f"}}  # fmt: skip
    assert release("mask", "patient.ssn", output) == {
        "ssn": "a", "patient": {"ssn": None, "age": 1}, "patient.ssn": None,
        "x": {"ssn": "d", "patient": {"ssn": "e"}, "patient.ssn": None},
    }  # fmt: skip
    frame = pd.DataFrame({"patient.ssn": [SECRET], "ssn": ["x"]})
    assert release("mask", "patient.ssn", frame)["ssn"].tolist() == ["x"]
    assert holds(release("mask", "patient.ssn", frame), SECRET) == []


@pytest.mark.parametrize(("path", "output", "expected"), [
    ("rows[].ssn", {"rows": [{"ssn": 1, "a": 2}]}, {"rows": [{"ssn": None, "a": 2}]}),
    ("rows.ssn", {"rows": [{"ssn": 1, "a": 2}]}, {"rows": [{"ssn": None, "a": 2}]}),
    ("rows[].ssn", {"rows": {"ssn": 1}}, {"rows": {"ssn": None}}),
    ("[].ssn", [{"ssn": 1}], [{"ssn": None}]),
    ("ids[]", {"ids": [1, 2], "x": 1}, {"ids": [None, None], "x": 1}),
    ("ids[]", {"ids": ["a", {"b": 1}], "x": 1}, {"ids": [None, None], "x": 1}),
    ("ids[]", {"ids": "a", "x": 1}, {"ids": None, "x": 1}),
    ("a.b.c", {"a": {"b.c": 1}, "a.b": {"c": 1}, "b": 2},
     {"a": {"b.c": None}, "a.b": {"c": None}, "b": 2}),
    ('"a.b"', {"a.b": 1, "a": {"b": 2}}, {"a.b": None, "a": {"b": 2}}),
    ('x."a.b"', {"x": {"a.b": 1, "a": {"b": 2}}}, {"x": {"a.b": None, "a": {"b": 2}}}),
    ('"rows[]"', {"rows[]": 1, "rows": [2]}, {"rows[]": None, "rows": [2]}),
    ('"\\"q\\""', {'"q"': 1, "q": 2}, {'"q"': None, "q": 2}),
    ('say "hi"', {'say "hi"': 1}, {'say "hi"': None}),
    ('"a\\u002c b"', {"a, b": 1, "a": 2}, {"a, b": None, "a": 2}),
    ("mean radius", {"mean radius": 1}, {"mean radius": None}),
    ("1", {"rows": [[1, 2], [3, 4]]}, {"rows": [[1, None], [3, None]]}),
    ("rows[].1", {"rows": [[1, 2]], "x": [5, 6]}, {"rows": [[1, None]], "x": [5, 6]}),
])  # fmt: skip
def test_field_paths(path, output, expected):
    assert release("mask", path, output) == expected


@pytest.mark.parametrize("path", [
    "", "a..b", ".a", "a.", "a[", "a[0]", "a]", "[]", "a[].", "a,b", " a", "a ", '"a', '"a"b',
    "a; b", '"\\x"', ".".join("a" * 33), "a" * 201, 'a, "a"', "a, a",
])  # fmt: skip
@pytest.mark.parametrize(("name", "clause"), [
    ("mask", "{}"), ("only", "{}"), ("round", "2 on {}"), ("top_k", "1 on {}"),
    ("redact", "email on {}"),
])  # fmt: skip
def test_what_is_no_field_path_is_a_fault_at_its_place(name, clause, path):
    with pytest.raises(ConfigurationError) as caught:
        parse(name, clause.format(path))
    assert [fault.code for fault in caught.value.faults] == ["GR109"]


def test_places_are_not_kept_without_end():
    names = [f"n{number}" for number in range(14)]
    paths = paths_of(tuple(names))

    def nested(choice):
        output = {"x": 0.5}
        for number, name in enumerate(names):
            output = {name: output} if choice >> number & 1 else output
        return output

    demand = TYPES["round"].parse(
        Clause("p", "round", f"1 on {', '.join(names)}", Place("c", 1, 1))
    )
    for choice in range(1, 6000):
        TYPES["round"].release(demand, nested(choice), context())
    assert len(paths_of(demand[0].fields)._places) < LIMIT_PLACES + 100
    assert paths.start() is paths.root


# What tables and arrays carry beside their cells.


def carrying(canary):
    """Tables and arrays that hold the canary in none of their cells."""
    frame = pd.DataFrame({"note": ["x"], "n": [1]})
    frame.attrs["about"] = canary
    yield frame
    yield pd.DataFrame({canary: ["x"]})
    yield pd.DataFrame({"note": ["x"]}, columns=pd.Index(["note"], name=canary))
    yield pd.DataFrame({"note": ["x"]}, index=pd.Index([1], name=canary))
    yield pd.DataFrame({"note": ["x"]}, index=[canary])
    yield pd.DataFrame({"note": ["x", canary]}).head(1)
    yield pd.DataFrame({"note": pd.Categorical(["x"], categories=["x", canary])})
    yield pd.DataFrame({"n": [1, 2]}, index=pd.MultiIndex.from_tuples([(1, "x"), (2, canary)]))
    yield pd.DataFrame(
        {"n": [1, 2]}, index=pd.MultiIndex.from_tuples([(1, "x"), (2, canary)])
    ).head(1)  # fmt: skip
    yield pd.DataFrame({"n": [1]}, index=pd.CategoricalIndex(["x"], categories=["x", canary]))
    yield pd.Series([1.5], name=canary)
    yield pd.Series([1.5, 2.5], index=["a", canary])
    series = pd.Series([1.5])
    series.attrs["about"] = canary
    yield series
    yield pl.DataFrame({canary: [1]})
    yield pl.Series(canary, [1.5])
    yield pl.DataFrame({"note": ["x", canary]}).head(1)
    yield pl.DataFrame({"note": pl.Series(["x"], dtype=pl.Enum(["x", canary]))})
    yield pl.DataFrame({"s": [{canary: 1}]})
    yield pa.table({canary: [1]})
    yield pa.table({"note": ["x", canary]}).slice(0, 1)
    yield pa.table({"note": ["x"]}).replace_schema_metadata({"about": canary})
    yield pa.table({"note": ["x"]}).replace_schema_metadata({canary: "x"})
    yield pa.table([["x"]], schema=pa.schema([pa.field("note", "string", metadata={"a": canary})]))
    yield pa.Table.from_pandas(frame)
    yield pa.table({"note": pa.DictionaryArray.from_arrays([0], ["x", canary])})
    yield pa.table({"s": [{canary: 1}]})
    zone = datetime.timezone(datetime.timedelta(hours=1), canary)
    yield pd.DataFrame({"at": pd.to_datetime(["2026-01-01"]).tz_localize(zone)})
    yield pd.DataFrame({"n": [1]}, index=pd.to_datetime(["2026-01-01"]).tz_localize(zone))
    yield pa.table({"at": pa.array([1], pa.timestamp("us", tz=canary))})
    yield np.array(["x", canary])[:1]
    yield np.frombuffer(canary.encode().ljust(40), dtype="f8")[:1]
    yield np.array([canary]).view("u4")[:0]
    yield np.array([1.5], dtype=np.dtype("f8", metadata={"about": canary}))
    yield np.array([(1.0,)], dtype=[((canary, "n"), "f8")])
    yield np.ma.masked_array([1.5], mask=[True], fill_value=2.5)
    yield np.array([canary], dtype=object)
    own = np.array([1.5]).view(type("Own", (np.ndarray,), {}))
    own.about = canary
    yield own


CARRYING = [
    pytest.param(mail, secret, id=f"{n}-{type(mail).__name__}")
    for n, (mail, secret) in enumerate(zip(carrying(MAIL), carrying(SECRET), strict=True))
]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("output", "other"), CARRYING)
def test_nothing_that_a_table_or_array_carries_passes_redaction(output, other, style):
    for whole in (output, {"t": output}, [output]):
        leaves_without("redact", f"email as {style}", whole, MAIL)


@pytest.mark.parametrize(("output", "other"), CARRYING)
@pytest.mark.parametrize(("name", "argument"), [("only", "n, t.n"), ("label_only", "")])
def test_nothing_that_a_table_or_array_carries_passes_an_allow_list(output, other, name, argument):
    for whole in (other, {"t": other}, [other]):
        columns = getattr(other, "column_names", None) or getattr(other, "columns", ())
        columns = other.index if isinstance(other, pd.Series) else columns
        if name == "label_only" and SECRET in columns:
            continue  # the name of a class is a label
        leaves_without(name, argument, whole, SECRET)


def test_column_names_are_blocked_with_every_style():
    frame = pd.DataFrame({"who": [MAIL], "day": ["mon"], "n": [1.0]}).pivot(
        index="day", columns="who", values="n"
    ).reset_index()  # fmt: skip
    for style in STYLES:
        blocked("redact", f"email as {style}", frame)
        blocked("redact", f"email as {style}", pl.DataFrame({MAIL: [1]}))
        blocked("redact", f"email as {style}", pa.table({MAIL: [1]}))


@pytest.mark.parametrize("frame", [
    pd.DataFrame({"ssn": pd.Categorical([SECRET, "b"]), "c": pd.Categorical(["x", "y"])}),
    pl.DataFrame({"ssn": pl.Series([SECRET, "b"], dtype=pl.Categorical), "c": ["x", "y"]}),
    pl.DataFrame({"ssn": pl.Series([SECRET], dtype=pl.Enum([SECRET])), "c": ["x"]}),
    pa.table({"ssn": pa.array([SECRET]).dictionary_encode(), "c": ["x"]}),
])  # fmt: skip
def test_a_masked_column_leaves_no_categories(frame):
    released = release("mask", "ssn", frame)
    assert holds(released, SECRET) == []
    assert (list(released["c"]) if not isinstance(released, pa.Table)
            else released["c"].to_pylist())[0] == "x"  # fmt: skip


def test_what_stands_below_a_null_or_beside_a_slice_stays_behind():
    number = 0x4141414142424242
    values = pl.DataFrame({"n": [number, 1], "keep": [True, False]}).with_columns(
        pl.when(pl.col("keep") == False).then(pl.col("n")).otherwise(None)  # noqa: E712
    )  # fmt: skip
    array = pa.Array.from_buffers(
        pa.int64(), 2, [pa.py_buffer(b"\x02"), pa.py_buffer(np.array([number, 1]).tobytes())]
    )
    masked = pd.arrays.IntegerArray(np.array([number, 1]), np.array([True, False]))
    for output in (values, pa.table({"n": array}), pd.DataFrame({"n": masked}),
                   pa.table({"n": [number, 1]}).slice(1), np.array([1.0, 2.0])[:1]):  # fmt: skip
        for name, argument in (("mask", "7"), ("redact", "email"), ("only", "n, 0")):
            released = release(name, argument, output)
            assert holds(released, "AAAABBBB"[::-1]) == []


# Objects that hide something.


@dataclasses.dataclass
class Failed(Exception):
    text: str = "x"


@dataclasses.dataclass
class Tags(set):
    text: str = "x"

    def __post_init__(self):
        self.add(MAIL)


@dataclasses.dataclass
class Queue(collections.deque):
    text: str = "x"

    def __post_init__(self):
        self.append(MAIL)


class Base:
    __slots__ = ("hidden",)


@dataclasses.dataclass
class Slotted(Base):
    __slots__ = ("text",)
    text: str

    def __post_init__(self):
        self.hidden = MAIL


class Whole(int):
    def __repr__(self):
        return MAIL


class Fraction(float):
    pass


class Colour(enum.Enum):
    RED = MAIL
    BLUE = "blue"


class Annotated(enum.Enum):
    A = 1

    def __init__(self, value):
        self.about = MAIL


class PrivateModel(pydantic.BaseModel):
    text: str = "x"
    _source: str = MAIL


class SlottedModel(pydantic.BaseModel):
    __slots__ = ("more",)
    text: str = "x"


class Cached(pydantic.BaseModel):
    ssn: str = SECRET
    age: int = 3

    @functools.cached_property
    def reversed(self):
        return f"<{self.ssn}>"


@dataclasses.dataclass
class CachedData:
    ssn: str | None = SECRET
    age: int = 3

    @functools.cached_property
    def reversed(self):
        return f"<{self.ssn}>"


def test_what_a_class_had_computed_of_a_hidden_field_stays_behind():
    for output in (Cached(), CachedData()):
        assert SECRET in output.reversed
        for name, argument in (("mask", "ssn"), ("only", "age")):
            released = release(name, argument, output)
            assert holds(released, SECRET) == []
            assert released.reversed == "<None>"


class Joined(pydantic.BaseModel):
    user: str = "ann.canary"
    host: str = "clinic.example"

    @pydantic.computed_field
    def address(self) -> str:
        return f"{self.user}@{self.host}"


def hiding():
    yield from (Failed("x"), Tags("x"), Queue("x"), Slotted("x"), Whole(3), Colour.RED)
    yield Annotated.A
    counted = Fraction(1.5)
    counted.about = MAIL
    yield counted
    model = SlottedModel()
    object.__setattr__(model, "more", MAIL)
    yield from (PrivateModel(), model, Joined(), Base(), types.SimpleNamespace(a=MAIL))
    yield from (ValueError(MAIL), {MAIL}, frozenset((MAIL,)), collections.deque([MAIL]))
    yield from (bytearray(b"x"), memoryview(b"x"), iter([MAIL]), (x for x in [MAIL]), object)
    yield from ({MAIL: 1}, {1: MAIL}, {("a",): MAIL}, {"a": {MAIL: 1}})
    yield datetime.datetime(2026, 1, 1, tzinfo=zoneinfo.ZoneInfo.no_cache("UTC")).tzinfo
    yield np.array(1.5).view(np.recarray)
    yield np.float64(1.5).newbyteorder if hasattr(np.float64, "newbyteorder") else object()
    yield pa.table(
        {"a": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16], pa.binary(16)))}
    )
    yield pl.DataFrame({"a": [object()]})


@pytest.mark.parametrize("output", [pytest.param(o, id=f"{n}-{type(o).__name__}")
                                    for n, o in enumerate(hiding())])  # fmt: skip
def test_what_can_hide_a_text_is_blocked_at_every_depth(output):
    for whole in (output, {"a": output}, [output], Data("x", output), Extra(more=output)):
        blocked("redact", "email", whole)


def rich(kind, base, value):
    """Return a value of a subclass of a built-in type that carries an attribute."""
    made = type(kind, (base,), {})(value)
    made.about = MAIL
    return made


@pytest.mark.parametrize("output", [
    rich("Text", str, "x"), rich("Map", dict, {"a": 1}), rich("List", list, ["x"]),
    rich("Tuple", tuple, ("x",)), rich("Ordered", collections.OrderedDict, {"a": 1}),
    datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1), MAIL)),
    {"a": rich("Text", str, "x")},
])  # fmt: skip
def test_a_value_of_a_subclass_leaves_as_the_plain_value(output):
    for name, argument in (("redact", "email"), ("mask", "b")):
        for whole in ({"a": output}, [{"a": output}]):
            assert holds(release(name, argument, whole), MAIL) == []


def test_what_is_cyclic_is_denied_and_shared_parts_are_looked_at_once():
    cyclic: list[Any] = [1]
    cyclic.append({"again": cyclic})
    shared: Any = {"ssn": SECRET}
    for _ in range(60):
        shared = [shared, shared]
    for name, argument in (("mask", "ssn"), ("redact", "email"), ("only", "ssn"), ("round", "1")):
        blocked(name, argument, cyclic)
        blocked(name, argument, {"a": cyclic})
        model = Extra()
        model.me = model
        blocked(name, argument, model)
    released = release("mask", "ssn", shared)
    for _ in range(60):
        released = released[1]
    assert released == {"ssn": None}


# Types are kept.


def test_types_are_kept():
    for name, argument in (("mask", "ssn"), ("redact", "email"), ("round", "1")):
        pair = release(name, argument, Pair("x", 3))
        assert type(pair) is Pair
        assert release(name, argument, {"p": (Pair("x", 3),), "n": 1.0})["p"] == (pair,)
        model = release(name, argument, Model(ssn="x", age=3))
        assert (type(model), model.age, model.model_fields_set) == (Model, 3, {"ssn", "age"})
        data = release(name, argument, Data("x", 3))
        assert (type(data), data.age) == (Data, 3)
    now = datetime.datetime(2026, 1, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))
    plain = {"at": now, "day": now.date(), "n": decimal.Decimal("1.5"), "id": uuid.uuid4(),
             "kind": Colour.BLUE, "z": 1 + 2j, "b": True, "no": None}  # fmt: skip
    assert release("redact", "email", plain) == plain
    assert release("mask", "ssn", plain) == plain


FRAME = pd.DataFrame(
    {
        "f": [1.25, None], "i": [1, 2], "s": ["a", None], "b": [True, False],
        "at": pd.to_datetime(["2026-01-01", None]), "c": pd.Categorical(["x", None]),
        "tz": pd.to_datetime(["2026-01-01", None]).tz_localize("Europe/Berlin"),
        "n": pd.array([1, None], dtype="Int64"), "o": pd.Series([None, "z"], dtype=object),
        "t": pd.to_timedelta([1, None]), "bo": pd.array([True, None], dtype="boolean"),
        "fl": pd.array([1.5, None], dtype="Float64"), "st": pd.array(["a", None], dtype="string"),
    }, index=pd.Index([3, 5], name="k"),
)  # fmt: skip
POLARS = pl.DataFrame(
    {
        "f": [1.25, None], "i": [1, None], "s": ["a", None], "b": [True, None],
        "at": [datetime.datetime(2026, 1, 1), None], "d": [datetime.date(2026, 1, 1), None],
        "dur": [datetime.timedelta(1), None], "time": [datetime.time(1), None],
        "dec": [decimal.Decimal("1.50"), None], "nul": [None, None],
    }
).with_columns(tz=pl.col("at").dt.replace_time_zone("Europe/Berlin"))  # fmt: skip
ARROW = POLARS.to_arrow().append_column("half", pa.array([1.5, None], pa.float16()))


def test_tables_keep_their_types_and_cells():
    for name, argument in (("mask", "ssn"), ("redact", "email"), ("round", "9")):
        frame = release(name, argument, FRAME)
        pd.testing.assert_frame_equal(frame.drop(columns="c"), FRAME.drop(columns="c"))
        assert frame["c"][3] == "x"
        polars = POLARS if name != "round" else POLARS.drop("dec")
        arrow = ARROW if name != "round" else ARROW.drop_columns("dec")
        assert release(name, argument, polars).equals(polars)
        assert release(name, argument, polars).schema == polars.schema
        assert release(name, argument, arrow).to_pylist() == arrow.to_pylist()
        for empty in (FRAME.head(0), polars.head(0), arrow.slice(0, 0)):
            assert release(name, argument, empty).shape == empty.shape


def test_frames_that_arrow_holds_keep_their_types_and_cells():
    frame = ARROW.drop_columns(["dec", "half"]).to_pandas(types_mapper=pd.ArrowDtype)
    for name, argument in (("mask", "ssn"), ("redact", "email"), ("round", "9"), ("top_k", "3")):
        pd.testing.assert_frame_equal(release(name, argument, frame), frame)
    cut = release("top_k", "1 on f, i", frame)
    assert (cut["f"].isna().tolist(), cut["i"].isna().tolist()) == ([False, True], [True, True])


def test_lists_in_a_column_of_objects_stay_lists():
    for cells in ([[0.126, 0.5], [0.25, 0.75]], [[0.126], []], [(0.126, 1), None]):
        frame = pd.DataFrame({"p": pd.Series(cells, dtype=object), "ssn": "x"})
        assert release("mask", "ssn", frame)["p"].tolist() == cells
        assert release("round", "2", frame)["p"][0][0] == 0.13
    cut = release("top_k", "1 on p", pd.DataFrame({"p": pd.Series([[0.1, 0.9], [3, 1]])}))
    assert cut["p"].tolist() == [[None, 0.9], [3, None]]
    nested = pl.DataFrame({"p": [[0.126, 0.5], [0.25, None]]})
    assert release("round", "2", nested)["p"].to_list() == [[0.13, 0.5], [0.25, None]]
    assert release("top_k", "1", nested)["p"].to_list() == [[None, 0.5], [0.25, None]]


def test_nested_columns_are_masked_within():
    for frame in nested_tables({"ssn": SECRET, "age": 3}):
        released = release("mask", "t.ssn", frame)
        assert holds(released, SECRET) == []
        kept = release("only", "t.age", frame)
        assert holds(kept, SECRET) == []
        assert "ssn" not in repr(kept.schema if hasattr(kept, "schema") else kept)
        assert "3" in repr(kept)


# Redaction at every depth below a field.


@pytest.mark.parametrize("note", [
    {"text": MAIL}, [MAIL], [{"a": {"b": [MAIL]}}], Extra(text=MAIL), Data(MAIL), Pair(MAIL),
    np.array([MAIL]), pd.DataFrame({"text": [MAIL]}), pl.DataFrame({"text": [MAIL]}),
    pd.Series([MAIL]), (MAIL,), Root([{"a": MAIL}]),
])  # fmt: skip
def test_a_rule_on_a_field_holds_at_every_depth_below(note):
    released = release("redact", "email on note", {"note": note, "other": MAIL})
    assert holds(released["note"], MAIL) == []
    assert released["other"] == MAIL
    with pytest.raises(ObligationNotMet):
        release("redact", "email as block on note", {"note": note})


def test_a_rule_on_a_path_holds_there_and_below():
    output = {"note": {"text": MAIL, "who": MAIL}, "text": MAIL}
    released = release("redact", "email on note.text", output)
    assert released == {"note": {"text": "[email]", "who": MAIL}, "text": MAIL}
    blocked("redact", "email on note", {"note": {MAIL: 1}})


def test_the_strictest_of_the_rules_that_mean_a_place_holds():
    demand = TYPES["redact"].merge(
        parse("redact", "email as hash on note"), parse("redact", "email as drop on note.text")
    )
    released = TYPES["redact"].release(demand, {"note": {"text": MAIL, "x": MAIL}}, context())
    assert released["note"]["text"] == "\u2026"
    assert released["note"]["x"].startswith("[email:")


# Rounding and top-k.


class Scores(pydantic.BaseModel):
    score: float = 1.234
    label: str = "x"


@dataclasses.dataclass
class Graded:
    score: float
    label: str


@pytest.mark.parametrize(("output", "expected"), [
    ({"score": 1.234, "label": "x"}, {"score": 1.23, "label": "x"}),
    ([{"score": 1.234}], [{"score": 1.23}]),
    ({"scores": [1.234, 5.678]}, {"scores": [1.23, 5.68]}),
    ({"rows": [{"score": 1.234, "tags": ["a"]}]}, {"rows": [{"score": 1.23, "tags": ["a"]}]}),
    ({"x": {"y": (1.234, None)}, "ok": True, "no": None},
     {"x": {"y": (1.23, None)}, "ok": True, "no": None}),
    (Graded(1.234, "x"), Graded(1.23, "x")),
    (Scores(), Scores(score=1.23)),
])  # fmt: skip
def test_numbers_are_rounded_at_every_depth(output, expected):
    assert release("round", "2", output) == expected
    assert type(release("round", "2", output)) is type(expected)
    assert release("round", "2 on score, scores[], rows[].score, x.y", output) == expected


def test_only_the_fields_named_are_rounded():
    output = {"score": 1.234, "age": 1.234, "scores": [1.234], "patient": {"score": 1.234}}
    assert release("round", "1 on patient.score, scores[]", output) == {
        "score": 1.234, "age": 1.234, "scores": [1.2], "patient": {"score": 1.2},
    }  # fmt: skip
    assert release("round", "1 on absent", output) == output


@pytest.mark.parametrize("output", [
    {"score": "1.234"}, {"score": "1,234"}, {"score": "x"}, {"score": True},
    {"score": decimal.Decimal("1.234")}, {"score": 1 + 2j}, {"score": [1.5, "x"]},
    {"score": np.ma.masked_array([1.5])}, {"score": np.longdouble(1.5)}, {"score": ["1.234"]},
    {"score": pd.Series(["1.234"])}, {"score": {"a": "1.234"}}, {"score": {"a": "x"}},
])  # fmt: skip
def test_a_field_that_cannot_be_rounded_blocks(output):
    blocked("round", "2 on score", output)
    blocked("round", "2", output)
    blocked("top_k", "1 on score", output)


def test_tables_and_series_are_rounded_and_cut():
    frame = pd.DataFrame({"a": [0.126, 0.9], "b": [0.5, 0.1], "id": ["x", "y"], "n": [1, 2]})
    assert release("round", "2", frame)["a"].tolist() == [0.13, 0.9]
    assert release("round", "1 on a", frame)["b"].tolist() == [0.5, 0.1]
    cut = release("top_k", "1 on a, b", frame)
    assert cut["a"].isna().tolist() == [True, False]
    assert (cut["n"].tolist(), cut["id"].tolist()) == ([1, 2], ["x", "y"])
    for other in (pl.DataFrame({"a": [0.126, 0.9], "b": [0.5, 0.1]}),
                  pa.table({"a": [0.126, 0.9], "b": [0.5, 0.1]})):  # fmt: skip
        cut = release("top_k", "1", other)
        rows = cut.to_pylist() if isinstance(cut, pa.Table) else cut.to_dicts()
        assert rows == [{"a": None, "b": 0.5}, {"a": 0.9, "b": None}]
        rounded = release("round", "1", other)
        assert type(rounded) is type(other)
    series = pd.Series([0.126, 0.9, 0.5], name="p")
    assert release("round", "1", series).tolist() == [0.1, 0.9, 0.5]
    assert release("top_k", "1", series).isna().tolist() == [True, False, True]
    named = pd.Series([0.1, 0.9], index=["cat", "dog"])
    assert release("top_k", "1", named).isna().to_dict() == {"cat": True, "dog": False}
    assert release("label_only", "", named) == "dog"
    assert release("round", "1", pl.Series("p", [0.126, None])).to_list() == [0.1, None]
    assert release("top_k", "1", pl.Series("p", [1, 3, None])).to_list() == [None, 3, None]
    assert release("label_only", "", frame[["a", "b"]]).tolist() == ["b", "a"]
    blocked("label_only", "", frame)
    blocked("round", "1", pd.DataFrame({"a": [0.5]}, index=[0.123]))


def test_rows_of_a_record_are_cut_each_by_itself():
    output = {"a": 0.1, "b": 0.9, "label": "x", "more": {"c": 0.2, "d": [0.3, 0.4]}}
    assert release("top_k", "1", output) == {
        "a": None, "b": 0.9, "label": "x", "more": {"c": 0.2, "d": [None, 0.4]},
    }  # fmt: skip
    assert release("top_k", "1 on more", output)["a"] == 0.1
    assert release("top_k", "1 on a, b", output)["more"] == output["more"]


# One score a row.


def tensor(*shape):
    return View("tensor", "rows", None, None, shape, "float64", 8)


@pytest.mark.parametrize("make", [np.array, list, tuple, pd.Series,
                                  lambda values: {"score": values},
                                  lambda values: pl.Series("p", values)])  # fmt: skip
def test_one_value_for_each_of_several_rows_is_no_row_of_classes(make):
    scores = make([0.1, 0.9, 0.4, 0.2])
    blocked("label_only", "", scores, tensor(4, 30))
    assert repr(release("top_k", "1", scores, tensor(4, 30))) == repr(scores)
    assert holds(release("top_k", "1", scores, tensor(1, 30)), "0.4") == []
    for name, argument in (("label_only", ""), ("top_k", "1")):
        blocked(name, argument, scores, tensor(3, 30))
    assert holds(release("top_k", "1", scores, tensor(30)), "0.4") == []
    assert release("label_only", "", [0.1, 0.9], View("text", "x", "hello")) == 1


def test_rows_of_classes_are_cut_whatever_their_number():
    rows = [[0.1, 0.9], [0.8, 0.2]]
    assert release("top_k", "1", rows, tensor(2, 30)) == [[None, 0.9], [0.8, None]]
    assert release("label_only", "", np.array(rows), tensor(2, 30)).tolist() == [1, 0]
    batch = View("list", "rows", [[1], [2]])
    blocked("label_only", "", [0.1, 0.9], batch)
    chat = View("list", "chat", [{"role": "user"}, {"role": "user"}, {"role": "user"}])
    assert release("label_only", "", [0.1, 0.9], chat) == 1


# Only.


@pytest.mark.parametrize(("fields", "output", "expected"), [
    ("score, label", {"score": 1, "label": "x", "ssn": SECRET}, {"score": 1, "label": "x"}),
    ("score", [{"score": 1, "ssn": SECRET}], [{"score": 1}]),
    ("score", {"patient": {"score": 1, "ssn": SECRET}, "x": 2}, {"patient": {"score": 1}}),
    ("patient.score", {"patient": {"score": 1, "x": 2}, "score": 3}, {"patient": {"score": 1}}),
    ("rows[].score", {"rows": [{"score": 1, "x": 2}], "score": 3}, {"rows": [{"score": 1}]}),
    ("patient", {"patient": {"score": 1, "x": [2]}, "y": 3}, {"patient": {"score": 1, "x": [2]}}),
    ("score", Graded(1.5, SECRET), Graded(1.5, None)),
    ("score", Extra(score=1, ssn=SECRET), Extra.model_construct(age=None, score=1)),
    ("score", [{"score": 1}, {"error": SECRET}], [{"score": 1}, None]),
    ("score", [], []),
    ("score", {SECRET: {"score": 1}, "score": 2}, {"score": 2}),
    ("1", [[0.1, 0.9], [0.5]], [[None, 0.9], None]),
    ('"a.b"', {"a.b": 1, "a": {"b": 2}}, {"a.b": 1}),
    ("score", {"score": 1, "x": {SECRET}, "y": object(), "z": np.array([object()])}, {"score": 1}),
])  # fmt: skip
def test_only_what_is_named_leaves(fields, output, expected):
    released = release("only", fields, output)
    if isinstance(expected, Extra):
        assert (vars(released), released.model_extra) == ({"age": None}, {"score": 1})
    else:
        assert released == expected
    assert type(released) is type(expected)
    assert release("only", fields, released) == released


@pytest.mark.parametrize("output", [
    {"label": "x"}, [{"label": "x"}], "x", 3, None, [0.5], np.ones(3), {"x": {}, "y": [1]},
    pd.DataFrame({"label": [1]}), pl.DataFrame({"label": [1]}), pa.table({"label": [1]}),
    Graded(1.5, "x").__class__, {"score.a": 1}, pd.Series([1], name="label"),
    {"a": {"b": 1}, "a.b": 2}, Joined(), {"scores": {1}}, {"scores": object()}, {1, 2},
])  # fmt: skip
def test_an_allow_list_that_leaves_nothing_or_is_unclear_blocks(output):
    blocked("only", "scores, a.b", output)


def test_a_name_that_means_two_fields_of_a_model_blocks():
    class Twice(pydantic.BaseModel):
        score: int = 1
        other: str = pydantic.Field(SECRET, serialization_alias="score")

    blocked("only", "score", Twice())
    assert holds(release("mask", "score", Twice()), SECRET) == []


def test_tables_leave_their_other_columns_and_their_index_behind():
    frame = pd.DataFrame({"score": [1.5], "ssn": [SECRET]}, index=pd.Index([SECRET], name="who"))
    released = release("only", "score", frame)
    assert holds(released, SECRET) == []
    assert list(released.columns) == ["score"]
    kept = release("only", "score, who", frame)
    assert kept.index.tolist() == [SECRET]
    for other in (pl.DataFrame({"score": [1.5], "ssn": [SECRET]}),
                  pa.table({"score": [1.5], "ssn": [SECRET]})):  # fmt: skip
        assert holds(release("only", "score", other), SECRET) == []


def test_an_intersection_is_what_both_sides_allow():
    only = TYPES["only"]
    output = {"a": {"b": 1, "c": 2}, "b": 3}

    def both(*arguments):
        demand = parse("only", arguments[0])
        for argument in arguments[1:]:
            demand = only.merge(demand, parse("only", argument))
        return only.release(demand, output, context())

    assert both("a", "a.b") == both("a.b", "a") == {"a": {"b": 1}}
    assert both("a, b", "b") == {"a": {"b": 1}, "b": 3}
    assert both("a", "b") == {"a": {"b": 1}}
    with pytest.raises(ObligationNotMet) as caught:
        both("a.c", "a.b")
    assert caught.value.code == "output_blocked"


def test_an_empty_allow_list_is_a_fault():
    with pytest.raises(ConfigurationError):
        parse("only", "")
