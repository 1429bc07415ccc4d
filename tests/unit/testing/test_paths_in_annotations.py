"""Annotations that read values of the call: whole calls under test meet them as served ones do.

Every kind of path stands in every annotation that takes one: an attribute of the caller, an
optional one, an entity, an attribute of an entity, a fact, an attribute of the resource.
"""

from array import array

import pytest
from bundles import principal

from guardrail import Entity, Guard
from guardrail.testing import FrozenClock, overriding, run_tests

PATHS = {
    "principal": "principal",
    "resource": "resource",
    "a text of the caller": "principal.department",
    "an entity of the caller": "principal.team",
    "an attribute of the caller's entity": "principal.team.level",
    "an attribute of the resource": "resource.purpose",
    "a number among the facts": "context.input.rows",
    "an entity among the facts": "context.app.owner",
    "a text in a record of the facts": "context.app.note.text",
}
GRANT = '@id("grant") permit (principal, action, resource);\n'
TEST = """\
given:
  action: predict
  resource: Model::"tumour"
  facts:
    input: {{rows: 10}}
    app: {{owner: !entity 'User::"carl"', note: {{text: spring}}, purpose: care}}
  principals:
    clara:
      uid: 'User::"clara"'
      in: ['Role::"clinician"']
      attrs: {{department: care, level: 3, team: !entity 'Team::"heart"'}}
tests:
{tests}
"""
STEPS = """\
  - name: the second call waits
    as: clara
    steps:
      - {expect: allow}
      - {expect: {code: quota_exceeded, policies: [condition], retry_after_s: 60}}
      - {after: 60s, expect: allow}
"""
CALL = """\
  - name: a call is allowed
    as: clara
    steps: [{expect: allow}]
"""


def policies(annotation):
    scope = '(principal, action == Action::"predict", resource)'
    return f'{GRANT}@id("condition") {annotation} forbid {scope};\n'


def failures(report):
    assert report.results
    return [result.message for result in report.results if result.outcome != "passed"]


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("window", ["", " using moving", " using sliding"])
def test_a_quota_counts_by_the_value_at_its_path(make_bundle, path, window):
    folder = make_bundle(
        policies(f'@quota("1/minute per {path}{window}")'),
        **{"tests/a_test.yaml": TEST.format(tests=STEPS if not window else CALL)},
    )
    assert failures(run_tests(folder)) == []


@pytest.mark.parametrize("path", [each for each in PATHS.values() if "." in each])
@pytest.mark.parametrize("mark", ["", " as text"])
def test_a_record_may_note_the_value_at_its_path(make_bundle, path, mark):
    folder = make_bundle(
        policies(f'@audit("{path}{mark}")'), **{"tests/a_test.yaml": TEST.format(tests=CALL)}
    )
    assert failures(run_tests(folder)) == []


def test_all_paths_at_once_are_read_and_the_bundle_reloads(make_bundle):
    limits = "; ".join(f"9/minute per {path}" for path in PATHS.values())
    noted = ", ".join(path for path in PATHS.values() if "." in path)
    folder = make_bundle(
        policies(f'@quota("{limits}") @audit("{noted}")'),
        **{"tests/a_test.yaml": TEST.format(tests=CALL)},
    )
    assert failures(run_tests(folder)) == []
    guard = Guard.from_dir(folder, clock=FrozenClock())
    before = guard.revision
    with (folder / "policies.cedar").open("a") as file:
        file.write("// another revision\n")
    guard.reload()
    assert guard.revision != before


def test_a_path_without_a_value_is_no_error_of_ours(make_bundle):
    """The caller brings no team, so that nothing can be counted by it: denied, and said so."""
    test = CALL.replace("as: clara", "principal: {uid: 'User::\"x\"', attrs: {department: care}}")
    expected = test.replace(
        "expect: allow", "expect: {code: obligation_failed, path: principal.team}"
    )
    folder = make_bundle(
        policies('@quota("1/minute per principal.team")'),
        **{"tests/a_test.yaml": TEST.format(tests=expected)},
    )
    assert failures(run_tests(folder)) == []


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_a_call_that_is_let_through_is_still_counted_by_its_path(make_guard, path):
    guard = make_guard(policies(f'@quota("1/minute per {path}") @audit("principal.department")'))
    facts = {"owner": Entity("User", "carl"), "note": {"text": "spring"}}
    predict = guard.protect(
        action="predict", resource='Model::"tumour"', input="patients", facts=facts
    )(lambda patients: 0.5)
    caller = principal(level=3, team=Entity("Team", "heart"))
    row = memoryview(array("d", [1.0, 2.0, 3.0])).cast("B").cast("d", (1, 3))
    with guard.acting_as(caller), overriding(guard, unsafe_observe=True) as seen:
        assert [predict(row), predict(row)] == [0.5, 0.5]
    assert [each.code for each in seen] == ["quota_exceeded"]
