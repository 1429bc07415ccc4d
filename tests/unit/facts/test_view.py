"""The view: what it accepts, what it rejects, and that it reads no more than necessary."""

import collections
import ctypes
import types
from array import array

import numpy as np
import pytest

from guardrail._documents import read_toml
from guardrail._ports import ObligationNotMet
from guardrail._type_names import type_name
from guardrail.errors import ConfigurationError
from guardrail.facts import Bounds, Viewer, take_view
from guardrail.values import Frozen

SECRET = "s3cret-value"


#: What specs of the bundle name, and so a path may show.
KEYS = frozenset(("a", "b", "c", "rows", "note", "age"))


def view(value, **bounds):
    return take_view(value, name="patients", bounds=Bounds(**bounds), keys=KEYS)


def refusal(value, **bounds):
    with pytest.raises(ObligationNotMet) as caught:
        view(value, **bounds)
    error = caught.value
    assert SECRET not in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None
    return error


class TestTensors:
    def test_an_array_is_seen_as_it_is(self):
        rows = np.zeros((10, 30), "f4")
        seen = view(rows)
        assert (seen.kind, seen.name) == ("tensor", "patients")
        assert seen.value is rows
        assert (seen.shape, seen.dtype, seen.nbytes) == ((10, 30), "float32", 1200)
        assert (seen.rows, seen.features) == (10, 30)

    @pytest.mark.parametrize(
        ("value", "dtype"),
        [
            (array("d", [1]), "float64"),
            (memoryview(b"ab"), "uint8"),
            ((ctypes.c_float * 2)(), "float32"),
            (np.zeros(2, "?"), "bool"),
            (np.zeros(2, "f2"), "float16"),
            (np.zeros(2, "i8"), "int64"),
            (np.zeros((0, 3), "u2"), "uint16"),
            (np.array(1.0), "float64"),
        ],
    )
    def test_exporters_of_numbers_are_tensors(self, value, dtype):
        assert view(value).dtype == dtype

    def test_sizes_come_from_the_buffer_and_not_from_the_object(self):
        class Liar(np.ndarray):
            def __len__(self):
                return 1

            shape = property(lambda self: (1,))
            nbytes = property(lambda self: 1)

        assert refusal(np.zeros((7, 2)).view(Liar)).code == "input_rejected"
        seen = view(np.zeros((7, 2)))
        assert (seen.rows, seen.nbytes) == (7, 112)

    def test_no_element_is_read(self):
        repeated = np.broadcast_to(np.zeros(1), (5_000_000, 1))
        assert view(repeated).nbytes == 40_000_000

    @pytest.mark.parametrize(
        ("value", "bounds"),
        [
            (np.zeros((10, 2)), {"input_bytes": 159}),
            (np.broadcast_to(np.zeros(1), (10**9,)), {}),
            (np.zeros((10, 2)), {"input_rows": 9}),
            (np.zeros((1, 1, 1)), {"input_depth": 2}),
        ],
    )
    def test_what_is_over_the_bounds_is_too_large(self, value, bounds):
        error = refusal(value, **bounds)
        assert (error.code, error.path) == ("too_large", "patients")

    def test_what_is_just_within_the_bounds_passes(self):
        assert view(np.zeros((10, 2)), input_bytes=160, input_rows=10, input_depth=2)

    @pytest.mark.parametrize(
        "value",
        [
            np.array([SECRET], "O"),
            np.array([SECRET]),
            np.zeros(2, ">c8"),
            np.zeros(2, "c16"),
            np.zeros(2, "M8[s]"),
            np.zeros(2, "i4,f4"),
            type("Text", (str,), {})(SECRET),
            SECRET.encode(),
            bytearray(SECRET.encode()),
            type("Rows", (list,), {})([1.0]),
            collections.namedtuple("Point", "x")(1.0),
            {1, 2},
            3.5,
            None,
            object(),
            iter([1]),
            (row for row in [1]),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_everything_else_is_refused(self, value):
        error = refusal(value)
        assert (error.code, error.path) == ("input_rejected", "patients")
        assert type_name(value) in error.message

    @pytest.mark.parametrize("order", "<>")
    def test_numbers_in_either_byte_order_are_a_tensor(self, order):
        assert view(np.zeros((2, 3), f"{order}f4")).dtype == "float32"

    def test_what_can_be_read_only_once_is_refused_even_with_a_buffer(self):
        class Stream(np.ndarray):
            def __next__(self):
                return 1

        assert "only once" in refusal(np.zeros(2).view(Stream)).message

    def test_the_refusal_says_what_to_pass(self):
        frame = type("DataFrame", (), {"to_numpy": lambda self: None})()
        assert ".to_numpy()" in refusal(frame).message
        assert "list(...)" in refusal(type("Rows", (list,), {})()).message
        assert "str(...)" in refusal(type("Text", (str,), {})()).message
        assert "decode it" in refusal(b"x").message


class Reading(np.ndarray):
    """Shows other numbers than it holds."""

    def __getitem__(self, key):
        return 1e20


class Points(ctypes.c_double * 2):
    def __getitem__(self, index):
        return 1e20


class TestArraysWithCodeOfTheirOwn:
    @pytest.mark.parametrize(
        "value",
        [
            np.zeros(2).view(Reading),
            np.ma.array([1.0, 2.0], mask=[0, 1], fill_value=1e20),
            np.ma.zeros(2),
            np.rec.array([1.0, 2.0]),
            array.__class__("Array", (array,), {"__getitem__": lambda self, key: 1e20})("d", [1]),
            type("Plain", (np.ndarray,), {})(2),
            Points(),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_one_could_show_the_model_others(self, value):
        error = refusal(value)
        assert (error.code, error.path) == ("input_rejected", "patients")

    def test_the_refusal_of_a_masked_array_says_what_to_pass(self):
        assert ".filled(...)" in refusal(np.ma.zeros(2)).message
        assert "numpy.asarray(...)" in refusal(np.zeros(2).view(Reading)).message

    def test_a_file_that_is_mapped_is_a_tensor(self, tmp_path):
        mapped = np.memmap(tmp_path / "rows", dtype="f4", mode="w+", shape=(2, 3))
        assert view(mapped).shape == (2, 3)

    def test_a_type_that_only_has_the_name_of_a_known_one_is_refused(self):
        named = type("memmap", (np.ndarray,), {"__module__": "numpy"})
        assert refusal(np.zeros(2).view(named)).code == "input_rejected"


class TestPaths:
    @pytest.mark.parametrize(
        ("value", "path"),
        [
            ({"secret_of_anna": object()}, "patients[...]"),
            ({"a": {"secret_of_anna": [object()]}}, "patients.a[...][0]"),
            ([{"secret_of_anna": {3: 1}}], "patients[0][...]"),
            ({"secret_of_anna": np.zeros(2), "b": 1}, "patients[...]"),
            ({"secret_of_anna": np.zeros(2, "c16")}, "patients[...]"),
            ({"secret_of_anna": np.zeros(2), "a": np.zeros(3)}, "patients.a"),
        ],
    )
    def test_a_key_that_no_spec_names_is_not_shown(self, value, path):
        error = refusal(value)
        assert error.path == path
        assert "anna" not in error.message


class TestRecords:
    @pytest.mark.parametrize(
        "wrap", [Frozen, types.MappingProxyType, collections.OrderedDict, collections.UserDict]
    )
    def test_a_mapping_with_code_of_its_own_is_refused(self, wrap):
        assert "dict(...)" in refusal(wrap({"age": 3})).message

    def test_a_dict_of_plain_data_is_a_record(self):
        record = {"age": 3, "notes": ["a", ("b", None)], "more": {"x": 1.5, "y": True}}
        seen = view(record)
        assert (seen.kind, seen.shape, seen.dtype, seen.rows) == ("record", (), "", 1)
        assert seen.value is record

    def test_an_empty_record_is_a_record(self):
        assert view({}).kind == "record"

    @pytest.mark.parametrize("text", ["abc", "é" * 100, "日本" * 50, "🙂" * 9])
    def test_the_size_is_estimated_from_above(self, text):
        assert view({"note": text, "n": 2**100}).nbytes >= len(text.encode()) + 31 + 5

    def test_a_record_that_contains_itself_is_too_large(self):
        record = {}
        record["again"] = [record]
        assert refusal(record).code == "too_large"

    def test_what_is_shared_is_counted_each_time(self):
        laughs = ["ha"]
        for _ in range(25):
            laughs = [laughs, laughs]
        assert refusal({"billion": laughs}, input_nodes=1000).code == "too_large"

    @pytest.mark.parametrize(
        ("value", "bounds"),
        [
            ({"a": [[1]]}, {"input_depth": 2}),
            ({"a": 1, "b": 2}, {"input_nodes": 1}),
            ({"a": "x" * 100}, {"input_bytes": 50}),
            ({"x" * 100: 1}, {"input_bytes": 50}),
            ({"a": 1 << 20_000}, {}),
        ],
    )
    def test_what_is_over_the_bounds_is_too_large(self, value, bounds):
        assert refusal(value, **bounds).code == "too_large"

    def test_depth_and_nodes_just_within_the_bounds_pass(self):
        assert view({"a": [[1]]}, input_depth=3, input_nodes=3)

    @pytest.mark.parametrize(
        ("value", "path"),
        [
            ({"age": {1, 2}}, "patients.age"),
            ({"age": [1, object()]}, "patients.age[1]"),
            ({"age": np.longdouble(1)}, "patients.age"),
            ({"age": b"x"}, "patients.age"),
            ({"a": {"b": [{"c": 1j}]}}, "patients.a.b[0].c"),
            ({f"{SECRET} of alice": 1j}, "patients[...]"),
            ({3: 1}, "patients"),
            ({"a": {None: 1}}, "patients.a"),
            ({"\ud800": 1}, "patients"),
            ({"rows": iter([1])}, "patients.rows"),
            ({"rows": Frozen({})}, "patients.rows"),
        ],
    )
    def test_what_is_not_plain_is_refused_with_its_path(self, value, path):
        error = refusal(value)
        assert (error.code, error.path) == ("input_rejected", path)

    def test_a_subclass_of_a_plain_type_is_refused(self):
        class Text(str):
            __slots__ = ()

        assert refusal({"note": Text(SECRET)}).path == "patients.note"


class TestViewer:
    """One viewer serves every call of a guard, from all threads."""

    def test_types_it_refused_are_refused_again_and_others_pass(self):
        viewer = Viewer(Bounds())
        for _ in range(2):
            with pytest.raises(ObligationNotMet):
                viewer.take(SECRET.encode(), "patients")
            with pytest.raises(ObligationNotMet):
                viewer.take(iter([1.0]), "patients")
            assert viewer.take(np.zeros((2, 3)), "patients").shape == (2, 3)

    def test_more_types_than_are_remembered_are_judged_alike(self):
        viewer = Viewer(Bounds())
        for number in range(1100):
            with pytest.raises(ObligationNotMet):
                viewer.take(type(f"Text{number}", (str,), {})(SECRET), "patients")
            if number % 100 == 0:
                assert viewer.take(np.zeros(2), "patients").rows == 2

    def test_the_largest_bounds_are_kept_whole(self):
        viewer = Viewer(Bounds(input_bytes=2**63 - 1, input_rows=2**63 - 1))
        assert viewer.input_bytes == viewer.input_rows == 2**63 - 1
        assert viewer.take(np.zeros(2), "patients").nbytes == 16


class TestBounds:
    def test_the_table_is_read_strictly(self):
        document = read_toml("guardrail.toml", b"[bounds]\ninput_bytes = 1_000\n").below("bounds")
        assert document.parse(Bounds) == Bounds(input_bytes=1000)

    @pytest.mark.parametrize(
        "line",
        [
            "input_bytes = 0",
            "input_depth = 201",
            'input_rows = "9"',
            "input_byte = 1",
            f"input_nodes = {2**63}",
            f"input_rows = {10**30}",
        ],
    )
    def test_a_bad_key_or_value_is_a_fault_with_its_place(self, line):
        document = read_toml("guardrail.toml", f"[bounds]\n{line}\n".encode()).below("bounds")
        with pytest.raises(ConfigurationError) as caught:
            document.parse(Bounds)
        assert caught.value.faults[0].place.line == 2
