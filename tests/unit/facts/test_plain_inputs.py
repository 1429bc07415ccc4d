"""Lists, text, objects and DLPack tensors as inputs: what is accepted, and what is rejected."""

import dataclasses
import sys
import types
from collections import namedtuple
from contextlib import suppress
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar

import numpy as np
import pyarrow as pa
import pytest
from pydantic import BaseModel, ConfigDict, PrivateAttr, computed_field
from pydantic.dataclasses import dataclass as pydantic_dataclass
from speed import relative_time

from guardrail._ports import ObligationNotMet
from guardrail.facts import Bounds, Viewer, take_view
from guardrail.facts.input_view import objects as nested

SECRET = "s3cret-value"
#: The plain sources are tested as well, and are slower.
IS_COMPILED = not nested.__file__.endswith(".py")
T = TypeVar("T")


#: What specs of the bundle name, and so a path may show.
KEYS = frozenset(("a", "b", "notes", "more", "item", "home", "age", "name", "fine"))


def view(value, **bounds):
    return take_view(value, name="visit", bounds=Bounds(**bounds), keys=KEYS)


def refusal(value, **bounds):
    with pytest.raises(ObligationNotMet) as caught:
        view(value, **bounds)
    error = caught.value
    assert SECRET not in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None
    return error


class TestText:
    @pytest.mark.parametrize("text", ["", "abc", "é" * 9, "日本", "🙂", "a\x00b"])
    def test_a_text_is_seen_with_its_size_from_above(self, text):
        seen = view(text)
        assert (seen.kind, seen.value, seen.shape, seen.rows) == ("text", text, (), 1)
        assert len(text.encode()) <= seen.nbytes <= 4 * len(text)

    @pytest.mark.parametrize("text", ["\ud800", "é\udfff", "🙂\udc00", "a" * 50_000 + "\ud800"])
    def test_a_lone_surrogate_is_refused(self, text):
        error = refusal(text)
        assert (error.code, error.path) == ("input_rejected", "visit")
        assert "surrogate" in error.message

    @pytest.mark.parametrize("text", ["a" * 101, "é" * 26, "\ud800" * 26])
    def test_what_is_over_the_bounds_is_refused_before_a_character_is_read(self, text):
        assert refusal(text, input_bytes=100).code == "too_large"

    def test_what_is_just_within_the_bounds_passes(self):
        assert view("a" * 100, input_bytes=100).nbytes == 100

    def test_a_subclass_of_text_is_refused(self):
        error = refusal(type("Text", (str,), {})(SECRET))
        assert error.code == "input_rejected"


class TestLists:
    @pytest.mark.parametrize("value", [[], (), [1, "a", None], ({"role": "user"},), [[1.5], (2,)]])
    def test_a_list_of_plain_data_is_seen(self, value):
        seen = view(value)
        assert (seen.kind, seen.shape, seen.data, seen.rows) == ("list", (), None, 1)
        assert seen.value is value

    @pytest.mark.parametrize(
        ("value", "path"),
        [
            ([1, object()], "visit[1]"),
            ([{"a": b"x"}], "visit[0].a"),
            (({"a": [np.longdouble(1)]},), "visit[0].a[0]"),
            ([{SECRET + "!": 1j}], "visit[0][...]"),
            ([{3: 1}], "visit[0]"),
            ([iter([1])], "visit[0]"),
            ([type("Text", (str,), {})(SECRET)], "visit[0]"),
        ],
    )
    def test_what_is_not_plain_is_refused_with_its_path(self, value, path):
        error = refusal(value)
        assert (error.code, error.path) == ("input_rejected", path)

    @pytest.mark.parametrize(
        ("value", "bounds"),
        [
            ([[[1]]], {"input_depth": 2}),
            ([1, 2], {"input_nodes": 1}),
            (["x" * 100], {"input_bytes": 50}),
            ([1 << 20_000], {}),
        ],
    )
    def test_what_is_over_the_bounds_is_too_large(self, value, bounds):
        assert refusal(value, **bounds).code == "too_large"

    @pytest.mark.parametrize(
        "value",
        [type("Rows", (list,), {})([1]), namedtuple("Point", "x")(1)],
        ids=["list", "tuple"],
    )
    def test_a_subclass_is_refused(self, value):
        assert "list(...)" in refusal(value).message


@dataclass
class Ward:
    name: str
    beds: int = 3


@dataclass
class Visit:
    kind: ClassVar[str] = "visit"
    age: int
    ward: Ward
    notes: list = field(default_factory=list)


@dataclass(slots=True)
class Slotted:
    age: int
    ward: object = None


@dataclass
class Child(Slotted):
    score: float = 0.5


@dataclass
class Box(Generic[T]):
    item: T


@pydantic_dataclass
class Checked:
    age: int


class Patient(BaseModel):
    age: int
    names: tuple[str, ...] = ()
    ward: Ward | None = None
    _seen: int = PrivateAttr(default=7)

    @computed_field
    @property
    def double(self) -> int:
        raise AssertionError("code of the model's own ran")


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    age: int


class TestObjects:
    @pytest.mark.parametrize(
        ("value", "data"),
        [
            (Ward("north"), {"name": "north", "beds": 3}),
            (Visit(40, Ward("n"), [Ward("s", 1)]), {
                "age": 40, "ward": {"name": "n", "beds": 3}, "notes": [{"name": "s", "beds": 1}],
            }),
            (Slotted(3, (Slotted(4),)), {"age": 3, "ward": ({"age": 4, "ward": None},)}),
            (Child(3), {"age": 3, "ward": None, "score": 0.5}),
            (Box({"a": Box(1)}), {"item": {"a": {"item": 1}}}),
            (Checked(3), {"age": 3}),
            (Patient(age=3, names=("a",), ward=Ward("n")), {
                "age": 3, "names": ("a",), "ward": {"name": "n", "beds": 3},
            }),
            (Open(age=3, more=[1]), {"age": 3, "more": [1]}),
        ],
        ids=lambda value: type(value).__name__,
    )  # fmt: skip
    def test_its_fields_are_a_record(self, value, data):
        seen = view(value)
        assert (seen.kind, seen.data) == ("record", data)
        assert seen.value is value
        assert seen.nbytes == view(data).nbytes

    def test_one_within_plain_data_is_unfolded_there(self):
        seen = view([{"ward": Ward("n")}, 1])
        assert (seen.kind, seen.data) == ("list", [{"ward": {"name": "n", "beds": 3}}, 1])
        assert view({"ward": (Ward("n"),)}).data == {"ward": ({"name": "n", "beds": 3},)}

    def test_what_the_object_holds_is_not_touched(self):
        inner = [Ward("n")]
        value = Visit(1, Ward("s"), inner)
        view(value)
        assert value.notes is inner
        assert type(inner[0]) is Ward

    def test_a_field_that_is_not_plain_is_refused_with_its_path(self):
        error = refusal(Visit(1, Ward("n"), [Ward({1, 2})]))
        assert (error.code, error.path) == ("input_rejected", "visit.notes[0].name")
        assert refusal(Open(age=1, more=Ward(b"x"))).path == "visit.more.name"
        assert refusal([Box({3: Ward("n")})]).path == "visit[0].item"
        assert refusal({3: 1, "a": Ward("n")}).path == "visit"
        assert refusal({"a": Ward("n"), 3: 1}).path.startswith("visit")

    def test_what_contains_itself_is_too_large(self):
        ward = Ward("n")
        ward.beds = [ward]
        assert refusal(ward).code == "too_large"

    @pytest.mark.parametrize(
        "bounds", [{"input_depth": 2}, {"input_nodes": 5}, {"input_bytes": 20}]
    )
    def test_what_is_over_the_bounds_is_too_large(self, bounds):
        assert refusal(Visit(1, Ward("n"), [[1]]), **bounds).code == "too_large"

    def test_fields_read_by_code_are_refused(self):
        @dataclass
        class Dynamic:
            age: int

            def __getattr__(self, name):
                raise AssertionError(name)

        @dataclass
        class Watched:
            age: int

            def __getattribute__(self, name):
                raise AssertionError(name)

        @dataclass
        class Shadowed:
            age: int

        Shadowed.age = property(lambda self: 1, lambda self, value: None)

        @dataclass
        class Hidden:
            age: int
            __dict__ = property(lambda self: {"age": 1})

        class Model(BaseModel):
            age: int

            def __getattr__(self, name):
                raise AssertionError(name)

        hidden = object.__new__(Hidden)
        for value in (Dynamic(3), Watched(3), Shadowed(3), hidden, Model(age=3)):
            error = refusal(value)
            assert (error.code, error.path) == ("input_rejected", "visit")
            assert "pass a dict" in error.message
            assert refusal([value]).path == "visit[0]"

    def test_an_object_that_is_more_than_its_fields_is_refused(self):
        @dataclass
        class Rows(np.ndarray):
            age: int

        @dataclass
        class Failed(Exception):
            age: int

        rows = np.zeros(2).view(Rows)
        for value in (rows, Failed(3)):
            assert "data beside its fields" in refusal(value).message
        named = dataclass(type("Named", (dict,), {"__annotations__": {"age": int}}))
        assert "dict(...)" in refusal(named(3)).message

    def test_a_field_without_a_value_is_refused(self):
        missing, unset = Ward("n"), object.__new__(Slotted)
        del missing.__dict__["name"]
        for value in (missing, unset, Patient.model_construct(names=("a",))):
            error = refusal(value)
            assert (error.code, error.path) == ("input_rejected", "visit")
            assert "Give each field a value" in error.message
            assert refusal({"a": [value]}).path == "visit.a[0]"

    def test_fields_held_in_anything_but_a_dict_are_refused(self):
        class Lying(dict):
            def __getitem__(self, key):
                raise AssertionError(key)

        ward = Ward("n")
        ward.__dict__ = Lying(ward.__dict__)
        assert refusal(ward).code == "input_rejected"

    def test_an_extra_that_hides_a_field_is_refused(self):
        value = Open(age=3, more=1)
        value.__pydantic_extra__["age"] = 4
        assert refusal(value).code == "input_rejected"

    def test_a_class_is_no_object_of_it(self):
        assert refusal(Ward).code == "input_rejected"
        assert refusal(Patient).code == "input_rejected"

    def test_more_types_than_are_remembered_are_read_alike(self):
        viewer = Viewer(Bounds())
        for number in range(1100):
            kind = dataclasses.make_dataclass(f"Kind{number}", [("age", int)])
            assert viewer.take([kind(number)], "visit").data == [{"age": number}]


class Exported:
    """A tensor that has no buffer, and offers itself by DLPack."""

    def __init__(self, values, error=None):
        self.values = values
        self.error = error

    def __dlpack__(self, **options):
        if self.error:
            raise self.error(SECRET)
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.values.__dlpack_device__()


# Known by its name, as torch's own is: whatever else offers itself by DLPack is refused.
Exported.__module__, Exported.__qualname__ = "torch", "Tensor"


class Counting:
    """Offers other numbers each time that it is asked."""

    def __init__(self):
        self.asked = 0

    def __dlpack__(self, **options):
        self.asked += 1
        return np.full(2, float(self.asked)).__dlpack__(**options)

    def __dlpack_device__(self):
        return (1, 0)


class TestExchange:
    @pytest.fixture(autouse=True)
    def torch(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(Tensor=Exported))

    def test_an_object_whose_class_is_not_known_could_answer_differently(self):
        lying = type("Tensor", (Exported,), {"__array__": lambda self: np.full(2, 1e20)})
        lying.__module__ = "torch"
        for value in (Counting(), lying(np.zeros(2))):
            error = refusal(value)
            assert (error.code, error.path) == ("input_rejected", "visit")
            assert "numpy.asarray(...)" in error.message

    def test_an_object_with_a_method_of_its_own_is_refused(self):
        exported = Exported(np.zeros(2))
        exported.__dlpack__ = np.ones(2).__dlpack__
        assert refusal(exported).code == "input_rejected"

    def test_memory_that_is_negated_as_it_is_read_is_refused(self):
        exported = Exported(np.zeros(2))
        exported.is_neg = lambda: True
        assert refusal(exported).code == "input_rejected"

    def test_a_compiled_type_is_seen_by_its_dlpack(self):
        values = pa.array([1.0, 2.0])
        seen = view(values)
        assert (seen.kind, seen.shape, seen.dtype) == ("tensor", (2,), "float64")

    @pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "u1", "?", "f2"])
    def test_a_tensor_without_a_buffer_is_seen_without_a_copy(self, dtype):
        values = np.ones((3, 4), dtype)
        exported = Exported(values)
        seen = view(exported)
        assert (seen.kind, seen.shape, seen.dtype) == ("tensor", (3, 4), values.dtype.name)
        assert seen.value is exported
        assert seen.nbytes == values.nbytes
        values[0, 0] = 0
        assert bytes(seen.buffer) == values.tobytes()

    def test_one_that_can_not_be_written_is_seen_as_well(self):
        values = np.arange(3.0)
        values.flags.writeable = False
        assert view(Exported(values)).shape == (3,)

    @pytest.mark.parametrize(
        "error", [TypeError, ValueError, BufferError, RuntimeError, AttributeError]
    )
    def test_what_the_exporter_refuses_is_refused(self, error):
        assert refusal(Exported(np.zeros(2), error)).code == "input_rejected"

    def test_one_that_lies_elsewhere_is_refused(self):
        class Elsewhere(Exported):
            def __dlpack_device__(self):
                return (2, 0)

        assert refusal(Elsewhere(np.zeros(2))).code == "input_rejected"

    def test_numbers_that_no_kernel_reads_are_refused(self):
        assert refusal(Exported(np.zeros(2, "c16"))).code == "input_rejected"

    @pytest.mark.parametrize("bounds", [{"input_bytes": 15}, {"input_rows": 1}, {"input_depth": 1}])
    def test_what_is_over_the_bounds_is_too_large(self, bounds):
        assert refusal(Exported(np.zeros((2, 1))), **bounds).code == "too_large"


class TestTables:
    """The dispatch only: `guardrail.facts.input_view.tables` reads them."""

    @pytest.fixture
    def asked(self, monkeypatch):
        asked = []

        def read_table(value, name, bounds, keys):
            asked.append((value, name, bounds, keys))
            return "the view"

        module = types.ModuleType("guardrail.facts.input_view.tables")
        module.is_table = lambda kind: kind.__name__ == "Frame"
        module.read_table = read_table
        module.__spec__ = types.SimpleNamespace()
        monkeypatch.setitem(sys.modules, "guardrail.facts.input_view.tables", module)
        return asked

    def test_a_dict_of_arrays_is_a_table(self, asked):
        value = {"a": np.zeros(2), "b": np.array(["x", "y"])}
        bounds = Bounds(input_rows=5)
        assert Viewer.take.__name__ == "take"
        assert Viewer(bounds).take.__self__.input_rows == 5
        assert read(value, bounds) == "the view"
        assert asked == [(value, "visit", bounds, KEYS)]

    def test_a_type_that_the_module_knows_is_a_table(self, asked):
        frame = type("Frame", (), {})()
        assert read(frame, Bounds()) == "the view"
        assert asked[0][0] is frame

    @pytest.mark.parametrize(
        ("value", "path"),
        [({"a": np.zeros(2), "b": 1}, "visit.a"), ({"a": 1, "b": np.zeros(2)}, "visit.b")],
    )
    def test_a_dict_of_other_things_as_well_is_none(self, asked, value, path):
        assert refusal(value).path == path
        assert asked == []

    def test_too_many_columns_are_too_many_before_any_is_read(self, asked):
        value = {str(number): np.zeros(1) for number in range(4)}
        assert refusal(value, input_nodes=3).code == "too_large"
        assert asked == []


def read(value, bounds):
    return Viewer(bounds, KEYS).take(value, "visit")


def chain(length):
    ward = None
    for _ in range(length):
        ward = Slotted(1, ward)
    return ward


@pytest.mark.parametrize(
    "value",
    [
        [Slotted(1) for _ in range(20_000)],
        chain(500),
        [[Ward("n")] * 1000] * 1000,
        {"a": [{str(n): [n]} for n in range(30_000)]},
        "é" * 1_000_000,
    ],
    ids=["objects", "chain", "shared", "dicts", "text"],
)
def test_a_megabyte_of_anything_is_seen_or_refused_in_a_bounded_time(value):
    def see():
        with suppress(ObligationNotMet):
            view(value)

    limit = 5 if IS_COMPILED else 25
    assert relative_time(see, limit) < limit
