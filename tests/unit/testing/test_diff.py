"""`diff` compares two versions of a bundle: equal ones do not differ, and each change is found."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from guardrail import ConfigurationError
from guardrail.bundle.assembly import load_bundle
from guardrail.cli import app
from guardrail.policy.analysis.mutations import changed, edits_of
from guardrail.testing import FrozenClock
from guardrail.testing.files.cases import read_suite
from guardrail.testing.replay.diff import compare, kind_of

TESTS = """\
given:
  action: predict
  resource: Model::"tumour"
  principals:
    clara: {uid: 'User::"clara"', in: ['Role::"clinician"'], attrs: {department: care}}
  facts: {input: {rows: 10}, identity: {delegated: false}}
tests:
  - {name: allowed, as: clara, expect: allow}
"""
POLICIES = """\
@id("wards") permit (principal in Role::"clinician", action == Action::"predict", resource)
when { context.input.rows <= 100 };
@id("no-retired") forbid (principal, action == Action::"predict", resource)
when { resource.purpose == "retired" };
@id("no-borrowed") forbid (principal, action == Action::"predict", resource)
when { context.identity.delegated };
@id("rounded") @round("2") forbid (principal, action == Action::"predict", resource)
unless { principal in Role::"auditor" };
"""


@pytest.fixture
def folders(make_bundle, tmp_path):
    """Return a function that writes an old and a new version of a bundle."""
    old = make_bundle(POLICIES, **{"tests/a_test.yaml": TESTS})

    def folders(policies):
        new = tmp_path / "new"
        shutil.rmtree(new, ignore_errors=True)
        shutil.copytree(old, new)
        (new / "policies.cedar").write_text(policies)
        return old, new

    return folders


def changes(old, new):
    suite = read_suite(Path(old))
    return list(
        compare(
            load_bundle(old, clock=FrozenClock()), load_bundle(new, clock=FrozenClock()), (suite,)
        )
    )


def kinds(found):
    return {change.kind for change in found}


def test_a_bundle_differs_from_itself_in_nothing(folders):
    assert changes(*folders(POLICIES)) == []
    assert changes(*folders("// a word more\n" + POLICIES.replace("<= 100", "< 101"))) == []


def test_who_gains_is_told(folders):
    found = changes(*folders(POLICIES.replace("<= 100", "<= 101")))
    assert kinds(found) == {"gains"}
    assert {change.request.facts["input"]["rows"] for change in found} == {101}
    assert found[0].whom == 'Role::"clinician": predict Model::"tumour"'
    assert all('Role::"clinician"' in change.whom for change in found)


def test_who_loses_is_told(folders):
    found = changes(*folders(POLICIES.replace("<= 100", "<= 99")))
    assert kinds(found) == {"loses"}
    assert {change.request.facts["input"]["rows"] for change in found} == {100}


def test_an_obligation_that_falls_away_widens(folders):
    found = changes(*folders(POLICIES.partition('@id("rounded")')[0]))
    assert kinds(found) == {"looser"}
    assert kinds(changes(*folders(POLICIES.replace('@round("2")', '@round("3")')))) == {"changed"}
    more = POLICIES.replace('@round("2")', '@round("2") @top_k("1")')
    assert kinds(changes(*folders(more))) == {"stricter"}


def test_an_obligation_on_a_prohibition_widens_it(folders):
    """It was forbidden, and is allowed if met."""
    weaker = POLICIES.replace('@id("no-borrowed")', '@id("no-borrowed") @top_k("1")')
    assert "gains" in kinds(changes(*folders(weaker)))


def test_another_reason_is_told_last(folders):
    found = changes(*folders(POLICIES.replace('@id("no-retired")', '@id("retired")')))
    assert kinds(found) == {"reason"}


def test_every_change_that_a_request_can_tell_is_found(folders, make_bundle):
    """All mutants but those that decide alike: nobody may explain, so no action is one too many."""
    old = make_bundle(POLICIES, **{"tests/a_test.yaml": TESTS})
    snapshot = load_bundle(old, clock=FrozenClock()).snapshot
    alike, tried = [], 0
    for edit in edits_of(snapshot):
        if changed(snapshot, edit) is None:
            continue
        start, end = edit.span
        try:
            found = changes(*folders(POLICIES[:start] + edit.text + POLICIES[end:]))
        except ConfigurationError:  # the validator refuses it
            continue
        tried += 1
        if not found:
            alike.append((edit.name, edit.what))
    assert tried > 20
    assert [name for name, what in alike if what != "any action"] == []


def test_what_a_caller_cannot_tell_apart_is_no_change():
    output = {
        "decision": "allow",
        "code": "allow",
        "policies": ["a"],
        "obligations": {},
        "reason": "",
    }
    assert kind_of(output, {**output, "policies": ["b"]}) is None
    denied = {**output, "decision": "deny", "code": "no_grant"}
    assert kind_of(denied, denied) is None
    assert kind_of(denied, {**denied, "reason": "because"}) == "reason"


def test_the_command_tells_what_widens_first(folders):
    both = POLICIES.replace("<= 100", "<= 101").replace('@round("2")', '@round("2") @top_k("1")')
    old, new = folders(both)
    result = CliRunner().invoke(app, ["diff", str(old), str(new)])
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0].startswith('Role::"clinician": predict Model::"tumour" gains (')
    assert lines[1].startswith("  with input.rows=101")
    assert lines[2:4] == ["  - deny no_grant", "  + allow by wards, if: top_k 1, round 2"]
    assert any("must meet more obligations" in line for line in lines[4:])
    output = json.loads(
        CliRunner().invoke(app, ["diff", str(old), str(new), "--format", "json"]).stdout
    )
    assert output[0]["kind"] == "gains"
    assert output[0]["facts"]["input.rows"] == "101"


def test_the_command_finds_no_difference(folders):
    old, new = folders(POLICIES)
    result = CliRunner().invoke(app, ["diff", str(old), str(new)])
    assert (result.exit_code, result.stdout) == (0, "no difference found\n")


def test_the_command_needs_two_bundles_that_load(folders, tmp_path):
    old, new = folders("permit (principal, action, resource);")
    result = CliRunner().invoke(app, ["diff", str(old), str(new)])
    assert result.exit_code == 1
    assert "GR103" in result.stderr
    for pair in ((old, tmp_path / "no"), (tmp_path / "no", old)):
        assert CliRunner().invoke(app, ["diff", *map(str, pair)]).exit_code == 2
