"""Our own obligations hold the contract that every plugin must hold."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np

from guardrail._documents import read_yaml
from guardrail.extensions import Entity, Identity, ObligationContext, Principal
from guardrail.facts import Bounds, Viewer, take_view
from guardrail.obligations import (
    Input,
    Mask,
    Only,
    Output,
    Quota,
    Redact,
    Round,
    TopK,
    open_storage,
)
from guardrail.obligations.input.specs import read_specs
from guardrail.obligations.output.spec import read_output_specs
from guardrail.testing import FrozenClock
from guardrail.testing.contracts import ObligationContract

SPECS = {
    "any_rows": b"kind: tensor\ndtype: float64\nshape: [1..10, 2]\n",
    "finite": b"kind: tensor\ndtype: [float32, float64]\nshape: [1..1000, 2]\nfinite: true\n",
    "record": b"kind: record\nfields: {age: {type: int, min: 0, max: 130}}\n",
}

numbers = st.one_of(st.floats(), st.integers(), st.none())
rows = st.one_of(
    st.lists(numbers, max_size=5),
    st.lists(st.lists(numbers, max_size=4), max_size=3),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=3),
    st.dictionaries(st.text(max_size=3), numbers, max_size=4),
    st_np.arrays(
        st.sampled_from((np.float16, np.float32, np.float64)),
        st_np.array_shapes(max_dims=3, max_side=4),
    ),
)


#: Records with these fields, at several depths; each has numbers.
NAMES = ("a", "b", "a.b", "x", "rows")
records = st.recursive(
    st.fixed_dictionaries({"a": numbers, "b": st.floats(0, 1)}, optional={"x": st.text("xy")}),
    lambda inner: st.one_of(
        st.dictionaries(st.sampled_from(NAMES), inner, min_size=1, max_size=3),
        st.lists(inner, min_size=1, max_size=2),
        st.fixed_dictionaries({"b": st.lists(st.floats(0, 1), max_size=3), "rows": inner}),
    ),
    max_leaves=5,
)
fields = st.lists(
    st.sampled_from(("a", "b", "a.b", "rows[].a", "rows", "b[]", '"a.b"', "[].a", "x.b")),
    min_size=1, max_size=3, unique=True,
).map(", ".join)  # fmt: skip


class TestRound(ObligationContract):
    arguments = st.one_of(
        st.integers(0, 15).map(str), st.builds("{} on {}".format, st.integers(0, 3), fields)
    )
    malformed = ("", "16", "-1", "2 on a,b")
    outputs = st.one_of(rows, st.floats(), st.integers())

    def make(self):
        return Round()


class TestRoundOfRecords(TestRound):
    outputs = records


class TestTopK(ObligationContract):
    arguments = st.one_of(
        st.integers(1, 5).map(str), st.builds("{} on {}".format, st.integers(1, 3), fields)
    )
    malformed = ("", "0", "1.5", "2 on a,b")
    outputs = rows

    def make(self):
        return TopK()


class TestTopKOfRecords(TestTopK):
    outputs = records


class TestMaskOfRecords(ObligationContract):
    arguments = fields
    malformed = ("", "a,b", "a, a", "a..b")
    outputs = records.filter(lambda output: isinstance(output, dict))

    def make(self):
        return Mask()


class TestOnly(ObligationContract):
    """Beside what its lists name, each output has something that all of them do."""

    arguments = fields.map(lambda text: f"{text}, kept")
    malformed = ("", "a,b", "a, a", "a..b")
    outputs = st.fixed_dictionaries(
        {"kept": st.integers(), "q": st.text(), "p": st.fixed_dictionaries({"q": st.text()})},
        optional={"b": st.floats(0, 1), "x": st.fixed_dictionaries({"b": st.integers(),
                                                                    "c": st.text()})},
    )  # fmt: skip

    def make(self):
        return Only()


class TestMask(ObligationContract):
    arguments = st.sampled_from(("0", "1, 0", "2"))
    malformed = ("", "a,b", "a, a")
    outputs = rows

    def make(self):
        return Mask()


class TestRedact(ObligationContract):
    arguments = st.builds(
        "{} as {}{}".format,
        st.sampled_from(("email", "contacts", "email, iban")),
        st.sampled_from(("label", "drop", "hash")),
        st.sampled_from(("", " on note", " on a", " on a.b, x")),
    )
    malformed = ("", "emial", "email as star", "email,phone")
    _texts = st.sampled_from(("", "ann@clinic.example", "call +49 30 901820", "none"))
    outputs = st.one_of(
        _texts,
        st.recursive(
            _texts,
            lambda inner: st.one_of(
                st.lists(inner, max_size=2),
                st.dictionaries(st.sampled_from(("a", "b", "x", "note")), inner, max_size=3),
            ),
            max_leaves=4,
        ),
    )

    def make(self):
        return Redact(key=b"k" * 32)


class TestOutput(ObligationContract):
    arguments = st.sampled_from(("short", "plain"))
    malformed = ("", "unknown", "short, plain")
    outputs = st.text("abc", max_size=4)

    def make(self):
        files = {"short": b"kind: text\nmax_chars: 4\n", "plain": b"kind: text\nforbid: [bidi]\n"}
        documents = {name: read_yaml(f"outputs/{name}.yaml", raw) for name, raw in files.items()}
        return Output(read_output_specs(documents), Viewer(Bounds()).take)


class TestQuota(ObligationContract):
    arguments = st.lists(
        st.builds(
            "{}/{}{} using {}".format,
            st.integers(1, 4),
            st.sampled_from(("second", "minute", "30d")),
            st.sampled_from(("", " per principal", " per resource", " per principal and resource")),
            st.sampled_from(("fixed", "moving", "sliding")),
        ),
        min_size=1,
        max_size=3,
        unique=True,
    ).map("; ".join)
    malformed = ("", "0/minute", "5/ever", "5 tokens/minute", "5/minute; 5/minute")
    outputs = rows
    patience = 5

    def make(self):
        return Quota(bundle="clinic", storage=open_storage(None, FrozenClock()))


class TestInput(ObligationContract):
    arguments = st.sampled_from(sorted(SPECS))
    malformed = ("", "unknown", "finite, record")
    outputs = rows

    def make(self):
        files = {name: read_yaml(f"inputs/{name}.yaml", raw) for name, raw in SPECS.items()}
        return Input(read_specs(files))

    def context(self):
        view = take_view(np.array([[1.0, np.nan]]), name="patients", bounds=Bounds())
        identity = Identity(Principal("User", "ana"))
        return ObligationContext(identity, view, "predict", Entity("Model", "m"), 0.0, lambda _: 0)


class TestInputThatIsNone(TestInput):
    def context(self):
        return ObligationContract.context(self)
