"""A shadow's differences in attributes, metrics and the journal."""

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from records import record

from guardrail.audit import Metrics, attributes
from guardrail.audit.report.aggregates import Aggregates
from guardrail.audit.report.report import to_html
from guardrail.audit.telemetry.attributes import shadow_of, shown
from guardrail.audit.telemetry.signals import Signals
from guardrail.cli.journal.report import as_json
from guardrail.cli.journal.show import line

DENIES = (("shadow/denies/prohibited/a/b", 1), ("shadow/denies/prohibited/c", 1))
QUOTA = (("quota/fair/calls", 1),)


@pytest.fixture
def reader():
    return InMemoryMetricReader()


@pytest.fixture
def provider(reader):
    provider = MeterProvider([reader], shutdown_on_exit=False)
    yield provider
    provider.shutdown()


def points(reader, name):
    data = reader.get_metrics_data()
    return [
        (dict(point.attributes), point.value)
        for resource in (data.resource_metrics if data is not None else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == name
        for point in metric.data.data_points
    ]


def beside(counts):
    """Return what the attributes of a record say of the shadow, without the common prefix."""
    return {
        name.removeprefix("guardrail.shadow."): value
        for name, value in attributes(record(counts=counts)).items()
        if name.startswith("guardrail.shadow.")
    }


@pytest.mark.parametrize(
    ("counts", "named"),
    [
        ((), {}),
        (QUOTA, {}),
        (DENIES + QUOTA, {"decision": "deny", "reason": "prohibited", "policies": ("a/b", "c")}),
        ((("shadow/denies/no_grant", 1),), {"decision": "deny", "reason": "no_grant"}),
        (
            (("shadow/code/evaluation_error/x", 1),),
            {"decision": "deny", "reason": "evaluation_error", "policies": ("x",)},
        ),
        (
            (("shadow/allows/a/b", 1),),
            {"decision": "allow", "reason": "allow", "policies": ("a/b",)},
        ),
        (
            (("shadow/obligations/round/x", 1), ("shadow/obligations/top_k/x", 1)),
            {
                "decision": "allow",
                "reason": "allow",
                "policies": ("x",),
                "obligations": ("round", "top_k"),
            },
        ),
        ((("shadow/failed/OSError", 1),), {"decision": "error", "reason": "OSError"}),
    ],
)
def test_a_difference_is_told_in_attributes_of_its_own(counts, named):
    assert beside(counts) == named
    assert attributes(record(counts=counts))["guardrail.enforcement.mode"] == "enforce"


def test_only_the_shadows_counts_are_differences():
    assert shadow_of(record(counts=DENIES + QUOTA)) == (
        "denies/prohibited/a/b",
        "denies/prohibited/c",
    )
    assert [shown(each) for each in ("denies/no_grant", "denies/prohibited/a/b", "allows/a/b")] == [
        "denies: no_grant",
        "denies: prohibited: a/b",
        "allows: a/b",
    ]


def test_differences_are_counted_by_call_and_kind_and_name_no_policy(reader, provider):
    signals = Signals(meter_provider=provider, events="none")
    signals.make(record(counts=DENIES + QUOTA), ("", "", ""))
    signals.make(record(counts=QUOTA), ("", "", ""))
    signals.make(record(counts=(("shadow/failed/OSError", 1),)), ("", "", ""))
    named = {"guardrail.guard.name": "clinical_scoring"}
    found = points(reader, "guardrail.shadow.differences")
    assert sorted(found, key=str) == [
        ({**named, "guardrail.shadow.difference": "denies"}, 1),
        ({**named, "guardrail.shadow.difference": "failed"}, 1),
    ]


def test_evaluations_go_on_over_shadows_and_are_not_there_without_one(reader, provider):
    meters, other = (Metrics(name, meter_provider=provider) for name in ("one", "other"))
    assert points(reader, "guardrail.shadow.evaluations") == []
    other.observe_shadow(None)
    meters.observe_shadow(lambda: 3)
    assert points(reader, "guardrail.shadow.evaluations") == [({"guardrail.guard.name": "one"}, 3)]
    meters.observe_shadow(lambda: 4)
    assert meters.shadow_count() == 7
    meters.observe_shadow(None)
    assert points(reader, "guardrail.shadow.evaluations") == [({"guardrail.guard.name": "one"}, 7)]


def test_a_journals_report_has_the_differences_by_policy():
    totals = Aggregates()
    assert "In shadow" not in to_html(totals, journal="j", made_at=1.8e9)
    for _ in range(3):
        totals.add(record(counts=DENIES + QUOTA))
    assert as_json(totals)["shadow"] == {"denies/prohibited/a/b": 3, "denies/prohibited/c": 3}
    assert as_json(totals)["quota"] == {"fair/calls": 3}
    page = to_html(totals, journal="j", made_at=1.8e9)
    assert "In shadow" in page
    assert "denies: prohibited: a/b" in page


def test_a_line_of_a_journal_ends_with_the_differences():
    _, _, rest = line(record(counts=DENIES))
    assert rest.endswith("  in shadow denies: prohibited: a/b, denies: prohibited: c")
    _, _, rest = line(record(counts=QUOTA))
    assert "shadow" not in rest
