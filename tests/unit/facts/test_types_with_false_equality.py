"""Types whose metaclass says that they equal a known type are not taken for it."""

import datetime as dt
import decimal
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

from guardrail._core import _nested_py
from guardrail._core.terms import NOT_PLAIN
from guardrail._ports import ObligationNotMet
from guardrail._scalars import read_scalar
from guardrail.facts import Bounds
from guardrail.facts.input_view.view import Viewer
from guardrail.runtime.flow import is_fixed
from guardrail.values import frozen


def posing(target: type, base: type = object, **attributes: Any) -> type:
    """Return a subclass that says that it equals another type."""

    class Meta(type(base)):  # type: ignore[misc]
        def __eq__(cls, other: object) -> bool:
            return other is target or type.__eq__(cls, other) is True

        def __hash__(cls) -> int:
            return hash(target)

    made: type = Meta("Posing", (base,), attributes)
    return made


PLAIN = (str, int, float, bool, type(None), list, tuple, dict)
SCALARS = (decimal.Decimal, dt.date, dt.datetime, dt.timedelta)


@dataclass
class Held:
    item: Any


@pytest.mark.parametrize("target", [*PLAIN, *SCALARS])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda item: {"a": item},
        lambda item: [item],
        Held,
        lambda item: [item, decimal.Decimal(1)],
    ],
)
def test_nothing_within_plain_data_poses_as_it(target, wrap):
    with pytest.raises(ObligationNotMet) as refused:
        Viewer(Bounds()).take(wrap(posing(target)()), "x")
    assert refused.value.code == "input_rejected"


@pytest.mark.parametrize("target", PLAIN)
def test_the_plain_walk_looks_at_the_type_itself(target):
    assert _nested_py.measure([posing(target)()], 9, 99, 99)[0] == NOT_PLAIN


@pytest.mark.parametrize(
    ("honest", "base", "attributes"),
    [
        (np.zeros(3), np.ndarray, {"__getitem__": lambda *_: 666}),
        ("text", str, {"__str__": lambda _: "another"}),
        ([1], list, {"__iter__": lambda _: iter([666])}),
        (Held(1), Held, {"item": property(lambda _: 666, lambda *_: None)}),
    ],
)
def test_what_is_remembered_of_a_type_is_not_another_ones(honest, base, attributes):
    viewer = Viewer(Bounds())
    viewer.take(honest, "x")
    kind = posing(base, base, **attributes)
    lie = np.zeros(3).view(kind) if base is np.ndarray else kind(honest)
    with pytest.raises(ObligationNotMet):
        viewer.take(lie, "x")
    viewer.take(honest, "x")  # and the other way round


def test_an_extension_array_is_not_another_one():
    values = pd.array([1, 2], dtype="Int64")
    kind = posing(pd.arrays.IntegerArray, pd.arrays.IntegerArray)
    frame = pd.DataFrame({"a": pd.Series(kind(values._data, values._mask))})
    with pytest.raises(ObligationNotMet):
        Viewer(Bounds()).take(frame, "x")


def test_a_zone_is_not_another_one():
    zone = posing(dt.timezone, dt.tzinfo, utcoffset=lambda *_: dt.timedelta(0))()
    assert read_scalar(dt.datetime(2026, 1, 1, tzinfo=zone)) is None


@pytest.mark.parametrize("target", [str, int, dt.date])
def test_what_can_be_changed_is_not_fixed(target):
    assert not is_fixed(posing(target)())


@pytest.mark.parametrize("target", [str, int, float])
def test_a_fact_is_not_of_another_type(target):
    held = posing(target, list)([1])
    assert frozen(held) == (1,)


@pytest.mark.parametrize("target", [*PLAIN, *SCALARS])
def test_nothing_in_an_output_poses_as_a_scalar(target, make_guard):
    from bundles import GRANT, principal

    from guardrail import GuardrailError

    rule = '@id("cut") @redact("email") forbid (principal, action, resource);'
    guard = make_guard(GRANT + rule)
    lie = posing(target, secret="ann@clinic.example")()

    @guard.protect(action="predict", resource='Model::"tumour"')
    def predict(x):
        return {"a": lie}

    with guard.acting_as(principal()), pytest.raises(GuardrailError):
        predict(np.zeros((1, 1), "f4"))
