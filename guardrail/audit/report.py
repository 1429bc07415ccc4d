"""The report of a journal: one HTML file that needs nothing else.

Owns the page: what it shows, in which order, and how it looks on paper, on a phone, and in the
dark. Refuses scripts, fonts, pictures and addresses: the page's own policy forbids them, too. Every
text of a record is escaped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from html import escape
from typing import Final

from guardrail.audit.plots import flat, number, over_time, seconds, spread, stacked
from guardrail.audit.totals import OUTCOMES, STAGES, Totals

_ROWS: Final = 12

_STYLE: Final = """
:root{--bg:#f6f7f9;--card:#fff;--ink:#182230;--soft:#5b6778;--line:#dfe4ea;--accent:#3457d5;
--released:#2f9e6e;--denied:#e0a100;--blocked:#b4479f;--raised:#d6453d;--cancelled:#3a9bb5;
--abandoned:#7b8798;--admitted:#5a6acf;--plain:#3457d5}
@media (prefers-color-scheme:dark){:root{--bg:#10151c;--card:#19212b;--ink:#e6ebf2;--soft:#97a4b5;
--line:#2b3643;--accent:#8aa4ff;--released:#4cc38a;--denied:#f0b429;--blocked:#d678c6;
--raised:#f0716a;--cancelled:#62bcd3;--abandoned:#8c98a8;--admitted:#8f9cf5;--plain:#6f8cf5}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1080px;margin:0 auto;padding:24px 16px 48px}
header h1{font-size:1.6rem;margin:0;letter-spacing:-.02em}
header p{margin:.2rem 0 1.2rem;color:var(--soft)}
.sums{display:grid;grid-template-columns:repeat(auto-fit,minmax(128px,1fr));gap:12px}
.sum,.card{background:var(--card);border:1px solid var(--line);border-radius:12px}
.sum{padding:12px 14px}
.sum b{display:block;font-size:1.5rem;font-variant-numeric:tabular-nums;letter-spacing:-.02em}
.sum span{color:var(--soft);font-size:.85rem}
.sum small{display:block}
.sum i{display:inline-block;width:.65em;height:.65em;border-radius:50%;margin-right:.4em}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:16px;
margin-top:16px}
.card{padding:16px 18px;min-width:0}
.card.wide{grid-column:1/-1}
h2{font-size:1.02rem;margin:0 0 .1rem}
.card>p{margin:0 0 .8rem;color:var(--soft);font-size:.88rem}
svg.plot{width:100%;height:auto;display:block}
svg.bar{width:100%;height:9px;display:block;border-radius:3px;background:var(--line)}
.grid{stroke:var(--line);stroke-width:1}.axis{stroke:var(--soft);stroke-width:1}
.tick{fill:var(--soft);font-size:14px}.name{fill:var(--ink);font-size:15px}
.whisker{stroke:var(--soft);stroke-width:2;stroke-dasharray:3 4}
.p50{fill:var(--card);stroke:var(--plain);stroke-width:4}.p90{fill:var(--ink)}
.legend{display:flex;flex-wrap:wrap;gap:4px 16px;margin:.6rem 0 0;padding:0;list-style:none;
color:var(--soft);font-size:.85rem}
.legend i{display:inline-block;width:.75em;height:.75em;border-radius:3px;margin-right:.4em}
.rows{display:grid;gap:9px}
.row .top{display:flex;justify-content:space-between;gap:12px;font-size:.92rem}
.row .top span:first-child{overflow-wrap:anywhere}
.row .top span:last-child{color:var(--soft);font-variant-numeric:tabular-nums;white-space:nowrap}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.9rem}
th,td{text-align:right;padding:5px 6px;border-bottom:1px solid var(--line)}
th:first-child,td:first-child{text-align:left}
td{white-space:nowrap}
th{color:var(--soft);font-weight:500}
code{font:0.86em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
footer{margin-top:24px;color:var(--soft);font-size:.85rem}
.sideways{overflow-x:auto}
@media (max-width:640px){.tick{font-size:31px}.name{font-size:34px}}
@media print{body{background:#fff}.card,.sum{break-inside:avoid}}
"""
_OUTCOME_STYLE: Final = "".join(
    f".o-{name}{{fill:var(--{name});background:var(--{name})}}" for name in (*OUTCOMES, "plain")
)
_TOLD: Final = {
    "released": "the result left",
    "denied": "refused before the model",
    "blocked": "the result was kept back",
    "raised": "the model raised",
    "cancelled": "its task was cancelled",
    "abandoned": "dropped by the caller",
    "admitted": "never finished",
}


def to_html(totals: Totals, *, journal: str, made_at: float) -> str:
    """Return the report's page.

    Arguments:
        totals: what the journal comes to.
        journal: its name.
        made_at: when the report is made, in seconds since the epoch.
    """
    body = [_head(totals, journal), _sums(totals), '<div class="cards">', _time(totals)]
    body += [_policies(totals), _codes(totals), _latency(totals)]
    body += [_callers(totals), _quota(totals), _redactions(totals), _unfinished(totals)]
    body += [_bundles(totals), "</div>", _foot(made_at)]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; img-src data:\">"
        '<link rel="icon" href="data:,">'
        f"<title>{escape(journal)}: report</title><style>{_STYLE}{_OUTCOME_STYLE}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def _date(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%d %B %Y, %H:%M:%S}"


def _head(totals: Totals, journal: str) -> str:
    if not totals.calls:
        return f"<header><h1>{escape(journal)}</h1><p>No calls.</p></header>"
    return (
        f"<header><h1>{escape(journal)}</h1>"
        f"<p>{_date(totals.first_at)} to {_date(totals.last_at)} UTC</p></header>"
    )


def _sums(totals: Totals) -> str:
    parts = [f'<div class="sum"><b>{number(totals.calls)}</b><span>calls</span></div>']
    for name, count in totals.outcomes().items():
        part = f"{count / totals.calls:.1%}" if totals.calls else ""
        parts.append(
            f'<div class="sum"><b>{number(count)}</b><span><i class="o-{name}"></i>'
            f'{name} <small title="{_TOLD[name]}">{part}</small></span></div>'
        )
    return f'<section class="sums" aria-label="Outcomes">{"".join(parts)}</section>'


def _card(title: str, text: str, body: str, *, wide: bool = False) -> str:
    if not body:
        return ""
    kind = "card wide" if wide else "card"
    return f'<section class="{kind}"><h2>{title}</h2><p>{text}</p>{body}</section>'


def _time(totals: Totals) -> str:
    bars, width_s = totals.time.bars(), totals.time.width_s
    legend = "".join(
        f'<li><i class="o-{name}"></i>{name}: {_TOLD[name]}</li>' for name in totals.outcomes()
    )
    plot = over_time(bars, width_s, title="How calls ended, over time")
    each = seconds(width_s) if width_s < 120 else f"{width_s / 60:,.0f} min"
    text = f"One bar is {each}."
    body = plot and f'<div class="sideways">{plot}</div><ul class="legend">{legend}</ul>'
    return _card("Over time", text, body, wide=True)


def _rows(rows: Iterable[tuple[str, str, str]]) -> str:
    """Return rows of a name, what is counted of it, and its bar."""
    parts = [
        f'<div class="row"><div class="top"><span>{escape(name)}</span><span>{told}</span></div>'
        f"{bar}</div>"
        for name, told, bar in rows
    ]
    return f'<div class="rows">{"".join(parts)}</div>' if parts else ""


def _by_outcome(found: Mapping[str, Counter[str]]) -> str:
    most = max((bar.total() for bar in found.values()), default=0)
    return _rows(
        (name, f"{bar.total():,}", stacked(bar, most, title=_told(name, bar)))
        for name, bar in list(found.items())[:_ROWS]
    )


def _told(name: str, bar: Counter[str]) -> str:
    return f"{name}: " + ", ".join(f"{bar[one]:,} {one}" for one in OUTCOMES if bar[one])


def _counted(found: Counter[str], kind: str = "plain", unit: str = "") -> str:
    most = max(found.values(), default=0)
    return _rows(
        (name, f"{count:,}{unit}", flat(count, most, title=f"{name}: {count:,}", kind=kind))
        for name, count in found.most_common(_ROWS)
    )


def _policies(totals: Totals) -> str:
    found = totals.by_policy()
    text = "The policies that decided, and how their calls ended. A call counts for each of them."
    more = f" The first {_ROWS} of {len(found)}." if len(found) > _ROWS else ""
    return _card("By policy", text + more, _by_outcome(found))


def _codes(totals: Totals) -> str:
    body = _counted(totals.codes(), "denied")
    return _card("Denials by code", "Why calls were refused, or their results kept back.", body)


def _latency(totals: Totals) -> str:
    plot = spread(totals.durations, title="How long each stage took")
    head = "<tr><th>stage</th><th>calls</th><th>p50</th><th>p90</th><th>p99</th><th>max</th></tr>"
    rows = "".join(
        f"<tr><td>{stage}</td><td>{one.count:,}</td><td>{seconds(one.percentile(0.5))}</td>"
        f"<td>{seconds(one.percentile(0.9))}</td><td>{seconds(one.percentile(0.99))}</td>"
        f"<td>{seconds(one.longest_s)}</td></tr>"
        for stage, one in ((name, totals.durations[name]) for name in STAGES)
        if one.count
    )
    text = (
        "Before the model, in it, and after it. The bar runs from p50 to p99, the dot is p90, the "
        "line ends at the longest."
    )
    tables = f'<div class="sideways"><table>{head}{rows}</table></div>'
    body = plot and f'<div class="sideways">{plot}</div>{tables}'
    return _card("How long it took", text, body, wide=True)


def _callers(totals: Totals) -> str:
    types = _by_outcome(totals.by("principal_type")) if totals.calls else ""
    busiest = totals.callers(6)
    body = types
    if busiest:
        most = busiest[0][2]
        rows = _rows(
            (f"{kind} {name[:19]}", f"{count:,}", flat(count, most, title=f"{count:,} calls"))
            for kind, name, count in busiest
        )
        body += f"<h2 style='margin-top:1rem'>Busiest</h2>{rows}"
    return _card("Who called", "By the type of the principal. Names are keyed pseudonyms.", body)


def _quota(totals: Totals) -> str:
    found = Counter(
        {name.replace("/", ": "): count for name, count in totals.counted("quota").items()}
    )
    return _card("Quota used", "By policy and unit.", _counted(found))


def _redactions(totals: Totals) -> str:
    text = "What was cut out of results before they left."
    return _card("Redactions", text, _counted(totals.counted("redact"), "blocked"))


def _unfinished(totals: Totals) -> str:
    if not totals.unfinished:
        return ""
    count = totals.outcomes().get("admitted", 0)
    ids = ", ".join(f"<code>{escape(one[:16])}</code>" for one in totals.unfinished[:8])
    more = " …" if count > 8 else ""
    text = "Their process died while the model ran, or they still go on."
    return _card(f"Never finished: {count:,}", text, f"<p>{ids}{more}</p>")


def _bundles(totals: Totals) -> str:
    rows = "".join(
        f"<tr><td>{escape(guard)} {escape(version)}<br><code>{escape(revision[:16])}</code></td>"
        f"<td>{count:,}</td></tr>"
        for (guard, version, revision), count in totals.revisions.most_common()
    )
    hits, misses = totals.cached[True], totals.cached[False]
    text = "Under which policies."
    if hits + misses:
        text += f" {hits / (hits + misses):.1%} of decisions had been made before on equal facts."
    head = "<tr><th>bundle</th><th>calls</th></tr>"
    return _card("Bundles", text, rows and f"<table>{head}{rows}</table>")


def _foot(made_at: float) -> str:
    return (
        f"<footer>Made {_date(made_at)} UTC from the journal alone. Percentiles are right within "
        "2 %. Whether the journal is whole, <code>guardrail journal verify</code> tells.</footer>"
    )
