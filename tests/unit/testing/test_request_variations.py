"""`diff` and mutants vary every value that policies read, and report those that they did not."""

import json

import pytest
from typer.testing import CliRunner

from guardrail.bundle.assembly import load_bundle
from guardrail.cli import app
from guardrail.testing import FrozenClock
from guardrail.testing.files.cases import read_suite
from guardrail.testing.mutation.mutants import collect, mutate
from guardrail.testing.replay.diff import Comparison

SCHEMA = """
entity Role enum ["clinician", "auditor"];
entity Team in [Team] { level: Long, limit?: decimal };
entity User in [Role, Team] {
  level: Long, grade?: Long, score?: decimal, since?: datetime, stay?: duration, ip?: ipaddr,
  tags?: Set<String>, teams?: Set<Team>, team?: Team, name?: String, staff?: Bool,
  desk?: { floor: Long }, manager?: User,
};
entity Model { level: Long, owner?: User, team?: Team, kinds: Set<String> } tags String;
action predict appliesTo {
  principal: [User], resource: [Model],
  context: { input: guardrail::TensorInput, peer: guardrail::PeerFacts, app: { at?: datetime } },
};
"""
ENTITIES = [
    {"uid": {"type": "Team", "id": "heart"}, "attrs": {"level": 9}, "parents": []},
    {"uid": {"type": "Model", "id": "tumour"}, "attrs": {"level": 9, "kinds": ["a"],
     "team": {"__entity": {"type": "Team", "id": "heart"}}}, "parents": []},
    {"uid": {"type": "Model", "id": "small"}, "attrs": {"level": 0, "kinds": []}, "parents": []},
]  # fmt: skip
TESTS = """\
given:
  action: predict
  resource: Model::"tumour"
  facts: {input: {rows: 1}, peer: {tls: true, ip: !ip 10.0.0.1}}
  principals:
    clara: {uid: 'User::"clara"', in: ['Role::"clinician"'], attrs: {level: 9, grade: 9}}
    carl: {uid: 'User::"carl"', in: ['Role::"clinician"'], attrs: {level: 0, grade: 0}}
tests:
  - {name: clara is asked, as: clara, expect: {errors: []}}
"""
GRANT = '@id("grant") permit (principal, action == Action::"predict", resource) when {{ {} }};\n'

#: What a policy says, what it says after the change, and what makes the difference.
CHANGES = {
    "an attribute": ("principal.level >= 3", "principal.level >= 1", "principal.level"),
    "just one number": ("principal.level >= 3", "principal.level > 3", "principal.level"),
    "an optional one": (
        "principal has grade && principal.grade == 5",
        "principal has grade && principal.grade == 6",
        "principal.grade",
    ),
    "whether it is there": ("principal has grade", "true", "principal"),
    "with a role": (
        'principal in Role::"auditor" && principal.level == 4',
        'principal in Role::"auditor" && principal.level == 5', "principal.level",
    ),
    "a decimal": (
        'principal has score && principal.score.lessThan(decimal("0.5"))',
        'principal has score && principal.score.lessThan(decimal("0.7"))', "principal.score",
    ),
    "a datetime": (
        'principal has since && principal.since < datetime("2020-01-01")',
        'principal has since && principal.since < datetime("2021-01-01")', "principal.since",
    ),
    "a duration": (
        'principal has stay && principal.stay < duration("2h")',
        'principal has stay && principal.stay < duration("3h")', "principal.stay",
    ),
    "an address": (
        'principal has ip && principal.ip.isInRange(ip("10.0.0.0/8"))',
        'principal has ip && principal.ip.isInRange(ip("10.0.0.0/9"))', "principal.ip",
    ),
    "a set": (
        'principal has tags && principal.tags.contains("x")',
        'principal has tags && principal.tags.contains("y")', "principal.tags",
    ),
    "all of a set": (
        'principal has tags && principal.tags.containsAll(["x", "y", "z"])',
        'principal has tags && principal.tags.containsAll(["x", "y"])', "principal.tags",
    ),
    "a set of entities": (
        'principal has teams && principal.teams.contains(Team::"heart")', "false",
        "principal.teams",
    ),
    "an entity": (
        'principal has team && principal.team == Team::"heart"', "principal has team && false",
        "principal.team",
    ),
    "a text": (
        'principal has name && principal.name like "dr*"',
        'principal has name && principal.name like "prof*"', "principal.name",
    ),
    "a truth": ("principal has staff && principal.staff", "principal has staff", "principal.staff"),
    "a record": (
        "principal has desk && principal.desk.floor > 4",
        "principal has desk && principal.desk.floor > 3", "principal.desk",
    ),
    "the entity of an attribute": (
        "principal has team && principal.team.level >= 3",
        "principal has team && principal.team.level >= 2", "Team had level",
    ),
    "the resource": ("resource.level >= 3", "resource.level >= 1", "Model had level"),
    "a set of the resource": (
        'resource.kinds.contains("x")', 'resource.kinds.contains("y")', "Model had kinds",
    ),
    "the resource's entity": (
        "resource has team && resource.team.level == 4",
        "resource has team && resource.team.level == 5", "Team had level",
    ),
    "an optional one of an entity": (
        "principal has team && principal.team has limit && "
        'principal.team.limit.lessThan(decimal("1.0"))',
        "principal has team && principal.team has limit && "
        'principal.team.limit.lessThan(decimal("2.0"))',
        "Team had limit",
    ),
    "caller and facts together": (
        "principal.level == 4 && context.input.rows == 7",
        "principal.level == 4 && context.input.rows == 8", "input.rows",
    ),
    "caller and resource compared": (
        "principal.level >= resource.level", "principal.level > resource.level", "principal.level",
    ),
    "caller and resource together": (
        "principal.level == 4 && resource.level == 5",
        "principal.level == 4 && resource.level == 6",
        "Model had level",
    ),
    "a named caller": ('principal == User::"eve"', 'principal == User::"eva"', "User"),
}  # fmt: skip


@pytest.fixture
def bundles(make_bundle, tmp_path):
    """Return a function that writes two versions of a bundle, that say one thing and another."""

    def bundles(before, after, tests=TESTS):
        files = {"schema.cedarschema": SCHEMA, "entities.json": json.dumps(ENTITIES)}
        if tests:
            files["tests/a_test.yaml"] = tests
        old = make_bundle(GRANT.format(before), **files)
        old = old.rename(tmp_path / "old")
        return old, make_bundle(GRANT.format(after), **files)

    return bundles


def load(folder):
    return load_bundle(folder, clock=FrozenClock())


def compared(old, new):
    comparison = Comparison(load(old), load(new), (read_suite(old), read_suite(new)))
    return list(comparison.changes()), comparison.untried


@pytest.mark.parametrize("tests", [TESTS, ""], ids=["tests", "no tests"])
@pytest.mark.parametrize(("before", "after", "named"), CHANGES.values(), ids=CHANGES)
def test_a_change_of_what_policies_read_is_found(bundles, before, after, named, tests):
    old, new = bundles(before, after, tests)
    found, _ = compared(old, new)
    assert {change.kind for change in found} & {"gains", "loses", "reason"}
    output = CliRunner().invoke(app, ["diff", str(old), str(new)])
    assert output.exit_code == 1
    assert named in output.stdout


@pytest.mark.parametrize("before", [before for before, _, _ in CHANGES.values()], ids=CHANGES)
def test_nothing_that_is_the_same_is_a_difference(bundles, before):
    found, untried = compared(*bundles(before, f"({before}) && true"))
    assert not [change for change in found if change.kind != "reason"]
    assert not untried


@pytest.mark.parametrize(
    ("before", "named"),
    [
        ('resource.hasTag("x") && resource.getTag("x") == "y"', "tags"),
        ("context.input.rows + principal.level > 5", "in a computation"),
        ('Team::"heart".level > 5', "level"),
        ("resource has owner && resource.owner has desk && resource.owner.desk.floor > 5", "desk"),
    ],
)
def test_what_was_not_tried_is_counted_and_named(bundles, before, named):
    old, new = bundles(before, f"{before} && true")
    found, untried = compared(old, new)
    assert found == []
    assert any(named in each for each in untried)
    output = CliRunner().invoke(app, ["diff", str(old), str(new)]).stdout
    assert "no difference found in " in output
    assert f"{len(untried)} not tried; the versions may differ on them" in output
    assert named in output


#: Whole numbers are shifted by one; other constants have no mutants.
MUTATED = {
    name: CHANGES[name]
    for name in (
        "an attribute", "an optional one", "with a role", "a record", "the entity of an attribute",
        "the resource", "the resource's entity", "caller and facts together",
    )
}  # fmt: skip


@pytest.mark.parametrize(("policy", "named"), [(b, n) for b, _, n in MUTATED.values()], ids=MUTATED)
def test_no_mutant_of_a_constant_is_called_alike(bundles, policy, named):
    """No test comes near the constants: each mutant survives, or is one that was not tried."""
    folder, _ = bundles(policy, policy)
    mutation = collect(mutate(load(folder), read_suite(folder)))
    shifted = [each for each in mutation.survivors if " became " in each.edit.what]
    assert shifted
    assert any(named.rpartition(" ")[2] in each.test for each in shifted)
    alike = [
        each.what
        for each in mutation.equivalent
        if " became " in each.what and any(char.isdigit() for char in each.what.rpartition(":")[2])
    ]
    assert alike == []


def test_a_mutant_that_was_not_tried_in_full_is_told_apart_from_those_alike(bundles):
    folder, _ = bundles("context.input.rows + principal.level > 5", "true")
    result = CliRunner().invoke(app, ["test", str(folder), "--mutants"])
    summary = result.stdout.splitlines()[-1]
    assert "not fully tried" in summary
    assert "context.input.rows in a computation" in result.stdout


#: Changes that show on two values at once, or on a longer text than the policy names.
JOINT = {
    "a longer text": ('principal has name && principal.name == "q"',
                      'principal has name && principal.name like "q*"'),
    "its own against its team's": (
        "principal has grade && principal has team && principal.grade > principal.team.level",
        "principal has grade && principal has team && principal.grade >= principal.team.level",
    ),
    "whom it names, in a role": (
        'principal in Role::"auditor" && principal == User::"zed"',
        'principal in Role::"auditor" && principal == User::"zod"',
    ),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after"), JOINT.values(), ids=JOINT)
def test_a_change_that_shows_on_two_values_at_once_is_found(bundles, before, after):
    found, _ = compared(*bundles(before, after, ""))
    assert [change for change in found if change.kind in ("gains", "loses")]


def test_two_values_of_entities_that_are_compared_are_not_called_tried(bundles):
    before = "resource has team && resource.level > resource.team.level"
    found, untried = compared(*bundles(before, before.replace(">", ">="), ""))
    assert found or "resource.level against resource.team.level" in untried
