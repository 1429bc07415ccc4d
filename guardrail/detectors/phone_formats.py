"""National forms of phone numbers by country: groups of digits, and their first digits.

A number in a national form without a trunk prefix looks like any other number in groups, so these
are searched for only if a kind names their countries: ``phone(ES, PL, BR)``. A country with a trunk
prefix (0, or 1 in North America) is found without being named; naming it changes nothing. The forms
are those of the countries' numbering plans, as the ITU publishes them (E.164, national numbering
plans).
"""

from __future__ import annotations

from typing import Final, NamedTuple


class PhoneFormat(NamedTuple):
    """One national form: the sizes of its groups, and the digits that it may begin with."""

    groups: tuple[int, ...]
    first: str


def _forms(first: str, *groups: str) -> tuple[PhoneFormat, ...]:
    return tuple(PhoneFormat(tuple(map(int, sizes)), first) for sizes in groups)


#: By ISO 3166 code.
FORMS: Final[dict[str, tuple[PhoneFormat, ...]]] = {
    "AR": _forms("123", "244", "334", "343"),
    "AT": (),
    "AU": (),
    "BE": (),
    "BR": (*_forms("123456789", "244", "2144"), *_forms("123456789", "254")),
    "CA": (),
    "CH": (),
    "CL": _forms("2369", "144", "234", "333"),
    "CN": _forms("1", "344"),
    "CO": _forms("36", "334", "37"),
    "CZ": _forms("2345679", "333"),
    "DE": (),
    "DK": _forms("23456789", "2222", "44"),
    "EE": _forms("34567", "34", "43", "44"),
    "ES": _forms("6789", "333", "3222", "2322", "2223", "36"),
    "FI": (),
    "FR": (),
    "GB": (),
    "GR": _forms("26", "334", "37", "244", "343", "424"),
    "HK": _forms("235689", "44"),
    "IE": (),
    "IN": _forms("6789", "55", "334", "46"),
    "IT": _forms("3", "37", "334", "3322", "343"),
    "JP": (),
    "KR": (),
    "LU": _forms("2346", "222", "2222", "333"),
    "LV": _forms("26", "2222", "233", "44"),
    "MX": _forms("23456789", "244", "334", "2222", "22222"),
    "NL": (),
    "NO": _forms("23456789", "2222", "323", "44"),
    "NZ": (),
    "PE": _forms("9", "333"),
    "PL": _forms("123456789", "333", "2322", "27"),
    "PT": _forms("239", "333", "3222", "2322"),
    "RU": _forms("3489", "3322"),
    "SE": (),
    "SG": _forms("3689", "44"),
    "TR": _forms("2345", "3322", "334"),
    "US": (),
    "ZA": (),
}  # fmt: skip


#: A form for the scan: the sizes of its groups (hexadecimal, the first one highest), how many
#: groups and digits it has, and which digits it may begin with (a bit for each).
Phone = tuple[int, int, int, int]


def shapes(countries: frozenset[str]) -> tuple[Phone, ...]:
    """Return the forms of countries for the scan."""
    return tuple(sorted({_shape(form) for country in countries for form in FORMS[country]}))


def _shape(form: PhoneFormat) -> Phone:
    sizes = int("".join(map(str, form.groups)), 16)
    return sizes, len(form.groups), sum(form.groups), sum(1 << int(digit) for digit in form.first)
