"""Aggregates of a journal: known results, in bounded memory; and filters of calls."""

import math

import pytest
from busy_days import records
from hypothesis import given
from hypothesis import strategies as st
from records import record

from guardrail.audit.journal_read.filters import CallFilter
from guardrail.audit.report.aggregates import Aggregates


def totals_of(*made):
    totals = Aggregates()
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


def test_memory_does_not_grow_with_callers_and_policies():
    totals = Aggregates()
    for number in range(30_000):
        totals.add(record(principal=f"k1:{number}", policies=(f"p{number}",)))
    totals.add(record(principal="k1:0"))
    assert len(totals._callers) <= 20_000
    assert len(totals._groups) <= 20_001
    assert totals.outcomes() == {"released": 30_001}


def test_the_busiest_callers_come_first():
    totals = totals_of(*records(3000))
    found = totals.callers(5)
    assert [count for *_, count in found] == sorted((count for *_, count in found), reverse=True)


def test_names_of_counts_are_bounded_and_nothing_is_lost():
    totals = Aggregates()
    for number in range(5000):
        totals.add(record(counts=((f"redact/kind-{number}", 2),)))
    found = totals.counted("redact")
    assert len(found) <= 2001
    assert found.total() == 10_000
    assert found["others"] == 6000


def test_who_was_forgotten_is_said():
    assert totals_of(*records(100)).is_exact_of_callers
    many = totals_of(*(record(principal=f"k1:{number}") for number in range(30_000)))
    assert not many.is_exact_of_callers


@pytest.mark.parametrize("count", [1, 4095, 4096, 4097, 9000])
def test_nothing_waits_when_it_is_asked_for(count):
    totals = totals_of(*(record() for _ in range(count)))
    assert totals.calls == count
    assert totals.outcomes() == {"released": count}
    assert totals.durations["admit"].count == count
    assert totals.by("guard") == {"clinical_scoring": {"released": count}}
    assert totals.bundles().total() == totals.cached()[False] == count
    assert sum(bar["released"] for _, bar in totals.time.bars()) == count


@given(st.lists(st.integers(0, 60), max_size=8))
def test_looking_in_between_changes_nothing(pauses):
    made = list(records(sum(pauses)))
    once, looked, at = totals_of(*made), Aggregates(), 0
    for pause in pauses:
        for one in made[at : at + pause]:
            looked.add(one)
        at += pause
        looked.outcomes()
    for what in (
        Aggregates.outcomes,
        Aggregates.codes,
        Aggregates.by_policy,
        Aggregates.bundles,
        Aggregates.cached,
    ):
        assert what(looked) == what(once)
    assert looked.time.bars() == once.time.bars()
    assert looked.unfinished == once.unfinished


@pytest.mark.parametrize("at", [0.0, -5.0, math.nan, math.inf, 1e300])
@pytest.mark.parametrize("took", [-1.0, math.nan, math.inf])
def test_what_is_no_time_and_no_duration_is_counted_and_not_drawn(at, took):
    totals = totals_of(record(), record(started_at=at, admit_s=took))
    assert totals.calls == totals.outcomes()["released"] == 2
    assert totals.time.undated == 1
    assert len(totals.time.bars()) == 1
    assert totals.durations["admit"].count == 1


# Filters.


@pytest.mark.parametrize(
    ("selection", "fits"),
    [
        (CallFilter(), True),
        (CallFilter(outcome="released"), True),
        (CallFilter(outcome="denied"), False),
        (CallFilter(policy="clinicians-may-score"), True),
        (CallFilter(policy="clinicians"), False),
        (CallFilter(id="d-"), True),
        (CallFilter(id="e"), False),
        (CallFilter(since=1_800_000_000.0), True),
        (CallFilter(until=1_800_000_000.0), False),
        (CallFilter(guard="clinical_scoring", action="explain"), False),
        (CallFilter(principal_type="User", code="allow"), True),
        (CallFilter(principal="k1:abcdef"), True),
        (CallFilter(principal="k1:abc"), True),
        (CallFilter(principal="k1"), False),
        (CallFilter(principal="k1:b"), False),
        (CallFilter(principal="k1:abc…"), True),
        (CallFilter(principal="k1:b…"), False),
        (CallFilter(resource="tumour"), True),
        (CallFilter(resource="Model"), False),
    ],
)
def test_a_selection_takes_what_fits_all_of_it(selection, fits):
    assert selection.takes(record(principal="k1:abcdef", resource="tumour")) is fits
