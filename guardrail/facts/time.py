"""Facts about the time of a call, in the bundle's time zone: ``context.time``.

This module reads no clock: the flow takes the time once, at the start of the call. ``now`` is
different in every call, so a policy that reads it defeats the decision cache; the other facts
rarely change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from guardrail._ports import FactContext
from guardrail._timezones import find_zone
from guardrail.errors import ConfigurationError
from guardrail.values import FactValue

_READ: Final[Mapping[str, Callable[[datetime], FactValue]]] = {
    "now": lambda local: local.astimezone(UTC),
    "hour": lambda local: local.hour,
    "weekday": lambda local: local.isoweekday(),
    "date": lambda local: local.date().isoformat(),
}


class TimeFacts:
    """``context.time``: when the call was made.

    ``now`` (an aware datetime in UTC), ``hour`` (0 to 23), ``weekday`` (ISO 8601: Monday is 1,
    Sunday 7) and ``date`` (``"2026-11-23"``). All but ``now`` are in the bundle's time zone.

    Arguments:
        timezone: a name of the IANA database, such as ``"Europe/Berlin"``, or ``"UTC"``.

    Raises `ConfigurationError` if the package `tzdata` does not have the time zone.
    """

    __slots__ = ("_zone",)

    namespace = "time"
    #: The facts whose texts a caller can't choose.
    plain = frozenset(("date",))
    facts = frozenset(_READ)
    ranges: Final = {"hour": (0, 23), "weekday": (1, 7)}

    def __init__(self, *, timezone: str) -> None:
        try:
            self._zone = find_zone(timezone)
        except LookupError:
            known = False
        else:
            known = True
        if not known:
            raise ConfigurationError(
                "`bundle.timezone` is not a name of the IANA time zone database. Write one such as "
                "Europe/Berlin, exactly as in the database, or update `tzdata`."
            )

    def compute(self, names: frozenset[str], context: FactContext) -> Mapping[str, FactValue]:
        """Return the named facts."""
        local = datetime.fromtimestamp(context.now, self._zone)
        return {name: _READ[name](local) for name in names & self.facts}
