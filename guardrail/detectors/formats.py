"""The public formats of keys, and the shapes of bank account numbers: what scans are told.

Owns the tables. Refuses formats that are no more than a run of letters and digits: without a
mark of its own a key cannot be told from a checksum. Its place is before the scan; nothing here
runs on a text.
"""

from __future__ import annotations

import re
import string
from functools import lru_cache
from typing import Final, NamedTuple

_ALNUM: Final = string.ascii_letters + string.digits
_TOKEN: Final = _ALNUM + "_-"
_HEX: Final = "0123456789abcdef"
_UPPER: Final = string.ascii_uppercase + string.digits


class Format(NamedTuple):
    """A key's format: what it begins with, and at least how many of which characters follow.

    ``exact`` bounds it: where more of these characters follow, it is another thing. Else it
    ends where they do.
    """

    prefix: str
    chars: str
    least: int
    exact: bool = False
    mark: int = -1


#: Formats by their services' documentation, or as these services' scanners publish them.
#: ``mark`` is the place in the prefix at which the scan stops for it: its rarest character.
KEYS: Final = (
    *(Format(f"{start}", _UPPER, 16, True, 2) for start in ("AKIA", "ASIA", "ABIA", "ACCA")),
    *(Format(f"gh{kind}_", _ALNUM, 36) for kind in "pousr"),
    Format("github_pat_", _ALNUM + "_", 60),
    *(Format(f"gl{kind}-", _TOKEN, 20) for kind in ("pat", "dt", "rt", "ptt", "soat")),
    *(Format(f"xox{kind}-", _TOKEN, 20) for kind in "bpares"),
    Format("xapp-", _TOKEN, 30),
    *(
        Format(f"{kind}_{mode}_", _ALNUM, 16)
        for kind in ("sk", "rk")
        for mode in ("live", "test")
    ),
    Format("whsec_", _ALNUM + "+/=", 24),
    Format("AIza", _TOKEN, 35, False, 2),
    Format("GOCSPX-", _TOKEN, 28),
    Format("ya29.", _TOKEN, 30),
    Format("sk-", _ALNUM, 32),
    *(Format(f"sk-{kind}-", _TOKEN, 24) for kind in ("proj", "svcacct", "admin", "ant", "or")),
    Format("hf_", _ALNUM, 30),
    Format("npm_", _ALNUM, 36),
    Format("pypi-", _TOKEN, 50),
    Format("SG.", _TOKEN + ".", 66, True, 2),
    *(Format(f"{kind}_v1_", _HEX, 64, True) for kind in ("dop", "doo", "dor")),
    Format("AccountKey=", _ALNUM + "+/=", 88, True),
    *(Format(f"shp{kind}_", _HEX, 32, True) for kind in ("at", "ca", "pa", "ss")),
    *(Format(f"sq0{kind}-", _TOKEN, 22) for kind in ("atp", "csp", "idp")),
    Format("key-", _HEX, 32, True),
    Format("dapi", _HEX, 32, True, 2),
    *(Format(start, _HEX, 32, True, 1) for start in ("SK", "AC")),
    Format("hvs.", _TOKEN, 24),
    Format("lin_api_", _ALNUM, 32),
    Format("ATATT3", _TOKEN + "=", 60, False, 4),
)  # fmt: skip

#: The characters at which a scan stops, by the kinds that it then looks for.
MARKS: Final = {
    "email": "@",
    "phone": string.digits + "+(",
    "card": string.digits + "+",
    "iban": string.digits,
    "ssn": string.digits,
    "national_id": string.digits,
    "ipv4": string.digits,
    "ipv6": string.digits + ":",
    "mac": string.digits + ":-.",
    "private_key": "-",
    "jwt": "J",
    "api_key": ":",  # and what the formats have
    "hidden_text": "<",
}

#: A format as the scan reads it: its number, prefix, mark, characters, least count, exact.
Entry = tuple[int, bytes, int, bytes, int, bool]

#: What a stop can mean, as the scan reads it: digits, marks of other kinds, marks of keys.
DIGIT, OTHER, KEY = 1, 2, 4


@lru_cache(maxsize=64)
def tails() -> tuple[bytes, ...]:
    """Return for each format which bytes its keys may go on with."""
    return tuple(bytes(chr(point) in form.chars for point in range(256)) for form in KEYS)


@lru_cache(maxsize=64)
def entries() -> dict[int, tuple[Entry, ...]]:
    """Return the formats of keys by the two characters that end at their mark."""
    table: dict[int, tuple[Entry, ...]] = {}
    for number, form in enumerate(KEYS):
        prefix = form.prefix.encode()
        mark = form.mark if form.mark >= 0 else len(prefix) - 1
        code = prefix[mark - 1] << 8 | prefix[mark]
        entry = (number, prefix, mark, tails()[number], form.least, form.exact)
        table[code] = (*table.get(code, ()), entry)
    return table


@lru_cache(maxsize=64)
def triggers(wanted: frozenset[str]) -> bytes:
    """Return for each byte what a scan for some kinds stops at it for; 0 for nothing."""
    table = bytearray(256)
    for kind in wanted & MARKS.keys():
        for char in MARKS[kind]:
            table[ord(char)] |= DIGIT if char.isdigit() else OTHER
    if "api_key" in wanted:
        for code in entries():
            table[code & 255] |= KEY
    return bytes(table)


@lru_cache(maxsize=64)
def ibans() -> dict[bytes, bytes]:
    """Return for each country the letters ``n``, ``a``, ``c`` of its account numbers.

    They are those of SWIFT's registry, as python-stdnum has it.
    """
    from stdnum import iban

    table = {}
    for first in string.ascii_uppercase:
        for second in string.ascii_uppercase:
            ((_, told), *_) = iban._ibandb.info(first + second)
            parts = re.findall(r"(\d+)!([nac])", told.get("bban", ""))
            if parts:
                shape = "".join(int(size) * char for size, char in parts)
                table[(first + second).encode()] = shape.encode()
    return table
