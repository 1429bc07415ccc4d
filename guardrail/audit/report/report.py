"""The report of a journal: one self-contained HTML file, written by `guardrail journal report`.

The page has no scripts, fonts, images and links; its content security policy forbids them, too.
Every text of a record is escaped, and its control characters are made visible. `stylesheet` has its
style, `svg_charts` its charts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from guardrail.audit.report.aggregates import OUTCOMES, STAGES, Aggregates
from guardrail.audit.report.quantiles import ERROR
from guardrail.audit.report.stylesheet import STYLE
from guardrail.audit.report.svg_charts import (
    PERCENTILES,
    escape,
    flat,
    full_moment,
    number,
    over_time,
    seconds,
    spread,
    stacked,
)
from guardrail.audit.telemetry.attributes import shown

#: Rows of a card, at most.
_ROWS: Final = 12
_BUSIEST: Final = 6
#: Characters of a name, and of an id, that are shown.
_LONG: Final = 48
_ID: Final = 16
_CACHED: Final = "of decisions came from the cache."
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"

_OUTCOME_TEXTS: Final = {
    "released": "the result was returned",
    "denied": "denied before the model ran",
    "blocked": "the result was withheld",
    "raised": "the model raised",
    "cancelled": "its task was cancelled",
    "abandoned": "dropped by the caller",
    "admitted": "never finished",
}


def to_html(totals: Aggregates, *, journal: str, made_at: float) -> str:
    """Return the report's page.

    Arguments:
        totals: the aggregates of the journal.
        journal: its name.
        made_at: when the report is made, in seconds since the epoch.
    """
    left = (_policies(totals), _callers(totals))
    right = [_codes(totals), _quota(totals), _redactions(totals), _unfinished(totals)]
    right += [_shadow(totals), _bundles(totals)]
    columns = f'<div class="column">{"".join(left)}</div><div class="column">{"".join(right)}</div>'
    cards = f'<div class="cards">{_time(totals)}{columns}{_latency(totals)}</div>'
    body = _head(totals, journal) + (_sums(totals) + cards if totals.calls else "")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{escape(journal)}: report</title><style>{STYLE}</style></head>"
        f"<body><main>{body}{_foot(totals, made_at)}</main></body></html>\n"
    )


# The top.


def _date(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%-d %B %Y, %H:%M:%S}"


def _head(totals: Aggregates, journal: str) -> str:
    first, last = totals.time.first_at, totals.time.last_at
    if not totals.calls:
        text = "No calls."
    elif first > last:
        text = "The times of the calls are unknown."
    else:
        begun, ended = _date(first), _date(last)
        day, _, hour = ended.partition(", ")
        text = f"{begun} to {hour if begun.startswith(f'{day},') else ended} UTC"
    return f"<header><h1>{escape(journal)}</h1><p>{text}</p></header>"


def _sums(totals: Aggregates) -> str:
    parts = [f'<div class="sum"><b>{number(totals.calls)}</b><span>calls</span></div>']
    parts += [
        f'<div class="sum"><b>{number(count)}</b><span><i class="o-{name}"></i>{name}</span>'
        f"<small>{count / totals.calls:.1%}</small></div>"
        for name, count in totals.outcomes().items()
    ]
    return f'<section class="sums" aria-label="Outcomes">{"".join(parts)}</section>'


def _foot(totals: Aggregates, made_at: float) -> str:
    exact = f" Percentiles are exact within {ERROR:.0%}." if totals.calls else ""
    return (
        f"<footer>Made on {_date(made_at)} UTC from the journal alone.{exact} Check the journal "
        "for changes with <code>guardrail journal verify</code>.</footer>"
    )


# Pieces of cards.


def _card(title: str, text: str, body: str, *, order: int, wide: bool = False) -> str:
    """Return a card; ``order`` is its position when all cards are in one column."""
    if not body:
        return ""
    kind = "card wide" if wide else "card"
    text = text and f"<p>{text}</p>"
    return (
        f'<section class="{kind}" style="order:{order}"><h2>{escape(title)}</h2>{text}{body}'
        "</section>"
    )


def _rows(rows: Iterable[tuple[str, str, str]]) -> str:
    """Return rows of a name, its text, and its bar."""
    return _bars((escape(_short(name)), text, bar) for name, text, bar in rows)


def _bars(rows: Iterable[tuple[str, str, str]]) -> str:
    """Return rows as `_rows`, for names that are already HTML."""
    parts = [
        f'<div class="row"><div><bdi>{name}</bdi><span>{text}</span></div>{bar}</div>'
        for name, text, bar in rows
    ]
    return f'<div class="rows">{"".join(parts)}</div>' if parts else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, title: str) -> str:
    """Return a table; texts are escaped. The first cell of a row is its heading."""
    titles = "".join(f'<th scope="col">{escape(one)}</th>' for one in head)
    body = "".join(
        f'<tr><th scope="row"><bdi>{escape(_short(row[0]))}</bdi></th>'
        + "".join(f"<td>{escape(one)}</td>" for one in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="sideways" tabindex="0" role="region" aria-label="{escape(title)}"><table>'
        f"<thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _outcome_table(
    of: str, rows: Iterable[tuple[str, Mapping[str, int]]], totals: Aggregates, *, title: str
) -> str:
    """Return a collapsible table of outcomes."""
    shown = list(totals.outcomes())
    table = _table(
        (of, "calls", *shown),
        (
            (name, f"{sum(bar.values()):,}", *(f"{bar.get(one, 0):,}" for one in shown))
            for name, bar in rows
        ),
        title=title,
    )
    return f"<details><summary>As a table</summary>{table}</details>"


def _by_outcome(found: Mapping[str, Counter[str]]) -> str:
    most = max((bar.total() for bar in found.values()), default=0)
    return _rows(
        (name, f"{bar.total():,}", stacked(bar, most, title=_ended(name, bar)))
        for name, bar in list(found.items())[:_ROWS]
    )


def _ended(name: str, bar: Counter[str]) -> str:
    return f"{name}: " + ", ".join(f"{bar[one]:,} {one}" for one in OUTCOMES if bar[one])


def _counted(found: Counter[str], kind: str = "plain") -> str:
    most = max(found.values(), default=0)
    return _rows(
        (name, f"{count:,}", flat(count, most, title=f"{name}: {count:,}", kind=kind))
        for name, count in found.most_common(_ROWS)
    )


def _short(name: str) -> str:
    return name if len(name) <= _LONG else f"{name[:_LONG]}…"


def _first_of(count: int) -> str:
    return f" The first {_ROWS} of {count:,}." if count > _ROWS else ""


# Cards.


def _time(totals: Aggregates) -> str:
    bars, width_s = totals.time.bars(), totals.time.width_s
    title = "How calls ended, over time"
    plot = over_time(bars, width_s, title=title)
    legend = "".join(
        f'<li><i class="o-{name}"></i>{name}: {_OUTCOME_TEXTS[name]}</li>'
        for name in totals.outcomes()
    )
    rows = ((full_moment(at, width_s), bar) for at, bar in bars if bar)
    table = _outcome_table("from", rows, totals, title=title)
    text = f"One bar is {seconds(width_s)}; times are UTC."
    if totals.time.undated:
        text += f" The time of {totals.time.undated:,} calls is unknown."
    body = plot and f'{plot}<ul class="legend">{legend}</ul>{table}'
    return _card("Over time", text, body, order=0, wide=True)


def _policies(totals: Aggregates) -> str:
    found = totals.by_policy()
    text = "The policies that decided, and how their calls ended. A call counts for each of them."
    body = _by_outcome(found)
    if body:
        rows = list(found.items())[:_ROWS]
        body += _outcome_table("policy", rows, totals, title="How calls ended, by policy")
    return _card("By policy", text + _first_of(len(found)), body, order=2)


def _codes(totals: Aggregates) -> str:
    found = totals.codes()
    text = "Why calls were denied, or their results withheld." + _first_of(len(found))
    body = _counted(found, "denied")
    unrecorded = totals.counted("unrecorded")
    if unrecorded:
        body += "<h3>Failed authentication, not recorded individually</h3>"
        body += _counted(unrecorded, "denied")
    return _card("Denials by code", text, body, order=1)


def _callers(totals: Aggregates) -> str:
    found = totals.by("principal_type")
    body = _by_outcome(found)
    if body:
        rows = list(found.items())[:_ROWS]
        title = "How calls ended, by the caller's type"
        body += _outcome_table("type", rows, totals, title=title)
    busiest = totals.callers(_BUSIEST)
    if busiest:
        most = busiest[0][2]
        least = "" if totals.is_exact_of_callers else "at least "
        body += "<h3>The busiest</h3>" + _bars(
            (
                f"<code>{escape(_short(name))}</code> {escape(_short(kind))}",
                f"{least}{count:,}",
                flat(count, most, title=f"{count:,} calls"),
            )
            for kind, name, count in busiest
        )
    text = "By the type of the principal. Names are as in the journal: pseudonyms, unless it "
    return _card("Who called", text + "is configured to store ids.", body, order=3)


def _quota(totals: Aggregates) -> str:
    found = Counter(
        {name.replace("/", ": "): count for name, count in totals.counted("quota").items()}
    )
    text = "By policy and unit, over all callers." + _first_of(len(found))
    return _card("Quota used", text, _counted(found), order=4)


def _redactions(totals: Aggregates) -> str:
    found = totals.counted("redact")
    text = "What was redacted, by kind." + _first_of(len(found))
    return _card("Redactions", text, _counted(found, "blocked"), order=5)


def _shadow(totals: Aggregates) -> str:
    found = Counter({shown(name): count for name, count in totals.counted("shadow").items()})
    text = "Calls that the shadow's policies would have decided differently." + _first_of(
        len(found)
    )
    return _card("In shadow", text, _counted(found), order=6)


def _unfinished(totals: Aggregates) -> str:
    count = totals.outcomes().get("admitted", 0)
    shown = totals.unfinished[:_ROWS]
    ids = ", ".join(f"<code>{escape(one[:_ID])}</code>" for one in shown)
    more = f", and {count - len(shown):,} more" if count > len(shown) else ""
    text = (
        "Their process died while the model ran, or they are still running. Their ids begin with:"
    )
    return _card(f"Never finished: {count:,}", text, ids and f"{ids}{more}", order=7)


def _bundles(totals: Aggregates) -> str:
    rows = "".join(
        f'<tr><th scope="row" class="long"><bdi>{escape(_short(guard))} {escape(version)}</bdi>'
        f"<br><code>{escape(revision[:_ID])}</code></th><td>{count:,}</td></tr>"
        for (guard, version, revision), count in totals.bundles().most_common()
    )
    cached = totals.cached()
    hits, decided = cached[True], cached[True] + cached[False]
    text = f"{hits / decided:.1%} {_CACHED}" if decided else ""
    head = '<thead><tr><th scope="col">bundle, revision</th><th scope="col">calls</th></tr></thead>'
    body = rows and f"<table>{head}<tbody>{rows}</tbody></table>"
    return _card("Bundles", text, body, order=9)


def _latency(totals: Aggregates) -> str:
    title = "How long each stage took"
    found = totals.durations
    plot = spread(found, title=title)
    rows = (
        (
            stage,
            f"{one.count:,}",
            *(seconds(one.percentile(part)) for _, part in PERCENTILES),
            seconds(one.longest_s),
        )
        for stage, one in ((name, found[name]) for name in STAGES)
        if one.count
    )
    head = ("stage", "calls", *(name for name, _ in PERCENTILES), "max")
    text = (
        "Before the model ran, while it did, and after. A bar goes from p50 to p99, with a gap at "
        "p90; its line ends at the longest."
    )
    body = plot and plot + _table(head, rows, title=title)
    return _card("How long it took", text, body, order=8, wide=True)
