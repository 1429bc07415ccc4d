"""The report's page: complete, escaped, self-contained, and with a table for each chart."""

import re
from html.parser import HTMLParser

import pytest
from busy_days import records
from records import record

from guardrail.audit.report.aggregates import Aggregates
from guardrail.audit.report.report import to_html
from guardrail.audit.report.svg_charts import full_moment, moment, number, seconds

BAD = '<script>alert("x")</script>\'"&'
EMPTY = {"meta", "br", "rect", "line"}


def page_of(*made, journal="j"):
    totals = Aggregates()
    for one in made:
        totals.add(one)
    return to_html(totals, journal=journal, made_at=1.8e9)


class Seen(HTMLParser):
    """What a browser would find: elements, attributes, and whether all of them end."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.open, self.attributes = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def everywhere(text):
    """Records in which every text is this one."""
    made = record(
        decision_id=text, guard=text, version=text, revision=text, action=text,
        principal_type=text, principal=text, resource=text, policies=(text,), errors=(text,),
        counts=((f"redact/{text}", 1), (f"quota/{text}/calls", 1)), error_type=text, path=text,
    )  # fmt: skip
    return (
        made,
        made._replace(outcome="denied", code=text),
        made._replace(outcome="admitted"),
    )


def test_every_text_of_a_record_is_escaped():
    page = page_of(*everywhere(BAD), journal=BAD)
    seen, plain = Seen(page), Seen(page_of(*everywhere("x"), journal="x"))
    assert seen.open == []
    assert seen.tags == plain.tags
    assert [name for name, _ in seen.attributes] == [name for name, _ in plain.attributes]
    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 10


def test_the_page_has_nothing_from_elsewhere_and_nothing_that_runs():
    page = page_of(*records(500))
    assert "http" not in page.replace("http-equiv", "")
    assert "@import" not in page
    assert "url(" not in page
    seen = Seen(page)
    assert {"script", "link", "img", "iframe", "object", "form", "a"}.isdisjoint(seen.tags)
    names = {name for name, _ in seen.attributes}
    assert {"src", "href", "xlink:href", "action"}.isdisjoint(names)
    assert not any(name.startswith("on") for name in names)


def test_the_page_forbids_all_but_its_style():
    assert (
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    ) in page_of(record())


def test_each_plot_has_a_title_and_a_table_beside_it():
    page = page_of(*records(500))
    seen = Seen(page)
    assert (
        page.count('role="img"')
        == page.count("<svg")
        == len(re.findall(r"<svg[^>]*><title>", page))
    )
    assert page.count("<desc>") == 2
    for title in ("How calls ended, over time", "How long each stage took"):
        assert f"<title>{title}</title>" in page
        assert f'aria-label="{title}"' in page
    assert seen.tags.count("table") == 5
    assert ("scope", "row") in seen.attributes


def test_the_table_tells_what_the_plot_shows():
    page = page_of(
        record(started_at=1.8e9),
        record(started_at=1.8e9 + 0.001, outcome="denied", code="no_grant"),
    )
    table = page[page.index('aria-label="How calls ended, over time"') :]
    rows = re.findall(r"<tr>(.*?)</tr>", table[: table.index("</table>")])
    cells = [re.sub(r"<[^>]+>", " ", row).split() for row in rows]
    assert cells[0] == ["from", "calls", "released", "denied"]
    assert cells[1] == ["15", "Jan", "2027", "08:00:00.000", "1", "1", "0"]
    assert cells[2] == ["15", "Jan", "2027", "08:00:00.001", "1", "0", "1"]


def test_an_empty_journal_has_a_page():
    page = page_of()
    assert "No calls." in page
    assert Seen(page).open == []
    assert "<svg" not in page


def test_calls_without_a_time_have_a_page():
    page = page_of(record(started_at=0.0))
    assert "The times of the calls are unknown." in page
    assert "clinicians-may-score" in page
    page = page_of(record(started_at=0.0), record())
    assert "The time of 1 calls is unknown." in page


@pytest.mark.parametrize("changes", [{"admit_s": 0.0, "model_s": 0.0, "release_s": 0.0}, {}])
@pytest.mark.parametrize("count", [1, 2, 130])
def test_a_page_of_few_calls_has_no_shape_outside_its_plot(changes, count):
    page = page_of(*(record(started_at=1.8e9 + 3600 * n, **changes) for n in range(count)))
    assert "nan" not in page
    assert "inf" not in page.replace("information", "")
    for x, wide in re.findall(
        r'<rect class="o-\w+" x="([-\d.]+)" y="[-\d.]+" width="([-\d.]+)"', page
    ):
        assert 0 <= float(x) <= float(x) + float(wide) <= 1200.01


def test_what_never_finished_is_named_and_counted():
    made = (record(outcome="admitted", decision_id=f"{n:032x}") for n in range(50))
    page = page_of(*made)
    assert "Never finished: 50" in page
    assert "and 38 more" in page


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (5e-9, "5 ns"), (1.25e-5, "12.5 µs"), (0.003, "3 ms"), (1, "1 s"),
        (90, "1.5 min"), (900, "15 min"), (10_800, "3 h"), (86_400, "1 d"), (604_800, "7 d"),
    ],
)  # fmt: skip
def test_durations_in_words(value, text):
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (999, "999"), (12_345, "12,345"), (12_345_678, "12.3M")]
)
def test_counts_in_words(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("at", "step_s", "short", "full"),
    [
        (1.8e9 + 0.005, 0.001, "08:00:00.005", "15 Jan 2027 08:00:00.005"),
        (1.8e9, 5, "08:00:00", "15 Jan 2027 08:00:00"),
        (1.8e9, 3600, "08:00", "15 Jan 2027 08:00"),
        (1.8e9 - 28_800, 3600, "15 Jan", "15 Jan 2027 00:00"),
        (1.8e9, 86_400, "15 Jan", "15 Jan 2027"),
        (1.8e9, 31_536_000, "Jan 2027", "15 Jan 2027"),
    ],
)
def test_times_in_words(at, step_s, short, full):
    assert (moment(at, step_s), full_moment(at, step_s)) == (short, full)
