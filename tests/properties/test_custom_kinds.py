# ruff: noqa: E501 (a case per line)
"""Patterns of a bundle's own: what may become a match is held back, in any text and any pieces."""

from contextlib import suppress

from hypothesis import assume, given
from hypothesis import strategies as st

from guardrail.detectors import Detector, Redactor, Scanner, StreamRedactor, TooManyFindings
from guardrail.detectors.scan import re2_patterns
from guardrail.detectors.scan.patterns import PatternError, read_pattern

ATOMS = st.sampled_from([
    "a", "b", "A", "1", ".", "-", "[ab]", "[^a]", r"\d", r"\w", r"\s", r"\b", r"\B", "^", "$", "(?i:b)",
    "[[:digit:]]", r"\x41", r"\.", "(?s:.)", r"\n", "é",
])  # fmt: skip
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map("".join),
        st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})"),
        inner.map(lambda one: f"({one})"),
        st.tuples(
            inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{0,2}?", "{2,}", "+?"])
        ).map(lambda two: f"(?:{two[0]}){two[1]}"),
    ),
    max_leaves=8,
)
TEXTS = st.text("abAB1- .\né", max_size=14)


def detector(pattern):
    try:
        return Detector("x", pattern)
    except ValueError:
        return None


@given(PATTERNS, TEXTS)
def test_every_beginning_of_a_match_is_one_that_may_go_on(pattern, text):
    try:
        read = read_pattern(pattern)
    except PatternError:
        assume(False)
    plain = text.replace("é", "e").encode()
    match = re2_patterns.compiled(pattern.replace("é", "e"), is_folding_case=False).search(plain)
    if match is not None:
        start, end = match.span()
        assert read.most is None or end - start <= read.most
        for stop in range(start, end + 1):
            assert read.begun.search(plain[:stop]).start() <= start


@given(PATTERNS, TEXTS, st.data())
def test_a_stream_gives_what_the_whole_text_gives(pattern, text, data):
    own = detector(pattern)
    assume(own is not None)
    redactor = Redactor(["x"], own=[own])
    whole, count = redactor.redact(text)
    stream, out, at = StreamRedactor(redactor), [], 0
    while at < len(text):
        size = data.draw(st.integers(1, 6))
        out.append(stream.feed(text[at : at + size]))
        at += size
    out.append(stream.close())
    assert "".join(out) == whole
    assert stream.cuts == count == len(Scanner(["x"], own=[own]).find(text))


@given(PATTERNS, st.text("ab1", min_size=1, max_size=3), st.integers(300, 40_000))
def test_a_long_text_gives_what_its_pieces_give(pattern, unit, size):
    own = detector(pattern)
    assume(own is not None)
    redactor = Redactor(["x"], own=[own], limit=10**6)
    text = (unit * size)[:size]
    with suppress(TooManyFindings):
        whole = redactor.redact(text)[0]
        stream = StreamRedactor(redactor)
        parts = [stream.feed(text[at : at + 700]) for at in range(0, size, 700)]
        assert "".join([*parts, stream.close()]) == whole
