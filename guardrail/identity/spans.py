"""Spans of time: what was read, given out or verified at one time holds until another.

All that this room remembers by the clock is held to such a span, its beginning included: a clock
that was set back stands before it, so that what was remembered is looked at anew.
"""

from __future__ import annotations


def within(now: float, since: float, until: float) -> bool:
    """Whether a time is in a span, of which the end is no part; NaN and infinity are in none."""
    return since <= now < until
