"""Time zones in outputs: only known ones are returned, as a custom name may hold data."""

from __future__ import annotations

import datetime
import zoneinfo
from typing import Any

from guardrail._timezones import is_zone


def plain_zone(zone: Any) -> Any:
    """Return a known time zone without its custom name; ``None`` for an unknown one."""
    if type(zone) is datetime.timezone:
        return datetime.timezone(zone.utcoffset(None))
    if type(zone) is zoneinfo.ZoneInfo and zone.key is not None and is_zone(zone.key):
        return zoneinfo.ZoneInfo(zone.key)
    return None


def is_plain_zone(zone: Any) -> bool:
    """Return whether a time zone is known, and has no custom name."""
    if type(zone).__module__.partition(".")[0] == "pytz":
        return is_zone(str(zone))
    plain = plain_zone(zone)
    return plain is not None and str(plain) == str(zone)
