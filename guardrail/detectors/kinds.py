"""The vocabulary of the detectors: kinds, groups of kinds, and the form of a finding.

`expand` turns the names that a policy or an application writes into kinds. An unknown name is an
error that suggests the nearest known one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from guardrail._nearest import nearest
from guardrail.detectors.phone_formats import FORMS

#: Every kind, with its meaning.
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
        "credential": "a password or token that stands behind its name, or in an address",
        "bidi": "controls that reorder text for the eye",
        "tag": "invisible tag characters",
        "zero_width": "characters without a width, where no script needs them",
        "look_alike": "a word in which letters imitate others",
        "mixed_script": "a word written in more than one script",
        "override": "a phrase that asks a model to forget its instructions",
        "hidden_text": "text that a page does not show",
        "encoded": "a long encoded payload",
        "role_marker": "a mark by which text imitates another speaker",
    }
)

#: Names for several kinds at once.
GROUPS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "contacts": ("email", "phone"),
        "personal": (
            "email", "phone", "card", "iban", "ssn", "national_id", "ipv4", "ipv6", "mac",
        ),
        "secrets": ("private_key", "jwt", "api_key", "credential"),
        "tricks": ("bidi", "tag", "zero_width", "look_alike", "mixed_script"),
        "injection": ("override", "hidden_text", "encoded", "role_marker"),
    }
)  # fmt: skip

#: The kinds by number, as the compiled scan names them.
NAMES: Final = tuple(KINDS)


#: The default limit of findings and possible findings in one text.
LIMIT_FINDINGS: Final = 2_000


class TooManyFindings(Exception):
    """A text has too many findings or possible findings, and is rejected without a complete scan.

    Arguments:
        limit: how many it may have.

    Attributes:
        limit: how many it may have.
        reason: what the text has too much of, to follow on "it has".
        cure: the remedy, starting in lower case.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit} places in the text are, or may be, findings")
        self.limit = limit
        self.reason = f"over {limit} findings or possible findings"
        self.cure = "raise `findings` in [bounds]"


class MatchTooLong(TooManyFindings):
    """A possible match of a pattern without a maximum length is too long.

    The text is refused: whether it has a match cannot be decided from the part that is held back.

    Arguments:
        kind: the kind with the pattern.
        limit: how many characters of it are held back.
    """

    def __init__(self, kind: str, limit: int) -> None:
        super().__init__(limit)
        self.args = (f"a possible match of {kind} has over {limit} characters",)
        self.reason = f"a possible match of {kind} with over {limit} characters"
        self.cure = f"bound the repeats in the pattern of [detectors.{kind}], as in {{1,40}}"


class Detection(NamedTuple):
    """One finding: its kind, and its place in the original text."""

    kind: str
    start: int
    end: int


def expand(names: Iterable[str], own: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the kinds that names of kinds and groups stand for, each once, in order of `KINDS`.

    Arguments:
        names: kinds, groups, and ``phone(ES, PL)``: `phone` with the national forms of some
            countries (`guardrail.detectors.phone_formats.FORMS`), by their ISO 3166 codes.
        own: names of other kinds; they are last in the order.

    Raises `ValueError` for a name that is none of these, and for a single text in place of several
    names. No names give no kinds.

    >>> expand(["contacts", "jwt"])
    ('email', 'phone', 'jwt')
    >>> expand(["contacts", "phone(PL, ES)"])
    ('email', 'phone(ES, PL)')
    """
    if isinstance(names, str):
        raise ValueError("expected several names of kinds, got one text")  # noqa: TRY004 (the one error)
    known = (*KINDS, *own)
    wanted: set[str] = set()
    countries: set[str] = set()
    for name in names:
        if name.startswith("phone(") and name.endswith(")"):
            countries.update(_countries(name))
            wanted.add("phone")
        elif name in GROUPS:
            wanted.update(GROUPS[name])
        elif name in known:
            wanted.add(name)
        else:
            raise ValueError(_unknown(name, known))
    phone = f"phone({', '.join(sorted(countries))})" if countries else "phone"
    return tuple(phone if kind == "phone" else kind for kind in known if kind in wanted)


def bare(names: Iterable[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return expanded kinds without countries, and the countries that they name.

    >>> bare(["email", "phone(ES, PL)"])[0]
    ('email', 'phone')
    """
    names = tuple(names)
    countries = {code for name in names if "(" in name for code in _countries(name)}
    return tuple(name.partition("(")[0] for name in names), frozenset(countries)


def _countries(name: str) -> list[str]:
    """Return the countries in brackets after ``phone``."""
    codes = [code.strip() for code in name[len("phone(") : -1].split(",")]
    for code in codes:
        if code not in FORMS:
            raise ValueError(
                f"phone(...) takes countries whose national forms are known: {', '.join(FORMS)}"
            )
    return codes


def _unknown(name: str, known: Iterable[str]) -> str:
    near = nearest(name, (*GROUPS, *known))
    hint = f"; did you mean {near!r}?" if near else ""
    return f"no detector is named {name!r}{hint} (`guardrail.detectors.KINDS` lists ours)"
