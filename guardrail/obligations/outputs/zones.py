"""Time zones as parts of outputs: known ones, without a name of somebody's own."""

from __future__ import annotations

import datetime
import re
import zoneinfo
from typing import Any, Final

_OFFSET: Final = re.compile("[+-][0-9]{2}:?[0-9]{2}")


def plain_zone(zone: Any) -> Any:
    """Return a time zone without a name of somebody's own; ``None`` where it is not known."""
    if type(zone) is datetime.timezone:
        return datetime.timezone(zone.utcoffset(None))
    if type(zone) is zoneinfo.ZoneInfo and zone.key is not None and is_zone(zone.key):
        return zoneinfo.ZoneInfo(zone.key)
    return None


def is_plain_zone(zone: Any) -> bool:
    """Return whether a time zone is known, and has no name of somebody's own."""
    if type(zone).__module__.partition(".")[0] == "pytz":
        return is_zone(str(zone))
    plain = plain_zone(zone)
    return plain is not None and str(plain) == str(zone)


def is_zone(name: str) -> bool:
    """Return whether a text names a time zone, or an offset such as ``+02:00``."""
    if _OFFSET.fullmatch(name):
        return True
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return False
    return True
