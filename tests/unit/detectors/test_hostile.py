# ruff: noqa: RUF001 (look-alikes are what this is about)
"""Whatever the text, the time is linear in it, and a stream's memory has a bound."""

from statistics import median
from time import perf_counter

import pytest

from guardrail.detectors import GROUPS, Redactor, Scanner, StreamRedactor

SCANNER = Scanner(GROUPS)
UNITS = (
    "a@", "1", "1 ", "+1", ":", "eyJ", "\u200b", "a\u0301", "-----BEGIN", "<!--", "1.", "1-", "::",
    "-----BEGIN PRIVATE KEY-----", "4111 ", "12345678901 ", "sk-", "a.b@", "ignore all previous ",
    "A" * 32 + " ", "<|", "<a style='", "а", "ﬁ", "\u200d", "GB82WEST", "(0", "a" * 24 + "!",
)  # fmt: skip


def seconds(text):
    spent = []
    for _ in range(3):
        start = perf_counter()
        SCANNER.find(text)
        spent.append(perf_counter() - start)
    return median(spent)


@pytest.mark.parametrize("unit", UNITS)
def test_time_is_linear(unit):
    small, large = (unit * (size // len(unit)) for size in (10_000, 100_000))
    SCANNER.find(small)
    assert seconds(large) < 25 * seconds(small) + 0.002


@pytest.mark.parametrize("unit", UNITS)
def test_a_stream_holds_no_more_than_its_bound(unit):
    stream = StreamRedactor(Redactor(GROUPS, "hash", bytes(16)))
    text = unit * (60_000 // len(unit))
    for at in range(0, len(text), 2000):
        stream.feed(text[at : at + 2000])
        held = sum(len(getattr(layer, "_text", "")) for layer in stream._layers)
        assert held <= 31 * (stream.delay_chars + 2000)
    stream.close()


def test_a_clean_stream_holds_a_word_and_no_more():
    stream = StreamRedactor(Redactor(["personal", "secrets"]))
    text = "The reading was within range, and nobody asked about it again at all. " * 3
    held = [len(text[: at + 1]) for at in range(len(text))]
    given = 0
    for at, char in enumerate(text):
        given += len(stream.feed(char))
        assert held[at] - given <= 12
