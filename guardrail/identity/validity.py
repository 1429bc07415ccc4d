"""Periods of validity.

Everything that this package caches has a period of validity, with a start. If the clock is set
back, it is before the start, so the cached result is not used, and the check is made again.
"""

from __future__ import annotations


def within(now: float, since: float, until: float) -> bool:
    """Return whether a time is in a period, without its end; NaN and infinity are in none."""
    return since <= now < until
