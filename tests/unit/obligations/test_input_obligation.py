"""The input obligation: bad input is denied with its path, never with its value."""

import numpy as np
import pytest

from guardrail._core import look
from guardrail._documents import read_yaml
from guardrail._ports import ObligationContext, ObligationNotMet
from guardrail.errors import ConfigurationError, Place
from guardrail.facts import Bounds, take_view
from guardrail.obligations.input.input import Input
from guardrail.obligations.input.specs import read_specs
from guardrail.values import NO_INPUT, Clause, Entity, Identity, Principal, View

SPECS = {
    "patients": """\
kind: tensor
dtype: [float32, float64]
shape: [1..1000, 3]
columns:
  - {name: mean radius, min: 0, max: 50}
  - {names: "1..2", min: -0.5}
""",
    "series": "kind: tensor\ndtype: int16\nshape: [2..4]\ncolumns: [{name: steps, max: 9}]\n",
    "point": "kind: tensor\ndtype: float64\nshape: []\n",
    "loose": "kind: tensor\ndtype: float64\nshape: [0..9, 3]\nfinite: false\n",
    "visit": """\
kind: record
fields:
  age: {type: int, min: 0, max: 130}
  note: {type: string, max_chars: 5, nullable: true}
  weight: {type: float, min: 0.5}
  smoker: {type: bool}
  sex: {type: string, one_of: [f, m, x]}
""",
    "open": "kind: record\nfields: {first name: {type: string}}\nextra_fields: ignore\n",
}


@pytest.fixture(scope="module")
def obligation():
    return Input(
        read_specs({n: read_yaml(f"inputs/{n}.yaml", t.encode()) for n, t in SPECS.items()})
    )


def tensor(values):
    view = memoryview(values)
    return View("tensor", "rows", values, view, view.shape, str(values.dtype), view.nbytes)


def record(**fields):
    return View("record", "visit", fields)


def context(view):
    return ObligationContext(
        identity=Identity(Principal("User", "clara")),
        view=view,
        action="predict",
        resource=Entity("Model", "tumour"),
        now=0.0,
        value_of=lambda path: None,
    )


def refusal(obligation, view, *names):
    with pytest.raises(ObligationNotMet) as caught:
        obligation.admit(frozenset(names), context(view))
    error = caught.value
    assert error.code == "input_rejected"
    assert error.__context__ is None
    assert "12345" not in error.message
    assert "s3cret" not in error.message
    return error


def good():
    return np.full((4, 3), 0.5)


class TestAnnotation:
    def test_a_name_with_a_spec_is_its_demand(self, obligation):
        assert self.parse(obligation, "patients") == frozenset({"patients"})

    @pytest.mark.parametrize(
        ("argument", "part"),
        [
            ("pateints", "Did you mean patients?"),
            ("zzz", "There are: loose, open, patients"),
            ("", "names one spec"),
            ("patients, visit", "names one spec"),
            ("patients; visit", "names one spec"),
            (" patients", "names one spec"),
            ("../patients", "names one spec"),
        ],
    )
    def test_a_name_without_a_spec_is_a_load_error(self, obligation, argument, part):
        with pytest.raises(ConfigurationError) as caught:
            self.parse(obligation, argument)
        [fault] = caught.value.faults
        assert (fault.code, fault.place) == ("GR301", Place("p.cedar", 3, 2))
        assert part in fault.message

    def test_both_sides_of_a_merge_must_be_met(self, obligation):
        one, other = frozenset({"patients"}), frozenset({"loose"})
        merged = obligation.merge(one, other)
        assert merged == obligation.merge(other, one) == obligation.merge(merged, one)
        assert obligation.describe(merged) == ["loose", "patients"]
        assert obligation.describe(one) == "patients"
        view = tensor(good())
        assert obligation.admit(merged, context(view)) is None
        assert refusal(obligation, tensor(good()[:0]), *merged).path == "rows"

    def test_it_asks_for_nothing_and_releases_what_it_gets(self, obligation):
        output = object()
        assert obligation.reads(frozenset({"patients"})) == ()
        assert obligation.release(frozenset(), output, context(NO_INPUT)) is output

    def parse(self, obligation, argument):
        return obligation.parse(Clause("p", "input", argument, Place("p.cedar", 3, 2)))


class TestTensors:
    @pytest.mark.parametrize("order", ["C", "F"])
    @pytest.mark.parametrize("dtype", ["f4", "f8"])
    def test_what_meets_its_spec_passes(self, obligation, dtype, order):
        view = tensor(good().astype(dtype, order=order))
        assert obligation.admit(frozenset({"patients"}), context(view)) is None

    def test_a_call_without_input_is_refused(self, obligation):
        error = refusal(obligation, NO_INPUT, "patients")
        assert error.path == ""

    def test_a_record_is_no_tensor(self, obligation):
        error = refusal(obligation, record(age=1), "patients")
        assert (error.path, "expected a tensor; got a record" in error.message) == ("visit", True)

    def test_a_list_is_no_tensor_and_the_message_says_what_makes_one_of_it(self, obligation):
        view = take_view([[1.0, 2.0]], name="patients", bounds=Bounds())
        error = refusal(obligation, view, "patients")
        assert error.message == (
            "patients: expected a tensor; got a list. Pass numpy.asarray(...) of it."
        )

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_a_number_that_is_not_finite_is_refused_with_its_path(self, obligation, bad):
        values = good()
        values[3, 0] = bad
        error = refusal(obligation, tensor(values), "patients")
        assert error.path == "rows[3, 0]"
        assert error.message == (
            "rows[3, 0]: expected finite numbers (mean radius); got one that is not finite."
            " Correct the input and call again."
        )

    @pytest.mark.parametrize(
        ("at", "value", "part"),
        [
            ((2, 0), -12345.0, "expected at least 0 (mean radius); got less"),
            ((2, 0), 12345.0, "expected at most 50 (mean radius); got more"),
            ((1, 2), -12345.0, "expected at least -0.5; got less"),
        ],
    )
    def test_what_is_out_of_bounds_is_refused_with_its_path(self, obligation, at, value, part):
        values = good()
        values[at] = value
        error = refusal(obligation, tensor(values), "patients")
        assert error.path == f"rows{list(at)}"
        assert part in error.message

    def test_a_refusal_tells_how_many_others_are_bad(self, obligation):
        values = good()
        values[3, 0] = 12345.0
        assert "got more. " in refusal(obligation, tensor(values), "patients").message
        values[3, 2] = np.nan
        message = refusal(obligation, tensor(values), "patients").message
        assert "expected at most 50 (mean radius); got more; 1 other is bad too. " in message
        values[:2] = -12345.0
        error = refusal(obligation, tensor(values), "patients")
        assert error.path == "rows[0, 0]"
        assert (
            "expected at least 0 (mean radius); got less; 7 others are bad too. " in error.message
        )

    def test_the_other_byte_order_is_checked_as_the_numbers_it_holds(self, obligation):
        for order in "<>":
            values = good().astype(f"{order}f8")
            view = take_view(values, name="rows", bounds=Bounds())
            assert obligation.admit(frozenset({"patients"}), context(view)) is None
            values[1, 2] = -12345.0
            assert refusal(obligation, view, "patients").path == "rows[1, 2]"

    @pytest.mark.parametrize(
        ("values", "arrived"),
        [
            (np.zeros((4, 3), "U6"), "str"),
            (np.zeros((4, 3), "S6"), "bytes"),
            (np.zeros((4, 3), "c16"), "complex"),
            (np.zeros((4, 3), "O"), "object"),
            (np.zeros((4, 3), [("s3cret", "i4"), ("age", "f4")]), "a structured type"),
            (np.zeros((4, 3), "g"), "longdouble"),
        ],
    )
    def test_what_is_no_number_is_refused_by_its_type(self, obligation, values, arrived):
        error = refusal(obligation, look(values, "rows"), "patients")
        assert error.message == (
            f"rows: expected dtype float32 or float64; got {arrived}."
            " Correct the input and call again."
        )

    def test_the_bounds_themselves_pass(self, obligation):
        values = np.array([[0, -0.5, 1e300], [50, 0, 0]])
        assert obligation.admit(frozenset({"patients"}), context(tensor(values))) is None

    def test_a_strided_view_is_checked_as_it_is_seen(self, obligation):
        values = np.full((4, 6), 0.5)
        values[:, 1::2] = 12345.0
        assert obligation.admit(frozenset({"patients"}), context(tensor(values[:, ::2]))) is None
        assert refusal(obligation, tensor(values[::-1, 1::2]), "patients").path == "rows[0, 0]"

    @pytest.mark.parametrize("shape", [(0, 3), (1001, 3), (4, 2), (4, 4), (12,), (4, 3, 1), ()])
    def test_another_shape_is_refused(self, obligation, shape):
        error = refusal(obligation, tensor(np.zeros(shape)), "patients")
        assert error.path == "rows"
        assert "expected shape (1..1000, 3)" in error.message

    @pytest.mark.parametrize("dtype", ["f2", "i8", "?"])
    def test_another_dtype_is_refused_and_never_converted(self, obligation, dtype):
        error = refusal(obligation, tensor(good().astype(dtype)), "patients")
        assert "expected dtype float32 or float64" in error.message

    def test_one_axis_has_one_index(self, obligation):
        values = np.array([1, 2, 10], "i2")
        assert refusal(obligation, tensor(values), "series").path == "rows[2]"
        assert "shape (2..4,)" in refusal(obligation, tensor(values[:1]), "series").message

    def test_no_axis_has_no_index(self, obligation):
        assert refusal(obligation, tensor(np.array(np.nan)), "point").path == "rows"

    def test_an_empty_tensor_passes_where_its_spec_lets_it(self, obligation):
        assert obligation.admit(frozenset({"loose"}), context(tensor(good()[:0]))) is None

    def test_nan_passes_only_where_the_spec_says_so(self, obligation):
        values = np.full((4, 3), np.nan)
        assert obligation.admit(frozenset({"loose"}), context(tensor(values))) is None


class TestRecords:
    fine = {"age": 40, "note": "fine", "weight": 70.5, "smoker": False, "sex": "f"}  # noqa: RUF012

    @pytest.mark.parametrize(
        "change", [{}, {"note": None}, {"weight": 70}, {"age": 0}, {"age": 130}, {"note": "日本"}]
    )
    def test_what_meets_its_spec_passes(self, obligation, change):
        view = record(**{**self.fine, **change})
        assert obligation.admit(frozenset({"visit"}), context(view)) is None

    @pytest.mark.parametrize(
        ("field", "value", "part"),
        [
            ("age", True, "expected an integer; got bool"),
            ("age", 40.0, "expected an integer; got float"),
            ("age", "40", "expected an integer; got str"),
            ("age", None, "expected an integer; got None"),
            ("age", -12345, "expected at least 0"),
            ("age", 10**400, "expected at most 130"),
            ("weight", float("nan"), "expected a finite number"),
            ("weight", float("inf"), "expected a finite number"),
            ("weight", 2**53 + 1, "not exact as a float"),
            ("weight", 10**400, "not exact as a float"),
            ("weight", True, "expected a number; got bool"),
            ("weight", 0.25, "expected at least 0.5"),
            ("smoker", 1, "expected a bool; got int"),
            ("smoker", "yes", "expected a bool; got str"),
            ("note", "s3cret", "expected at most 5 characters"),
            ("note", "\udc00", "lone surrogate"),
            ("note", b"x", "expected text; got bytes"),
            ("note", ["x"], "expected text; got list"),
            ("sex", "s3cret", "expected one of the 3 values"),
            ("sex", None, "expected text; got None"),
        ],
    )
    def test_a_bad_field_is_refused_with_its_path(self, obligation, field, value, part):
        error = refusal(obligation, record(**{**self.fine, field: value}), "visit")
        assert error.path == f"visit.{field}"
        assert part in error.message

    @pytest.mark.parametrize("field", fine)
    def test_a_missing_field_is_refused_even_where_it_may_be_none(self, obligation, field):
        fields = {name: value for name, value in self.fine.items() if name != field}
        error = refusal(obligation, record(**fields), "visit")
        assert (error.path, "no such field" in error.message) == (f"visit.{field}", True)

    def test_an_extra_field_is_refused_without_its_name(self, obligation):
        error = refusal(obligation, record(**self.fine, s3cret=1), "visit")
        assert error.path == "visit"
        assert "no fields but age, note" in error.message

    def test_extra_fields_pass_where_the_spec_ignores_them(self, obligation):
        fields = {"first name": "Ada", "s3cret": 1}
        assert obligation.admit(frozenset({"open"}), context(record(**fields))) is None
        assert refusal(obligation, record(), "open").path == 'visit["first name"]'

    def test_a_tensor_is_no_record(self, obligation):
        assert (
            "expected a record; got a tensor"
            in refusal(obligation, tensor(good()), "visit").message
        )
