"""Whatever stands in a test file, the run ends with a report: no crash, and no silent pass."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardrail.bundle.assembly import load_bundle
from guardrail.testing import FrozenClock, run_tests

POLICIES = """\
@id("grant") permit (principal, action == Action::"predict", resource)
when { context.input.rows <= 100 };
@id("notes") forbid (principal, action == Action::"predict", resource)
when { context.app has note && context.app.note == {text: "no"} };
@id("hours") @round("2") forbid (principal, action == Action::"predict", resource)
when { context.time.hour < 6 };
"""
TEXTS = st.sampled_from(
    [
        "allow", "deny", "no_grant", "clara", "predict", "explain", "fly", 'Model::"tumour"',
        'User::"carl"', 'User::"x"', 'Role::"clinician"', "2026-11-23T10:00:00Z", "grant", "",
    ]
)  # fmt: skip
KEYS = st.sampled_from(
    [
        "given", "tests", "name", "as", "principal", "principals", "action", "resource", "now",
        "facts", "expect", "decision", "code", "policies", "obligations", "errors", "path",
        "reason", "uid", "in", "attrs", "department", "input", "rows", "app", "note", "text",
        "time", "hour", "round", "steps", "released", "clara",
    ]
)  # fmt: skip
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**70) | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | TEXTS, inner, max_size=4),
    max_leaves=12,
)
PRINCIPAL = {"uid": 'User::"clara"', "in": ['Role::"clinician"'], "attrs": {"department": "x"}}
TEST = {
    "name": "a",
    "principal": PRINCIPAL,
    "action": "predict",
    "resource": 'Model::"tumour"',
    "facts": {"input": {"rows": 10}, "time": {"hour": 10}},
    "expect": {"decision": "allow", "policies": ["grant"], "obligations": {}},
}


@pytest.fixture
def ended(make_bundle):
    """Return a function that runs a test file of this content on one bundle."""
    folder = make_bundle(POLICIES, **{"tests/a_test.yaml": ""})
    bundle = load_bundle(folder, clock=FrozenClock())

    def ended(data):
        text = json.dumps(data).replace("NaN", ".nan").replace("Infinity", ".inf")
        (folder / "tests" / "a_test.yaml").write_text(text)
        return run_tests(folder, bundle=bundle)

    return ended


def changed(data, path, value):
    """Return the data with another value at a path, or with the key left out."""
    if not path:
        return value
    copy = dict(data)
    if len(path) == 1 and value is ...:
        del copy[path[0]]
    else:
        copy[path[0]] = changed(copy.get(path[0]), path[1:], value)
    return copy


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ANYTHING)
def test_any_file_ends_with_a_report(ended, data):
    report = ended(data)
    assert report.passed + report.failed + report.errors == len(report.results)
    if not isinstance(data, dict):
        assert report.errors == 1


PATHS = st.sampled_from(
    [
        ("name",), ("principal",), ("principal", "uid"), ("principal", "in"),
        ("principal", "attrs"), ("principal", "attrs", "department"), ("action",),
        ("resource",), ("now",), ("facts",), ("facts", "input"), ("facts", "input", "rows"),
        ("facts", "time", "hour"), ("facts", "app"), ("expect",), ("expect", "code"),
        ("expect", "policies"), ("expect", "obligations"), ("expect", "errors"), ("more",),
    ]
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PATHS, ANYTHING)
def test_any_change_to_a_test_ends_with_one_result(ended, path, value):
    (result,) = ended({"tests": [changed(TEST, path, value)]}).results
    assert bool(result.faults) == (result.outcome != "passed")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(
    st.sampled_from([("principal",), ("action",), ("resource",), ("facts", "input"), ("expect",)])
)
def test_what_is_left_out_never_passes(ended, path):
    (whole,) = ended({"tests": [TEST]}).results
    assert whole.outcome == "passed", whole
    (result,) = ended({"tests": [changed(TEST, path, ...)]}).results
    assert result.outcome == "error"
