"""A layout writes the same JSON by the kernel as by its twin, and JSON it is."""

import gc
import json
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from guardrail._core import BACKEND, _layout_py

LAYOUTS = [pytest.param(_layout_py, id="pure")]
if BACKEND == "compiled":
    from guardrail._core import _layout

    LAYOUTS.append(pytest.param(_layout, id="compiled"))

every_layout = pytest.mark.parametrize("core", LAYOUTS)
compiled = pytest.mark.skipif(BACKEND != "compiled", reason="there is one of them")

FIELDS = (
    ("text", 0, "text"),
    ("short", 1, "short"),
    ("integer", 2, "integer"),
    ("seconds", 3, "seconds+3"),
    ("flag", -1, "flag"),
    ("pairs", -2, "pairs"),
    ("json", -3, "json"),
)


class Text(str):
    """A text of another class, which lies about itself."""

    __slots__ = ()

    def encode(self, *args):
        return b"no such text"

    def __getitem__(self, key):
        return "nor this"

    def __len__(self):
        return 0


def written(core, record, more, limit=5):
    return core.Layout(FIELDS, limit).write(record, more)


@every_layout
def test_what_is_written_is_json(core):
    record = ('a"b\\c\n\u00e9\U0001f600', "123456789", -(2**70), 1.5, 0.25, 0.25)
    made = written(core, record, (True, (("a", 1), ("\x00", -2)), b"[1]"))
    assert json.loads(made) == {
        "text": record[0],
        "short": "12345",
        "integer": -(2**70),
        "seconds": 2 * 10**9,
        "flag": True,
        "pairs": {"a": 1, "\x00": -2},
        "json": [1],
    }


@every_layout
def test_what_is_empty_is_left_out_but_for_numbers(core):
    made = written(core, ("", "", 0, 0.0, 0.0, 0.0), (None, (), b""))
    assert made == b'{"integer":0,"seconds":0}'
    assert core.Layout(()).write((), ()) == b"{}"
    assert core.Layout((("a", 0, "text"), ("b", 1, "text"))).write(("", "x"), ()) == b'{"b":"x"}'


@every_layout
def test_a_text_of_another_class_is_taken_for_what_it_is(core):
    made = written(core, (Text("true"), Text("longer text"), 1, 0.0, 0.0, 0.0), (None, (), b""))
    assert json.loads(made)["text"] == "true"
    assert json.loads(made)["short"] == "longe"


class Seconds(float):
    """As numpy's are: a float of another class."""

    def __float__(self):
        return 9.0


@every_layout
def test_seconds_may_be_whole_and_of_another_class(core):
    """An application brings its own clock."""
    layout = core.Layout((("ns", 0, "seconds+3"),))
    assert layout.write((1, Seconds(0.5), -2), ()) == b'{"ns":-500000000}'


@every_layout
def test_lone_surrogates_become_question_marks(core):
    made = written(core, ("a\ud800b", "\udfff", 1, 0.0, 0.0, 0.0), (None, (("\ud800", 1),), b""))
    assert json.loads(made)["text"] == "a?b"
    assert json.loads(made)["short"] == "?"
    assert json.loads(made)["pairs"] == {"?": 1}


@every_layout
@pytest.mark.parametrize("size", [1, 1000, 1020, 1024, 5000, 100_000])
def test_a_text_may_be_of_any_length(core, size):
    layout = core.Layout((("a", 0, "text"), ("b", 1, "text"), ("c", 2, "integer")))
    for text in ("x" * size, "\u00e9" * size, '"' * size):
        made = layout.write((text, text, 5), ())
        assert json.loads(made) == {"a": text, "b": text, "c": 5}


GOOD = ("t", "s", 1, 0.0, 0.0, 0.0)
BAD = [
    (("t", "s", 1), (None, (), b""), IndexError),
    (GOOD[:5], (None, (), b""), IndexError),
    (GOOD, (None, ()), IndexError),
    ((b"t", *GOOD[1:]), (None, (), b""), TypeError),
    ((None, *GOOD[1:]), (None, (), b""), TypeError),
    (("t", 5, *GOOD[2:]), (None, (), b""), TypeError),
    (("t", "s", True, *GOOD[3:]), (None, (), b""), TypeError),
    (("t", "s", 1.0, *GOOD[3:]), (None, (), b""), TypeError),
    (("t", "s", "1", *GOOD[3:]), (None, (), b""), TypeError),
    ((*GOOD[:3], True, 0.0, 0.0), (None, (), b""), TypeError),
    ((*GOOD[:3], 10**400, 0.0, 0.0), (None, (), b""), OverflowError),
    ((*GOOD[:5], None), (None, (), b""), TypeError),
    ((*GOOD[:5], math.nan), (None, (), b""), ValueError),
    ((*GOOD[:5], math.inf), (None, (), b""), ValueError),
    ((*GOOD[:5], -math.inf), (None, (), b""), ValueError),
    ((*GOOD[:5], 1e11), (None, (), b""), ValueError),
    (GOOD, (1, (), b""), TypeError),
    (GOOD, ("", (), b""), TypeError),
    (GOOD, (None, [("a", 1)], b""), TypeError),
    (GOOD, (None, (("a", 1, 2),), b""), TypeError),
    (GOOD, (None, (["a", 1],), b""), TypeError),
    (GOOD, (None, ((1, 1),), b""), TypeError),
    (GOOD, (None, (("a", "1"),), b""), TypeError),
    (GOOD, (None, (("a", True),), b""), TypeError),
    (GOOD, (None, (), "[]"), TypeError),
    (GOOD, (None, (), None), TypeError),
]


@every_layout
@pytest.mark.parametrize(("record", "more", "error"), BAD)
def test_what_is_of_another_kind_is_refused_unseen(core, record, more, error):
    with pytest.raises(error) as caught:
        written(core, record, more)
    assert "1e11" not in str(caught.value)


@every_layout
@pytest.mark.parametrize(
    "field",
    [
        ("a", 0, "words"), ("a", 0, ""), ("a", 0, "text+2"), ("a", 0, "seconds+x"),
        ("a", 0, "seconds+0"), ("a", 0, "seconds+-1"), ("a" * 20, 0, "text"),
    ],
)  # fmt: skip
def test_a_field_that_is_none_is_refused(core, field):
    with pytest.raises(ValueError):  # noqa: PT011  several are Python's own
        core.Layout((field,))


@every_layout
def test_a_run_is_of_the_very_objects(core):
    one, other, third = object(), object(), "".join(["a", "b"])
    record = (0, one, other, third, 9)
    run = core.Run(record, 1, 4)
    assert run.values == (one, other, third)
    assert run.is_in(record)
    assert run.is_in((5, one, other, third, 6))
    assert run.is_in((5, one, other, third))
    assert not run.is_in((5, one, other, "".join(["a", "b"])))
    assert not run.is_in((5, one, third, other))
    assert not run.is_in((one, other, third))
    assert not run.is_in(())
    assert core.Run(record, 2, 2).is_in(record)
    for at in range(1, 4):
        changed = list(record)
        changed[at] = object()
        assert not run.is_in(tuple(changed))


@every_layout
def test_a_run_keeps_its_objects_and_lets_them_go(core):
    class Seen:
        gone = 0

        def __del__(self):
            Seen.gone += 1

    run = core.Run((Seen(), Seen()), 0, 1)
    gc.collect()
    assert Seen.gone == 1
    del run
    assert Seen.gone == 2
    with pytest.raises(TypeError):
        core.Run([1, 2], 0, 1)
    with pytest.raises(TypeError):
        core.Run((1, 2), -1, 1)


def come_to(core, record, more):
    try:
        return written(core, record, more)
    except Exception as error:
        return type(error)


texts = st.text() | st.text(st.characters(max_codepoint=127)) | st.just("\ud800")
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts | st.binary()
floats = st.floats(-1e10, 1e10) | st.floats()
records = st.tuples(texts, texts, st.integers(), floats, floats, floats)
mores = st.tuples(
    st.none() | st.booleans(),
    st.lists(st.tuples(texts, st.integers())).map(tuple),
    st.sampled_from([b"", b"{}", b'"x"']),
)


@compiled
@given(records, mores)
@example(("\x7f", "\x1f", -(2**63), -9.2e9, 0.0, 0.0), (None, (), b""))
@example(("a", "b", 2**63, 9.2e9, 0.0, 0.0), (False, (("", 0),), b""))
@example(("a", "b", 2**63 - 1, 1e-10, -1e-10, 0.1), (False, (), b""))
def test_both_come_to_the_same(record, more):
    one = come_to(_layout, record, more)
    assert one == come_to(_layout_py, record, more)
    if isinstance(one, bytes):
        json.loads(one)


@compiled
@given(st.lists(scalars, max_size=8).map(tuple), st.lists(scalars, max_size=4).map(tuple))
def test_both_refuse_the_same(record, more):
    assert come_to(_layout, record, more) == come_to(_layout_py, record, more)
