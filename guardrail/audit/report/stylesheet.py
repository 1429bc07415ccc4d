"""The style sheet of a journal's report.

It has layouts for phones, dark mode and print, and loads no fonts or images. The colours of
outcomes also differ in lightness, and contrast with the page by 3:1.
"""

from __future__ import annotations

from typing import Final

from guardrail.audit.report.aggregates import OUTCOMES

_BASE: Final = """
:root{color-scheme:light dark;
--bg:#f5f6f8;--card:#fff;--ink:#17202c;--soft:#566273;--line:#e3e7ec;--track:#edf0f3;
--released:#23966b;--denied:#d97a08;--blocked:#9a3fa0;--raised:#c62f3b;--cancelled:#2c8fc4;
--abandoned:#768396;--admitted:#4a55c8;--plain:#3f64d9}
@media (prefers-color-scheme:dark){:root{
--bg:#0f141a;--card:#181f28;--ink:#e7ecf3;--soft:#9aa7b8;--line:#2a3440;--track:#232c37;
--released:#3fb984;--denied:#f2a33c;--blocked:#cf7fd4;--raised:#f2707a;--cancelled:#5cb8e6;
--abandoned:#8d99aa;--admitted:#8e97f5;--plain:#7396f7}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
main{max-width:1120px;margin:0 auto;padding:28px 16px 48px}
header{margin-bottom:20px}
h1{font-size:1.65rem;line-height:1.25;margin:0;letter-spacing:-.02em;overflow-wrap:anywhere}
h2{font-size:1.02rem;margin:0}
h3{font-size:.9rem;margin:1.2rem 0 .5rem}
p{margin:0;color:var(--soft)}
.card>p{margin:.1rem 0 .9rem;font-size:.88rem}
.sums{display:grid;grid-template-columns:repeat(auto-fit,minmax(124px,1fr));gap:12px}
.sum,.card{background:var(--card);border:1px solid var(--line);border-radius:12px}
.sum{padding:12px 14px}
.sum b{display:block;font-size:1.55rem;line-height:1.3;letter-spacing:-.02em}
.sum span,.sum small{display:block;color:var(--soft);font-size:.85rem;line-height:1.35}
.sum i{display:inline-block;width:.62em;height:.62em;border-radius:50%;margin-right:.4em}
.cards,.column{display:grid;gap:16px;align-content:start;min-width:0}
.cards{grid-template-columns:repeat(2,minmax(0,1fr));margin-top:16px}
.card{padding:16px 18px;min-width:0}
.wide{grid-column:1/-1}
b,td,.row,.plot{font-variant-numeric:tabular-nums}
.plot{display:grid;grid-template-columns:auto minmax(0,1fr);margin-right:14px}
.beside{position:relative;min-width:3.4rem}
.spread .beside{min-width:4.2rem}
.beside span,.below span{position:absolute;color:var(--soft);font-size:.78rem;line-height:1;
white-space:nowrap}
.beside span{right:10px;transform:translateY(-50%)}
.spread .beside span{right:auto;left:0;color:var(--ink);font-size:.9rem}
.below{position:relative;grid-column:2;height:1.7rem}
.below span{top:9px;transform:translateX(-50%)}
.below .ends{transform:translateX(-100%)}
svg.shapes{display:block;width:100%;height:230px;overflow:visible}
.spread svg.shapes{height:156px}
svg.bar{display:block;width:100%;height:8px;border-radius:4px;background:var(--track)}
line{vector-effect:non-scaling-stroke}
.grid{stroke:var(--line)}
.axis{stroke:var(--soft)}
.whisker,.end{stroke:var(--soft);stroke-width:2}
.p50{stroke:var(--ink);stroke-width:3}
.p90{stroke:var(--card);stroke-width:3}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;margin:.5rem 0 0;padding:0;list-style:none;
color:var(--soft);font-size:.85rem}
.legend i{display:inline-block;width:.7em;height:.7em;border-radius:3px;margin-right:.45em}
.rows{display:grid;gap:10px}
.row>div{display:flex;justify-content:space-between;gap:12px;font-size:.92rem;line-height:1.6}
.row bdi{overflow-wrap:anywhere}
.row code{font-size:.82rem}
.row span{white-space:nowrap;color:var(--soft)}
details{margin-top:.9rem;font-size:.88rem}
summary{cursor:pointer;color:var(--soft);width:fit-content}
summary:focus-visible{outline:2px solid var(--plain);outline-offset:3px;border-radius:3px}
.sideways{overflow-x:auto}
.sideways:focus-visible{outline:2px solid var(--plain)}
table{border-collapse:collapse;width:100%;font-size:.9rem;margin-top:.4rem}
th,td{text-align:right;padding:6px 4px 6px 10px;border-bottom:1px solid var(--line);
white-space:nowrap;font-weight:400}
thead th{color:var(--soft);font-size:.85rem}
th:first-child{text-align:left;padding-left:0}
tbody tr:last-child>*{border-bottom:0}
th.long{white-space:normal;overflow-wrap:anywhere}
code{font:.86em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
footer{margin-top:24px;color:var(--soft);font-size:.85rem}
@media (max-width:820px){
.cards{grid-template-columns:minmax(0,1fr)}
.column{display:contents}
}
@media (max-width:560px){
main{padding:20px 12px 36px}
.sums{grid-template-columns:repeat(3,minmax(0,1fr));gap:8px}
.sum{padding:9px 10px}
.sum:first-child{grid-column:1/-1}
.sum b{font-size:1.25rem}
.card{padding:14px}
svg.shapes{height:180px}
.beside{min-width:2.5rem}
.spread .beside{min-width:3.7rem}
.below span:nth-child(even){display:none}
.spread .below span:nth-child(even){display:inline}
.long .below span{display:none}
.long .below span:nth-child(3n+1){display:inline}
table{font-size:.82rem}
th,td{padding:6px 2px 6px 6px}
}
@media print{
:root{--bg:#fff}
main{max-width:none;padding:0}
.card,.sum{break-inside:avoid}
details{display:none}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
}
"""

_OUTCOMES: Final = "".join(
    f".o-{name}{{fill:var(--{name});background:var(--{name})}}" for name in (*OUTCOMES, "plain")
)

#: The whole style sheet.
STYLE: Final = (_BASE + _OUTCOMES).replace("\n", "")
