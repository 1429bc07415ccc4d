"""Pydantic models as specs: strict, without conversion, and without values in errors."""

from dataclasses import dataclass
from typing import Annotated

import pytest
from pydantic import BaseModel, Field, field_validator
from pydantic_core import PydanticCustomError

from guardrail._documents import read_yaml
from guardrail._ports import ObligationNotMet
from guardrail.errors import ConfigurationError
from guardrail.facts import Bounds, take_view
from guardrail.obligations.input.specs import read_specs

SECRET = "s3cret"
ONE = {"number": 1}
FULL = {"age": 3, "weight": 1.0, "beds": (), "more": {}}


class Bed(BaseModel):
    number: int


class Visit(BaseModel):
    age: Annotated[int, Field(ge=0, le=130)]
    weight: float = 1.0
    beds: tuple[Bed, ...] = ()
    more: dict[str, int] = {}

    @field_validator("weight")
    @classmethod
    def _is_some(cls, value):
        if value == 0:
            raise ValueError(SECRET)
        if value < 0:
            raise PydanticCustomError(SECRET, SECRET)
        return value


def read(model=Visit):
    return read_specs({}, {"visit": model})["visit"]


def view(value):
    return take_view(value, name="visit", bounds=Bounds())


def refusal(value):
    with pytest.raises(ObligationNotMet) as caught:
        read().check(view(value))
    error = caught.value
    assert error.code == "input_rejected"
    assert error.__context__ is None
    assert error.__cause__ is None
    assert SECRET not in error.message
    return error


@pytest.mark.parametrize(
    "value",
    [
        {"age": 3},
        {"age": 3, "weight": 2.5, "beds": ({"number": 1},), "more": {"a": 1}},
        Visit(age=3, beds=(Bed(number=1),)),
    ],
)
def test_what_is_valid_passes_and_stays_as_it_is(value):
    seen = view(value)
    assert read().check(seen) is None
    assert seen.value is value


@pytest.mark.parametrize(
    ("value", "path", "rule"),
    [
        ({"age": SECRET}, "visit.age", "(int_type)"),
        ({"age": "3"}, "visit.age", "(int_type)"),
        ({"age": True}, "visit.age", "(int_type)"),
        ({"age": 131}, "visit.age", "(less_than_equal)"),
        ({}, "visit.age", "(missing)"),
        ({"age": 3, "weight": 0.0}, "visit.weight", "(value_error)"),
        ({"age": 3, "weight": -1.0}, "visit.weight", "(its rule)"),
        ({"age": 3, "beds": (ONE, {"number": SECRET})}, "visit.beds[1].number", "(int_type)"),
        ({"age": 3, "beds": [{"number": 1}]}, "visit.beds", "(tuple_type)"),
        ({"age": 3, "more": {SECRET: "x"}}, "visit.more[...]", "(int_type)"),
        (Visit.model_construct(**{**FULL, "age": SECRET}), "visit.age", "(int_type)"),
        (Visit.model_construct(**{**FULL, "age": 131}), "visit.age", "(less_than_equal)"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_its_place(value, path, rule):
    error = refusal(value)
    assert error.path == path
    assert f"Visit accepts {rule}" in error.message


def test_the_message_counts_what_else_is_wrong():
    assert "(2 errors in all)" in refusal({"age": SECRET, "weight": SECRET}).message
    assert "in all" not in refusal({"age": SECRET}).message


@pytest.mark.parametrize("value", [[{"age": 3}], "text", memoryview(b"ab")])
def test_what_is_no_record_is_refused(value):
    assert "expected a record" in refusal(value).message


@pytest.mark.parametrize("model", [dict, dataclass, Visit(age=3), None, "Visit"])
def test_what_is_no_model_is_a_load_error(model):
    with pytest.raises(ConfigurationError, match="models: visit must be a class"):
        read(model)


@pytest.mark.parametrize("name", ["", "a b", "../a", 3])
def test_a_name_that_no_annotation_could_write_is_a_load_error(name):
    with pytest.raises(ConfigurationError, match="models: a name is"):
        read_specs({}, {name: Visit})


def test_a_file_of_the_same_name_is_a_fault():
    document = read_yaml("inputs/visit.yaml", b"kind: record\nfields: {}\n")
    with pytest.raises(ConfigurationError) as caught:
        read_specs({"visit": document}, {"visit": Visit})
    [fault] = caught.value.faults
    assert (fault.code, fault.place.file) == ("GR300", "inputs/visit.yaml")
