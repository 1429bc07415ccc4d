"""Periods of validity: something that was read, given out or verified is valid for a time.

Everything that this package remembers has such a period, with a start. A clock that was set back is
before the start, so the remembered result is not used, and the check is made again.
"""

from __future__ import annotations


def within(now: float, since: float, until: float) -> bool:
    """Whether a time is in a period, without its end; NaN and infinity are in none."""
    return since <= now < until
