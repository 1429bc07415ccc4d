"""A field that no output can have is reported at decoration, and by `check`."""

import dataclasses
from typing import Annotated, Any, NamedTuple, NewType, TypedDict

import numpy as np
import pandas as pd
import pydantic
import pytest
from bundles import GRANT

from guardrail.errors import ConfigurationError

ON = {"action": "predict", "resource": 'Model::"tumour"', "input": None}


@dataclasses.dataclass
class Patient:
    ssn: str
    score: float
    parent: "Patient | None" = None


class Typed(TypedDict):
    patient: Patient
    label: str


class Pair(NamedTuple):
    label: str
    rows: list[Typed]


class Model(pydantic.BaseModel):
    number: str = pydantic.Field(serialization_alias="iban")
    scores: list[float] = []

    @pydantic.computed_field
    def total(self) -> float:
        return sum(self.scores)


class Below(Model):
    extra_of_a_subclass: str = ""


class Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")


class Rows(pydantic.RootModel[list[Patient]]):
    pass


Named = NewType("Named", Patient)


def decorate(make_guard, condition, returns, **files):
    policies = f'{GRANT}\n@id("c") {condition} forbid (principal, action, resource);'
    guard = make_guard(policies, **files)

    def predict():
        return None

    predict.__annotations__["return"] = returns
    return guard.protect(**ON)(predict)


@pytest.mark.parametrize(("path", "returns"), [
    ("ssn", Patient), ("ssn, score", Patient), ("ssn", Patient | None), ("ssn", list[Patient]),
    ("patient.ssn", Typed), ("ssn", Typed), ("rows[].patient.ssn", Pair), ("rows.label", Pair),
    ("iban", Model), ("number", Model), ("total", Model), ("scores[]", Model), ("ssn", Rows),
    ("extra_of_a_subclass", Model), ("parent.parent.parent.ssn", Patient), ("ssn", Named),
    ("ssn", Annotated[Patient, "x"]), ("1", np.ndarray), ("1", list[list[float]]),
    ("x", Open), ("x", dict[str, Any]), ("x", dict), ("x", Any), ("x", object),
    ("x", pd.DataFrame), ("x", list), ("x", pydantic.BaseModel), ("x", "Unresolved"),
    ("x", tuple[str, dict[str, int]]), ("x", Patient | dict[str, Any]),
])  # fmt: skip
def test_a_field_that_can_be_there_is_no_fault(make_guard, path, returns):
    decorate(make_guard, f'@mask("{path}")', returns)


@pytest.mark.parametrize(("condition", "returns", "said"), [
    ('@mask("snn")', Patient, "snn"), ('@mask("ssn, x")', Patient, "x"),
    ('@mask("patient.snn")', Typed, "patient.snn"), ('@mask("rows[].ssn")', Pair, "rows[].ssn"),
    ('@mask("ssn")', list[Model], "ssn"), ('@mask("ssn")', str, "ssn"),
    ('@mask("ssn")', np.ndarray, "ssn"), ('@mask("ssn")', list[float], "ssn"),
    ('@mask("ssn")', None, "ssn"), ('@mask("a.ssn")', Patient, "a.ssn"),
    ('@mask("ssn")', tuple[str, int], "ssn"), ('@mask("ssn")', Typed | Model, ""),
    ('@mask("x")', Rows, "x"), ('@only("x, y")', Patient, "x, y"),
    ('@round("2 on x")', Patient, "x"), ('@round("2 on ssn")', Patient, "no number in ssn"),
    ('@top_k("1 on label")', Pair, "no number"), ('@redact("email on note")', Patient, "note"),
])  # fmt: skip
def test_a_field_that_no_output_has_is_refused_at_decoration(make_guard, condition, returns, said):
    if said == "":
        decorate(make_guard, condition, returns)  # one of the two has it
        return
    with pytest.raises(ConfigurationError) as caught:
        decorate(make_guard, condition, returns)
    assert said in str(caught.value)
    assert " of c:" in str(caught.value)


@pytest.mark.parametrize("condition", [
    '@redact("contacts as label; iban as hash on note")', '@round("2")', "@label_only",
])  # fmt: skip
def test_a_demand_that_is_met_without_the_field_is_no_fault(make_guard, condition):
    decorate(make_guard, condition, str)


def test_the_type_is_found_on_every_kind_of_function(make_guard):
    policies = f'{GRANT}\n@id("c") @mask("x") forbid (principal, action, resource);'
    guard = make_guard(policies)

    class Service:
        def predict(self) -> Patient: ...
        def __call__(self) -> Patient: ...

    async def later() -> Patient: ...

    for function in (Service().predict, Service(), later):
        with pytest.raises(ConfigurationError, match="no field x"):
            guard.protect(**ON)(function)


RECORD = """\
kind: record
fields:
  label: {type: string}
  score: {type: float}
  rows: {type: list, items: {type: record, fields: {ssn: {type: string}}}}
"""
TABLE = "kind: table\nrows: 1..10\ncolumns: {ssn: {type: string}, score: {type: float64}}\n"
SPEC = '@output("report") '


@pytest.mark.parametrize(("condition", "spec"), [
    ('@mask("rows[].ssn")', RECORD), ('@mask("ssn")', RECORD), ('@round("2 on score")', RECORD),
    ('@mask("ssn")', TABLE), ('@top_k("1 on score")', TABLE),
    ('@mask("x")', TABLE + "extra_columns: ignore\n"),
    ('@mask("x")', RECORD + "extra_fields: ignore\n"),
    ('@mask("1")', "kind: tensor\ndtype: float64\nshape: [1..10, 2]\n"),
    ("@label_only", "kind: tensor\ndtype: float64\nshape: [1..10, 2]\n"),
    ("@label_only", "kind: tensor\ndtype: float64\nshape: [2]\nclasses: [a, b]\n"),
])  # fmt: skip
def test_what_a_spec_allows_is_no_fault(make_guard, condition, spec):
    decorate(make_guard, SPEC + condition, Any, **{"outputs/report.yaml": spec})


@pytest.mark.parametrize(("condition", "spec"), [
    ('@mask("snn")', RECORD), ('@mask("rows[].score")', RECORD), ('@round("2 on label")', RECORD),
    ('@mask("snn")', TABLE), ('@top_k("1 on ssn")', TABLE), ('@only("x")', TABLE),
    ('@mask("ssn")', "kind: tensor\ndtype: float64\nshape: [1..10, 2]\n"),
    ('@round("2")', "kind: text\nmax_chars: 4\n"),
    ("@label_only", "kind: tensor\ndtype: float64\nshape: [1..10]\n"),
])  # fmt: skip
def test_what_a_spec_rules_out_is_refused_at_decoration(make_guard, condition, spec):
    with pytest.raises(ConfigurationError, match=r"outputs/report\.yaml"):
        decorate(make_guard, SPEC + condition, Any, **{"outputs/report.yaml": spec})


def test_an_output_that_met_its_spec_leaves_without_what_it_carries():
    from guardrail._documents import read_yaml
    from guardrail.facts import Bounds, Viewer
    from guardrail.obligations import Output
    from guardrail.obligations.output.spec import read_output_specs

    specs = read_output_specs({"t": read_yaml("outputs/t.yaml", TABLE.encode())})
    frame = pd.DataFrame({"ssn": ["x"], "score": [0.5]})
    frame.attrs["about"] = "secret"
    released = Output(specs, Viewer(Bounds()).take).release(frozenset(["t"]), frame, None)
    assert released.attrs == {}
    pd.testing.assert_frame_equal(released, pd.DataFrame({"ssn": ["x"], "score": [0.5]}))
