"""What it costs to look through a text, and to cut what is found, against ten patterns of `re`.

Owns the texts, which are made here, and the baseline: ten compiled patterns that mean what ten
of our kinds do, checks of digits left out. Refuses other machines' numbers: both are timed in
the same rounds. Run it with ``python -m benchmarks.validation.texts``.
"""

from __future__ import annotations

import random
import re
import sys
from functools import partial
from typing import Final

from benchmarks.harness import Case, Row, measure, read_options, report
from guardrail.detectors import Redactor, Scanner

KINDS: Final = (
    "email", "phone", "card", "iban", "ssn", "ipv4", "ipv6", "mac", "jwt", "api_key",
)  # fmt: skip

#: The same ten as one would write them with `re`.
PATTERNS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"\b[A-Za-z0-9._%+'-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,24}\b",
        r"\+\d(?:[ -./()]{0,3}\d){7,14}\b|\(?\b[2-9]\d\d\)?[ .-]\d{3}[ .-]\d{4}\b"
        r"|\b0\d{2,5}[ /-]\d{3,8}\b|\b0\d(?:[ .-]\d\d){4}\b",
        r"\b\d(?:[ -]?\d){12,18}\b",
        r"\b[A-Z]{2}\d\d(?:[ -]?[A-Z0-9]){11,30}\b",
        r"\b\d{3}[- ]\d\d[- ]\d{4}\b",
        r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b",
        r"\b(?:[0-9A-Fa-f]{1,4}:){2,7}[0-9A-Fa-f]{1,4}\b|(?:[0-9A-Fa-f]{1,4}:)*:[0-9A-Fa-f:]+",
        r"\b(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}\b",
        r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*",
        r"\b(?:(?:AKIA|ASIA)[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{60}"
        r"|glpat-[\w-]{20}|xox[bpars]-[\w-]{20}|[sr]k_live_\w{16}|AIza[\w-]{35}|sk-[\w-]{32}"
        r"|hf_\w{30}|npm_\w{36}|pypi-[\w-]{50}|SG\.[\w.-]{66}|(?:SK|AC)[0-9a-f]{32}"
        r"|dop_v1_[0-9a-f]{64}|shp(?:at|ca|pa|ss)_[0-9a-f]{32}|sq0[a-z]{3}-[\w-]{22}"
        r"|key-[0-9a-f]{32}|dapi[0-9a-f]{32}|\d{8,10}:[\w-]{35})\b",
    )
)

#: Sentences as answers have them: with numbers, times, versions, prices, and no finding.
SENTENCES: Final = (
    "The order 48213 shipped on 2024-03-14 at 10:45 and weighs 12.5 kg.",
    "Version 3.11.7 fixed the regression; see section 4.2 of the notes for details.",
    "Prices start at $1,299.00, or about 1.150,00 euros with tax, for the larger model.",
    "The patient was seen twice, and the second reading (118/76) was within range.",
    "Its commit is 9fceb02d0ae598e95dc970b74767f19372d61af8, which passed all checks.",
    "Please find the summary below; we will follow up with the committee next week.",
    "Coordinates 48.8566, 2.3522 mark the centre, roughly five miles from the station.",
    "The request 7b1c2f0e-55aa-4c3f-9d2e-0f3a1b2c3d4e took 35 ms, well under budget.",
    "In most cases the model is confident, but it should say so when it is not.",
)
#: One of each that the text with matches is made of; all but the last repeat.
MATCHES: Final = (
    "ada.lovelace@example.org", "+49 30 1234567", "4111 1111 1111 1111",
    "DE89 3704 0044 0532 0130 00", "123-45-6789", "10.20.30.40", "2001:db8::8a2e:370:7334",
    "00:1a:2b:3c:4d:5e", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP",
)  # fmt: skip
FOUND: Final = 189
LARGE_CHARS: Final = 100_000


def clean(chars: int) -> str:
    """Return a text without findings."""
    random_ = random.Random(7)
    text = ""
    while len(text) < chars:
        text += random_.choice(SENTENCES) + " "
    return text[:chars]


def dirty(chars: int, found: int) -> str:
    """Return a text with so many findings, evenly spread."""
    text = clean(chars)
    step = len(text) // found
    pieces = []
    for number in range(found):
        piece = text[number * step : (number + 1) * step]
        pieces += [piece[: piece.rfind(" ") + 1], MATCHES[number % len(MATCHES)], ". "]
    return "".join(pieces)


def search(text: str) -> bool:
    """Tell whether one of the patterns is in a text."""
    return sum(pattern.search(text) is not None for pattern in PATTERNS) > 0


def substitute(text: str) -> str:
    """Return a text without what the patterns match."""
    for pattern in PATTERNS:
        text = pattern.sub("[cut]", text)
    return text


def cases() -> list[Case]:
    """Return what is timed."""
    scanner, redactor = Scanner(KINDS), Redactor(KINDS)
    large, small, marked = clean(LARGE_CHARS), clean(200), dirty(LARGE_CHARS, FOUND)
    assert not scanner.kinds_in(large)
    assert redactor.redact(marked)[1] == FOUND
    hostile = "a" * LARGE_CHARS + "!"
    return [
        Case("ten re.search, 100 KB clean", partial(search, large)),
        Case("kinds_in, 100 KB clean", partial(scanner.kinds_in, large),
             "ten re.search, 100 KB clean", 1 / 40),
        Case("ten re.sub, 100 KB with 189 matches", partial(substitute, marked)),
        Case("redact, 100 KB with 189 matches", partial(redactor.redact, marked),
             "ten re.sub, 100 KB with 189 matches", 1 / 10),
        Case("ten re.search, 200 characters clean", partial(search, small)),
        Case("kinds_in, 200 characters clean", partial(scanner.kinds_in, small),
             "ten re.search, 200 characters clean", 1 / 10),
        Case("find, 10 KB hostile", partial(scanner.find, hostile[:10_000] + "!")),
        Case("find, 100 KB hostile", partial(scanner.find, hostile), "find, 10 KB hostile", 15),
    ]  # fmt: skip


def rows(rounds: int) -> list[Row]:
    """Measure in so many rounds and return the rows."""
    return measure(cases(), rounds=rounds)


if __name__ == "__main__":
    TITLE = "Looking through texts"
    options = read_options(TITLE, None)
    sys.exit(report(rows(options.rounds), TITLE, options))
