"""Code of an output's class that computes or serializes values is included in the checks."""

import collections
import dataclasses
import datetime
import enum
import warnings
from typing import Annotated, Any, NotRequired, Required, TypedDict

import numpy as np
import pandas as pd
import pydantic
import pytest
from leaving import holds

from guardrail._ports import ObligationContext, ObligationNotMet
from guardrail.errors import Place
from guardrail.obligations.output.label_only import LabelOnly
from guardrail.obligations.output.mask import Mask
from guardrail.obligations.output.only import Only
from guardrail.obligations.output.output import impossible_by_return_type
from guardrail.obligations.output.redact import Redact
from guardrail.obligations.output.rounding import Round
from guardrail.obligations.output.top_k import TopK
from guardrail.values import NO_INPUT, Clause, Entity, Identity, Principal

SECRET = "s3cret-4711-canary"
MAIL = "ann.canary@clinic.example"
TYPES = {
    "mask": Mask(), "only": Only(), "redact": Redact(key=b"k" * 32), "round": Round(),
    "top_k": TopK(), "label_only": LabelOnly({}),
}  # fmt: skip

USER, _, HOST = MAIL.partition("@")
ADMISSION = ObligationContext(
    Identity(Principal("User", "ana")), NO_INPUT, "predict", Entity("Model", "m"), 0.0, lambda _: 0
)
#: Also an identifier.
KEY = "ghp_a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"


def parse(name, argument):
    return TYPES[name].parse(Clause("p", name, argument, Place("conditions.cedar", 3, 1)))


def release(name, argument, output):
    return TYPES[name].release(parse(name, argument), output, ADMISSION)


def blocked(name, argument, output):
    with pytest.raises(ObligationNotMet) as caught:
        release(name, argument, output)
    assert caught.value.code == "output_blocked"
    assert SECRET not in caught.value.message
    assert MAIL not in caught.value.message
    return caught.value


# Fields that a property or another descriptor gives.


class Kept:
    """A descriptor that keeps what it was given under another name."""

    def __get__(self, owner, kind=None):
        return owner.__dict__.get("kept", "") if owner is not None else ""

    def __set__(self, owner, value):
        if value:
            owner.__dict__["kept"] = value


@dataclasses.dataclass
class ByDescriptor:
    ssn: str = Kept()
    age: int = 3


@dataclasses.dataclass
class ByProperty:
    ssn: str
    age: int = 3
    _ssn: str = dataclasses.field(init=False, repr=False)

    @property
    def ssn(self):
        return self._ssn

    @ssn.setter
    def ssn(self, value):
        self._ssn = value


@dataclasses.dataclass
class InParts:
    ssn: str
    _parts: Any = dataclasses.field(init=False, repr=False, default=None)

    @property
    def ssn(self):
        return "@".join(self._parts)

    @ssn.setter
    def ssn(self, value):
        if isinstance(value, str) and "@" in value:
            self._parts = value.split("@")


@dataclasses.dataclass
class ByReading:
    ssn: Any
    other: str = SECRET

    def __getattribute__(self, name):
        return object.__getattribute__(self, "other" if name == "ssn" else name)


@pytest.mark.parametrize("wrap", [lambda each: each, lambda each: {"rows": [each]}])
@pytest.mark.parametrize("output", [ByDescriptor(SECRET), ByProperty(SECRET), ByReading(1)])
def test_a_masked_field_that_its_class_still_gives_blocks(output, wrap):
    blocked("mask", "ssn", wrap(output))


def test_a_text_that_a_property_puts_together_is_looked_at():
    blocked("redact", "email", InParts(MAIL))


@pytest.mark.parametrize("output", [ByDescriptor("x"), ByProperty("x")])
def test_such_a_class_is_not_blocked_without_need(output):
    assert release("mask", "age", output).ssn == "x"
    assert release("redact", "email", output) == output
    assert release("mask", "ssn, _ssn, kept", output).ssn in (None, "")


# Serializers.


class ByModel(pydantic.BaseModel):
    number: str

    @pydantic.model_serializer
    def write(self):
        return {"ssn": self.number}


class ByField(pydantic.BaseModel):
    ssn: Any
    number: str

    @pydantic.field_serializer("ssn")
    def write(self, value):
        return self.number


class ByType(pydantic.BaseModel):
    name: Annotated[list[str], pydantic.PlainSerializer("@".join)]


class InJson(pydantic.BaseModel):
    name: Annotated[list[str], pydantic.PlainSerializer("@".join, when_used="json")]


class ByAlias(pydantic.BaseModel):
    number: Any = pydantic.Field(serialization_alias="ssn")
    other: str

    @pydantic.field_serializer("number")
    def write(self, value):
        return self.other


class Within(pydantic.BaseModel):
    inner: ByType


@pydantic.dataclasses.dataclass
class ByData:
    name: Annotated[list[str], pydantic.PlainSerializer("@".join)]


class Whole(pydantic.RootModel[Annotated[list[str], pydantic.PlainSerializer("@".join)]]):
    pass


class Constant(pydantic.BaseModel):
    ssn: str

    @pydantic.model_serializer
    def write(self):
        return {"ssn": self.ssn, "more": SECRET}


class At(pydantic.BaseModel):
    at: datetime.datetime
    score: float = 0.12345

    @pydantic.field_serializer("at")
    def write(self, value):
        return value.isoformat()


@pytest.mark.parametrize("output", [
    ByModel(number=SECRET), ByField(ssn="1", number=SECRET), ByAlias(number="1", other=SECRET),
])  # fmt: skip
@pytest.mark.parametrize("wrap", [lambda each: each, lambda each: {"rows": [each]}])
def test_a_masked_name_that_a_serializer_fills_blocks(output, wrap):
    blocked("mask", "ssn", wrap(output))


def test_a_field_that_is_masked_by_its_name_is_not_written_under_its_alias():
    blocked("mask", "number", ByAlias(number="1", other=SECRET))


@pytest.mark.parametrize("output", [
    ByType(name=[USER, HOST]), InJson(name=[USER, HOST]), ByData([USER, HOST]),
    Whole([USER, HOST]), Within(inner=ByType(name=[USER, HOST])), [ByType(name=[USER, HOST])],
])  # fmt: skip
@pytest.mark.parametrize("style", ["label", "block"])
def test_a_text_that_a_serializer_puts_together_is_looked_at(output, style):
    blocked("redact", f"email as {style}", output)


def test_an_allow_list_holds_for_what_is_written():
    assert holds(release("only", "ssn", ByField(ssn="1", number=SECRET)), SECRET) == []
    blocked("only", "ssn", Constant(ssn="1"))
    assert release("only", "at, score", At(at=datetime.datetime(2026, 1, 1))).score == 0.12345


def test_a_serializer_that_fails_on_what_leaves_blocks():
    blocked("mask", "at", At(at=datetime.datetime(2026, 1, 1)))


@pytest.mark.parametrize(("name", "argument"), [
    ("mask", "ssn"), ("redact", "email, phone, secrets"), ("round", "2 on score"),
    ("top_k", "1"), ("only", "at, score"),
])  # fmt: skip
def test_a_model_with_a_serializer_is_not_blocked_without_need(name, argument):
    output = At(at=datetime.datetime(2026, 1, 1))
    released = release(name, argument, output)
    assert type(released) is At
    assert released.model_dump()["at"] == "2026-01-01T00:00:00"


# Names that a class declares.


@pytest.mark.parametrize("output", [
    collections.namedtuple("Row", [KEY, "n"])("x", 1),
    dataclasses.make_dataclass("Row", [KEY])("x"),
    dataclasses.make_dataclass(KEY, ["x"])("x"),
    pydantic.create_model("Row", **{KEY: (str, ...)})(**{KEY: "x"}),
    pydantic.create_model(KEY, x=(str, ...))(x="x"),
    pydantic.create_model("Row", x=(str, pydantic.Field(serialization_alias=KEY)))(x="x"),
    pydantic.create_model("Row", x=(str, pydantic.Field(alias=KEY)))(**{KEY: "x"}),
])  # fmt: skip
@pytest.mark.parametrize("style", ["label", "hash", "drop", "block"])
def test_a_declared_name_is_looked_at_as_a_key_is(output, style):
    for _ in range(2):  # what was found once is found again
        assert KEY not in blocked("redact", f"secrets as {style}", [output]).message


@pytest.mark.parametrize("name", ["mask", "redact", "round", "top_k", "label_only", "only"])
def test_a_refusal_does_not_repeat_the_name_of_a_class_made_of_data(name):
    argument = {"mask": "ssn", "redact": "email", "label_only": "", "only": "ssn"}.get(name, "1")
    assert MAIL not in blocked(name, argument, type(MAIL, (), {})()).message


# What leaves is the caller's.


@pytest.mark.parametrize(("name", "argument"), [
    ("mask", "ssn"), ("redact", "email"), ("round", "2 on score"), ("top_k", "1 on score"),
    ("only", "values"),
])  # fmt: skip
def test_an_array_that_leaves_shares_no_memory_with_the_models(name, argument):
    for values in (np.array([[0.25, 0.75]]), np.arange(4), np.array([True])):
        released = release(name, argument, {"values": values, "score": [0.5]})
        assert not np.shares_memory(released["values"], values)
        assert released["values"].tolist() == values.tolist()


def test_an_array_leaves_without_the_elements_that_its_strides_skip():
    values = np.array([0.5, 4711.25])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        values.strides = (0,)
    assert release("redact", "email", values).strides == (8,)


# Honest outputs.


@pytest.mark.parametrize("name", ["mask", "round", "top_k"])
def test_an_empty_row_among_records_stays(name):
    argument = {"mask": "ssn", "round": "2", "top_k": "1"}[name]
    assert release(name, argument, [{"score": 0.25}, None]) == [{"score": 0.25}, None]


@pytest.mark.parametrize("step", ["D", "15min", "MS", "W-SUN", "B", "QE-MAR"])
def test_an_index_of_times_keeps_its_step(step):
    frame = pd.DataFrame({"y": [0.25, 0.5, 0.75]},
                         index=pd.date_range("2026-01-01", periods=3, freq=step))  # fmt: skip
    pd.testing.assert_frame_equal(release("mask", "ssn", frame), frame)
    pd.testing.assert_series_equal(release("redact", "email", frame["y"]), frame["y"])


def test_a_step_that_holds_more_than_its_name_stays_behind():
    step = pd.offsets.CustomBusinessDay(holidays=["2031-07-04"])
    index = pd.date_range("2026-01-01", periods=3, freq=step)
    released = release("mask", "ssn", pd.DataFrame({"y": [1.5, 2.5, 3.5]}, index=index))
    assert released.index.freq is None
    assert released.index.tolist() == index.tolist()


# Allow-lists of several policies.


def test_a_key_must_be_named_by_each_list():
    lists = [parse("only", "patients"), parse("only", "score")]
    both = TYPES["only"].merge(*lists)
    output = {"patients": {MAIL: {"score": 0.5}, "ann": {"score": 0.25}}}
    assert holds(TYPES["only"].release(lists[1], output, None), MAIL) == []
    assert TYPES["only"].release(both, output, None) == {"patients": {"ann": {"score": 0.25}}}


# Declarations.


class Typed(TypedDict, total=False):
    ssn: Required[str]
    age: NotRequired[int]


class FromPath(pydantic.BaseModel):
    number: str = pydantic.Field(validation_alias=pydantic.AliasPath("patient", "ssn"))


class FromChoices(pydantic.BaseModel):
    number: str = pydantic.Field(
        validation_alias=pydantic.AliasChoices("id", pydantic.AliasPath("patient", "ssn"))
    )


def refused(argument, hint):
    def function():
        pass

    function.__annotations__["return"] = hint
    return impossible_by_return_type(function, [("p", "mask", parse("mask", argument))], TYPES)


def test_what_stands_around_the_type_of_a_key_hides_nothing_from_protect():
    assert refused("ssn, age", Typed) == ""
    assert "snn" in refused("snn", Typed)


@pytest.mark.parametrize("model", [FromPath, FromChoices])
def test_an_alias_that_is_a_path_is_a_name_too(model):
    assert refused("patient.ssn", model) == ""
    assert holds(release("mask", "patient.ssn", model(patient={"ssn": SECRET})), SECRET) == []


class Colour(enum.StrEnum):
    RED = "red"


def test_an_enumeration_needs_no_serializer():
    class Painted(pydantic.BaseModel):
        colour: Colour

    assert release("only", "colour", Painted(colour="red")).colour is Colour.RED
