"""Renders the coverage of a bundle's policies as one HTML file.

The page shows the text of the policies with each condition marked. It has no scripts, fonts,
images or external addresses; every text of the bundle is escaped, and each mark is also written in
words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from guardrail.testing.coverage.coverage import Coverage, PartCoverage, PolicyCoverage

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE: Final = """
:root{color-scheme:light dark;--bg:#f5f6f8;--card:#fff;--ink:#17202c;--soft:#566273;--line:#e3e7ec;
--both:#d9f2e5;--half:#fdecc8;--none:#fbd9d9}
@media (prefers-color-scheme:dark){:root{--bg:#0f141a;--card:#181f28;--ink:#e7ecf3;--soft:#9aa7b8;
--line:#2a3440;--both:#1d4a36;--half:#5a4410;--none:#5e2329}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1000px;margin:0 auto;padding:28px 16px 48px}
h1{font-size:1.5rem;margin:0}
h2{font-size:1rem;margin:28px 0 8px}
p{color:var(--soft);margin:.3rem 0}
pre{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px;
overflow-x:auto;font:13px/1.6 ui-monospace,Menlo,Consolas,monospace;margin:0}
mark{color:inherit;border-radius:3px;padding:1px 0}
.both{background:var(--both)}.half{background:var(--half)}.none{background:var(--none)}
.note{color:var(--soft);font-style:italic}
"""


def to_html(coverage: Coverage) -> str:
    """Return the page of a coverage."""
    name = escape(coverage.snapshot.name)
    files: dict[str, list[PolicyCoverage]] = {}
    for each in coverage.policies:
        files.setdefault(each.policy.chunk.source.file, []).append(each)
    body = "".join(
        f"<h2>{escape(file)}</h2><pre>{''.join(_file(policies))}</pre>"
        for file, policies in files.items()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>Coverage of {name}</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>Coverage of {name}</h1><p>{escape(coverage.summary)}</p>"
        '<p><mark class="both">true and false</mark>, <mark class="half">one value only</mark>, '
        '<mark class="none">never evaluated</mark></p>'
        f"{body}</main></body></html>\n"
    )


def _file(policies: Sequence[PolicyCoverage]) -> Iterator[str]:
    """Yield the text of a file with marks; policies of one template share the marks of its text."""
    text = policies[0].policy.chunk.source.text
    marks: dict[tuple[int, int], list[PartCoverage]] = {}
    notes: dict[int, list[str]] = {}
    for each in policies:
        for part in each.parts:
            if part.part.is_atom:
                marks.setdefault(part.part.span, []).append(part)
        for lack in each.lacks:
            note = f"{each.policy.id}: {lack}" if each.policy.template else lack
            notes.setdefault(each.policy.chunk.end, []).append(note)
    at = 0
    for place in sorted({*(start for start, _ in marks), *notes}):
        if place < at:
            continue  # inside a mark: a whole clause whose single conditions were not found
        yield escape(text[at:place])
        at = place
        for note in notes.get(place, ()):
            yield f' <span class="note">// {escape(note)}</span>'
        ends = [end for start, end in marks if start == place]
        if ends:
            at = max(ends)
            marked = [part for span, parts in marks.items() if span[0] == place for part in parts]
            yield _marked(text[place:at], marked)
    yield escape(text[at:])


def _marked(text: str, parts: Sequence[PartCoverage]) -> str:
    true, false = sum(part.true for part in parts), sum(part.false for part in parts)
    errors = sum(part.errors for part in parts)
    unseen = {name for part in parts for name in part.unseen}
    kind = "none" if not (true or false) else "half" if unseen else "both"
    description = f"true {true} times, false {false} times"
    description += f", in error {errors} times" if errors else ""
    return f'<mark class="{kind}" title="{description}">{escape(text)}</mark>'
