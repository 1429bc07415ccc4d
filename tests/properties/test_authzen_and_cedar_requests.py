"""Whatever stands in a request of AuthZEN or a test of Cedar's: an answer or a fault, no crash."""

from __future__ import annotations

import copy
import json
from contextlib import suppress

import pytest
from bundle_files import EVALUATION
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardrail import Guard
from guardrail._documents import Document
from guardrail.bundle.assembly import load_bundle
from guardrail.cli.io import authzen
from guardrail.errors import ConfigurationError
from guardrail.testing import FrozenClock
from guardrail.testing.cedar.run_tests import run_cedar_tests

POLICIES = """\
@id("wards") permit (principal in Role::"clinician", action == Action::"predict", resource)
when { context.input.rows <= 100 };
@id("own") forbid (principal, action == Action::"predict", resource)
when { context.app has owner && context.app.owner != principal };
@id("rounded") @round("2") forbid (principal in Team::"heart", action, resource);
"""
TEST = {
    "name": "a",
    "request": {
        "principal": 'User::"clara"',
        "action": 'Action::"predict"',
        "resource": 'Model::"tumour"',
        "context": {"input": {"rows": 1}, "app": {"owner": {"type": "User", "id": "clara"}}},
    },
    "entities": [
        {"uid": {"type": "Model", "id": "tumour"}, "attrs": {"purpose": "x"}, "parents": []},
        {
            "uid": {"type": "User", "id": "clara"},
            "attrs": {"department": "care"},
            "parents": [{"type": "Role", "id": "clinician"}],
        },
    ],
    "decision": "allow",
    "reason": ["wards"],
    "num_errors": 0,
}
SEVERAL = {**EVALUATION, "evaluations": [EVALUATION, {"context": {}}]}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "x", 'User::"clara"', "\ud800", "predict", "__entity", "Role"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["type", "id", "in", "properties", "rows", "owner", "__entity", "__extn",
                         "fn", "arg", "uid", "attrs", "parents", "tags", "\udfff"]),
        inner, max_size=3,
    ),
    max_leaves=6,
)  # fmt: skip


def paths(data, above=()):
    yield above
    if isinstance(data, dict | list):
        for step, below in data.items() if isinstance(data, dict) else enumerate(data):
            yield from paths(below, (*above, step))


@st.composite
def changed(draw, *bases):
    data = {"whole": copy.deepcopy(draw(st.sampled_from(bases)))}
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([found for found in paths(data) if found]))
        place = data
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = draw(ANYTHING)
    return data["whole"]


@pytest.fixture
def guard(make_bundle):
    return Guard.from_dir(make_bundle(POLICIES), journal=None)


@pytest.fixture
def bundle(make_bundle):
    return load_bundle(make_bundle(POLICIES), clock=FrozenClock())


@settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_request_of_authzen_is_decided_or_refused(guard, data):
    def decide(asked):
        return guard.decide(
            principal=asked.principal, action=asked.action, resource=asked.resource,
            facts=asked.facts,
        )  # fmt: skip

    for _ in range(20):
        request = data.draw(changed(EVALUATION, SEVERAL))
        document = Document("request.json", request)
        if not authzen.is_authzen(document):
            continue
        exchange = None
        with suppress(ConfigurationError):
            exchange = authzen.read(document, parse=guard.parse_uid)
        if exchange is None:
            continue
        decisions = list(exchange.answer(decide))
        response = exchange.response([guard.describe(each) for each in decisions])
        json.dumps(response, allow_nan=False)
        answers = response.get("evaluations", [response])
        assert [each["decision"] for each in answers] == [each.allowed for each in decisions]


@settings(
    max_examples=400,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_test_of_cedars_form_ends_with_a_result(bundle, tmp_path, data):
    tests = data.draw(st.lists(changed(TEST) | ANYTHING, min_size=1, max_size=20))
    file = tmp_path / "tests.json"
    file.write_text(json.dumps([*tests, TEST]))
    *results, last = run_cedar_tests(bundle, file)
    assert len(results) == len(tests)
    assert last.result.outcome == "passed"
    for each in results:
        assert bool(each.result.faults) == (each.result.outcome != "passed")
        json.dumps(each.as_json(), allow_nan=False)
        if each.guard is not None and each.guard.allowed and each.cedar.decision == "Deny":
            assert each.guard.obligations
