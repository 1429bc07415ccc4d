"""Random nested outputs of all kinds, with a canary in each place that must not leave."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from leaving import holds

from guardrail._ports import ObligationContext, ObligationNotMet
from guardrail.errors import Place
from guardrail.obligations.output.mask import Mask
from guardrail.obligations.output.only import Only
from guardrail.obligations.output.redact import Redact
from guardrail.values import NO_INPUT, Clause, Entity, Identity, Principal

CANARY = "canary4711"
MAIL = f"{CANARY}@clinic.example"
CALL = ObligationContext(
    Identity(Principal("User", "ana")), NO_INPUT, "predict", Entity("Model", "m"), 0.0, lambda _: 0
)
TYPES = {"mask": Mask(), "only": Only(), "redact": Redact(key=b"k" * 32)}
some = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@dataclasses.dataclass
class Data:
    ssn: Any
    note: Any = None


@dataclasses.dataclass(slots=True)
class Slots:
    note: Any
    ssn: Any


class Pair(NamedTuple):
    ssn: Any
    note: Any


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", arbitrary_types_allowed=True)
    number: Any = pydantic.Field(None, alias="ssn")
    note: Any = None


class Root(pydantic.RootModel[Any]):
    pass


def frames(secret: str, text: str, carried: str) -> st.SearchStrategy[Any]:
    """Tables with a secret below ``ssn``, a text in ``note``, and one beside their cells."""

    def pandas(kind: int) -> pd.DataFrame:
        cells = [secret, secret, text]
        ssn: Any = pd.Categorical(cells) if kind & 1 else pd.Series(cells, dtype=object)
        note = (
            pd.Categorical([text] * 3, categories=list({text, carried})) if kind & 2 else [text] * 3
        )
        frame = pd.DataFrame({"ssn": ssn, "note": note, "n": [0.5, 1.5, None]})
        frame.attrs = {"about": carried}
        if kind & 4:
            frame.index = pd.MultiIndex.from_product([[1, 2, 3, f"{carried} "], [4]])[:3]
        if kind & 8:
            frame = pd.concat([frame, pd.DataFrame({"note": [carried]})]).iloc[:3]
        if kind & 16:
            frame.columns.name = "kind"
        return frame

    def polars(kind: int) -> pl.DataFrame:
        ssn = [secret, secret, text, carried]
        dtypes = (pl.String, pl.Categorical, pl.Enum(sorted(set(ssn))))
        columns: dict[str, Any] = {
            "ssn": pl.Series(ssn, dtype=dtypes[kind % 3]),
            "note": pl.Series([text] * 3 + [carried], dtype=(pl.String, pl.Categorical)[kind & 1]),
            "n": [1.0, None, 2.0, 3.0],
        }
        if kind & 4:
            columns["deep"] = [{"ssn": secret, "x": 1}] * 4
        if kind & 8:
            columns["list"] = [[{"ssn": secret}]] * 4
        return pl.DataFrame(columns).head(3)

    def arrow(kind: int) -> pa.Table:
        table = polars(kind & ~1).to_arrow()
        if kind & 16:
            table = table.replace_schema_metadata({"about": carried})
        return table

    kinds = st.integers(0, 31)
    return st.one_of(kinds.map(pandas), kinds.map(polars), kinds.map(arrow))


def outputs(secret: str, text: str, carried: str) -> st.SearchStrategy[Any]:
    leaves = st.one_of(
        st.none(), st.booleans(), st.integers(-5, 5), st.floats(0, 1), st.just(text),
        st.lists(st.floats(0, 1), max_size=3), st.just(np.array([0.5, 1.5])),
        st.just(np.array([text, carried])[:1]), st.just(np.frombuffer(secret.encode() * 8)[:1]),
        frames(secret, text, carried), st.just(pd.Series([0.5], name="n")),
    )  # fmt: skip
    hidden = st.one_of(
        st.just(secret), st.just([secret]), st.just({"x": (secret,)}), st.just(np.array([secret])),
        st.just(pd.Series([secret])), st.just(Data(secret, secret)), st.just({secret: secret}),
    )  # fmt: skip

    def around(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.one_of(
            st.lists(inner, max_size=3),
            st.tuples(inner, inner),
            st.dictionaries(st.sampled_from(("a", "b", "note", "patient.x")), inner, max_size=3),
            st.fixed_dictionaries({"ssn": hidden, "note": inner}),
            st.builds(Data, hidden, inner),
            st.builds(Slots, inner, hidden),
            st.builds(Pair, hidden, inner),
            st.builds(lambda ssn, note: Model(ssn=ssn, note=note), hidden, inner),
            st.builds(lambda ssn, more: Model(more=more, ssn=ssn), hidden, inner),
            st.builds(Root, inner),
        )

    return st.recursive(leaves, around, max_leaves=6)


def leaves_nothing(name: str, argument: str, output: Any) -> None:
    kind = TYPES[name]
    demand = kind.parse(Clause("p", name, argument, Place("conditions.cedar", 3, 1)))
    refusal = None
    try:
        released = kind.release(demand, output, CALL)
    except ObligationNotMet as unmet:
        refusal = unmet
    if refusal is not None:
        event(f"{name}: blocked")
        assert (refusal.code, CANARY in refusal.message) == ("output_blocked", False)
        return
    event(f"{name}: released")
    assert holds(released, CANARY) == [], repr(output)


@some
@given(outputs(CANARY, "fine", "fine"), st.sampled_from(("ssn", "ssn, b", "b, ssn, rows[].x")))
def test_what_is_masked_leaves_in_no_form(output, argument):
    leaves_nothing("mask", argument, output)


@some
@given(outputs("secret", "fine", CANARY))
def test_what_is_carried_beside_the_cells_leaves_under_no_mask(output):
    leaves_nothing("mask", "ssn, deep, list", output)


@some
@given(outputs(MAIL, MAIL, MAIL), st.sampled_from(("label", "drop", "hash", "block")))
def test_what_is_redacted_leaves_in_no_form(output, style):
    leaves_nothing("redact", f"email as {style}", output)


@some
@given(outputs(CANARY, CANARY, CANARY), st.sampled_from(("n", "a.n, n", "b[].n, n")))
def test_what_an_allow_list_does_not_name_leaves_in_no_form(output, argument):
    leaves_nothing("only", argument, output)


@some
@given(
    outputs(CANARY, "fine", CANARY), st.sampled_from(("note, n", "a, note", "rows[].note, note"))
)
def test_what_an_allow_list_names_leaves_without_the_rest(output, argument):
    """Below `note` anything leaves, so the hunt is for what stands beside it."""
    demand = TYPES["mask"].parse(Clause("p", "mask", "ssn", Place("c", 1, 1)))
    try:
        output = TYPES["mask"].release(demand, output, CALL)
    except ObligationNotMet:
        return
    leaves_nothing("only", argument, output)
