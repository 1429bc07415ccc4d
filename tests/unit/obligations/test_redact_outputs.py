"""`redact`: a finding is nowhere in the output, and the model's objects are not changed."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail._ports import ObligationContext, ObligationNotMet
from guardrail.errors import ConfigurationError, Place
from guardrail.obligations.output.redact import STYLES, Redact
from guardrail.values import Clause, Entity, Identity, Principal, RecordAnnotations, View

ADMISSION = ObligationContext(
    Identity(Principal("User", "ann")), View("none"), "reply", Entity("Model", "m"), 0.0,
    {}.__getitem__, RecordAnnotations(),
)  # fmt: skip
REDACT = Redact(key=b"k" * 32)
MAIL = "ann@clinic.example"
TEXT = f"Write to {MAIL}, or call +49 30 901820."
CUT = "Write to [email], or call +49 30 901820."
KEY = "AKIA" + "IOSFODNN7EXAMPLE"


def parse(argument):
    return REDACT.parse(Clause("hide", "redact", argument, Place("conditions.cedar", 3, 1)))


def redact(argument, output):
    return REDACT.release(parse(argument), output, ADMISSION)


@pytest.mark.parametrize("style", STYLES)
class TestTooManyFindings:
    few = Redact(key=b"k" * 32, limit=3)

    def test_a_text_with_more_than_may_be_looked_at_does_not_leave(self, style):
        demand = self.few.parse(
            Clause("hide", "redact", f"email as {style}", Place("conditions.cedar", 3, 1))
        )
        with pytest.raises(ObligationNotMet, match="over 3 findings") as caught:
            self.few.release(demand, {"reply": f"{MAIL} " * 4}, ADMISSION)
        assert caught.value.code == "output_blocked"
        assert MAIL not in str(caught.value)
        assert caught.value.__cause__ is caught.value.__context__ is None

    def test_nor_does_more_of_a_stream(self, style):
        demand = self.few.parse(
            Clause("hide", "redact", f"email as {style}", Place("conditions.cedar", 3, 1))
        )
        stream = self.few.stream(demand, ADMISSION)
        with pytest.raises(
            ObligationNotMet, match=r"over 3 findings|may not be returned"
        ) as caught:
            "".join([*map(stream.feed, [f"{MAIL} "] * 4), stream.close()])
        assert caught.value.code == "output_blocked"


@dataclasses.dataclass(frozen=True)
class Reply:
    text: str
    score: float


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", frozen=True)
    text: str
    parts: list[str] = []


class Private(pydantic.BaseModel):
    text: str
    _source: str = MAIL


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (TEXT, CUT),
        ("", ""),
        ("nothing to cut", "nothing to cut"),
        ({"reply": TEXT, "score": 0.5, "no": None}, {"reply": CUT, "score": 0.5, "no": None}),
        ({"reply": {"parts": [TEXT, (TEXT, 3)]}}, {"reply": {"parts": [CUT, (CUT, 3)]}}),
        ([TEXT, {"text": TEXT}], [CUT, {"text": CUT}]),
        ((TEXT,), (CUT,)),
        (Reply(TEXT, 0.5), Reply(CUT, 0.5)),
        (Model(text=TEXT, parts=[TEXT], more=TEXT), Model(text=CUT, parts=[CUT], more=CUT)),
        (3, 3),
        (None, None),
    ],
)  # fmt: skip
def test_texts_are_cut_wherever_they_stand(output, expected):
    before = repr(output)
    assert redact("email", output) == expected
    assert repr(output) == before


def test_arrays_of_numbers_pass_and_of_fixed_strings_are_cut():
    numbers = np.arange(3.0)
    passed = redact("email", numbers)
    assert passed.tolist() == numbers.tolist()
    assert not np.shares_memory(passed, numbers)
    cut = redact("email", np.array([[TEXT, "b"]]))
    assert cut.tolist() == [[CUT, "b"]]
    assert redact("email", np.str_(TEXT)) == CUT


FRAMES = [
    pd.DataFrame({"note": [TEXT, None, "b"], "age": [1, 2, 3]}),
    pd.DataFrame({"note": pd.Series([TEXT, "b"], dtype="category"), "age": [1, 2]}),
    pd.DataFrame({"note": pd.Series([TEXT, None, 3], dtype=object)}),
    pl.DataFrame({"note": [TEXT, None], "age": [1, 2]}),
    pl.DataFrame({"note": pl.Series([TEXT, "b"], dtype=pl.Categorical)}),
    pa.table({"note": [TEXT, None], "age": [1.5, 2.5]}),
    pa.table({"note": pa.array([TEXT, "b"]).dictionary_encode()}),
]


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: type(frame).__module__)
def test_texts_of_tables_are_cut(frame):
    cut = redact("email", frame)
    assert type(cut) is type(frame)
    column = cut["note"].to_pylist() if isinstance(cut, pa.Table) else list(cut["note"])
    assert column[0] == CUT
    assert len(column) == len(frame)
    original = frame["note"].to_pylist() if isinstance(frame, pa.Table) else list(frame["note"])
    assert original[0] == TEXT


@pytest.mark.parametrize(
    "output",
    [
        b"bytes", object(), SimpleNamespace(text=TEXT), iter([TEXT]), {1: TEXT}, {MAIL: 1},
        {"a", "b"}, Private(text="x"), np.array([TEXT], dtype=object), np.array([b"x"]),
        np.array([("a", 1)], dtype=[("name", "U3"), ("age", "i4")]), Reply,
        pd.DataFrame({"note": [TEXT]}).set_index("note"),
        pd.DataFrame({"note": [["nested"]]}), pd.DataFrame([[TEXT]]),
        pl.DataFrame({"note": [[TEXT]]}), pa.table({"note": [[TEXT]]}),
        pa.table({"note": pa.array([b"x"])}), pl.DataFrame({"a": [1]}).lazy(),
    ],
)  # fmt: skip
def test_an_output_in_which_text_could_hide_is_blocked(output):
    with pytest.raises(ObligationNotMet) as caught:
        redact("email", output)
    assert caught.value.code == "output_blocked"
    assert MAIL not in caught.value.message


def test_what_nests_without_end_is_blocked():
    nested = []
    nested.append(nested)
    with pytest.raises(ObligationNotMet, match="too deep"):
        redact("email", nested)


def test_a_text_of_a_subclass_is_read_as_the_text_that_it_is():
    class Sly(str):
        def __str__(self):
            return "harmless"

        def __format__(self, spec):
            return "harmless"

    cut = redact("email", [Sly(TEXT)])
    assert cut == [CUT]
    assert type(cut[0]) is str


def test_columns_narrow_a_rule():
    output = {"note": TEXT, "reply": TEXT}
    assert redact("email on reply", output) == {"note": TEXT, "reply": CUT}
    assert redact("email on reply", TEXT) == TEXT


def test_styles():
    assert redact("email as drop", f"a {MAIL} b") == "a \u2026 b"
    marked = redact("email as hash", f"{MAIL} {MAIL.upper()} bob@clinic.example").split()
    assert marked[0].startswith("[email:")
    assert marked[0] == marked[1] != marked[2]
    assert Redact(key=b"other" * 8).release(parse("email as hash"), MAIL, ADMISSION) != marked[0]


def test_blocking_kinds_block():
    assert redact("secrets as block", TEXT) == TEXT
    with pytest.raises(ObligationNotMet) as caught:
        redact("secrets as block; email", f"{MAIL} {KEY}")
    assert caught.value.code == "output_blocked"
    assert "api_key" in caught.value.message
    assert KEY not in caught.value.message


def test_one_text_under_several_styles():
    assert redact("email as label; phone as drop", TEXT).startswith("Write to [email], or call ")
    assert "901820" not in redact("email as label; phone as drop", TEXT)


@pytest.mark.parametrize(
    "argument",
    ["", "emial", "email as star", "email,phone", "email  as label", "email as", "email on ",
     "email; ", "EMAIL", "email as label on a,b", "email as label as hash"],
)  # fmt: skip
def test_what_is_not_in_the_grammar_is_a_fault(argument):
    with pytest.raises(ConfigurationError) as caught:
        parse(argument)
    assert caught.value.faults[0].code == "GR109"


def test_a_misspelt_kind_is_named():
    with pytest.raises(ConfigurationError, match="email"):
        parse("emial")


RULES = st.builds(
    "{} as {}{}".format,
    st.sampled_from(["email", "phone", "contacts", "secrets"]),
    st.sampled_from(STYLES),
    st.sampled_from(["", " on reply", " on a, b"]),
)


@given(RULES, RULES)
def test_a_merged_demand_is_never_looser_in_any_place(one, other):
    both = REDACT.merge(parse(one), parse(other))
    for demand in (parse(one), parse(other)):
        for kind, column, style in demand:
            (found,) = [rule for rule in both if (rule.kind, rule.column) == (kind, column)]
            assert STYLES.index(found.style) <= STYLES.index(style)


def stream(argument, pieces):
    held = REDACT.stream(parse(argument), ADMISSION)
    out = [held.feed(piece) for piece in pieces]
    return [*out, held.close()]


@pytest.mark.parametrize("size", range(1, 12))
def test_a_stream_gives_what_the_whole_gives(size):
    pieces = [TEXT[at : at + size] for at in range(0, len(TEXT), size)]
    for argument in ("email", "contacts as hash", "email as label; phone as drop"):
        assert "".join(stream(argument, pieces)) == redact(argument, TEXT)


def test_a_stream_that_blocks_lets_no_part_of_a_match_out():
    pieces = list(f"The key is {KEY}, it says.")
    held, out = REDACT.stream(parse("secrets as block"), ADMISSION), []

    def pass_on():
        out.extend(held.feed(piece) for piece in pieces)
        out.append(held.close())

    with pytest.raises(ObligationNotMet) as caught:
        pass_on()
    assert caught.value.code == "output_blocked"
    assert "AKIA" not in "".join(out)


def test_rules_on_columns_hold_everywhere_in_a_stream():
    assert "".join(stream("email on reply", [TEXT])) == CUT


def test_what_was_cut_is_noted_by_kind():
    notes = RecordAnnotations()
    context = ObligationContext(
        ADMISSION.identity, ADMISSION.view, "reply", ADMISSION.resource, 0.0,
        ADMISSION.value_of, notes,
    )  # fmt: skip
    REDACT.release(parse("email, phone as label"), [TEXT, {"more": MAIL}], context)
    stream = REDACT.stream(parse("email as drop"), context)
    stream.feed(MAIL)
    stream.close()
    assert dict(notes.counts) == {"redact/email": 3, "redact/phone": 1}
