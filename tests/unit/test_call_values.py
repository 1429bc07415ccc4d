"""What a call hands to sources and obligations: it cannot be changed, and shows no value."""

import numpy as np
import pytest

from guardrail._ports import FactContext, ObligationContext
from guardrail.values import NO_INPUT, Entity, Identity, Principal, View

SECRET = "s3cret"
IDENTITY = Identity(Principal("User", SECRET, attrs={"mail": SECRET}))
VIEW = View("record", "visit", {"note": SECRET}, nbytes=20)
FACING = FactContext(IDENTITY, VIEW, "predict", Entity("Model", "m"), 0.0, {"tenant": SECRET})
ADMISSION = ObligationContext(
    IDENTITY, VIEW, "predict", Entity("Model", "m"), 0.0, lambda path, held=SECRET: held
)
VALUES = [FACING, ADMISSION, VIEW]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_no_field_can_be_set_and_none_added(value):
    for name in ("view", "identity", "value", "shape", "another"):
        with pytest.raises((AttributeError, TypeError)):
            setattr(value, name, None)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("show", [repr, str, "{}".format, lambda value: f"{[value]}"])
def test_shown_it_names_no_value(value, show):
    assert SECRET not in show(value)
    assert type(value).__name__ in show(value)


def test_rows_and_features_are_those_of_the_shape():
    table = np.zeros((4, 2, 3))
    seen = View("tensor", "rows", table, memoryview(table), table.shape, "float64", table.nbytes)
    assert (seen.rows, seen.features) == (4, 6)
    assert (VIEW.rows, VIEW.features) == (1, 1)
    assert (NO_INPUT.kind, NO_INPUT.rows, NO_INPUT.nbytes) == ("none", 1, 0)
