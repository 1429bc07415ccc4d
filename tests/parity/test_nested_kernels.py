"""The walk over plain data and the search through text, held over both kernels."""

import math
import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from speed import relative_time

from guardrail._core import _nested_py, terms
from tests.parity.conftest import PURE_WAS_CHOSEN

ALL = 31
ROOMY = (200, 2**62, 2**62)
#: In references (`speed.reference`), by whether the kernel is the twin.
LIMIT = {False: 5, True: 25}


def kernels():
    chosen = [pytest.param(_nested_py, id="pure")]
    if not PURE_WAS_CHOSEN:
        from guardrail._core import _nested

        chosen.append(pytest.param(_nested, id="compiled"))
    return chosen


@pytest.fixture(params=kernels())
def kernel(request):
    """One kernel after the other."""
    return request.param


class Text(str):
    __slots__ = ()


class Odd:
    """Code of its own wherever Python could run any."""

    def __getattribute__(self, name):
        raise AssertionError(name)

    def __eq__(self, other):
        raise AssertionError("asked")

    def __hash__(self):
        return 1


@pytest.mark.parametrize(
    ("value", "nbytes", "nodes"),
    [
        ({}, 2, 0),
        ([], 2, 0),
        ((), 2, 0),
        ({"a": None}, 2 + 5 + 26, 1),
        ([1, -1, 0, 2**62, -(2**63)], 2 + 4 + 4 + 4 + 25 + 25, 5),
        ([1.5, True, "abc", "é"], 2 + 26 + 26 + 7 + 8, 4),
        ([[], {}, ()], 2 + 12, 3),
        ([2**64, math.nan], 2 + 25 + 26, 2),
    ],
)
def test_the_size_is_what_is_written_here(kernel, value, nbytes, nodes):
    assert kernel.measure(value, *ROOMY) == (terms.OK, nbytes, nodes, (), None)


@pytest.mark.parametrize(
    ("value", "bounds", "code", "steps", "kind"),
    [
        ([[[]]], (2, 99, 99), terms.TOO_DEEP, (), None),
        (["x" * 100], (9, 99, 99), terms.TOO_LARGE, (), None),
        ({"x" * 100: 1}, (9, 99, 99), terms.TOO_LARGE, (), None),
        ([1, 2, 3], (9, 99, 2), terms.TOO_MANY, (), None),
        ({"a": 1, "b": 2}, (9, 99, 1), terms.TOO_MANY, (), None),
        ([1 << 14_000], ROOMY, terms.HUGE_INTEGER, (), None),
        ([-(1 << 14_000)], ROOMY, terms.HUGE_INTEGER, (), None),
        ([1, b"x"], ROOMY, terms.NOT_PLAIN, (1,), bytes),
        ({"a": [0, {"b": (1, {2})}]}, ROOMY, terms.NOT_PLAIN, ("a", 1, "b", 1), set),
        ({"a": Text("x")}, ROOMY, terms.NOT_PLAIN, ("a",), Text),
        ({"a": Odd()}, ROOMY, terms.NOT_PLAIN, ("a",), Odd),
        ({"a": {3: 1}}, ROOMY, terms.NOT_A_NAME, ("a",), int),
        ({Text("x"): 1}, ROOMY, terms.NOT_A_NAME, (), Text),
        ({Odd(): 1}, ROOMY, terms.NOT_A_NAME, (), Odd),
        ([{"é\ud800": 1}], ROOMY, terms.NOT_A_NAME, (0,), str),
        ([{"🙂\udfff": 1}], ROOMY, terms.NOT_A_NAME, (0,), str),
    ],
)
def test_the_first_culprit_ends_the_walk(kernel, value, bounds, code, steps, kind):
    found = kernel.measure(value, *bounds)
    assert (found[0], found[3], found[4]) == (code, steps, kind)


def test_what_contains_itself_or_is_shared_is_bounded(kernel):
    again = []
    again.append({"again": again})
    assert kernel.measure(again, 32, 10**6, 10**5)[0] == terms.TOO_DEEP
    laughs = ["ha"]
    for _ in range(30):
        laughs = [laughs, laughs]
    assert kernel.measure(laughs, 200, 10**9, 10**4)[0] == terms.TOO_MANY


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
    | st.sampled_from([b"x", 1j, "\ud800", 10**4250, 2**63, -(2**63), Text("a")])
)  # fmt: skip
KEYS = st.text(max_size=5) | st.sampled_from(["\ud800", "é\udc00", 3, None, Text("k")])
DATA = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4)
    | st.lists(inner, max_size=3).map(tuple),
    max_leaves=30,
).filter(lambda value: type(value) in (dict, list, tuple))  # fmt: skip


@pytest.mark.skipif(PURE_WAS_CHOSEN, reason="there is one kernel")
@settings(deadline=None)
@given(DATA, st.integers(1, 5), st.integers(1, 200) | st.just(2**62), st.integers(1, 20))
def test_both_measure_alike(value, depth, nbytes, nodes):
    from guardrail._core import _nested

    for bounds in ((depth, nbytes, nodes), ROOMY):
        assert _nested.measure(value, *bounds) == _nested_py.measure(value, *bounds)


def nest(levels):
    deep = []
    for _ in range(levels):
        deep = [deep]
    return deep


HOSTILE = {
    "wide": lambda: [[] for _ in range(333_000)],
    "deep": lambda: nest(300_000),
    "pairs": lambda: [[[]] for _ in range(200_000)],
    "keys": lambda: {f"{number}": 1 for number in range(120_000)},
    "numbers": lambda: [7] * 500_000,
    "shared": lambda: [[["x"] * 100] * 100] * 100,
    "text": lambda: {"é" * 250_000: "日" * 250_000},
}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_megabyte_of_any_nesting_takes_a_bounded_time(kernel, hostile):
    value, limit = HOSTILE[hostile](), LIMIT[kernel is _nested_py]
    spent = relative_time(lambda: kernel.measure(value, 32, 64_000_000, 100_000), limit)
    assert spent < limit


# Characters.


def test_both_mean_the_same_by_their_codes():
    source = (terms.__file__).replace("terms.py", "_nested.pyx")
    with open(source, encoding="utf-8") as file:  # noqa: PTH123
        told = dict(re.findall(r"^    ([A-Z_]+) = ([0-9]+)$", file.read(), re.MULTILINE))
    named = {name: int(told[name]) for name in told if hasattr(terms, name)}
    assert len(named) == 13
    assert named == {name: getattr(terms, name) for name in named}


def members(bit):
    return {c for first, last in terms.CHARACTERS[bit] for c in range(first, last + 1)}


def test_controls_are_those_of_unicode_but_for_three():
    controls = {c for c in range(0x110000) if unicodedata.category(chr(c)) == "Cc"}
    assert members(terms.CONTROL) == controls - {9, 10, 13}
    surrogates = {c for c in range(0x110000) if unicodedata.category(chr(c)) == "Cs"}
    assert members(terms.SURROGATE) == surrogates


def test_all_that_unicode_calls_a_format_character_is_of_a_class_or_is_shown():
    formats = {c for c in range(0x110000) if unicodedata.category(chr(c)) == "Cf"}
    named = members(terms.BIDI) | members(terms.TAG) | members(terms.ZERO_WIDTH)
    # marks of Arabic, Syriac, Kaithi, hieroglyphs, and annotations: these have a shape
    shown = (
        set(range(0x600, 0x606)) | {0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
        | set(range(0xFFF9, 0xFFFC)) | set(range(0x13430, 0x13440))
    )  # fmt: skip
    assert formats - named <= shown


def test_no_character_is_of_two_classes():
    sizes = [len(members(bit)) for bit in terms.CHARACTERS]
    assert len(set().union(*(members(bit) for bit in terms.CHARACTERS))) == sum(sizes)


@pytest.mark.parametrize("bit", sorted(terms.CHARACTERS))
@pytest.mark.parametrize("around", ["", "abc", "é", "日本", "🙂"])
def test_each_range_is_found_from_end_to_end_and_no_further(kernel, bit, around):
    for first, last in terms.CHARACTERS[bit]:
        for inside in (first, last):
            text = f"{around}{chr(inside)}{around}"
            for classes in (bit, ALL):
                assert kernel.find_character(text, classes) == (bit, len(around))
            assert kernel.find_character(text, ALL & ~bit) == (0, -1)
            assert kernel.find_character(text, 0) == (0, -1)
        for outside in (first - 1, last + 1):
            if 0 <= outside < 0x110000 and outside not in members(bit):
                assert kernel.find_character(f"{around}{chr(outside)}", bit) == (0, -1)


def test_the_first_of_several_is_found(kernel):
    assert kernel.find_character("a\u200bb\x00\u202e", ALL) == (terms.ZERO_WIDTH, 1)
    assert kernel.find_character("a\u200bb\x00\u202e", terms.BIDI) == (terms.BIDI, 4)
    assert kernel.find_character("\t\n\r plain", ALL) == (0, -1)
    assert kernel.find_character("", ALL) == (0, -1)


MARKS = st.sampled_from(sorted({chr(c) for pairs in terms.CHARACTERS.values() for c in pairs[0]}))
TEXTS = st.lists(st.text(max_size=30) | MARKS, max_size=6).map("".join)


@pytest.mark.skipif(PURE_WAS_CHOSEN, reason="there is one kernel")
@settings(deadline=None)
@given(TEXTS, st.integers(0, ALL), st.sampled_from([1, 20_000]))
def test_both_find_the_same_character(text, classes, times):
    from guardrail._core import _nested

    long = "a" * (times - 1) + text
    assert _nested.find_character(long, classes) == _nested_py.find_character(long, classes)


@pytest.mark.parametrize("filler", ["a", "é", "日", "🙂", "\u2019", "\u2800", "\U000e1000"])
def test_a_megabyte_of_any_text_takes_a_bounded_time(kernel, filler):
    text, limit = filler * 1_000_000, LIMIT[kernel is _nested_py]
    assert kernel.find_character(text, ALL) == (0, -1)
    assert relative_time(lambda: kernel.find_character(text, ALL), limit) < limit
