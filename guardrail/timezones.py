"""Time zones by the names of the IANA database, the same on every machine.

Their rules are those of the package `tzdata`. Nothing that a machine has of its own is asked:
neither its ``localtime`` and ``posixrules``, nor the trees ``posix/`` and ``right/`` (which counts
leap seconds), nor its own rules for a name: two machines would decide differently.
"""

from __future__ import annotations

from datetime import UTC, tzinfo
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

#: Names in the database that are no zone: ``Factory`` says that one has to be set.
_NO_ZONES: Final = frozenset(("", "Factory"))


def find_zone(name: str) -> tzinfo:
    """Return the time zone of a name, exactly as it stands in the database.

    Raises:
        LookupError: where there is none.
    """
    if name == "UTC":
        return UTC
    package = files("tzdata")
    names = package.joinpath("zones").read_text("ascii").splitlines()
    if name not in names or name in _NO_ZONES:
        raise LookupError("no name of the database")
    with package.joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)
