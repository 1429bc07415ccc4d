"""Finds time zones by their names in the IANA database, with the same rules on every machine.

`find_zone` reads the rules from the package `tzdata`. It ignores all time zone files of the machine
(``localtime``, ``posixrules``, the folders ``posix/`` and ``right/``, other versions of the
database), because with them two machines could decide differently.
"""

from __future__ import annotations

import re
from datetime import UTC, tzinfo
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

_OFFSET: Final = re.compile("[+-][0-9]{2}:?[0-9]{2}")
#: Names in the database that are not time zones: ``Factory`` means that none is set.
_NO_ZONES: Final = frozenset(("", "Factory"))


def find_zone(name: str) -> tzinfo:
    """Return the time zone of a name, which must be spelt exactly as in the database.

    Raises:
        LookupError: if there is none.
    """
    if name == "UTC":
        return UTC
    package = files("tzdata")
    names = package.joinpath("zones").read_text("ascii").splitlines()
    if name not in names or name in _NO_ZONES:
        raise LookupError("not a name of the database")
    with package.joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def is_zone(name: str) -> bool:
    """Whether a text is the name of a time zone, or an offset such as ``+02:00``.

    For zones in data: any zone that Python finds counts, because its rules are not used.
    """
    if _OFFSET.fullmatch(name):
        return True
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):  # ZoneInfoNotFoundError is a KeyError
        return False
    return True
