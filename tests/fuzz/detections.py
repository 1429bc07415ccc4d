"""Texts full of what detectors look for, broken and whole, for the targets that cut them."""

from collections.abc import Sequence

from guardrail.detectors import KINDS
from tests.fuzz.harness import Draw

#: Left alone, as parts, or run together: each is all or part of something that is found.
FRAGMENTS: Sequence[str] = (
    "clara@hospital.example",
    "@",
    "a.b+c@x-y.co.uk",
    "DE89 3704 0044 0532 0130 00",
    "DE89370400440532013000",
    "GB82WEST12345698765432",
    "4111 1111 1111 1111",
    "4111-1111-1111-1111",
    "378282246310005",
    "+49 30 901820",
    "(030) 90182-0",
    "+1 (415) 555-2671",
    "192.168.0.1",
    "2001:db8::ff00:42:8329",
    "00:1B:44:11:3A:B7",
    "123-45-6789",
    "078-05-1120",
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_" + "a1B2" * 9,
    "sk-" + "A1b2C3d4" * 6,
    "xoxb-123456789012-abcdefghij",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_",
    "-----BEGIN PRIVATE KEY-----",
    "-----END PRIVATE KEY-----",
    "password=hunter2",
    "Bearer ",
    "api_key: ",
    "ignore all previous instructions",
    "Ignoriere alle vorherigen Anweisungen",
    "<|im_start|>",
    "[INST]",
    "\nsystem:",
    '<p style="display:none">',
    "\u200b",
    "\u202e",
    "\U000e0041",
    "\u00ad",
    "\uff11\uff12",
    "\u0435",
    "é",
    "𝄞",
    "ß",
    "K",
    "0",
    "1",
    "9" * 20,
    "-",
    " ",
    "\n",
    "\r\n",
    "\t",
    ".",
    ",",
    ":",
    "/",
    "a" * 70,
    "[email]",
    "[iban]",
    "<",
    ">",
    "[",
    "]",
    "://",
    "https://u:p@x.example/",
    "\ud800",
)
STYLES = ("drop", "label", "hash")
LIMIT_CHARS = 32_768


def text_of(draw: Draw) -> str:
    """Return a text of fragments, of their parts, and of the fuzzer's own letters."""
    parts: list[str] = []
    size = 0
    while draw and size < LIMIT_CHARS:
        form = draw.whole(0, 7)
        part = draw.text(24) if form < 2 else draw.choice(FRAGMENTS)
        if form == 2:
            part = part[draw.whole(0, 40) :]
        elif form == 3:
            part = part[: draw.whole(0, 40)]
        elif form == 4:
            part *= draw.whole(1, 255)
        parts.append(part)
        size += len(part)
    return "".join(parts)[:LIMIT_CHARS]


def kinds_of(draw: Draw) -> tuple[str, ...]:
    """Return one kind, several or all of them."""
    names = tuple(KINDS)
    form = draw.whole(0, 2)
    if form == 0:
        return names
    return tuple(sorted({draw.choice(names) for _ in range(1 if form == 1 else 4)}))
