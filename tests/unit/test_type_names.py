"""Names of classes in messages: never of one that was made of data."""

import collections
import enum

import numpy as np
import pandas as pd
import pytest

from guardrail._messages import read_messages
from guardrail._ports import ObligationNotMet
from guardrail._type_names import a_type, class_name, type_name
from guardrail.facts import Bounds, Viewer
from guardrail.obligations.output_walk.refusal import blocked


class Outer:
    class Inner:
        pass


class Odd(type):
    __name__ = property(lambda self: 1 / 0)
    __dict__ = property(lambda self: 1 / 0)


class Held(metaclass=Odd):
    pass


SECRET = "patient_clara_1975"
MADE = type(SECRET, (), {})
SUBCLASS = type(SECRET, (str,), {})
LIAR = type(SECRET, (), {"__module__": "builtins", "__qualname__": "int"})
NAMED_TUPLE = collections.namedtuple(SECRET, "a")
ENUM = enum.Enum(SECRET, "a")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (1, "int"), (None, "NoneType"), ((x for x in ()), "generator"),
        (len, "builtin_function_or_method"),
        (np.zeros(1), "ndarray"), (np.float32(1), "float32"), (pd.DataFrame(), "DataFrame"),
        (Outer(), "Outer"), (Outer.Inner(), "Inner"), (Held(), "Held"),
        (MADE(), "an object"), (LIAR(), "an object"), (NAMED_TUPLE(1), "an object"),
        (ENUM.a, "an object"),
    ],
)  # fmt: skip
def test_only_what_a_module_holds_is_named(value, name):
    assert type_name(value) == name
    assert class_name(type(value)) == name


def test_the_article_fits():
    assert (a_type("x"), a_type(MADE())) == ("a str", "an object")


@pytest.mark.parametrize(
    "value",
    [
        MADE(), [MADE()], {"a": MADE()}, SUBCLASS("x"), [SUBCLASS("x")],
        {"a": np.zeros(1), "b": MADE()}, pd.DataFrame({"a": [MADE()]}),
        pd.DataFrame({SUBCLASS("x"): [1]}), type(SECRET, (pd.DataFrame,), {})(),
        type(SECRET, (np.ndarray,), {})((1,)),
    ],
    ids=range(10),
)  # fmt: skip
def test_an_input_is_refused_without_the_name_of_such_a_class(value):
    message = ""
    try:
        Viewer(Bounds()).take(value, "x")
    except ObligationNotMet as error:
        message = str(error)
    assert SECRET not in message


@pytest.mark.parametrize("held", [MADE(), SUBCLASS("x")])
def test_messages_are_refused_without_it(held):
    for item in (held, {"role": held, "content": "x"}, {"role": "user", "content": held}):
        assert SECRET not in read_messages([item]).arrived


def test_an_output_is_refused_without_it():
    assert SECRET not in str(blocked("round", "numbers", MADE()))
