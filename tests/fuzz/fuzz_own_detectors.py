# ruff: noqa: E501 (a case per line)
"""Kinds of a bundle's own: any pattern is refused in plain words, or found and cut in linear time."""

from contextlib import suppress

from tests.fuzz.harness import CANARY, Draw, check_silent, instrumented, main

with instrumented():
    from guardrail.detectors import (
        Detector,
        Redactor,
        Scanner,
        StreamRedactor,
        TooManyFindings,
    )

KEY = b"0123456789abcdef" * 2
STYLES = ("label", "hash", "drop")
#: Parts of patterns, and of texts that they may match.
TOKENS = (
    "a", "b", "EMP", "-", r"\d", r"\w", ".", "[ab]", "[^a]", "(", ")", "(?:", "|", "*", "+", "?", "{2}",
    "{1,3}", "{1000}", r"\b", "^", "$", "(?i)", "(?s)", "[[:alpha:]]", r"\pL", "é", "ß", "工", r"\x41", "\\",
)  # fmt: skip
UNITS = ("a", "b", "EMP-1", "1", " ", "\n", "ab", "é", "\u200b", "[x]", "工", ".")


def pattern_of(draw: Draw) -> str:
    """Return a pattern of tokens, or of the fuzzer's own letters."""
    if draw.flag():
        return draw.text(60).encode("utf-8", "replace").decode()
    return "".join(draw.choice(TOKENS) for _ in range(draw.whole(1, 24)))


def text_of(draw: Draw) -> str:
    """Return a text of units, some of them many times, so that it is hostile to some patterns."""
    parts = []
    while draw and len(parts) < 200:
        unit = draw.choice(UNITS) if draw.flag() else draw.text(12)
        parts.append(unit * draw.whole(1, 255))
    return "".join(parts)[:20_000]


def test_one_input(data: bytes) -> None:
    draw = Draw(data)
    pattern = pattern_of(draw)
    near = ("staff", "é") if draw.flag() else ()
    style = draw.choice(STYLES)
    step = draw.whole(1, 255)
    try:
        detector = Detector("x", pattern, near)
    except ValueError as error:
        check_silent(error, *([pattern] if len(pattern) > 12 else []))
        return
    text = text_of(draw)
    redactor = Redactor(["x"], style, KEY, own=[detector])
    try:
        whole, count = redactor.redact(text)
        found = Scanner(["x"], own=[detector]).find(text)
    except TooManyFindings as error:
        check_silent(error, CANARY)
        return
    assert len(found) == count
    last = 0
    for finding in found:
        assert finding.kind == "x"
        assert last <= finding.start < finding.end <= len(text)
        last = finding.end
    stream = StreamRedactor(redactor)
    step = max(step, len(text) // 500)  # so that the time goes into texts, not into steps
    with suppress(TooManyFindings):  # it may hold too much, where the whole text decides at once
        parts = [stream.feed(text[at : at + step]) for at in range(0, len(text), step)]
        assert "".join([*parts, stream.close()]) == whole


if __name__ == "__main__":
    main(test_one_input, max_len=1024)
