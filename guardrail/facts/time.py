"""Facts about when a call is made.

Owns the place ``context.time``, and the bundle's time zone. Refuses to read a clock: the
time is the one that the flow took at the call. ``now`` differs with every call and so
defeats the decision cache; the others hardly do.
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
    """``context.time``: ``now`` (an aware datetime in UTC), ``hour`` (0 to 23),
    ``weekday`` (ISO 8601: Monday is 1, Sunday 7) and ``date`` (``"2026-11-23"``).

    All but ``now`` in the bundle's time zone.

    Arguments:
        timezone: a name of the IANA database, such as ``"Europe/Berlin"``, or ``"UTC"``.

    Raises `ConfigurationError` where the package `tzdata` has no such time zone.
    """  # noqa: D205

    __slots__ = ("_zone",)

    namespace = "time"
    #: Those whose texts are never a caller's.
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
        """Return the facts named."""
        local = datetime.fromtimestamp(context.now, self._zone)
        return {name: _READ[name](local) for name in names & self.facts}
