"""What a journal comes to: known answers, bounded memory, percentiles within their error."""

import math

import pytest
from busy_days import records
from hypothesis import given
from hypothesis import strategies as st
from records import record

from guardrail.audit.report import to_html
from guardrail.audit.selection import Selection
from guardrail.audit.totals import ERROR, LIMIT_BARS, Durations, TimeLine, Totals


def totals_of(*made):
    totals = Totals()
    for one in made:
        totals.add(one)
    return totals


def test_outcomes_policies_and_codes_are_counted():
    totals = totals_of(
        record(),
        record(outcome="denied", code="no_grant", policies=()),
        record(outcome="denied", code="prohibited", policies=("a", "b"), principal_type="Service"),
        record(outcome="blocked", code="output_blocked", policies=("a",)),
    )
    assert totals.outcomes() == {"released": 1, "denied": 2, "blocked": 1}
    assert totals.codes() == {"no_grant": 1, "prohibited": 1, "output_blocked": 1}
    by_policy = totals.by_policy()
    assert by_policy["a"] == {"denied": 1, "blocked": 1}
    assert by_policy["b"] == {"denied": 1}
    assert totals.by("principal_type") == {
        "User": {"released": 1, "denied": 1, "blocked": 1},
        "Service": {"denied": 1},
    }


def test_quota_and_redactions_are_summed():
    counts = (("quota/fair-use/calls", 1), ("redact/email", 2))
    totals = totals_of(record(counts=counts), record(counts=counts))
    assert totals.counted("quota") == {"fair-use/calls": 2}
    assert totals.counted("redact") == {"email": 4}


def test_what_never_finished_is_named():
    totals = totals_of(*(record(outcome="admitted", decision_id=f"d{n}") for n in range(50)))
    assert totals.outcomes() == {"admitted": 50}
    assert len(totals.unfinished) == 20


def test_stages_that_a_call_did_not_reach_are_not_counted():
    totals = totals_of(record(outcome="denied", model_s=0.0, release_s=0.0), record())
    assert [totals.durations[stage].count for stage in ("admit", "model", "release")] == [2, 1, 1]


@given(st.lists(st.floats(1e-7, 1e3), min_size=1, max_size=200), st.sampled_from((0.5, 0.9, 0.99)))
def test_percentiles_are_within_their_error(durations, part):
    one = Durations()
    for each in durations:
        one.add(each)
    exact = sorted(durations)[max(1, math.ceil(part * len(durations))) - 1]
    assert abs(one.percentile(part) - exact) <= exact * ERROR * 1.01
    assert one.longest_s == max(durations)


def test_no_durations_have_no_percentile():
    assert Durations().percentile(0.5) == 0


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=300))
def test_a_time_line_has_few_bars_and_every_call(times):
    line = TimeLine()
    for at in times:
        line.add(at, "released")
    bars = line.bars()
    assert len(bars) <= LIMIT_BARS
    assert sum(bar["released"] for _, bar in bars) == len(times)
    assert bars[0][0] <= min(times) < bars[0][0] + line.width_s
    assert bars[-1][0] <= max(times) < bars[-1][0] + line.width_s


def test_memory_does_not_grow_with_callers_and_policies():
    totals = Totals()
    for number in range(30_000):
        totals.add(record(principal=f"k1:{number}", policies=(f"p{number}",)))
    totals.add(record(principal="k1:0"))
    assert len(totals._callers) <= 20_000
    assert len(totals._alike) <= 20_001
    assert totals.outcomes() == {"released": 30_001}


def test_the_busiest_callers_come_first():
    totals = totals_of(*records(3000))
    found = totals.callers(5)
    assert [count for *_, count in found] == sorted((count for *_, count in found), reverse=True)


# The page.


def test_every_text_of_a_record_is_escaped():
    bad = '<script>alert("x")</script>'
    made = record(
        guard=bad, version=bad, revision=bad, action=bad, principal_type=bad, principal=bad,
        policies=(bad,), counts=((f"redact/{bad}", 1), (f"quota/{bad}/calls", 1)),
    )  # fmt: skip
    totals = totals_of(
        made,
        made._replace(outcome="denied", code=bad),
        made._replace(outcome="admitted", decision_id=bad),
    )
    page = to_html(totals, journal=bad, made_at=0.0)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 5


def test_the_page_has_nothing_from_elsewhere():
    page = to_html(totals_of(*records(500)), journal="j", made_at=0.0)
    assert "http" not in page.replace("http-equiv", "")
    assert "<script" not in page
    assert "@import" not in page
    assert "url(" not in page


def test_an_empty_journal_has_a_page():
    assert "No calls." in to_html(Totals(), journal="j", made_at=0.0)


# Filters.


@pytest.mark.parametrize(
    ("selection", "fits"),
    [
        (Selection(), True),
        (Selection(outcome="released"), True),
        (Selection(outcome="denied"), False),
        (Selection(policy="clinicians-may-score"), True),
        (Selection(policy="clinicians"), False),
        (Selection(id="d-"), True),
        (Selection(id="e"), False),
        (Selection(since=1_800_000_000.0), True),
        (Selection(until=1_800_000_000.0), False),
        (Selection(guard="clinical_scoring", action="explain"), False),
        (Selection(principal_type="User", code="allow"), True),
    ],
)
def test_a_selection_takes_what_fits_all_of_it(selection, fits):
    assert selection.takes(record()) is fits
