"""The charts of a journal's report, as inline SVG without scripts or external resources.

Every text is escaped. The page's style sheet has the colours: a class for each outcome. Shapes are
stretched to the width of the page, down to a phone's; labels are text of the page, and keep their
size. Each chart has a title for screen readers, and the report has a table with the same data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape as escape_html
from math import ceil, floor, log10
from typing import Final

from guardrail._safe_text import printable
from guardrail.audit.report.aggregates import OUTCOMES
from guardrail.audit.report.quantiles import DurationQuantiles
from guardrail.audit.report.time_buckets import WIDTHS_MS

_WIDE: Final = 1200
_HIGH: Final = 240
#: How high the plot of one stage is.
_ROW: Final = 56
_DAY_S: Final = 86_400
_DAY_MS: Final = _DAY_S * 1000
#: Times written below a plot, at most; of those with seconds, which are long; and how far apart
#: they may be.
_LIMIT_TICKS: Final = 7
_LIMIT_LONG: Final = 5
#: From this position on, in percent, a text ends at its position instead of being centred.
_EDGE: Final = 94
#: A text below a plot is long, with more characters than a time to the second has.
_LONG: Final = 8
_ENDS: Final = ' class="ends"'
_TICKS_MS: Final = (
    *(width for width in WIDTHS_MS if width <= _DAY_MS),
    *(days * _DAY_MS for days in (2, 4, 7, 14, 28, 56, 112, 182, 365, 730, 1_825, 3_650, 36_500)),
    1_000_000 * _DAY_MS,
)
#: Percentiles that are shown, and the class of their marks.
PERCENTILES: Final = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))


def escape(text: str) -> str:
    """Return a text for the page: escaped, with control characters as visible escapes."""
    return escape_html(printable(text))


# Numbers as text.


def moment(at: float, step_s: float) -> str:
    """Return a time, in seconds since the epoch, with the precision that the step needs."""
    when = datetime.fromtimestamp(at, UTC)
    if step_s < 1:
        return f"{when:%H:%M:%S}.{when.microsecond // 1000:03d}"
    if step_s < 60:
        return f"{when:%H:%M:%S}"
    if step_s < _DAY_S:
        return f"{when:%H:%M}" if at % _DAY_S else f"{when:%-d %b}"
    return f"{when:%-d %b}" if step_s < 180 * _DAY_S else f"{when:%b %Y}"


def number(value: float) -> str:
    """Return a count in short form: ``12.3M``."""
    for limit, unit in ((1e9, "G"), (1e6, "M")):
        if value >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:,.0f}"


def seconds(value: float) -> str:
    """Return a duration with its unit and three digits: ``1.25 ms``."""
    for limit, unit in ((_DAY_S, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms")):
        if value >= limit:
            return f"{value / limit:.3g} {unit}"
    if value >= 1e-6:
        return f"{value * 1e6:.3g} µs"
    return f"{value * 1e9:.3g} ns" if value else "0"


# Plots.


def over_time(
    bars: Sequence[tuple[float, Mapping[str, int]]], width_s: float, *, title: str
) -> str:
    """Return stacked bars: the number of calls by outcome, in each interval.

    Arguments:
        bars: their start times in seconds since the epoch, at intervals of `width_s`, and their
            outcomes; some may be empty.
        width_s: the width of each bar, in seconds.
        title: the title of the chart.
    """
    if not bars:
        return ""
    most = max(1, *(sum(bar.values()) for _, bar in bars))
    heights = _heights(most)
    scale = _HIGH / heights[-1]
    slot = _WIDE / len(bars)
    text = f"{len(bars)} bars of {seconds(width_s)}; the highest has {most:,} calls."
    parts = [_begin(title, _WIDE, _HIGH, about=text)]
    for height in heights[1:]:
        parts.append(_line("grid", 0, _HIGH - height * scale, _WIDE, _HIGH - height * scale))
    for place, (at, bar) in enumerate(bars):
        if bar:
            ended = ", ".join(f"{bar[name]:,} {name}" for name in OUTCOMES if bar.get(name))
            parts.append(f"<g><title>{full_moment(at, width_s)}: {ended}</title>")
            parts.append(_stack(bar, (place + 0.08) * slot, slot * 0.84, scale))
            parts.append("</g>")
    parts.append(_line("axis", 0, _HIGH, _WIDE, _HIGH) + "</svg>")
    return _framed(
        "".join(parts),
        [(number(height), 100 - height * scale / _HIGH * 100) for height in heights],
        list(_ticks(bars[0][0], len(bars) * width_s)),
        kind="time",
    )


def full_moment(at: float, step_s: float) -> str:
    """Return a time with its date."""
    when = datetime.fromtimestamp(at, UTC)
    day = f"{when:%-d %b %Y}"
    return day if step_s >= _DAY_S else f"{day} {_of_day(when, step_s)}"


def _of_day(when: datetime, step_s: float) -> str:
    if step_s < 1:
        return f"{when:%H:%M:%S}.{when.microsecond // 1000:03d}"
    return f"{when:%H:%M:%S}" if step_s < 60 else f"{when:%H:%M}"


def stacked(bar: Mapping[str, int], most: int, *, title: str) -> str:
    """Return one horizontal bar of outcomes.

    Arguments:
        bar: the number of calls by outcome.
        most: the number of calls in the longest bar beside it.
        title: the same as text.
    """
    parts, x = [_begin(title, 100, 10, kind="bar")], 0.0
    for name in OUTCOMES:
        count = bar.get(name, 0)
        if count:
            wide = count / max(most, 1) * 100
            parts.append(_rect(f"o-{name}", x, 0, wide, 10))
            x += wide
    return "".join(parts) + "</svg>"


def flat(count: float, most: float, *, title: str, kind: str = "plain") -> str:
    """Return one horizontal bar of one colour: ``kind`` is an outcome, or ``plain``."""
    wide = min(max(count / max(most, 1e-12) * 100, 0.5), 100)
    return _begin(title, 100, 10, kind="bar") + _rect(f"o-{kind}", 0, 0, wide, 10) + "</svg>"


def spread(durations: Mapping[str, DurationQuantiles], *, title: str) -> str:
    """Return the durations of each stage on a logarithmic axis: from p50 to p99, and the longest.

    Arguments:
        durations: by stage; empty ones are left out.
        title: the title of the chart.
    """
    found = {stage: one for stage, one in durations.items() if one.count and one.longest_s}
    if not found:
        return ""
    low = log10(max(min(one.percentile(0.5) for one in found.values()), 1e-8)) - 0.15
    high = max(log10(max(one.longest_s for one in found.values())) + 0.15, low + 1)

    def place(value: float) -> float:
        return max((log10(max(value, 1e-9)) - low) / (high - low), 0.0) * _WIDE

    tall = _ROW * len(found)
    parts = [
        _begin(title, _WIDE, tall, about="; ".join(map(describe_durations, found, found.values())))
    ]
    powers = [10.0**power for power in range(ceil(low), floor(high) + 1)]
    parts += [_line("grid", place(power), 0, place(power), tall) for power in powers]
    for index, (stage, one) in enumerate(found.items()):
        middle = (index + 0.5) * _ROW
        p50, p90, p99 = (place(one.percentile(part)) for _, part in PERCENTILES)
        longest = place(one.longest_s)
        parts += [
            f"<g><title>{escape(describe_durations(stage, one))}</title>",
            _line("whisker", p99, middle, longest, middle),
            _line("end", longest, middle - 8, longest, middle + 8),
            _rect("o-plain", p50, middle - 11, max(p99 - p50, 2), 22),
            _line("p50", p50, middle - 17, p50, middle + 17),
            _line("p90", p90, middle - 11, p90, middle + 11),
            "</g>",
        ]
    parts.append("</svg>")
    return _framed(
        "".join(parts),
        [(stage, (index + 0.5) / len(found) * 100) for index, stage in enumerate(found)],
        [(seconds(power), place(power) / _WIDE * 100) for power in powers],
        kind="spread",
    )


def describe_durations(stage: str, one: DurationQuantiles) -> str:
    """Return the percentiles of a stage's durations as text."""
    parts = [f"{name} {seconds(one.percentile(part))}" for name, part in PERCENTILES]
    return f"{stage}: {', '.join(parts)}, max {seconds(one.longest_s)}"


# Pieces.


def _heights(most: int) -> list[int]:
    """Return round numbers from 0 to at least ``most``, for the grid lines."""
    power = 10 ** floor(log10(most))
    steps = (max(power * part // 10, 1) for part in (2, 5, 10, 20, 50))
    step = next(step for step in steps if ceil(most / step) <= 5)
    return [step * count for count in range(ceil(most / step) + 1)]


def _ticks(begun: float, span_s: float) -> Iterable[tuple[str, float]]:
    """Yield round times in a time range, with their positions in percent."""
    begun_ms, span_ms = round(begun * 1000), span_s * 1000
    step_ms = next(
        step
        for step in _TICKS_MS
        if span_ms <= step * (_LIMIT_TICKS if step >= 60_000 else _LIMIT_LONG)
    )
    at_ms = -(-begun_ms // step_ms) * step_ms
    while at_ms <= begun_ms + span_ms:
        yield moment(at_ms / 1000, step_ms / 1000), (at_ms - begun_ms) / span_ms * 100
        at_ms += step_ms


def _framed(
    svg: str,
    beside: Sequence[tuple[str, float]],
    below: Sequence[tuple[str, float]],
    *,
    kind: str,
) -> str:
    """Return a chart with labels at its left and below it, at positions in percent."""
    if any(len(text) > _LONG for text, _ in below):
        kind += " long"
    left = "".join(f'<span style="top:{at:.2f}%">{escape(text)}</span>' for text, at in beside)
    under = "".join(
        f'<span{_ENDS if at > _EDGE else ""} style="left:{at:.2f}%">{escape(text)}</span>'
        for text, at in below
        if at <= 100
    )
    return (
        f'<div class="plot {kind}"><div class="beside" aria-hidden="true">{left}</div>{svg}'
        f'<div class="below" aria-hidden="true">{under}</div></div>'
    )


def _stack(bar: Mapping[str, int], x: float, wide: float, scale: float) -> str:
    parts, y = [], float(_HIGH)
    for name in OUTCOMES:
        high = bar.get(name, 0) * scale
        if high:
            y -= high
            parts.append(_rect(f"o-{name}", x, y, wide, high))
    return "".join(parts)


def _rect(kind: str, x: float, y: float, wide: float, high: float) -> str:
    return f'<rect class="{kind}" x="{x:.2f}" y="{y:.2f}" width="{wide:.2f}" height="{high:.2f}"/>'


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _begin(title: str, wide: int, high: int, *, about: str = "", kind: str = "shapes") -> str:
    desc = f"<desc>{escape(about)}</desc>" if about else ""
    return (
        f'<svg class="{kind}" viewBox="0 0 {wide} {high}" preserveAspectRatio="none" role="img">'
        f"<title>{escape(title)}</title>{desc}"
    )
