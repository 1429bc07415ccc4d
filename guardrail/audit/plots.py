"""Plots as inline SVG: drawn here, with nothing fetched and nothing that runs.

Owns their geometry, and that every text in them is escaped. Refuses colours of its own: the page's
style sheet has a class for each outcome. Each has a title for who cannot see it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

from guardrail.audit.totals import OUTCOMES, Durations

_WIDE: Final = 960
_HIGH: Final = 250
_TOP: Final = 38
_LEFT: Final = 8
_GAP: Final = 1.5


def moment(at: float, span_s: float) -> str:
    """Return a time as an axis shows it: the date only where days matter."""
    if span_s < 20:
        when = datetime.fromtimestamp(at, UTC)
        return f"{when:%H:%M:%S}.{when.microsecond // 10_000:02d}"
    form = "%H:%M:%S" if span_s < 7200 else "%d %b %H:%M" if span_s < 30 * 86_400 else "%d %b %Y"
    return f"{datetime.fromtimestamp(at, UTC):{form}}"


def number(value: float) -> str:
    """Return a count, short: ``12.3M``."""
    for limit, unit in ((1e9, "G"), (1e6, "M")):
        if value >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:,.0f}"


def seconds(value: float) -> str:
    """Return a duration with its unit, three digits of it."""
    for limit, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= limit:
            return f"{value / limit:.3g} {unit}"
    return f"{value * 1e9:.3g} ns" if value else "0"


def over_time(
    bars: Sequence[tuple[float, Mapping[str, int]]], width_s: float, *, title: str
) -> str:
    """Return stacked bars: how many calls ended how, in each stretch of time."""
    if not bars:
        return ""
    most = max(1, *(sum(bar.values()) for _, bar in bars))
    slot = (_WIDE - 2 * _LEFT) / len(bars)
    thick = max(slot - _GAP, slot * 0.6)
    span_s = len(bars) * width_s
    parts = [_begin(title, _WIDE, _HIGH + 40)]
    for part in (0.25, 0.5, 0.75, 1.0):
        y = _HIGH - part * (_HIGH - _TOP)
        parts.append(f'<line class="grid" x1="0" x2="{_WIDE}" y1="{y:.1f}" y2="{y:.1f}"/>')
    for index, (at, bar) in enumerate(bars):
        x, y = _LEFT + index * slot, float(_HIGH)
        total = sum(bar.values())
        if not total:
            continue
        told = ", ".join(f"{bar[name]:,} {name}" for name in OUTCOMES if bar.get(name))
        parts.append(f"<g><title>{escape(moment(at, span_s))}: {told}</title>")
        for name in OUTCOMES:
            count = bar.get(name, 0)
            if count:
                high = count / most * (_HIGH - _TOP)
                y -= high
                parts.append(
                    f'<rect class="o-{name}" x="{x:.2f}" y="{y:.2f}" width="{thick:.2f}" '
                    f'height="{high:.2f}"/>'
                )
        parts.append("</g>")
    parts.append(f'<line class="axis" x1="0" x2="{_WIDE}" y1="{_HIGH}" y2="{_HIGH}"/>')
    parts.append(f'<text class="tick" x="{_LEFT}" y="{_TOP - 9}">{number(most)} calls</text>')
    for part, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        at = bars[0][0] + part * span_s
        x = _LEFT + part * (_WIDE - 2 * _LEFT)
        parts.append(
            f'<text class="tick" x="{x:.0f}" y="{_HIGH + 31}" text-anchor="{anchor}">'
            f"{escape(moment(at, span_s))}</text>"
        )
    return "".join(parts) + "</svg>"


def stacked(bar: Mapping[str, int], most: int, *, title: str) -> str:
    """Return one flat bar: how many ended how, as long as they are many."""
    parts = [_begin(title, 100, 10, stretched=True)]
    x = 0.0
    for name in OUTCOMES:
        count = bar.get(name, 0)
        if count:
            wide = count / max(most, 1) * 100
            parts.append(
                f'<rect class="o-{name}" x="{x:.2f}" y="0" width="{wide:.2f}" height="10"/>'
            )
            x += wide
    return "".join(parts) + "</svg>"


def flat(count: float, most: float, *, title: str, kind: str = "plain") -> str:
    """Return one flat bar."""
    wide = max(count / max(most, 1e-12) * 100, 0.5)
    return (
        _begin(title, 100, 10, stretched=True)
        + f'<rect class="o-{kind}" x="0" y="0" width="{wide:.2f}" height="10"/></svg>'
    )


def spread(durations: Mapping[str, Durations], *, title: str) -> str:
    """Return the percentiles of each stage on one logarithmic axis: a line from p50 to p99."""
    from math import log10

    found = {stage: one for stage, one in durations.items() if one.count}
    if not found:
        return ""
    low = min(max(one.percentile(0.5), 1e-8) for one in found.values()) / 2
    high = max(one.longest_s for one in found.values()) * 1.5
    first, last = log10(low), log10(max(high, low * 10))
    row, left, wide = 54, 140, _WIDE - 190

    def place(value: float) -> float:
        return left + (log10(max(value, low)) - first) / (last - first) * wide

    parts = [_begin(title, _WIDE, row * len(found) + 46)]
    for power in range(int(first) - 1, int(last) + 2):
        if first <= power <= last:
            x = place(10.0**power)
            bottom = row * len(found) + 6
            parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{bottom}"/>')
            parts.append(
                f'<text class="tick" x="{x:.1f}" y="{bottom + 34}" text-anchor="middle">'
                f"{seconds(10.0**power)}</text>"
            )
    for index, (stage, one) in enumerate(found.items()):
        y = index * row + row / 2
        p50, p90, p99 = (place(one.percentile(part)) for part in (0.5, 0.9, 0.99))
        told = ", ".join(
            f"{name} {seconds(one.percentile(part))}"
            for name, part in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
        )
        parts.append(
            f"<g><title>{escape(stage)}: {told}, max {seconds(one.longest_s)}</title>"
            f'<text class="name" x="0" y="{y + 8:.0f}">{escape(stage)}</text>'
            f'<line class="whisker" x1="{p50:.1f}" x2="{place(one.longest_s):.1f}" y1="{y}" '
            f'y2="{y}"/>'
            f'<rect class="o-plain" x="{p50:.1f}" y="{y - 9}" '
            f'width="{max(p99 - p50, 2):.1f}" height="18" rx="4"/>'
            f'<circle class="p50" cx="{p50:.1f}" cy="{y}" r="7"/>'
            f'<circle class="p90" cx="{p90:.1f}" cy="{y}" r="5"/></g>'
        )
    return "".join(parts) + "</svg>"


def _begin(title: str, wide: int, high: int, *, stretched: bool = False) -> str:
    ratio = ' preserveAspectRatio="none"' if stretched else ""
    kind = "bar" if stretched else "plot"
    return (
        f'<svg class="{kind}" viewBox="0 0 {wide} {high}" role="img"{ratio}>'
        f"<title>{escape(title)}</title>"
    )
