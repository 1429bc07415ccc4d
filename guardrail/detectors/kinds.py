"""The names of what is looked for: kinds, groups of kinds, and what a finding is.

Owns the vocabulary. Refuses an unknown name, and says which known one is near.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final, NamedTuple

#: Every kind, with what it means.
KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "email": "an email address",
        "phone": "a phone number, international or in a national form with separators",
        "card": "a payment card number that passes its check digit",
        "iban": "an international bank account number that passes its check digits",
        "ssn": "a social security number of the United States",
        "national_id": "a national identity or tax number that passes its check digits",
        "ipv4": "an IPv4 address",
        "ipv6": "an IPv6 address",
        "mac": "a hardware address",
        "private_key": "a private key in PEM armour",
        "jwt": "a JSON Web Token",
        "api_key": "a key in the public format of a known service",
        "bidi": "controls that reorder text for the eye",
        "tag": "tag characters, which nobody sees",
        "zero_width": "characters without a width, where no script needs them",
        "look_alike": "a word in which letters pose as others",
        "mixed_script": "a word written in more than one script",
        "override": "a phrase that asks a model to forget its instructions",
        "hidden_text": "text that a page does not show",
        "encoded": "a long encoded payload",
        "role_marker": "a mark by which text poses as another speaker",
    }
)

#: Names for several kinds at once.
GROUPS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "contacts": ("email", "phone"),
        "personal": (
            "email", "phone", "card", "iban", "ssn", "national_id", "ipv4", "ipv6", "mac",
        ),
        "secrets": ("private_key", "jwt", "api_key"),
        "tricks": ("bidi", "tag", "zero_width", "look_alike", "mixed_script"),
        "injection": ("override", "hidden_text", "encoded", "role_marker"),
    }
)  # fmt: skip

#: The kinds by number, as the compiled scan names them.
NAMES: Final = tuple(KINDS)


#: How many places of one text are looked at closely, by default: findings, and what may be one.
LIMIT_FINDINGS: Final = 2_000


class TooManyFindings(Exception):
    """A text has more places to look at closely than it may: it is refused, and not looked through.

    Arguments:
        limit: how many it may have.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit} places in the text are, or may be, findings")
        self.limit = limit


class Finding(NamedTuple):
    """One thing that was found: its kind, and where it stands in the text as it came."""

    kind: str
    start: int
    end: int


def expand(names: Iterable[str]) -> tuple[str, ...]:
    """Return the kinds that names of kinds and groups stand for, each once, in order of `KINDS`.

    Raises `ValueError` for a name that is neither, and for a single text in place of several
    names. No names give no kinds.

    >>> expand(["contacts", "jwt"])
    ('email', 'phone', 'jwt')
    """
    if isinstance(names, str):
        raise ValueError("expected several names of kinds, got one text")  # noqa: TRY004 (the one error)
    wanted: set[str] = set()
    for name in names:
        if name in GROUPS:
            wanted.update(GROUPS[name])
        elif name in KINDS:
            wanted.add(name)
        else:
            raise ValueError(_unknown(name))
    return tuple(kind for kind in KINDS if kind in wanted)


def _unknown(name: str) -> str:
    near = get_close_matches(name, (*GROUPS, *KINDS), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"no detector is named {name!r}{hint} (`guardrail.detectors.KINDS` lists them)"
